package storetest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
)

var repeatTests = []test{
	testWhatComesAgainHasNoSecondEffect,
	testWhatHasComeIsKnownToTheNextProcess,
	testWhatWasNotStoredHasNotCome,
	testOnlyTheNewestMessagesAreKnownAgain,
}

// printed returns a message with a fingerprint.
func printed(m alerting.Message, fingerprint uint64) alerting.Message {
	m.Fingerprint = fingerprint
	return m
}

func testWhatComesAgainHasNoSecondEffect(t *testing.T, open opener) {
	b := open(t)
	b.apply(printed(raise("a"), 1), printed(end("a"), 2), printed(raise("a"), 1))
	assert.Empty(t, b.taken(), "it has ended, and was not raised again")
	assert.Equal(t, alerting.Tally{Received: 3, Merged: 2, Duplicate: 1}, b.tally())
	b.apply(printed(raise("a"), 1))
	assert.EqualValues(t, 2, b.tally().Duplicate, "in another transaction")

	b.apply(raise("c"), raise("c"))
	assert.EqualValues(t, 2, b.tally().Duplicate, "they have no fingerprints to compare")
}

func testWhatHasComeIsKnownToTheNextProcess(t *testing.T, open opener) {
	b := open(t)
	b.apply(printed(raise("a"), 1))
	b.apply(printed(raise("b"), 2))
	b.restart()
	b.apply(printed(raise("a"), 1), printed(raise("b"), 2), printed(raise("c"), 3))
	assert.EqualValues(t, 2, b.tally().Duplicate)
}

func testWhatWasNotStoredHasNotCome(t *testing.T, open opener) {
	b := open(t)
	spoiled := printed(raise("a"), 1)
	spoiled.Decision.Effects = append(spoiled.Decision.Effects, nil) // makes the engine fail
	require.Error(t, b.Apply(t.Context(), []alerting.Message{spoiled}))
	b.apply(printed(raise("a"), 1))
	assert.Equal(t, []string{"ALERT a"}, b.taken())
}

func testOnlyTheNewestMessagesAreKnownAgain(t *testing.T, open opener) {
	b := open(t)
	const maxKnown, batch = 1 << 17, 1 << 12
	b.apply(printed(raise("a"), 1))
	for n := range maxKnown / batch {
		messages := make([]alerting.Message, batch)
		for i := range messages {
			messages[i] = printed(alerting.Message{}, uint64(2+n*batch+i))
		}
		b.apply(messages...)
	}
	b.apply(printed(raise("a"), 1))
	assert.Zero(t, b.tally().Duplicate, "it is forgotten")
	b.restart()
	b.apply(printed(raise("a"), 1), printed(alerting.Message{}, maxKnown))
	assert.EqualValues(t, 2, b.tally().Duplicate)
}
