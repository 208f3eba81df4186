package store_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/store"
)

// printed is a message with a fingerprint.
func printed(m store.Message, fingerprint uint64) store.Message {
	m.Fingerprint = fingerprint
	return m
}

func TestWhatComesAgainHasNoSecondEffect(t *testing.T) {
	b := open(t)
	b.apply(printed(raise("a"), 1), printed(end("a"), 2), printed(raise("a"), 1))
	assert.Empty(t, b.told(), "it has ended, and was not raised again")
	assert.Equal(t, store.Tally{Received: 3, Merged: 2, Duplicate: 1}, b.tally())
	b.apply(printed(raise("a"), 1))
	assert.EqualValues(t, 2, b.tally().Duplicate, "in another transaction")

	b.apply(raise("c"), raise("c"))
	assert.EqualValues(t, 2, b.tally().Duplicate, "nothing tells these apart")
}

func TestWhatHasComeIsKnownToTheNextProcess(t *testing.T) {
	b := open(t)
	b.apply(printed(raise("a"), 1))
	b.apply(printed(raise("b"), 2))
	b.restart()
	b.apply(printed(raise("a"), 1), printed(raise("b"), 2), printed(raise("c"), 3))
	assert.EqualValues(t, 2, b.tally().Duplicate)
}

func TestWhatWasNotStoredHasNotCome(t *testing.T) {
	b := open(t)
	spoiled := printed(raise("a"), 1)
	spoiled.Decision.Effects = append(spoiled.Decision.Effects, nil) // nobody makes these
	require.Error(t, b.Apply(t.Context(), []store.Message{spoiled}))
	b.apply(printed(raise("a"), 1))
	assert.Equal(t, []string{"ALERT a"}, b.told())
}

func TestOnlyTheNewestMessagesAreKnownAgain(t *testing.T) {
	b := open(t)
	const most, batch = 1 << 17, 1 << 12
	b.apply(printed(raise("a"), 1))
	for n := range most / batch {
		messages := make([]store.Message, batch)
		for i := range messages {
			messages[i] = printed(store.Message{}, uint64(2+n*batch+i))
		}
		b.apply(messages...)
	}
	b.apply(printed(raise("a"), 1))
	assert.Zero(t, b.tally().Duplicate, "it is forgotten")
	b.restart()
	b.apply(printed(raise("a"), 1), printed(store.Message{}, most))
	assert.EqualValues(t, 2, b.tally().Duplicate)
}
