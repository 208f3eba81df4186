package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

var outboxTests = []test{
	testALetterMayBeSettledTwice,
	testOutboxItemsGoOutInOrderWithinTheirKey,
	testWhatIlertRefusesHoldsUpNothingAndIsKept,
	testWhatWasUnderWayWhenTheProcessDiedIsSentAgain,
}

func send(integrationKey ilert.IntegrationKey, summary string) alerting.Message {
	m := message(decision.Send{IntegrationKey: integrationKey, Path: "/api/some", Event: ilert.Event{EventType: ilert.Alert, Summary: summary}})
	m.Topic, m.Payload = "t", []byte("of "+summary)
	return m
}

// bodies returns the summaries of notices with their integration keys.
func bodies(notices []alerting.Notice) (all []string) {
	for _, n := range notices {
		all = append(all, n.Event.Summary+by(n.IntegrationKey))
	}
	return all
}

// The consumer settles an answer again if it does not know whether the first commit succeeded.
func testALetterMayBeSettledTwice(t *testing.T, open opener) {
	b := open(t)
	b.apply(send(configured, "1"))
	n := b.claim()[0]
	b.settle(n, alerting.Taken)
	b.settle(n, alerting.Taken)
	assert.Equal(t, alerting.Tally{Received: 1, Delivered: 1}, b.tally())
}

func testOutboxItemsGoOutInOrderWithinTheirKey(t *testing.T, open opener) {
	b := open(t)
	b.apply(send(configured, "1"), send(third, "2"), send(configured, "3"), send(configured, "4"), send(third, "5"))
	assert.EqualValues(t, 5, b.tally().Pending)
	first := b.claim()
	require.Equal(t, []string{"1", "2" + by(third)}, bodies(first), "one of each key at a time")
	assert.Empty(t, b.claim())

	later := b.now.Add(time.Minute)
	require.NoError(t, b.Settle(t.Context(), []alerting.Answer{
		{Notice: first[0], Result: alerting.NotTaken, Retry: later},
		{Notice: first[1], Result: alerting.Taken},
	}))
	b.check()
	second := b.claim()
	require.Equal(t, []string{"5" + by(third)}, bodies(second), "the other key waits for its first")
	next, waiting, err := b.NextDue(t.Context())
	require.NoError(t, err)
	assert.True(t, waiting)
	assert.True(t, next.Equal(later))
	b.settle(second[0], alerting.Taken)

	b.now = later
	for _, want := range []string{"1", "3", "4"} {
		due := b.claim()
		require.Equal(t, []string{want}, bodies(due))
		b.settle(due[0], alerting.Taken)
	}
	assert.Equal(t, alerting.Tally{Received: 5, Delivered: 5}, b.tally())
}

func testWhatIlertRefusesHoldsUpNothingAndIsKept(t *testing.T, open opener) {
	b := open(t)
	b.apply(send(configured, "1"), send(configured, "2"))
	b.settle(b.claim()[0], alerting.Refused)
	assert.Equal(t, []string{"2"}, bodies(b.claim()))
	letters := b.letters()
	require.Len(t, letters, 1)
	assert.Equal(t, "of 1", string(letters[0].Payload))
	assert.Equal(t, "no", letters[0].Reason)
	assert.Equal(t, alerting.Tally{Received: 2, Dead: 1, Pending: 1}, b.tally())
}

func testWhatWasUnderWayWhenTheProcessDiedIsSentAgain(t *testing.T, open opener) {
	b := open(t)
	b.apply(send(configured, "1"), send(configured, "2"))
	require.Len(t, b.claim(), 1)
	b.restart()
	assert.Equal(t, []string{"1"}, bodies(b.claim()))
}
