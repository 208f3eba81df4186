package publisher_test

import (
	"encoding/json"
	"maps"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/publisher"
)

// Whoever shows counts by reason and whoever decodes the JSON sees the same names.
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
