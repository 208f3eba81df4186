package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/ilert"
)

var unprovenTests = []test{
	testAKeyOfMessagesIsUnprovenUntilIlertTakesIt,
	testWhatWaitsForUnprovenKeysIsBounded,
	testWhatWaitsForUnprovenKeysIsBoundedInBytes,
	testWhatWaitsForAKeyIsPurged,
	testWhatIsPurgedWhileItIsUnderWayIsPurged,
}

// notTaken claims what is due, and settles it as not taken by ilert. The next try is a minute later.
func (b *book) notTaken() {
	b.t.Helper()
	for _, n := range b.claim() {
		require.NoError(b.t, b.Settle(b.t.Context(), []alerting.Answer{{Notice: n, Result: alerting.NotTaken, At: b.now, Retry: b.now.Add(time.Minute)}}))
	}
	b.check()
}

func (b *book) waitingKeys() (all []string) {
	b.t.Helper()
	keys, err := b.WaitingKeys(b.t.Context(), alerting.LetterQuery{})
	require.NoError(b.t, err)
	for _, k := range keys {
		all = append(all, fmt.Sprintf("%v: %d, unproven: %v", k.Key, k.Items, k.Unproven))
	}
	return all
}

func testAKeyOfMessagesIsUnprovenUntilIlertTakesIt(t *testing.T, open opener) {
	b := open(t)
	b.apply(send(third, "1"), send(third, "2"), send(doors, "3"), send(configured, "4"))
	s := b.status()
	assert.Equal(t, []uint64{1, 2}, []uint64{s.UnprovenKeys, s.Unproven})
	assert.Equal(t, b.now, s.OldestUnproven)
	assert.Equal(t, []string{third.String() + ": 2, unproven: true"}, b.waitingKeys())
	for _, n := range b.claim() {
		assert.Equal(t, n.IntegrationKey == third, n.Unproven)
		b.settle(n, alerting.Taken)
	}
	assert.Zero(t, b.status().Unproven, "so the second is none either")
	assert.Empty(t, b.waitingKeys())
	b.restart()
	b.notTaken()
	b.apply(send(third, "5"))
	assert.Zero(t, b.status().Unproven, "it was taken once")
	assert.Equal(t, []string{third.String() + ": 2, unproven: false"}, b.waitingKeys())
	b.later(8 * 24 * time.Hour)
	require.Len(t, b.claim(), 1, "which is kept as long as it takes")
}

func testWhatWaitsForUnprovenKeysIsBounded(t *testing.T, open opener) {
	const maxItems = 10_000
	b := open(t)
	b.does(of(doors, "a", "LOW"))
	b.apply(send(configured, "kept"))
	for n := 0; n < maxItems+1500; n += 500 {
		messages := make([]alerting.Message, 500)
		for i := range messages {
			messages[i] = send(ilert.LiteralKey(fmt.Sprint("random ", n+i)), "x")
		}
		b.apply(messages...)
		b.later(time.Second)
	}
	assert.EqualValues(t, maxItems, b.status().Unproven)
	assert.Equal(t, alerting.Tally{Received: maxItems + 1502, Purged: 1500, Pending: maxItems + 2}, b.tally())
	keys, err := b.WaitingKeys(t.Context(), alerting.LetterQuery{})
	require.NoError(t, err)
	require.Len(t, keys, maxItems)
	assert.Equal(t, start.Add(3*time.Second), keys[0].Since, "the oldest are gone")
	first := b.within(2, unlimited(configured, doors))
	assert.Len(t, first, 2, "no other key waits for these")

	b.later(24 * time.Hour)
	b.restart() // so that the next Claim looks for old items at once, not within the hour
	b.within(0, nil)
	assert.Zero(t, b.status().Unproven)
	assert.Equal(t, alerting.Tally{Received: maxItems + 1502, Purged: maxItems + 1500, Pending: 2}, b.tally())
}

func testWhatWaitsForUnprovenKeysIsBoundedInBytes(t *testing.T, open opener) {
	b := open(t)
	long := strings.Repeat("x", 1<<20)
	for n := range 70 {
		m := send(ilert.LiteralKey(fmt.Sprint(n)), "x")
		m.Payload = []byte(long)
		b.apply(m)
	}
	assert.EqualValues(t, 63, b.status().Unproven, "of 64 MiB, with what they say")
	assert.EqualValues(t, 7, b.tally().Purged)
}

func testWhatWaitsForAKeyIsPurged(t *testing.T, open opener) {
	b := open(t)
	fourth := ilert.LiteralKey("fourth")
	b.apply(send(fourth, "taken"))
	b.taken()
	b.apply(send(third, "1"), send(third, "2"), send(fourth, "3"), send(configured, "4"), dead("t", "no JSON"))
	b.notTaken()
	purge := func(which alerting.LetterQuery) alerting.Purged {
		n, err := b.Purge(t.Context(), which)
		require.NoError(t, err)
		b.check()
		return n
	}
	assert.Equal(t, alerting.Purged{}, purge(alerting.LetterQuery{Keys: []string{"configured", "key:third", "third", ""}}))
	assert.Equal(t, alerting.Purged{}, purge(alerting.LetterQuery{Reason: "x"}))
	assert.Equal(t, alerting.Purged{}, purge(alerting.LetterQuery{Before: b.now}))
	assert.Equal(t, alerting.Purged{}, purge(alerting.LetterQuery{Topic: "u"}))
	assert.ElementsMatch(t, []string{third.String() + ": 2, unproven: true", fourth.String() + ": 1, unproven: false"}, b.waitingKeys())
	assert.Equal(t, alerting.Purged{Letters: 1, Waiting: 2}, purge(alerting.LetterQuery{}), "what ilert took before stays")
	assert.Equal(t, alerting.Purged{Waiting: 1}, purge(alerting.LetterQuery{Keys: []string{fourth.String()}}), "unless it is named")
	assert.Equal(t, alerting.Tally{Received: 6, Delivered: 1, Purged: 4, Pending: 1}, b.tally())
	b.later(time.Minute)
	assert.Equal(t, []string{"4"}, bodies(b.claim()))
	assert.Equal(t, time.Duration(-1), b.next())
}

// ilert may answer after a person has purged the outbox item.
func testWhatIsPurgedWhileItIsUnderWayIsPurged(t *testing.T, open opener) {
	b := open(t)
	b.apply(send(third, "1"))
	n := b.claim()[0]
	_, err := b.Purge(t.Context(), alerting.LetterQuery{Keys: []string{third.String()}})
	require.NoError(t, err)
	b.settle(n, alerting.Taken)
	assert.Equal(t, alerting.Tally{Received: 1, Purged: 1}, b.tally())
	assert.Equal(t, time.Duration(-1), b.next())
}
