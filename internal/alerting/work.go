package alerting

import (
	"context"
	"slices"
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
)

// work is the working set of a transaction: the rows that it has loaded, the changes made to them so far, and
// what else it will save. Its accessors do not ask the store. They return rows that were planned and loaded
// before in few calls, or else make the transaction begin anew.
type work struct {
	ctx    context.Context
	tx     Tx
	engine *Engine

	view    bool // the transaction only reads
	rows    Rows
	touched map[AlertID]struct{} // alerts that have changed
	groups  map[GroupID]*groupChange
	changes Changes

	counts   tallies
	fleet    fleet
	arrivals arrivals
	received received
	paced    paced
	ends     []RuleEnd // nil: not copied from the engine yet
	epoch    int64     // of the newest RuleEnd
	overflow Purged
	grown    Volumes  // changes of the sizes of tables
	then     []func() // see onCommit
	entries  []Entry  // for the decision log

	awaited            map[GroupID]*Awaited // awaited groups that have changed; nil: forgotten
	newAwaited, beyond int64                // see isBeyondAwaited

	silences    *[]Silence       // the active ones; nil: as the engine has them
	depended    map[AlertID]bool // see holds
	unused      []AlertID        // alerts on which no other depends any more
	reviews     []review         // that the transaction has noted
	reviewed    bool             // the transaction has worked on reviews, of which reviewsLeft are left
	reviewsLeft []review
}

// groupChange records what has changed of a group.
type groupChange struct {
	dirty   bool
	arrived time.Time // latest arrival of a message of the transaction that has hit
	emptied bool      // the store deletes its row and members before it writes members
	members map[string]struct{}
}

func newWork(ctx context.Context, e *Engine, tx Tx) *work {
	w := &work{
		ctx: ctx, tx: tx, engine: e,
		touched: map[AlertID]struct{}{}, groups: map[GroupID]*groupChange{}, counts: tallies{},
		awaited: map[GroupID]*Awaited{}, depended: map[AlertID]bool{},
		rows: Rows{
			Alerts: map[AlertID]*Alert{}, Ended: map[AlertID]Report{}, Groups: map[GroupID]*Group{},
			Storms: map[StormQuery]StormMembers{}, Rules: map[string]RulePage{}, Prefixes: map[AlertID]PrefixPage{}, Outbox: map[int64]*OutboxItem{},
			Behind: map[OutboxRef][]ilert.Type{}, Letters: map[int64]*Letter{}, Proven: map[ilert.IntegrationKey]bool{},
			Devices: map[string]time.Time{}, Busy: map[ilert.IntegrationKey]bool{},
		},
	}
	w.forget()
	return w
}

// forget empties the changes after they were saved.
func (w *work) forget() {
	w.changes = Changes{
		Ended: map[AlertID]Report{}, Members: map[MemberID]GroupMember{}, Lanes: map[ilert.IntegrationKey]*LaneHold{},
		Proven: map[ilert.IntegrationKey]time.Time{}, Matched: map[string]uint64{}, Subscribed: map[string][]string{},
	}
	w.grown = Volumes{}
	clear(w.counts)
}

// missing is the value with which an accessor panics if its row was not planned.
type missing struct{ keys Keys }

// catch calls do and saves what has changed. If do asks for a row that it has not planned, catch returns its keys.
func (w *work) catch(do func(*work) error) (unplanned *Keys, err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case missing:
			unplanned = &r.keys
		default:
			panic(r)
		}
	}()
	if err := do(w); err != nil {
		return nil, err
	}
	return nil, w.save()
}

// strictPlans is true in tests that let update panic instead of trying again.
var strictPlans bool

// load reads the rows of keys that the working set does not have yet.
func (w *work) load(k Keys) error {
	rules := map[string]struct{}{}
	k.Alerts = unread(k.Alerts, w.rows.Alerts)
	k.Groups = slices.DeleteFunc(unread(k.Groups, w.rows.Groups), func(id GroupID) bool {
		g, cached := w.takeCached(id)
		if cached {
			w.rows.Groups[id] = g
		}
		return cached
	})
	k.Rules = slices.DeleteFunc(slices.Clone(k.Rules), func(q RuleQuery) bool {
		_, read := w.rows.Rules[q.Rule]
		_, twice := rules[q.Rule]
		rules[q.Rule] = struct{}{}
		return read || twice
	})
	prefixes := map[AlertID]struct{}{}
	k.Prefixes = slices.DeleteFunc(slices.Clone(k.Prefixes), func(q PrefixQuery) bool {
		_, read := w.rows.Prefixes[q.Prefix]
		_, twice := prefixes[q.Prefix]
		prefixes[q.Prefix] = struct{}{}
		return read || twice
	})
	k.Outbox = unread(k.Outbox, w.rows.Outbox)
	k.Letters = unread(k.Letters, w.rows.Letters)
	k.Proven = unread(k.Proven, w.rows.Proven)
	k.Devices = unread(k.Devices, w.rows.Devices)
	if w.fleet.counted {
		k.Fleet = FleetQuery{}
	}
	if k.empty() {
		return nil
	}
	if err := w.tx.Load(w.ctx, k, &w.rows); err != nil {
		return err
	}
	markRead(k.Behind, w.rows.Behind)
	markRead(k.Outbox, w.rows.Outbox)
	markRead(k.Letters, w.rows.Letters)
	markRead(k.Proven, w.rows.Proven)
	markRead(k.Devices, w.rows.Devices)
	if k.Fleet != (FleetQuery{}) {
		w.fleet.counted, w.fleet.query = true, k.Fleet
	}
	return nil
}

// markRead sets the zero value for keys that have no row, so that accessors can tell them from rows that were not
// read.
func markRead[K comparable, V any](keys []K, rows map[K]V) {
	for _, k := range keys {
		row := rows[k]
		rows[k] = row
	}
}

// unread returns the keys that are not in rows, each once.
func unread[K comparable, V any](keys []K, rows map[K]V) []K {
	if len(keys) == 0 {
		return nil
	}
	seen := make(map[K]struct{}, len(keys))
	return slices.DeleteFunc(slices.Clone(keys), func(k K) bool {
		_, read := rows[k]
		_, twice := seen[k]
		seen[k] = struct{}{}
		return read || twice
	})
}

func (k *Keys) empty() bool {
	return len(k.Alerts)+len(k.Groups)+len(k.Storms)+len(k.Rules)+len(k.Prefixes)+len(k.Outbox)+len(k.Behind)+len(k.Letters)+len(k.Proven)+len(k.Devices)+len(k.Busy) == 0 &&
		k.Fleet == (FleetQuery{}) && !k.Volumes && !k.Orders
}

// add adds other keys to k.
func (k *Keys) add(other Keys) {
	k.Alerts = append(k.Alerts, other.Alerts...)
	k.Groups = append(k.Groups, other.Groups...)
	k.Storms = append(k.Storms, other.Storms...)
	k.Rules = append(k.Rules, other.Rules...)
	k.Prefixes = append(k.Prefixes, other.Prefixes...)
	k.Outbox = append(k.Outbox, other.Outbox...)
	k.Behind = append(k.Behind, other.Behind...)
	k.Letters = append(k.Letters, other.Letters...)
	k.Proven = append(k.Proven, other.Proven...)
	k.Devices = append(k.Devices, other.Devices...)
	k.Busy = append(k.Busy, other.Busy...)
	if other.Fleet != (FleetQuery{}) {
		k.Fleet = other.Fleet
	}
	k.Volumes, k.Orders = k.Volumes || other.Volumes, k.Orders || other.Orders
}

// adopt adds alerts that a method of the store has found to the working set. Of an alert that the set has already
// it returns the one of the set, which may have changed.
func (w *work) adopt(alerts []*Alert) []*Alert {
	for i, a := range alerts {
		if known, read := w.rows.Alerts[a.ID]; read {
			alerts[i] = known
		} else {
			w.rows.Alerts[a.ID] = a
		}
	}
	return alerts
}

// alert returns the alert with an identity, or nil if there is none.
func (w *work) alert(id AlertID) *Alert {
	a, read := w.rows.Alerts[id]
	if !read {
		panic(missing{Keys{Alerts: []AlertID{id}}})
	}
	return a
}

// keep puts an alert that has changed into the working set, to be saved.
func (w *work) keep(a *Alert) {
	w.rows.Alerts[a.ID] = a
	w.touched[a.ID] = struct{}{}
}

// drop deletes an alert. Its newest report is kept for endedMemory, so that an older message does not raise it again.
func (w *work) drop(id AlertID) {
	if a := w.rows.Alerts[id]; a != nil && a.Report.Source != "" {
		w.rows.Ended[id] = a.Report
		w.changes.Ended[id] = a.Report
	}
	w.rows.Alerts[id] = nil
	w.touched[id] = struct{}{}
}

// takeCached takes a group out of the engine's cache, and returns false if it is not there.
func (w *work) takeCached(id GroupID) (*Group, bool) {
	if w.view {
		return nil, false
	}
	return w.engine.groups.takeOut(id)
}

// group returns the window of a group, or nil if there is none.
func (w *work) group(id GroupID) *Group {
	g, read := w.rows.Groups[id]
	if !read {
		panic(missing{Keys{Groups: []GroupID{id}}})
	}
	return g
}

// changeOf returns the record of what has changed of a group, which is empty at first.
func (w *work) changeOf(id GroupID) *groupChange {
	c := w.groups[id]
	if c == nil {
		c = &groupChange{members: map[string]struct{}{}}
		w.groups[id] = c
	}
	return c
}

// touchLane makes the store derive anew the time at which a lane is due.
func (w *work) touchLane(k ilert.IntegrationKey) {
	if _, known := w.changes.Lanes[k]; !known {
		w.changes.Lanes[k] = nil
	}
}

// holdLane sets the times before which the store may not let a lane be due.
func (w *work) holdLane(k ilert.IntegrationKey, hold LaneHold) { w.changes.Lanes[k] = &hold }

// save collects what has changed, purges what exceeds the bounds, and writes all.
func (w *work) save() error {
	w.holdTouched()
	w.saveDelays()
	w.saveGroups()
	for id := range w.touched {
		if a := w.rows.Alerts[id]; a != nil {
			w.changes.Alerts = append(w.changes.Alerts, a)
		} else {
			w.changes.NoAlerts = append(w.changes.NoAlerts, id)
		}
	}
	clear(w.touched)
	w.saveAwaited()
	w.saveDevices()
	w.saveArrivals()
	w.saveReceipts()
	if err := w.keepBounds(); err != nil {
		return err
	}
	return w.write()
}

// write saves the changes that were collected.
func (w *work) write() error {
	w.changes.Tallies = w.counts.changed()
	if err := w.tx.Save(w.ctx, &w.changes); err != nil {
		return err
	}
	w.forget()
	return nil
}

// onCommit lets takeOver call do, with the engine's memory locked, after the transaction is durable.
func (w *work) onCommit(do func()) { w.then = append(w.then, do) }
