package alerting_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/store/memory"
)

var (
	start = time.UnixMilli(1795321902892)
	doors = ilert.EnvKey("DOORS_KEY")
	third = ilert.LiteralKey("third")
)

// open opens an engine on a store; a second one on the same store is the next process.
func open(t *testing.T, store alerting.Store, bounds alerting.Bounds) *alerting.Engine {
	t.Helper()
	e, err := alerting.Open(t.Context(), store, bounds)
	require.NoError(t, err)
	return e
}

func message(effects ...decision.Effect) alerting.Message {
	return alerting.Message{Filter: "f", Topic: "t", ReceivedAt: start, Decision: decision.Decision{Effects: effects}}
}

func raise(key ilert.IntegrationKey, name string) decision.Raise {
	return decision.Raise{Rule: "r", Key: decision.Key{Integration: key, Alert: name}, Event: ilert.Event{Summary: name}}
}

func send(key ilert.IntegrationKey, name string) decision.Send {
	return decision.Send{IntegrationKey: key, Path: ilert.EventsPath, Event: ilert.Event{EventType: ilert.Alert, AlertKey: name}}
}

func claim(t *testing.T, e *alerting.Engine, at time.Time) []alerting.Notice {
	t.Helper()
	notices, err := e.Claim(t.Context(), at, 100, func(ilert.IntegrationKey) alerting.Budget {
		return alerting.Budget{Any: 100, Singles: 100, Kept: true}
	})
	require.NoError(t, err)
	return notices
}

func TestTheNextProcessKnowsThePace(t *testing.T) {
	store := memory.New()
	e := open(t, store, alerting.DefaultBounds)
	require.NoError(t, e.Apply(t.Context(), []alerting.Message{message(raise(doors, "a"), raise(doors, "b")), message(send(third, "c"))}))
	now := start.Add(time.Second + 300*time.Microsecond)
	sent := claim(t, e, now)
	require.Len(t, sent, 3)
	now = now.Truncate(time.Millisecond)
	require.NoError(t, e.Settle(t.Context(), []alerting.Answer{
		{Notice: sent[0], Result: alerting.NotTaken, At: now, Retry: now.Add(time.Minute), Hold: now.Add(90 * time.Second)},
		{Notice: sent[1], Result: alerting.NotTaken, At: now, Retry: now.Add(time.Minute), Hold: now.Add(80 * time.Second)},
	}))
	want := map[ilert.IntegrationKey]alerting.Pace{
		doors: {Requests: []time.Time{now, now}, Hold: now.Add(90 * time.Second)},
		third: {Requests: []time.Time{now}},
	}
	assert.Equal(t, want, e.Paces(now))
	e = open(t, store, alerting.DefaultBounds)
	assert.Equal(t, want, e.Paces(now))
	later := now.Add(time.Minute)
	assert.Equal(t, map[ilert.IntegrationKey]alerting.Pace{doors: {Hold: now.Add(90 * time.Second)}}, e.Paces(later))
	assert.Empty(t, e.Paces(now.Add(2*time.Minute)))

	later = now.Add(90 * time.Second)
	require.Len(t, claim(t, e, later), 3)
	var kept alerting.Memory
	require.NoError(t, store.Update(t.Context(), func(tx alerting.Tx) error { return tx.Recover(t.Context(), &kept) }))
	for _, one := range kept.Requests {
		assert.Equal(t, later, one.At, "earlier ones count no more")
	}
}

func TestTheNextProcessKnowsTheClocksThatAreBehind(t *testing.T) {
	store := memory.New()
	e := open(t, store, alerting.DefaultBounds)
	at := func(source string, behind time.Duration, heard int) alerting.Clock {
		return alerting.Clock{Source: source, Behind: behind, HeardAt: start.Add(time.Duration(heard) * time.Second)}
	}
	require.NoError(t, e.KeepClocks(t.Context(), []alerting.Clock{at("a", time.Hour, 2), at("b", time.Minute, 1), at("c", time.Minute, 3)}))
	require.NoError(t, e.KeepClocks(t.Context(), []alerting.Clock{at("b", time.Hour, 4), at("c", 0, 5)}))
	want := []alerting.Clock{at("a", time.Hour, 2), at("b", time.Hour, 4)}
	assert.Equal(t, want, e.Clocks())
	assert.Equal(t, want, open(t, store, alerting.DefaultBounds).Clocks())
}

func TestTheNextProcessKnowsTheSubscriptions(t *testing.T) {
	store := memory.New()
	e := open(t, store, alerting.DefaultBounds)
	subscribing := func(filters ...string) []string {
		already, err := e.Subscribing(t.Context(), "client", filters)
		require.NoError(t, err)
		return already
	}
	assert.Empty(t, subscribing("b", "a"))
	assert.Equal(t, []string{"a", "b"}, subscribing("b", "c"))
	e = open(t, store, alerting.DefaultBounds)
	assert.Equal(t, []string{"a", "b", "c"}, subscribing("c"))
	require.NoError(t, e.Subscribed(t.Context(), "client", []string{"c"}))
	assert.Equal(t, []string{"c"}, subscribing())
	e = open(t, store, alerting.DefaultBounds)
	assert.Equal(t, []string{"c"}, subscribing())
}

func TestAKeyIsIdleOnceNothingWaitsForItOrIsUnderWay(t *testing.T) {
	e := open(t, memory.New(), alerting.DefaultBounds)
	fourth := ilert.LiteralKey("fourth")
	idle := func() []ilert.IntegrationKey {
		idle, err := e.Idle(t.Context(), []ilert.IntegrationKey{doors, third, fourth})
		require.NoError(t, err)
		return idle
	}
	assert.Equal(t, []ilert.IntegrationKey{doors, third, fourth}, idle())
	require.NoError(t, e.Apply(t.Context(), []alerting.Message{message(raise(doors, "a")), message(send(third, "b"))}))
	assert.Equal(t, []ilert.IntegrationKey{fourth}, idle(), "they wait")
	sent := claim(t, e, start)
	require.Len(t, sent, 2)
	for i, want := range [][]ilert.IntegrationKey{{doors, fourth}, {doors, third, fourth}} {
		assert.NotContains(t, idle(), sent[i].IntegrationKey, "it is under way")
		require.NoError(t, e.Settle(t.Context(), []alerting.Answer{{Notice: sent[i], Result: alerting.Taken, At: start}}))
		assert.Equal(t, want, idle())
	}
}

func TestWhatATransactionAddsIsPurgedIfItIsTooMuchByItself(t *testing.T) {
	bounds := alerting.DefaultBounds
	bounds.Letters, bounds.Waiting = 3, 3
	e := open(t, memory.New(), bounds)
	var messages []alerting.Message
	for n := range 5 {
		m := message()
		m.Topic, m.Decision.Dead = fmt.Sprint(n), "no JSON"
		messages = append(messages, m)
	}
	require.NoError(t, e.Apply(t.Context(), messages))
	letters, err := e.DeadLetters(t.Context(), alerting.LetterQuery{})
	require.NoError(t, err)
	require.Len(t, letters, 3)
	assert.Equal(t, "2", letters[0].Topic, "the oldest are gone")
	tallies, err := e.Tallies(t.Context())
	require.NoError(t, err)
	assert.Equal(t, alerting.Tally{Received: 5, Dead: 3, Purged: 2}, tallies["f"])
	assert.Equal(t, alerting.Purged{Letters: 2}, e.Overflow())
}

// A device counts as a part of the fleet from its first message on, and for a week after its last one.
func TestTheFleetIsThatOfTheLastWeekWithTheDevicesOfThisMoment(t *testing.T) {
	store := memory.New()
	e := open(t, store, alerting.DefaultBounds)
	window := &decision.Window{Rule: "r", Condition: decision.Condition{Length: time.Hour, AtLeast: 1, Ratio: 0.5}, Fleet: true}
	now := start
	see := func(hits bool, devices ...string) {
		var all []alerting.Message
		for _, guid := range devices {
			m := message()
			m.ReceivedAt, m.Decision.Device = now, guid
			if hits {
				m.Decision.Effects = []decision.Effect{decision.Hit{Window: window, Group: "g", Member: guid, Raise: raise(doors, "a")}}
			}
			all = append(all, m)
		}
		require.NoError(t, e.Apply(t.Context(), all))
	}
	raised := func() bool {
		n, exists, err := e.Counted(t.Context(), "r", "g")
		require.NoError(t, err)
		require.True(t, exists)
		return n.Raised
	}
	see(false, "1", "2", "3")
	now = now.Add(3 * 24 * time.Hour)
	see(false, "3")
	see(true, "4", "5")
	assert.False(t, raised(), "2 of 5")
	now = now.Add(5 * 24 * time.Hour)
	claim(t, e, now)
	see(true, "4")
	assert.False(t, raised(), "1 of 3")
	now = now.Add(time.Minute)
	see(true, "6", "7")
	assert.True(t, raised(), "3 of 5")
	require.NoError(t, store.View(t.Context(), func(tx alerting.Tx) error {
		_, total, err := tx.FindDevices(t.Context(), now, 10)
		assert.Equal(t, 5, total, "those of last week are forgotten")
		return err
	}))
}

// overlapping is a store whose second Update, the first after Open, returns only after the next one, if that begins.
type overlapping struct {
	alerting.Store
	updates atomic.Int32
	over    chan struct{}
}

func (o *overlapping) Update(ctx context.Context, do func(alerting.Tx) error) error {
	err := o.Store.Update(ctx, do)
	switch o.updates.Add(1) {
	case 2: // Open makes the first
		select {
		case <-o.over:
		case <-time.After(100 * time.Millisecond):
		}
	case 3:
		close(o.over)
	}
	return err
}

// A publisher may send a message twice at the same time, by MQTT and by HTTP.
func TestAMessageThatComesTwiceAtTheSameTimeHasOneEffect(t *testing.T) {
	e := open(t, &overlapping{Store: memory.New(), over: make(chan struct{})}, alerting.DefaultBounds)
	m := message(send(doors, "a"))
	m.Fingerprint = 1
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() { assert.NoError(t, e.Apply(context.Background(), []alerting.Message{m})) })
	}
	both.Wait()
	tallies, err := e.Tallies(t.Context())
	require.NoError(t, err)
	assert.Equal(t, alerting.Tally{Received: 2, Duplicate: 1, Pending: 1}, tallies["f"])
}

// hooked is a store that calls after once an Update is committed, before it returns.
type hooked struct {
	alerting.Store
	after func()
}

func (h *hooked) Update(ctx context.Context, do func(alerting.Tx) error) error {
	err := h.Store.Update(ctx, do)
	if h.after != nil {
		h.after()
	}
	return err
}

// The session of the broker may end while its messages are stored: their packet identifiers mean nothing afterwards.
func TestASessionMayEndWhileItsMessagesAreStored(t *testing.T) {
	store := &hooked{Store: memory.New()}
	e := open(t, store, alerting.DefaultBounds)
	deliver := func(link uint64, again bool) {
		m := message(send(doors, "a"))
		m.Delivery = alerting.Delivery{Link: link, PacketID: 1, Print: 1, Again: again}
		require.NoError(t, e.Apply(t.Context(), []alerting.Message{m}))
	}
	store.after = func() { e.EndSession(2) }
	deliver(1, false)
	store.after = nil
	deliver(2, true) // its first delivery was lost with a connection
	tallies, err := e.Tallies(t.Context())
	require.NoError(t, err)
	assert.Equal(t, alerting.Tally{Received: 2, Pending: 2}, tallies["f"])
	var kept alerting.Memory
	require.NoError(t, store.Update(t.Context(), func(tx alerting.Tx) error { return tx.Recover(t.Context(), &kept) }))
	assert.Len(t, kept.Receipts, 1, "that of the session that has ended is deleted")
}
