// Package alerting keeps ilert true: it knows what ilert should know of each alert, what we have told it,
// and what is to be sent next. One row stands for an alert, not for an event: repeats merge, an
// alert that ended before it was sent costs nothing, and what was acknowledged to the broker is
// forgotten only when it has its one fate. Windows count what no single message says, and time ends what
// nobody ends. The package decides on rows that a Store has read and hands back those that have changed:
// it knows no SQL, no clock and no network.
package alerting

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Engine is alerting on an open store. Its methods may be called concurrently; each that changes
// something is durable when it returns nil.
type Engine struct {
	store  Store
	bounds Bounds
	turn   chan struct{} // holds a value while a transaction is under way

	// Known to the engine besides the rows, and only changed with them: see committed.
	memory   sync.Mutex
	devices  devices
	repeats  repeats
	receipts receipts
	requests requests
	clocks   []Clock
	topics   map[string][]string // subscribed to, by client id
	ends     []RuleEnd
	epoch    int64

	groups   groupCache // only used in turn
	overflow overflow
}

// Reminder is the default interval after which an alert that is raised again is sent to ilert again. It is never off:
// an answer of 202 does not say what ilert did with an event, nor who has closed the alert since.
const Reminder = time.Hour

// Open begins to work on a store, which no other engine may use at the same time. A request that was
// under way when the last engine ended counts as unanswered. The zero Bounds is none.
func Open(ctx context.Context, store Store, bounds Bounds) (*Engine, error) {
	var m Memory
	err := store.Update(ctx, func(tx Tx) error { return tx.Recover(ctx, &m) })
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	e := newEngine(store, bounds)
	e.clocks, e.topics, e.ends, e.epoch = m.Clocks, m.Subscriptions, m.RuleEnds, m.Epoch
	e.repeats.recall(m.Arrivals)
	e.receipts.recall(m.Receipts)
	e.requests.recall(m.Requests, m.Holds)
	return e, nil
}

// Beside returns an engine on a store that another one works on, for what may be done then: AskToRetry, Purge,
// and what only reads.
func Beside(store Store) *Engine { return newEngine(store, Bounds{}) }

func newEngine(store Store, bounds Bounds) *Engine {
	return &Engine{store: store, bounds: bounds, turn: make(chan struct{}, 1)}
}

// Close closes the store.
func (e *Engine) Close() error { return e.store.Close() }

// NextDue returns when to call Claim again, and false if nothing waits: a notice may be
// due then, or time ends something. It is never too late.
func (e *Engine) NextDue(ctx context.Context) (time.Time, bool, error) { return e.store.NextDue(ctx) }

// update calls do on a working set in a transaction, and saves what do has changed. A key that do asks
// for and has not planned costs another attempt, in which it is loaded first.
func (e *Engine) update(ctx context.Context, do func(*work) error) error {
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	var planned Keys
	for range maxAttempts {
		w, missing, err := e.attempt(ctx, planned, do)
		switch {
		case missing != nil && strictPlans:
			panic(fmt.Sprintf("alerting: not planned: %+v", *missing))
		case missing != nil:
			planned.add(*missing)
			continue
		case err == nil:
			e.takeOver(w)
		}
		return err
	}
	return fmt.Errorf("%w: %+v", errUnplanned, planned)
}

// maxAttempts is the number of times that a transaction begins anew for rows that it has not planned.
const maxAttempts = 1000

// errUnplanned rolls an attempt back.
var errUnplanned = errors.New("alerting: a row was not planned")

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

// takeOver takes over what a transaction has changed of the engine's memory.
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
	e.overflow.add(w.overflow)
	for _, do := range w.then {
		do()
	}
}

// view calls do on a working set that changes nothing.
func (e *Engine) view(ctx context.Context, do func(*work) error) error {
	return e.store.View(ctx, func(tx Tx) error {
		w := newWork(ctx, e, tx)
		w.view = true
		return do(w)
	})
}
