package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
)

var letterTests = []test{
	testDeadMessagesAreKeptAndCounted,
	testWhatIlertCallsInvalidIsKeptAsItArrived,
	testDeadLettersAreTakenInAgainOrPurged,
	testALetterThatDiesAgainDiesNow,
	testADeadLetterKeepsTheUserProperties,
}

// revive takes a dead letter in again as a message, and returns the reason why the letter stays, or "".
func (b *book) revive(l alerting.Letter, m alerting.Message) (keep string) {
	b.t.Helper()
	m.ReceivedAt = l.ReceivedAt
	revivals := []alerting.Revival{{Letter: l, Message: m}}
	require.NoError(b.t, b.Revive(b.t.Context(), b.now, revivals))
	b.check()
	return revivals[0].Keep
}

// letters returns the dead letters, the oldest first.
func (b *book) letters() []alerting.Letter {
	b.t.Helper()
	letters, err := b.DeadLetters(b.t.Context(), alerting.LetterQuery{})
	require.NoError(b.t, err)
	return letters
}

func testDeadMessagesAreKeptAndCounted(t *testing.T, open opener) {
	b := open(t)
	broken := dead("mps/events", "no JSON")
	broken.Payload = []byte{0, 0xff}
	empty := dead("mps/events", "empty")
	empty.Payload, empty.Tries = nil, 3
	b.apply(broken, empty)
	assert.Equal(t, []alerting.Letter{
		{ID: 1, Filter: filter, Topic: "mps/events", Payload: []byte{0, 0xff}, ReceivedAt: b.now, DiedAt: b.now, Reason: "no JSON"},
		{ID: 2, Filter: filter, Topic: "mps/events", ReceivedAt: b.now, DiedAt: b.now, Reason: "empty", Tries: 3},
	}, b.letters())
	assert.Equal(t, alerting.Tally{Received: 2, Dead: 2}, b.tally())
}

func testWhatIlertCallsInvalidIsKeptAsItArrived(t *testing.T, open opener) {
	b := open(t)
	arrives := func(m alerting.Message, topic, payload string) alerting.Message {
		m.Topic, m.Payload = topic, []byte(payload)
		return m
	}
	arrived := b.now
	b.apply(arrives(raise("a"), "mps/events/1", "first"), arrives(raise("a"), "mps/events/2", "a repeat"))
	b.later(time.Minute)
	b.settle(b.claim()[0], alerting.Refused)
	letter := alerting.Letter{
		ID: 1, Filter: filter, Topic: "mps/events/1", Payload: []byte("first"), ReceivedAt: arrived, DiedAt: b.now, Reason: "no", Tries: 1,
	}
	arrivedAs := func(l alerting.Letter) alerting.Letter { // leaves out what only a retry needs
		return alerting.Letter{ID: l.ID, Filter: l.Filter, Topic: l.Topic, Payload: l.Payload, ReceivedAt: l.ReceivedAt, DiedAt: l.DiedAt, Reason: l.Reason, Tries: l.Tries}
	}
	assert.Equal(t, letter, arrivedAs(b.letters()[0]))

	b.apply(arrives(raise("b"), "mps/events/3", "an alert"))
	b.taken()
	b.apply(arrives(end("b"), "mps/events/4", "its end"))
	b.settle(b.claim()[0], alerting.Refused)
	letter.ID, letter.Topic, letter.Payload, letter.ReceivedAt = 2, "mps/events/4", []byte("its end"), b.now
	assert.Equal(t, letter, arrivedAs(b.letters()[1]))

	b.apply(raise("c"))
	underWay := b.claim()[0]
	b.apply(end("c"))
	b.settle(underWay, alerting.Refused)
	assert.Len(t, b.letters(), 2, "overtaken, and so merged")
	assert.Equal(t, alerting.Tally{Received: 6, Delivered: 1, Merged: 3, Dead: 2}, b.tally())
}

func testDeadLettersAreTakenInAgainOrPurged(t *testing.T, open opener) {
	b := open(t)
	b.apply(dead("a", "no JSON"), dead("b", "No json"), dead("c", "other"), dead("d", "other"))
	topics := func(which alerting.LetterQuery) (all []string) {
		letters, err := b.DeadLetters(t.Context(), which)
		require.NoError(t, err)
		for _, l := range letters {
			all = append(all, l.Topic)
		}
		return all
	}
	assert.Equal(t, []string{"a", "b", "c", "d"}, topics(alerting.LetterQuery{}))
	assert.Equal(t, []string{"a", "b"}, topics(alerting.LetterQuery{Reason: "JSON"}))
	assert.Equal(t, []string{"b"}, topics(alerting.LetterQuery{IDs: []int64{2, 3}, Reason: "json"}))
	assert.Equal(t, []string{"a", "b", "c"}, topics(alerting.LetterQuery{Filter: filter, Limit: 3}))
	assert.Equal(t, []string{"d"}, topics(alerting.LetterQuery{Topic: "d"}))
	assert.Empty(t, topics(alerting.LetterQuery{Before: b.now}))
	assert.Len(t, topics(alerting.LetterQuery{Before: b.now.Add(time.Millisecond)}), 4)

	n, err := b.AskToRetry(t.Context(), alerting.LetterQuery{Limit: 3})
	require.NoError(t, err)
	assert.EqualValues(t, 3, n)
	letters, err := b.ToRetry(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, letters, 3)
	purged, err := b.Purge(t.Context(), alerting.LetterQuery{IDs: []int64{2}})
	require.NoError(t, err)
	assert.Equal(t, alerting.Purged{Letters: 1}, purged)
	b.check()
	again := []alerting.Message{raise("x"), raise("y"), dead("c", "still")}
	for i, keep := range []string{"", "", "still"} {
		assert.Equal(t, keep, b.revive(letters[i], again[i]))
	}
	assert.Equal(t, []string{"ALERT x"}, b.taken(), "the second had been purged meanwhile")
	assert.Equal(t, alerting.Tally{Received: 4, Dead: 2, Purged: 1, Delivered: 1}, b.tally())
	letters, err = b.ToRetry(t.Context(), 10)
	require.NoError(t, err)
	assert.Empty(t, letters, "what died again waits to be asked for again")
}

func testALetterThatDiesAgainDiesNow(t *testing.T, open opener) {
	b := open(t)
	b.apply(dead("a", "no JSON"))
	old, err := b.DeadLetters(t.Context(), alerting.LetterQuery{})
	require.NoError(t, err)
	b.later(time.Minute)
	assert.Equal(t, "still", b.revive(old[0], dead("a", "still")))
	letters, err := b.DeadLetters(t.Context(), alerting.LetterQuery{})
	require.NoError(t, err)
	require.Len(t, letters, 1)
	assert.Equal(t, old[0].ID, letters[0].ID, "it stays")
	assert.Equal(t, "still", letters[0].Reason)
	assert.Equal(t, b.now, letters[0].DiedAt)
	assert.Equal(t, old[0].ReceivedAt, letters[0].ReceivedAt)
}

func testADeadLetterKeepsTheUserProperties(t *testing.T, open opener) {
	b := open(t)
	outcome := []decision.Property{{Key: "outcome", Value: "device"}, {Key: "source", Value: "mps-1"}}
	unread, single, sent := alerting.Message{Decision: decision.Decision{Dead: "no JSON"}}, raise("a"), send(configured, "b")
	for _, m := range []*alerting.Message{&unread, &single, &sent} {
		m.Properties = outcome
	}
	b.apply(unread, single, sent)
	for _, n := range b.claim() {
		b.settle(n, alerting.Refused)
	}
	letters, err := b.DeadLetters(t.Context(), alerting.LetterQuery{})
	require.NoError(t, err)
	require.Len(t, letters, 3)
	for _, l := range letters {
		assert.Equal(t, outcome, l.Properties, l.Reason)
	}
}
