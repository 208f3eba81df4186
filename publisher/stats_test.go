package publisher_test

import (
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/publisher"
)

// The names in the JSON are those of the reasons.
func TestStatsHaveTheSameReasonsInJSON(t *testing.T) {
	drops := publisher.Drops{Overflow: 1, Expired: 2, TooLarge: 3, Refused: 4, EndsConnection: 5, SpoolLost: 6}
	rejections := publisher.Rejections{Full: 1, Closed: 2, Invalid: 3, TooLarge: 4}
	text, err := json.Marshal(publisher.Stats{DroppedBy: drops, RejectedBy: rejections})
	require.NoError(t, err)
	var decoded struct {
		DroppedBy  map[publisher.DropReason]uint64   `json:"dropped_by"`
		RejectedBy map[publisher.RejectReason]uint64 `json:"rejected_by"`
	}
	require.NoError(t, json.Unmarshal(text, &decoded))
	assert.Equal(t, decoded.DroppedBy, maps.Collect(drops.All()))
	assert.Equal(t, decoded.RejectedBy, maps.Collect(rejections.All()))
}

func TestStatsSayHowOldTheOldestPendingEventIs(t *testing.T) {
	pub := start(t, publisher.Config{Address: "127.0.0.1:1", Capacity: 2})
	assert.Zero(t, pub.Stats().OldestPending)
	for _, c := range []struct{ age, oldest time.Duration }{
		{time.Hour, time.Hour},
		{10 * time.Minute, time.Hour},
		{-time.Hour, 10 * time.Minute}, // the oldest has made room
		{0, 0},                         // and an event of the future has no age
	} {
		e := numbered(0)
		e.Timestamp = time.Now().Add(-c.age).UnixMilli()
		require.NoError(t, pub.Publish(e))
		assert.InDelta(t, c.oldest.Seconds(), pub.Stats().OldestPending.Seconds(), 100)
	}
}
