package alerting

import (
	"context"
	"slices"
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
)

// work is the working set of a transaction: the rows that it has read, with the changes made to them so
// far, and what else is to be saved. Its accessors do not read: what they return was planned
// and loaded before, in few calls of the store, and else the transaction begins anew.
type work struct {
	ctx    context.Context
	tx     Tx
	engine *Engine

	view    bool // nothing is changed
	rows    Rows
	touched map[AlertID]struct{} // alerts that have changed
	groups  map[GroupID]*groupChange
	changes Changes

	counts   tallies
	fleet    fleet
	arrivals arrivals
	received received
	paced    paced
	ends     []RuleEnd // nil: as the engine has them
	epoch    int64
	overflow Purged
	grown    Volumes  // by how much the tables have grown
	then     []func() // see onCommit
}

// groupChange records what has changed of a group.
type groupChange struct {
	dirty   bool
	arrived time.Time // of the last message of the transaction
	emptied bool      // its row and members are deleted before members are written
	members map[string]struct{}
}

func newWork(ctx context.Context, e *Engine, tx Tx) *work {
	w := &work{
		ctx: ctx, tx: tx, engine: e,
		touched: map[AlertID]struct{}{}, groups: map[GroupID]*groupChange{}, counts: tallies{},
		rows: Rows{
			Alerts: map[AlertID]*Alert{}, Ended: map[AlertID]Report{}, Groups: map[GroupID]*Group{},
			Storms: map[StormQuery]StormMembers{}, Rules: map[string]RulePage{}, Outbox: map[int64]*OutboxItem{},
			Behind: map[OutboxRef][]ilert.Type{}, Letters: map[int64]*Letter{}, Proven: map[ilert.IntegrationKey]bool{},
			Devices: map[string]time.Time{}, Busy: map[ilert.IntegrationKey]bool{},
		},
	}
	w.forget()
	return w
}

// forget empties the changes, once they are saved.
func (w *work) forget() {
	w.changes = Changes{
		Ended: map[AlertID]Report{}, Members: map[MemberID]GroupMember{}, Lanes: map[ilert.IntegrationKey]*LaneHold{},
		Proven: map[ilert.IntegrationKey]time.Time{}, Matched: map[string]uint64{}, Subscribed: map[string][]string{},
	}
	w.grown = Volumes{}
	clear(w.counts)
}

// missing is the panic of an accessor whose row was not planned.
type missing struct{ keys Keys }

// catch calls do, saves what has changed, and returns the keys that do has not planned, if there are any.
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

// strictPlans makes a row that was not planned a panic. Tests set it.
var strictPlans bool

// load reads the rows of keys that were not read before.
func (w *work) load(k Keys) error {
	k.Alerts = unread(k.Alerts, w.rows.Alerts)
	k.Groups = slices.DeleteFunc(unread(k.Groups, w.rows.Groups), func(id GroupID) bool {
		g, cached := w.takeCached(id)
		if cached {
			w.rows.Groups[id] = g
		}
		return cached
	})
	k.Outbox = unread(k.Outbox, w.rows.Outbox)
	k.Letters = unread(k.Letters, w.rows.Letters)
	k.Proven = unread(k.Proven, w.rows.Proven)
	k.Devices = unread(k.Devices, w.rows.Devices)
	if w.fleet.counted {
		k.Fleet = time.Time{}
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
	if !k.Fleet.IsZero() {
		w.fleet.counted, w.fleet.since = true, k.Fleet
	}
	return nil
}

// markRead gives keys that have no row the zero value, which tells them from those that were not read.
func markRead[K comparable, V any](keys []K, rows map[K]V) {
	for _, k := range keys {
		row := rows[k]
		rows[k] = row
	}
}

// unread returns those of keys that are not in rows, each once.
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
	return len(k.Alerts)+len(k.Groups)+len(k.Storms)+len(k.Rules)+len(k.Outbox)+len(k.Behind)+len(k.Letters)+len(k.Proven)+len(k.Devices)+len(k.Busy) == 0 &&
		k.Fleet.IsZero() && !k.Volumes
}

// add adds other keys.
func (k *Keys) add(other Keys) {
	k.Alerts = append(k.Alerts, other.Alerts...)
	k.Groups = append(k.Groups, other.Groups...)
	k.Storms = append(k.Storms, other.Storms...)
	k.Rules = append(k.Rules, other.Rules...)
	k.Outbox = append(k.Outbox, other.Outbox...)
	k.Behind = append(k.Behind, other.Behind...)
	k.Letters = append(k.Letters, other.Letters...)
	k.Proven = append(k.Proven, other.Proven...)
	k.Devices = append(k.Devices, other.Devices...)
	k.Busy = append(k.Busy, other.Busy...)
	if !other.Fleet.IsZero() {
		k.Fleet = other.Fleet
	}
	k.Volumes = k.Volumes || other.Volumes
}

// adopt takes rows that a finder has read into the working set, unless it has them already,
// and returns those of the set.
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

// alert returns the alert of an identity, or nil if there is none.
func (w *work) alert(id AlertID) *Alert {
	a, read := w.rows.Alerts[id]
	if !read {
		panic(missing{Keys{Alerts: []AlertID{id}}})
	}
	return a
}

// keep notes that an alert has changed.
func (w *work) keep(a *Alert) {
	w.rows.Alerts[a.ID] = a
	w.touched[a.ID] = struct{}{}
}

// drop deletes an alert. Who has ended it is known for some time.
func (w *work) drop(id AlertID) {
	if a := w.rows.Alerts[id]; a != nil && a.Report.Source != "" {
		w.rows.Ended[id] = a.Report
		w.changes.Ended[id] = a.Report
	}
	w.rows.Alerts[id] = nil
	w.touched[id] = struct{}{}
}

// takeCached returns a group that the engine has in memory, and false if it has not.
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

// changeOf returns the record of what has changed of a group.
func (w *work) changeOf(id GroupID) *groupChange {
	c := w.groups[id]
	if c == nil {
		c = &groupChange{members: map[string]struct{}{}}
		w.groups[id] = c
	}
	return c
}

// touchLane makes the store derive anew when a lane is due.
func (w *work) touchLane(k ilert.IntegrationKey) {
	if _, known := w.changes.Lanes[k]; !known {
		w.changes.Lanes[k] = nil
	}
}

// holdLane sets what holds up a lane.
func (w *work) holdLane(k ilert.IntegrationKey, hold LaneHold) { w.changes.Lanes[k] = &hold }

// save writes what has changed.
func (w *work) save() error {
	w.saveGroups()
	for id := range w.touched {
		if a := w.rows.Alerts[id]; a != nil {
			w.changes.Alerts = append(w.changes.Alerts, a)
		} else {
			w.changes.NoAlerts = append(w.changes.NoAlerts, id)
		}
	}
	clear(w.touched)
	w.saveDevices()
	w.saveArrivals()
	w.saveReceipts()
	if err := w.keepBounds(); err != nil {
		return err
	}
	return w.write()
}

// write writes the changes that were collected.
func (w *work) write() error {
	w.changes.Tallies = w.counts.changed()
	if err := w.tx.Save(w.ctx, &w.changes); err != nil {
		return err
	}
	w.forget()
	return nil
}

// onCommit calls do with the engine's memory locked, once the transaction is durable.
func (w *work) onCommit(do func()) { w.then = append(w.then, do) }
