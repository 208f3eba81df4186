// Package alerting keeps ilert true. For each alert it knows the state that ilert should show (desired), the
// state that was sent last (told), and the notice to send next. A row stands for an alert, not for an event:
// repeats merge, and an alert that ends before it was sent costs no request. Each message gets exactly one
// fate, which is counted in the same transaction as its effects. Windows count many messages, and time ends
// what no message ends. The package decides on rows that a Store reads and writes: it knows no SQL and no
// network, and gets the time from its caller.
package alerting

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Engine is the alerting on an open store. Its methods may be called concurrently. A change is durable when
// the method that makes it returns nil.
type Engine struct {
	store  Store
	bounds Bounds
	turn   chan struct{} // holds a value while a transaction is under way
	log    func([]Entry) // nil: entries are not wanted

	// The engine keeps a copy of these rows in memory, which takeOver changes after each commit.
	memory   sync.Mutex
	devices  devices
	repeats  repeats
	receipts receipts
	requests requests
	clocks   []Clock
	topics   map[string][]string // filters that a session may be subscribed to, by client ID
	ends     []RuleEnd
	epoch    int64 // of the newest RuleEnd
	awaited  awaited
	holds    holds

	nextDelay time.Duration // listened time before which no delayed alert is due

	listening listening

	groups    groupCache // only the transaction under way uses it, and claimedAt
	claimedAt time.Time  // see noteTime
	overflow  overflow
}

// Reminder is the default interval after which an alert that is raised again is sent to ilert again. No rule can turn
// it off: an answer of 202 does not say what ilert did with an event, and a person may have closed the alert since.
const Reminder = time.Hour

// Open returns an engine on a store, which no other engine may use at the same time. It treats a request that
// was under way when the last engine ended as unanswered. The zero Bounds limits nothing.
func Open(ctx context.Context, store Store, bounds Bounds) (*Engine, error) {
	var m Memory
	var depended Rows
	err := store.Update(ctx, func(tx Tx) error {
		m, depended = Memory{}, Rows{}
		if err := tx.Recover(ctx, &m); err != nil || len(m.DependedOn) == 0 {
			return err
		}
		return tx.Load(ctx, Keys{Alerts: m.DependedOn}, &depended)
	})
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	e := newEngine(store, bounds)
	e.clocks, e.topics, e.ends, e.epoch = m.Clocks, m.Subscriptions, m.RuleEnds, m.Epoch
	e.repeats.recall(m.Arrivals)
	e.receipts.recall(m.Receipts)
	e.requests.recall(m.Requests, m.Holds)
	e.awaited.recall(m.Awaited, m.Listening.Clock)
	if m.NextDelay > 0 {
		e.nextDelay = m.NextDelay
	}
	e.listening = listening{Listening: m.Listening, saved: m.Listening}
	e.holds.recall(&m, depended)
	return e, nil
}

// Beside returns an engine on a store that another engine works on. It may only be used for AskToRetry, for Purge, for
// AddSilence, RemoveSilences and AskToClose, and to read.
func Beside(store Store) *Engine { return newEngine(store, Bounds{}) }

func newEngine(store Store, bounds Bounds) *Engine {
	return &Engine{store: store, bounds: bounds, turn: make(chan struct{}, 1), nextDelay: neverDue}
}

// Close closes the store.
func (e *Engine) Close() error { return e.store.Close() }

// NextDue returns the time at which to call Claim next, and false if nothing waits. It is never too late, but may
// be too early for a notice: a Claim also ends what time ends. It leaves out what the engine has to listen for, see
// NextListened.
func (e *Engine) NextDue(ctx context.Context) (at time.Time, waiting bool, err error) {
	at, waiting, err = e.store.NextDue(ctx)
	if err != nil {
		return at, waiting, err
	}
	e.memory.Lock()
	defer e.memory.Unlock()
	if next := e.holds.nextDue(); !next.IsZero() && (!waiting || next.Before(at)) {
		at, waiting = next, true
	}
	if (e.isSilenceDue() || e.isDelayDue()) && (!waiting || e.listening.At.Before(at)) {
		at, waiting = e.listening.At, true
	}
	return at, waiting, nil
}

// update calls do on a working set in a transaction, and saves what do has changed. If do asks for a row that it
// has not planned, update rolls back and tries again with that row loaded.
func (e *Engine) update(ctx context.Context, do func(*work) error) error {
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	var planned Keys
	for attempt := 1; ; attempt++ {
		w, missing, err := e.attempt(ctx, planned, do)
		switch {
		case missing != nil && strictPlans:
			panic(fmt.Sprintf("alerting: not planned: %+v", *missing))
		case missing != nil && attempt == maxAttempts:
			return fmt.Errorf("%w: %+v", err, *missing)
		case missing != nil:
			planned.add(*missing)
			continue
		case err == nil:
			e.takeOver(w)
		}
		return err
	}
}

// maxAttempts is the number of attempts after which update gives up to load what was not planned. Each attempt finds
// one more row.
const maxAttempts = 100

// errUnplanned is the error that rolls back an attempt which asks for a row that was not planned.
var errUnplanned = errors.New("alerting: a row was not planned")

// attempt calls do in one transaction, and returns the keys that do asked for without having planned them.
func (e *Engine) attempt(ctx context.Context, planned Keys, do func(*work) error) (w *work, missing *Keys, err error) {
	err = e.store.Update(ctx, func(tx Tx) error {
		w, missing = newWork(ctx, e, tx), nil
		if err := w.load(planned); err != nil {
			return err
		}
		if missing, err = w.catch(do); missing != nil {
			return errUnplanned
		}
		return err
	})
	return w, missing, err
}

// takeOver changes the engine's copies of rows as a transaction has changed the rows.
func (e *Engine) takeOver(w *work) {
	e.memory.Lock()
	defer e.memory.Unlock()
	e.groups.put(w.rows.Groups)
	w.fleet.addTo(&e.devices)
	w.arrivals.addTo(&e.repeats)
	w.received.addTo(&e.receipts)
	w.paced.addTo(&e.requests)
	if w.ends != nil {
		e.ends, e.epoch = w.ends, w.epoch
	}
	e.holds.takeOver(w)
	e.overflow.add(w.overflow)
	for _, do := range w.then {
		do()
	}
	w.addAwaitedTo(&e.awaited)
	if len(w.entries) > 0 {
		e.log(w.entries)
	}
}

// view calls do on a working set that do must not change.
func (e *Engine) view(ctx context.Context, do func(*work) error) error {
	return e.store.View(ctx, func(tx Tx) error {
		w := newWork(ctx, e, tx)
		w.view = true
		return do(w)
	})
}
