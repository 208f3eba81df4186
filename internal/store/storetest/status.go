package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
)

var statusTests = []test{
	testStatusSaysWhereTheAlertsStand,
	testOutboxItemsWaitToo,
}

func (b *book) status() alerting.Status {
	b.t.Helper()
	s, err := b.Status(b.t.Context(), b.now)
	require.NoError(b.t, err)
	return s
}

func testStatusSaysWhereTheAlertsStand(t *testing.T, open opener) {
	b := open(t)
	assert.Equal(t, alerting.Status{Tallies: map[string]alerting.Tally{}, Matches: map[string]uint64{}}, b.status())

	delayed := raising("delayed")
	delayed.For = time.Minute
	b.apply(alerting.Message{Decision: decision.Decision{Matched: []string{"r"}, Effects: []decision.Effect{delayed}}})
	s := b.status()
	assert.Equal(t, []uint64{0, 0, 1, 0}, []uint64{s.Open, s.Waiting, s.Later, s.Claimed})
	assert.True(t, s.Oldest.IsZero(), "what waits for its time does not wait for ilert")
	b.apply(raise("a"), raise("b"))
	s = b.status()
	assert.Equal(t, []uint64{0, 2, 1, 0}, []uint64{s.Open, s.Waiting, s.Later, s.Claimed})
	assert.Equal(t, b.now, s.Oldest)
	assert.Equal(t, map[string]uint64{"r": 1}, s.Matches)
	assert.Equal(t, b.tally(), s.Tallies[filter])

	notices := b.claim()
	s = b.status()
	assert.Equal(t, []uint64{0, 0, 1, 2}, []uint64{s.Open, s.Waiting, s.Later, s.Claimed})
	assert.Equal(t, b.now, s.Oldest, "until ilert has answered")
	b.settle(notices[0], alerting.Taken)
	came := b.now
	b.later(time.Second)
	b.settle(notices[1], alerting.NotTaken)
	s = b.status()
	assert.Equal(t, []uint64{1, 1, 1, 0}, []uint64{s.Open, s.Waiting, s.Later, s.Claimed})
	assert.Equal(t, came, s.Oldest)

	// A notice that is sent again later counts as waiting, too.
	notices = b.claim()
	require.Len(t, notices, 1)
	require.NoError(t, b.Settle(t.Context(), []alerting.Answer{{Notice: notices[0], Result: alerting.NotTaken, At: b.now, Retry: b.now.Add(time.Hour)}}))
	assert.Equal(t, uint64(1), b.status().Waiting)

	b.later(2 * time.Minute)
	s = b.status()
	assert.Equal(t, []uint64{1, 2, 0, 0}, []uint64{s.Open, s.Waiting, s.Later, s.Claimed})
	b.restart()
	assert.Equal(t, s, b.status())
}

func testOutboxItemsWaitToo(t *testing.T, open opener) {
	b := open(t)
	b.apply(send(doors, "x"))
	came := b.now
	b.later(time.Minute)
	b.apply(send(doors, "y"))
	assert.Equal(t, came, b.status().Oldest)
	assert.Equal(t, []string{"ALERT x"}, b.texts())
	assert.Equal(t, b.now, b.status().Oldest)
}
