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

var boundsTests = []test{
	testDeadLettersAreBoundedInNumber,
	testDeadLettersAreBoundedInBytes,
	testAReasonIsShort,
	testDeadLettersAreBoundedInAge,
	testWhatWaitsToBeSentIsBounded,
	testDevicesAreBounded,
	testManyLettersArePurgedAndAskedForInPages,
}

// flood applies batches of messages, which arrive a second apart.
func (b *book) flood(batches, size int, m func(n int) alerting.Message) {
	b.t.Helper()
	for n := range batches {
		messages := make([]alerting.Message, size)
		for i := range messages {
			messages[i] = m(n*size + i)
		}
		b.later(time.Second)
		b.apply(messages...)
	}
}

// tidy calls Tidy until it has nothing more to do, and returns the number of calls.
func (b *book) tidy() (pages int) {
	b.t.Helper()
	for more := true; more; pages++ {
		var err error
		more, err = b.Tidy(b.t.Context(), b.now)
		require.NoError(b.t, err)
		b.check()
	}
	return pages
}

func broken(n int) alerting.Message { return dead(fmt.Sprint("t/", n), "no JSON") }

func testDeadLettersAreBoundedInNumber(t *testing.T, open opener) {
	b := open(t)
	b.bound(func(l *alerting.Bounds) { l.Letters = 3000 })
	b.flood(5, 1000, broken)
	assert.Equal(t, alerting.Tally{Received: 5000, Dead: 3000, Purged: 2000}, b.tally())
	letters := b.letters()
	require.Len(t, letters, 3000)
	assert.Equal(t, "t/2000", letters[0].Topic, "the oldest are gone")
	assert.Equal(t, alerting.Purged{Letters: 2000}, b.Overflow())

	b.restart()
	b.bound(func(l *alerting.Bounds) { l.Letters = 100 }) // fewer than the store holds
	b.apply(broken(5000))
	assert.EqualValues(t, 1001, b.tally().Dead, "a page, so that no message waits long")
	assert.Equal(t, 1, b.tidy())
	assert.Equal(t, alerting.Tally{Received: 5001, Dead: 100, Purged: 4901}, b.tally())
}

func testDeadLettersAreBoundedInBytes(t *testing.T, open opener) {
	b := open(t)
	b.bound(func(l *alerting.Bounds) { l.LetterBytes = 64 << 10 })
	long := dead("t", "no JSON")
	long.Payload = []byte(strings.Repeat("x", 10<<10))
	b.flood(10, 1, func(int) alerting.Message { return long })
	assert.Equal(t, alerting.Tally{Received: 10, Dead: 6, Purged: 4}, b.tally())
	topic := dead(strings.Repeat("t", 60<<10), "no JSON")
	topic.Payload = nil
	b.apply(topic)
	assert.Equal(t, []int64{11}, ids(b.letters()), "a topic counts, too")
}

func ids(letters []alerting.Letter) (all []int64) {
	for _, l := range letters {
		all = append(all, l.ID)
	}
	return all
}

func testAReasonIsShort(t *testing.T, open opener) {
	b := open(t)
	b.apply(dead("t", strings.Repeat("ä", 1000)))
	l := b.letters()[0]
	assert.Equal(t, strings.Repeat("ä", 500)+"...", l.Reason)
	assert.Equal(t, strings.Repeat("ö", 500)+"...", b.revive(l, dead("t", strings.Repeat("ö", 1000))))
	assert.Equal(t, strings.Repeat("ö", 500)+"...", b.letters()[0].Reason)
}

func testDeadLettersAreBoundedInAge(t *testing.T, open opener) {
	b := open(t)
	b.flood(5, 1000, broken)
	b.later(alerting.DefaultBounds.LetterAge - 3*time.Second)
	assert.Equal(t, 2, b.tidy(), "in pages")
	assert.Equal(t, alerting.Tally{Received: 5000, Dead: 3000, Purged: 2000}, b.tally())
	keep := b.revive(b.letters()[0], dead("t", "still no JSON"))
	assert.Equal(t, "still no JSON", keep)
	b.later(24 * time.Hour)
	b.tidy()
	assert.Equal(t, []int64{2001}, ids(b.letters()), "it died anew")
}

// Outbox items of a key that is proven, or that a rule names, have no maximum age. But their number is bounded, too.
func testWhatWaitsToBeSentIsBounded(t *testing.T, open opener) {
	b := open(t)
	b.bound(func(l *alerting.Bounds) { l.Waiting = 2000 })
	b.apply(send(doors, "the first"))
	underWay := b.claim()
	b.flood(15, 1000, func(n int) alerting.Message { return send(ilert.LiteralKey(fmt.Sprint(n)), "unproven") })
	assert.EqualValues(t, 1+10_000, b.tally().Pending, "items of unproven keys push out no others")
	b.flood(5, 1000, func(n int) alerting.Message { return send(configured, fmt.Sprint(n)) })
	tally := b.tally()
	assert.EqualValues(t, 12_000, tally.Pending)
	assert.EqualValues(t, 5000+3001, tally.Purged)
	assert.Equal(t, alerting.Purged{Waiting: 8001}, b.Overflow())
	b.settle(underWay[0], alerting.Taken)
	assert.EqualValues(t, 1, b.tally().Delivered, "what is under way is not purged")
	next := b.within(1, unlimited(configured))
	assert.Equal(t, []string{"3001"}, bodies(next))

	b.bound(func(l *alerting.Bounds) { l.WaitingBytes = -64 << 20 }) // which leaves room for unproven keys only
	b.within(1, unlimited(configured))
	b.tidy()
	assert.EqualValues(t, 10_000+1, b.tally().Pending, "items of unproven keys, and what is under way")
}

// Whoever can publish can make up devices.
func testDevicesAreBounded(t *testing.T, open opener) {
	b := open(t)
	b.bound(func(l *alerting.Bounds) { l.Devices = 1000 })
	b.flood(3, 1000, func(n int) alerting.Message {
		m := message()
		m.Decision.Device = fmt.Sprint(n)
		return m
	})
	b.tidy()
	assert.Equal(t, 1000, b.devices())
}

// A person may choose more dead letters than one transaction may change without holding up messages.
func testManyLettersArePurgedAndAskedForInPages(t *testing.T, open opener) {
	b := open(t)
	b.flood(5, 1000, broken)
	n, err := b.AskToRetry(t.Context(), alerting.LetterQuery{Limit: 4500})
	require.NoError(t, err)
	assert.EqualValues(t, 4500, n)
	n, err = b.AskToRetry(t.Context(), alerting.LetterQuery{Reason: "json"})
	require.NoError(t, err)
	assert.EqualValues(t, 500, n)
	purged, err := b.Purge(t.Context(), alerting.LetterQuery{Limit: 2500})
	require.NoError(t, err)
	assert.EqualValues(t, 2500, purged.Letters)
	assert.EqualValues(t, 2501, b.letters()[0].ID, "the oldest")
	purged, err = b.Purge(t.Context(), alerting.LetterQuery{})
	require.NoError(t, err)
	assert.EqualValues(t, 2500, purged.Letters)
	b.check()
	assert.Equal(t, alerting.Tally{Received: 5000, Purged: 5000}, b.tally())
}
