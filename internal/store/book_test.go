package store_test

import (
	"database/sql"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/store"
)

const filter = "mps/events"

// Three alert sources: the configured one, one whose key a rule names, and one whose key
// messages bring.
var (
	configured ilert.IntegrationKey
	doors      = ilert.EnvKey("DOORS_KEY")
	third      = ilert.LiteralKey("third")
)

// by returns a mark for an integration key that is not the configured one.
func by(key ilert.IntegrationKey) string {
	if key == configured {
		return ""
	}
	return " by " + key.String()
}

var start = time.UnixMilli(1795321902892)

// book is an open store with short names for what the tests do to it.
type book struct {
	t *testing.T
	*store.Store
	now  time.Time
	path string
}

func open(t *testing.T) *book {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store ?%.db")
	s, err := store.Open(t.Context(), path)
	require.NoError(t, err)
	b := &book{t, s, start, path}
	t.Cleanup(func() {
		assert.NoError(t, b.Close())
		b.checkVolumes()
	})
	return b
}

// restart is the end of a process and the begin of the next.
func (b *book) restart() {
	b.t.Helper()
	require.NoError(b.t, b.Close())
	var err error
	b.Store, err = store.Open(b.t.Context(), b.path)
	require.NoError(b.t, err)
	b.check()
}

// later lets time pass.
func (b *book) later(d time.Duration) { b.now = b.now.Add(d) }

// apply stores messages that arrive now, each with one of the decisions.
func (b *book) apply(messages ...store.Message) {
	b.t.Helper()
	for i := range messages {
		messages[i].Filter, messages[i].ReceivedAt = filter, b.now
	}
	require.NoError(b.t, b.Apply(b.t.Context(), messages))
	b.check()
}

// does applies one message with these effects.
func (b *book) does(effects ...decision.Effect) {
	b.t.Helper()
	b.apply(message(effects...))
}

func (b *book) claim() []store.Notice {
	b.t.Helper()
	notices, err := b.Claim(b.t.Context(), b.now, 100, store.Unlimited)
	require.NoError(b.t, err)
	b.check()
	return notices
}

func (b *book) settle(n store.Notice, result store.Result) {
	b.t.Helper()
	require.NoError(b.t, b.Settle(b.t.Context(), []store.Answer{{Notice: n, Result: result, At: b.now, Retry: b.now, Reason: "no"}}))
	b.check()
}

// told claims what is due and says that ilert took it; it returns what it was.
func (b *book) told() []string {
	b.t.Helper()
	return b.say(func(n store.Notice) string {
		return string(n.Event.EventType) + " " + n.Event.AlertKey + by(n.IntegrationKey)
	})
}

// texts is told with the summaries.
func (b *book) texts() []string {
	b.t.Helper()
	return b.say(func(n store.Notice) string { return string(n.Event.EventType) + " " + n.Event.Summary })
}

func (b *book) say(what func(store.Notice) string) (all []string) {
	b.t.Helper()
	for _, n := range b.claim() {
		all = append(all, what(n))
		b.settle(n, store.Told)
	}
	return all
}

// next is how long it is until there is something to do, or -1.
func (b *book) next() time.Duration {
	b.t.Helper()
	at, waiting, err := b.NextTry(b.t.Context())
	require.NoError(b.t, err)
	if !waiting {
		return -1
	}
	return at.Sub(b.now)
}

func (b *book) tally() store.Tally {
	b.t.Helper()
	tallies, err := b.Tallies(b.t.Context())
	require.NoError(b.t, err)
	return tallies[filter]
}

// rowsOf counts the rows of a table.
func (b *book) rowsOf(table string) (n int) {
	b.t.Helper()
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: b.path}).String())
	require.NoError(b.t, err)
	defer db.Close()
	require.NoError(b.t, db.QueryRowContext(b.t.Context(), `SELECT count(*) FROM `+table).Scan(&n))
	return n
}

// check holds the identity, which is true at every moment.
func (b *book) check() {
	b.t.Helper()
	tallies, err := b.Tallies(b.t.Context())
	require.NoError(b.t, err)
	for filter, t := range tallies {
		require.Equal(b.t, t.Received, t.Ignored+t.Duplicate+t.Merged+t.Delivered+t.Dead+t.Purged+t.Pending, "%s: %+v", filter, t)
	}
}

func message(effects ...decision.Effect) store.Message {
	return store.Message{Decision: decision.Decision{Effects: effects}}
}

func raising(key string) decision.Raise {
	return decision.Raise{Rule: "r", Key: decision.Key{Alert: key}, Event: ilert.Event{Summary: key + " failed", Priority: "LOW"}}
}

func ending(key string) decision.End { return decision.End{Key: decision.Key{Alert: key}} }

func accepting(key string) decision.Accept { return decision.Accept{Key: decision.Key{Alert: key}} }

func raise(key string) store.Message { return message(raising(key)) }

func end(key string) store.Message { return message(ending(key)) }

func dead(topic, reason string) store.Message {
	return store.Message{Topic: topic, Payload: []byte(topic), Decision: decision.Decision{Dead: reason}}
}
