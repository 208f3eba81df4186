package store_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/store"
)

// printed is a message with a fingerprint.
func printed(m store.Message, fingerprint uint64, mayRepeat bool) store.Message {
	m.Fingerprint, m.MayRepeat = fingerprint, mayRepeat
	return m
}

func TestWhatComesAgainHasNoSecondEffect(t *testing.T) {
	b := open(t)
	b.apply(printed(raise("a"), 1, true), printed(end("a"), 2, true), printed(raise("a"), 1, true))
	assert.Empty(t, b.told(), "it has ended, and was not raised again")
	assert.Equal(t, store.Tally{Received: 3, Merged: 2, Duplicate: 1}, b.tally())
	b.apply(printed(raise("a"), 1, true))
	assert.EqualValues(t, 2, b.tally().Duplicate, "in another transaction")

	b.apply(printed(raise("b"), 3, false), printed(raise("b"), 3, false))
	assert.EqualValues(t, 2, b.tally().Duplicate, "they only look alike")
	b.apply(printed(raise("b"), 3, true))
	assert.EqualValues(t, 3, b.tally().Duplicate)
	b.apply(raise("c"), raise("c"))
	assert.EqualValues(t, 3, b.tally().Duplicate, "nothing tells these apart")
}

func TestWhatHasComeIsKnownToTheNextProcess(t *testing.T) {
	b := open(t)
	b.apply(printed(raise("a"), 1, true))
	b.apply(printed(raise("b"), 2, true))
	b.restart()
	b.apply(printed(raise("a"), 1, true), printed(raise("b"), 2, true), printed(raise("c"), 3, true))
	assert.EqualValues(t, 2, b.tally().Duplicate)
}

func TestWhatWasNotStoredHasNotCome(t *testing.T) {
	b := open(t)
	spoiled := printed(raise("a"), 1, true)
	spoiled.Decision.Effects = append(spoiled.Decision.Effects, nil) // nobody makes these
	require.Error(t, b.Apply(t.Context(), []store.Message{spoiled}))
	b.apply(printed(raise("a"), 1, true))
	assert.Equal(t, []string{"ALERT a"}, b.told())
}

func TestOnlyTheNewestMessagesAreKnownAgain(t *testing.T) {
	b := open(t)
	const most, batch = 1 << 17, 1 << 12
	b.apply(printed(raise("a"), 1, true))
	for n := range most / batch {
		messages := make([]store.Message, batch)
		for i := range messages {
			messages[i] = printed(store.Message{}, uint64(2+n*batch+i), true)
		}
		b.apply(messages...)
	}
	b.apply(printed(raise("a"), 1, true))
	assert.Zero(t, b.tally().Duplicate, "it is forgotten")
	b.restart()
	b.apply(printed(raise("a"), 1, true), printed(store.Message{}, most, true))
	assert.EqualValues(t, 2, b.tally().Duplicate)
}
