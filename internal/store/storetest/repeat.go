package storetest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
)

var repeatTests = []test{
	whatComesAgainHasNoSecondEffect,
	whatHasComeIsKnownToTheNextProcess,
	whatWasNotStoredHasNotCome,
	onlyTheNewestMessagesAreKnownAgain,
}

// printed is a message with a fingerprint.
func printed(m alerting.Message, fingerprint uint64) alerting.Message {
	m.Fingerprint = fingerprint
	return m
}

func whatComesAgainHasNoSecondEffect(t *testing.T, open opener) {
	b := open(t)
	b.apply(printed(raise("a"), 1), printed(end("a"), 2), printed(raise("a"), 1))
	assert.Empty(t, b.taken(), "it has ended, and was not raised again")
	assert.Equal(t, alerting.Tally{Received: 3, Merged: 2, Duplicate: 1}, b.tally())
	b.apply(printed(raise("a"), 1))
	assert.EqualValues(t, 2, b.tally().Duplicate, "in another transaction")

	b.apply(raise("c"), raise("c"))
	assert.EqualValues(t, 2, b.tally().Duplicate, "nothing tells these apart")
}

func whatHasComeIsKnownToTheNextProcess(t *testing.T, open opener) {
	b := open(t)
	b.apply(printed(raise("a"), 1))
	b.apply(printed(raise("b"), 2))
	b.restart()
	b.apply(printed(raise("a"), 1), printed(raise("b"), 2), printed(raise("c"), 3))
	assert.EqualValues(t, 2, b.tally().Duplicate)
}

func whatWasNotStoredHasNotCome(t *testing.T, open opener) {
	b := open(t)
	spoiled := printed(raise("a"), 1)
	spoiled.Decision.Effects = append(spoiled.Decision.Effects, nil) // nobody makes these
	require.Error(t, b.Apply(t.Context(), []alerting.Message{spoiled}))
	b.apply(printed(raise("a"), 1))
	assert.Equal(t, []string{"ALERT a"}, b.taken())
}

func onlyTheNewestMessagesAreKnownAgain(t *testing.T, open opener) {
	b := open(t)
	const most, batch = 1 << 17, 1 << 12
	b.apply(printed(raise("a"), 1))
	for n := range most / batch {
		messages := make([]alerting.Message, batch)
		for i := range messages {
			messages[i] = printed(alerting.Message{}, uint64(2+n*batch+i))
		}
		b.apply(messages...)
	}
	b.apply(printed(raise("a"), 1))
	assert.Zero(t, b.tally().Duplicate, "it is forgotten")
	b.restart()
	b.apply(printed(raise("a"), 1), printed(alerting.Message{}, most))
	assert.EqualValues(t, 2, b.tally().Duplicate)
}
