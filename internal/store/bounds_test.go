package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/store"
)

// flood applies batches of messages, a second apart.
func (b *book) flood(batches, size int, m func(n int) store.Message) {
	b.t.Helper()
	for n := range batches {
		messages := make([]store.Message, size)
		for i := range messages {
			messages[i] = m(n*size + i)
		}
		b.later(time.Second)
		b.apply(messages...)
	}
}

// checkVolumes compares what the store believes that its tables hold with what they do.
func (b *book) checkVolumes() {
	b.t.Helper()
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: b.path}).String())
	require.NoError(b.t, err)
	defer db.Close()
	var wrong int
	err = db.QueryRowContext(context.Background(), `
		SELECT count(*) FROM (
			SELECT 'dead_letter' AS name, count(*) AS count, coalesce(sum(bytes), 0) AS bytes FROM dead_letter
			UNION ALL SELECT 'outbox', count(*), coalesce(sum(bytes), 0) FROM outbox) AS a
		JOIN volume AS v ON v.name = a.name WHERE v.count <> a.count OR v.bytes <> a.bytes`).Scan(&wrong)
	if err == nil { // a test has damaged the file
		assert.Zero(b.t, wrong)
	}
}

// tidy tidies until there is nothing more to do, and returns how many pages that took.
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

func broken(n int) store.Message { return dead(fmt.Sprint("t/", n), "no JSON") }

func TestDeadLettersAreBoundedInNumber(t *testing.T) {
	b := open(t)
	b.Bounds.Letters = 3000
	b.flood(5, 1000, broken)
	assert.Equal(t, store.Tally{Received: 5000, Dead: 3000, Purged: 2000}, b.tally())
	letters := b.letters()
	require.Len(t, letters, 3000)
	assert.Equal(t, "t/2000", letters[0].Topic, "the oldest are gone")
	assert.Equal(t, store.Purged{Letters: 2000}, b.Overflow())

	b.restart()
	b.Bounds.Letters = 100 // than there are
	b.apply(broken(5000))
	assert.EqualValues(t, 1001, b.tally().Dead, "a page, so that no message waits long")
	assert.Equal(t, 1, b.tidy())
	assert.Equal(t, store.Tally{Received: 5001, Dead: 100, Purged: 4901}, b.tally())
}

func TestDeadLettersAreBoundedInBytes(t *testing.T) {
	b := open(t)
	b.Bounds.LetterBytes = 64 << 10
	long := dead("t", "no JSON")
	long.Payload = []byte(strings.Repeat("x", 10<<10))
	b.flood(10, 1, func(int) store.Message { return long })
	assert.Equal(t, store.Tally{Received: 10, Dead: 6, Purged: 4}, b.tally())
	topic := dead(strings.Repeat("t", 60<<10), "no JSON")
	topic.Payload = nil
	b.apply(topic)
	assert.Equal(t, []int64{11}, ids(b.letters()), "a topic counts, too")
}

func ids(letters []store.Letter) (all []int64) {
	for _, l := range letters {
		all = append(all, l.ID)
	}
	return all
}

func TestAReasonIsShort(t *testing.T) {
	b := open(t)
	b.apply(dead("t", strings.Repeat("ä", 1000)))
	l := b.letters()[0]
	assert.Equal(t, strings.Repeat("ä", 500)+"...", l.Reason)
	assert.Equal(t, strings.Repeat("ö", 500)+"...", b.revive(l, dead("t", strings.Repeat("ö", 1000))))
	assert.Equal(t, strings.Repeat("ö", 500)+"...", b.letters()[0].Reason)
}

func TestDeadLettersAreBoundedInAge(t *testing.T) {
	b := open(t)
	b.flood(5, 1000, broken)
	b.later(store.DefaultBounds.LetterAge - 3*time.Second)
	assert.Equal(t, 2, b.tidy(), "in pages")
	assert.Equal(t, store.Tally{Received: 5000, Dead: 3000, Purged: 2000}, b.tally())
	keep := b.revive(b.letters()[0], dead("t", "still no JSON"))
	assert.Equal(t, "still no JSON", keep)
	b.later(24 * time.Hour)
	b.tidy()
	assert.Equal(t, []int64{2001}, ids(b.letters()), "it died anew")
}

// What waits for a key that ilert takes, or a rule names, waits as long as need be, but not
// without end.
func TestWhatWaitsToBeSentIsBounded(t *testing.T) {
	b := open(t)
	b.Bounds.Waiting = 2000
	b.apply(send(doors, "the first"))
	underWay := b.claim()
	b.flood(15, 1000, func(n int) store.Message { return send(ilert.LiteralKey(fmt.Sprint(n)), "a stranger's") })
	assert.EqualValues(t, 1+10_000, b.tally().Pending, "strangers push out none but their own")
	b.flood(5, 1000, func(n int) store.Message { return send(configured, fmt.Sprint(n)) })
	tally := b.tally()
	assert.EqualValues(t, 12_000, tally.Pending)
	assert.EqualValues(t, 5000+3001, tally.Purged)
	assert.Equal(t, store.Purged{Waiting: 8001}, b.Overflow())
	b.settle(underWay[0], store.Told)
	assert.EqualValues(t, 1, b.tally().Delivered, "what is under way is not purged")
	next := b.within(1, unlimited(configured))
	assert.Equal(t, []string{"3001"}, bodies(next))

	b.Bounds.WaitingBytes = -64 << 20 // nothing, with what strangers may have
	b.tidy()
	assert.EqualValues(t, 10_000+1, b.tally().Pending, "strangers', and what is under way")
}

// Anybody can make up devices.
func TestDevicesAreBounded(t *testing.T) {
	b := open(t)
	b.Bounds.Devices = 1000
	b.flood(3, 1000, func(n int) store.Message {
		m := message()
		m.Decision.Device = fmt.Sprint(n)
		return m
	})
	b.tidy()
	assert.Equal(t, 1000, b.rows("device"))
}

// A person may choose more than one transaction should change, while messages arrive.
func TestManyLettersArePurgedAndAskedForInPages(t *testing.T) {
	b := open(t)
	b.flood(5, 1000, broken)
	n, err := b.AskToRetry(t.Context(), store.Letters{Limit: 4500})
	require.NoError(t, err)
	assert.EqualValues(t, 4500, n)
	n, err = b.AskToRetry(t.Context(), store.Letters{Reason: "json"})
	require.NoError(t, err)
	assert.EqualValues(t, 500, n)
	purged, err := b.Purge(t.Context(), store.Letters{Limit: 2500})
	require.NoError(t, err)
	assert.EqualValues(t, 2500, purged.Letters)
	assert.EqualValues(t, 2501, b.letters()[0].ID, "the oldest")
	purged, err = b.Purge(t.Context(), store.Letters{})
	require.NoError(t, err)
	assert.EqualValues(t, 2500, purged.Letters)
	b.check()
	assert.Equal(t, store.Tally{Received: 5000, Purged: 5000}, b.tally())
}
