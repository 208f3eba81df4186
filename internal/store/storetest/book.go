package storetest

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

const filter = "mps/events"

// The integration keys of three alert sources: the configured key, one that a rule names, and one that
// messages bring.
var (
	configured ilert.IntegrationKey
	doors      = ilert.EnvKey("DOORS_KEY")
	third      = ilert.LiteralKey("third")
)

// by returns what tests append to a notice whose integration key is not the configured one.
func by(key ilert.IntegrationKey) string {
	if key == configured {
		return ""
	}
	return " by " + key.String()
}

var start = time.UnixMilli(1795321902892)

// book is an engine on an open store, with a clock of its own and short names for what tests do.
type book struct {
	t *testing.T
	*alerting.Engine
	now     time.Time
	backend Backend
	store   alerting.Store
	bounds  alerting.Bounds
	repeat  time.Duration // of the engines from the next restart on
	looks   bool          // of them, too
}

func openBook(t *testing.T, backend Backend) *book {
	t.Helper()
	b := &book{t: t, now: start, backend: backend, bounds: alerting.DefaultBounds}
	b.begin(backend.Store)
	t.Cleanup(func() {
		b.checkVolumes()
		assert.NoError(t, b.Close())
	})
	return b
}

// begin opens an engine on a store.
func (b *book) begin(s alerting.Store) {
	b.t.Helper()
	engine, err := alerting.Open(b.t.Context(), s, b.bounds)
	require.NoError(b.t, err)
	b.store, b.Engine = s, engine
	if b.looks {
		b.UseLooks()
	}
	if b.repeat > 0 {
		require.NoError(b.t, b.UseRepeat(b.t.Context(), b.now, b.repeat))
	}
}

// restart closes the engine and opens the next one on the same rows, as the next process does.
func (b *book) restart() {
	b.t.Helper()
	require.NoError(b.t, b.Close())
	b.begin(b.backend.Reopen(b.t))
	b.check()
}

// bound restarts the engine with other bounds.
func (b *book) bound(set func(*alerting.Bounds)) {
	b.t.Helper()
	set(&b.bounds)
	b.restart()
}

// later moves the clock of the book forward.
func (b *book) later(d time.Duration) { b.now = b.now.Add(d) }

// apply applies messages that arrive now by one topic filter.
func (b *book) apply(messages ...alerting.Message) {
	b.t.Helper()
	for i := range messages {
		messages[i].Filter, messages[i].ReceivedAt = filter, b.now
	}
	require.NoError(b.t, b.Apply(b.t.Context(), messages))
	b.check()
}

// does applies one message whose decision has these effects.
func (b *book) does(effects ...decision.Effect) {
	b.t.Helper()
	b.apply(message(effects...))
}

func (b *book) claim() []alerting.Notice {
	b.t.Helper()
	notices, err := b.Claim(b.t.Context(), b.now, 100, alerting.Unlimited)
	require.NoError(b.t, err)
	b.check()
	return notices
}

func (b *book) settle(n alerting.Notice, result alerting.Result) {
	b.t.Helper()
	require.NoError(b.t, b.Settle(b.t.Context(), []alerting.Answer{{Notice: n, Result: result, At: b.now, Retry: b.now, Reason: "no"}}))
	b.check()
}

// taken claims what is due, settles it as taken by ilert, and returns the types and keys of the notices.
func (b *book) taken() []string {
	b.t.Helper()
	return b.takenAs(func(n alerting.Notice) string {
		return string(n.Event.EventType) + " " + n.Event.AlertKey + by(n.IntegrationKey)
	})
}

// takenInPages calls taken until nothing is due, since the engine ends a rule in pages.
func (b *book) takenInPages() (all []string) {
	b.t.Helper()
	for range 100 {
		all = append(all, b.taken()...)
		if next := b.next(); next == -1 || next > 0 {
			return all
		}
	}
	require.Fail(b.t, "it does not come to an end")
	return nil
}

// texts does as taken does, but returns the types and summaries.
func (b *book) texts() []string {
	b.t.Helper()
	return b.takenAs(func(n alerting.Notice) string { return string(n.Event.EventType) + " " + summaryOf(&n) })
}

func (b *book) takenAs(describe func(alerting.Notice) string) (all []string) {
	b.t.Helper()
	for _, n := range b.claim() {
		all = append(all, describe(n))
		b.settle(n, alerting.Taken)
	}
	return all
}

// next returns the time until the engine has something to do, or -1 if nothing waits.
func (b *book) next() time.Duration {
	b.t.Helper()
	at, waiting, err := b.NextDue(b.t.Context())
	require.NoError(b.t, err)
	if !waiting {
		return -1
	}
	return at.Sub(b.now)
}

func (b *book) tally() alerting.Tally {
	b.t.Helper()
	tallies, err := b.Tallies(b.t.Context())
	require.NoError(b.t, err)
	return tallies[filter]
}

// check asserts that each message has exactly one fate, which must be true at every moment.
func (b *book) check() {
	b.t.Helper()
	tallies, err := b.Tallies(b.t.Context())
	require.NoError(b.t, err)
	for filter, t := range tallies {
		require.Equal(b.t, t.Received, t.Ignored+t.Duplicate+t.Merged+t.Delivered+t.Dead+t.Purged+t.Pending, "%s: %+v", filter, t)
	}
}

// AskToRetry asks by another engine beside the book's, as a person does who uses the command.
func (b *book) AskToRetry(ctx context.Context, which alerting.LetterQuery) (int64, error) {
	return alerting.Beside(b.store).AskToRetry(ctx, which)
}

// Purge purges by another engine beside the book's, as a person does who uses the command.
func (b *book) Purge(ctx context.Context, which alerting.LetterQuery) (alerting.Purged, error) {
	return alerting.Beside(b.store).Purge(ctx, which)
}

// view reads rows from the store without the engine.
func (b *book) view(read func(ctx context.Context, tx alerting.Tx) error) {
	b.t.Helper()
	ctx := context.Background() // also works at the end of a test, when t.Context has ended
	require.NoError(b.t, b.store.View(ctx, func(tx alerting.Tx) error { return read(ctx, tx) }))
}

// change writes rows to the store without the engine. Then it restarts the engine, which has a copy of rows in memory.
func (b *book) change(do func(ctx context.Context, tx alerting.Tx) error) {
	b.t.Helper()
	require.NoError(b.t, b.store.Update(b.t.Context(), func(tx alerting.Tx) error { return do(b.t.Context(), tx) }))
	b.restart()
}

// windowsOf counts the groups of rules and their members.
func (b *book) windowsOf(rules ...string) (groups, members int) {
	b.t.Helper()
	for _, rule := range rules {
		var rows alerting.Rows
		b.view(func(ctx context.Context, tx alerting.Tx) error {
			return tx.Load(ctx, alerting.Keys{Rules: []alerting.RuleQuery{{Rule: rule, Epoch: math.MaxInt64, Limit: 1000}}}, &rows)
		})
		b.view(func(ctx context.Context, tx alerting.Tx) error {
			return tx.Load(ctx, alerting.Keys{Groups: rows.Rules[rule].Groups}, &rows)
		})
		for _, g := range rows.Groups {
			groups++
			members += len(g.Members)
		}
	}
	return groups, members
}

// devices counts the devices of the fleet.
func (b *book) devices() (n int) {
	b.t.Helper()
	b.view(func(ctx context.Context, tx alerting.Tx) (err error) {
		_, n, err = tx.FindDevices(ctx, b.now, 1)
		return err
	})
	return n
}

var errRollback = errors.New("to roll back")

// memory returns what the next engine would read when it opens the store.
func (b *book) memory() (m alerting.Memory) {
	b.t.Helper()
	err := b.store.Update(b.t.Context(), func(tx alerting.Tx) error {
		return errors.Join(tx.Recover(b.t.Context(), &m), errRollback)
	})
	require.ErrorIs(b.t, err, errRollback)
	return m
}

// checkVolumes compares the volumes that the store keeps with its rows.
func (b *book) checkVolumes() {
	b.t.Helper()
	b.view(func(ctx context.Context, tx alerting.Tx) error {
		var want alerting.Volumes
		letters, err := tx.FindLetters(ctx, alerting.LetterQuery{})
		require.NoError(b.t, err)
		want.Letters = volumeOf(letters)
		items, err := tx.FindOutbox(ctx, alerting.OutboxQuery{})
		require.NoError(b.t, err)
		want.Outbox = volumeOf(items)
		items, err = tx.FindOutbox(ctx, alerting.OutboxQuery{Unproven: true})
		require.NoError(b.t, err)
		want.Unproven = volumeOf(items)
		var rows alerting.Rows
		require.NoError(b.t, tx.Load(ctx, alerting.Keys{Volumes: true}, &rows))
		assert.Equal(b.t, want, rows.Volumes)
		return nil
	})
}

func volumeOf(rows []alerting.Stored) (v alerting.Volume) {
	for _, row := range rows {
		v.Rows++
		v.Bytes += row.Bytes
	}
	return v
}

func message(effects ...decision.Effect) alerting.Message {
	return alerting.Message{Decision: decision.Decision{Effects: effects}}
}

func raising(key string) decision.Raise {
	return decision.Raise{Rule: "r", Key: decision.Key{Alert: key}, Event: ilert.Event{Summary: key + " failed", Priority: "LOW"}}
}

func ending(key string) decision.End { return decision.End{Key: decision.Key{Alert: key}} }

func accepting(key string) decision.Accept { return decision.Accept{Key: decision.Key{Alert: key}} }

func raise(key string) alerting.Message { return message(raising(key)) }

func end(key string) alerting.Message { return message(ending(key)) }

func dead(topic, reason string) alerting.Message {
	return alerting.Message{Topic: topic, Payload: []byte(topic), Decision: decision.Decision{Dead: reason}}
}

// summaryOf returns the summary of a notice; that of an end without the words that say how long the alert was open.
func summaryOf(n *alerting.Notice) string {
	what, _, _ := strings.Cut(n.Event.Summary, ": over")
	return what
}
