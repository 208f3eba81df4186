package storetest

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
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

// book is an engine on an open store, with short names for what the tests do to it.
type book struct {
	t *testing.T
	*alerting.Engine
	now     time.Time
	backend Backend
	store   alerting.Store
	bounds  alerting.Bounds
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
}

// restart ends the process and begins the next one.
func (b *book) restart() {
	b.t.Helper()
	require.NoError(b.t, b.Close())
	b.begin(b.backend.Reopen(b.t))
	b.check()
}

// bound restarts with other bounds.
func (b *book) bound(set func(*alerting.Bounds)) {
	b.t.Helper()
	set(&b.bounds)
	b.restart()
}

// later lets time pass.
func (b *book) later(d time.Duration) { b.now = b.now.Add(d) }

// apply stores messages that arrive now, each with one of the decisions.
func (b *book) apply(messages ...alerting.Message) {
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

// taken claims what is due and says that ilert took it; it returns the types and keys of the notices.
func (b *book) taken() []string {
	b.t.Helper()
	return b.say(func(n alerting.Notice) string {
		return string(n.Event.EventType) + " " + n.Event.AlertKey + by(n.IntegrationKey)
	})
}

// takenInPages does the same until nothing is due, as when rules end in pages.
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

// texts does the same, and returns the summaries.
func (b *book) texts() []string {
	b.t.Helper()
	return b.say(func(n alerting.Notice) string { return string(n.Event.EventType) + " " + n.Event.Summary })
}

func (b *book) say(what func(alerting.Notice) string) (all []string) {
	b.t.Helper()
	for _, n := range b.claim() {
		all = append(all, what(n))
		b.settle(n, alerting.Taken)
	}
	return all
}

// next returns how long it is until there is something to do, or -1.
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

// check holds the identity of the tallies, which is true at every moment.
func (b *book) check() {
	b.t.Helper()
	tallies, err := b.Tallies(b.t.Context())
	require.NoError(b.t, err)
	for filter, t := range tallies {
		require.Equal(b.t, t.Received, t.Ignored+t.Duplicate+t.Merged+t.Delivered+t.Dead+t.Purged+t.Pending, "%s: %+v", filter, t)
	}
}

// AskToRetry asks as people do beside the engine.
func (b *book) AskToRetry(ctx context.Context, which alerting.LetterQuery) (int64, error) {
	return alerting.Beside(b.store).AskToRetry(ctx, which)
}

// Purge purges as people do beside the engine.
func (b *book) Purge(ctx context.Context, which alerting.LetterQuery) (alerting.Purged, error) {
	return alerting.Beside(b.store).Purge(ctx, which)
}

// view reads from the store itself.
func (b *book) view(read func(ctx context.Context, tx alerting.Tx) error) {
	b.t.Helper()
	ctx := context.Background() // also at the end of a test
	require.NoError(b.t, b.store.View(ctx, func(tx alerting.Tx) error { return read(ctx, tx) }))
}

// change writes to the store itself, and restarts, since the engine does not expect that.
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

// memory returns what the next engine would read when it begins.
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
