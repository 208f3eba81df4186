package alerting

import (
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
)

// runTimers raises a page of the alerts of groups that are silent, and lets a page of delayed alerts be sent. It ends a page of the alerts whose time is over: those
// of rules that have ended, those that were silent for too long or are too old, and those of windows whose condition does
// not hold any more. It reports whether it found any, so that there may be more.
func (w *work) runTimers(due Due, now time.Time) (found bool, err error) {
	w.adopt(due.Alerts)
	w.adopt(due.Delayed)
	for _, g := range due.Groups {
		if cached, is := w.takeCached(g.ID); is {
			g = cached
		}
		if _, read := w.rows.Groups[g.ID]; !read {
			w.rows.Groups[g.ID] = g
		}
	}
	k := w.relatedKeys()
	silent := w.findSilent()
	for _, a := range silent {
		k.Alerts = append(k.Alerts, a.silenceKeys()...)
	}
	end, ending := w.oldestEnd()
	if ending {
		k.add(end.pageKeys())
	}
	if err := w.loadAll(k); err != nil {
		return false, err
	}
	if ending {
		w.endPage(end, now)
	}
	for _, a := range due.Alerts {
		w.endDue(w.alert(a.ID), now)
	}
	for _, a := range due.Delayed {
		w.endDelay(w.alert(a.ID), now)
	}
	for _, g := range due.Groups {
		if g := w.endGroupWithRule(g.ID, now); g != nil { // nil also if the end of an alert has deleted it
			w.checkGroup(g, now)
		}
	}
	for _, a := range silent {
		if err := w.endWait(a, now); err != nil {
			return false, err
		}
	}
	pruned, err := w.prune(now)
	return ending || pruned || len(due.Alerts)+len(due.Delayed)+len(due.Groups)+len(silent) > 0, err
}

// endDue ends an alert whose EndsAt has come.
func (w *work) endDue(a *Alert, now time.Time) {
	switch {
	case a == nil || a.EndsAt.IsZero() || a.EndsAt.After(now): // it has ended with its rule
	case !a.open(): // ilert has refused its end
		w.drop(a.ID)
	case w.owesReport(a):
		// After the end no notice would report the new members. So the alert is sent now, and ends a minute later.
		a.NextTry, a.EndsAt = now, now.Add(time.Minute)
		if a.EndHeldUntil.IsZero() || !a.AgeAt.IsZero() && !a.AgeAt.After(now) {
			a.AgeAt = a.EndsAt
		} else {
			a.EndHeldUntil = a.EndsAt
		}
		w.keep(a)
	default:
		w.end(a, &origin{at: a.EndsAt, arrived: now, by: a.endsBy()})
	}
}

// owesReport reports whether an alert that ilert knows holds members that no notice has reported. A silenced alert
// owes no report: it would never end.
func (w *work) owesReport(a *Alert) bool {
	if !a.Windowed || a.Told != ilert.Alert || !a.Pending || !a.Listing || a.isHeld() {
		return false
	}
	g := w.group(GroupID{a.Rule, a.Group})
	return g != nil && g.Window.Held && g.Untold > 0
}

// checkGroup checks a group whose CheckAt has come: it deletes a group without an alert, and ends an alert whose
// condition has not held for long enough.
func (w *work) checkGroup(g *Group, now time.Time) {
	if g.CheckAt.IsZero() || g.CheckAt.After(now) {
		return
	}
	a := w.alertOf(g)
	if a == nil {
		w.forgetGroup(g.ID)
		return
	}
	w.changeOf(g.ID).dirty = true
	if g.Window.Clear == 0 {
		g.scheduleCheck()
		return
	}
	// If checks were missed, the loop goes through the times at which the condition may have changed.
	for t := g.CheckAt; !t.After(now); g.CheckAt = t {
		c := w.holding(g, t)
		over := g.LastTrue.Add(g.Window.Clear)
		switch {
		case c != nil && g.Window.Held: // and it still does, since no member has left
			g.wasTrue(c, now)
			t = now.Add(g.checkInterval())
		case c != nil:
			g.wasTrue(c, t)
			t = t.Add(g.checkInterval())
		case !t.Before(over):
			w.endCleared(g, a, &origin{at: over, arrived: now, by: ByClear})
			return
		case g.Window.Held, t.After(g.Latest.Add(g.Window.Longest())): // without a new hit it does not hold again
			t = over
		default:
			t = earlier(t.Add(g.step()), over)
		}
	}
}

// endCleared ends the alert of a group whose condition does not hold any more. The window keeps its counts until they
// are too old, since the condition may hold again.
func (w *work) endCleared(g *Group, a *Alert, o *origin) {
	if g.Window.Held {
		w.end(a, o)
		return
	}
	g.CheckAt = g.forgetAt(o.arrived)
	w.endKeepingWindow(a, o)
}

// pruneInterval is the interval between two calls of prune that do something.
const pruneInterval = time.Hour

// prune deletes, once within pruneInterval, old devices, old reports about deleted alerts, old outbox items of
// unproven integration keys, and the proven keys beyond their limit. It reports whether it was time for that.
func (w *work) prune(now time.Time) (pruned bool, err error) {
	e := w.engine
	e.memory.Lock()
	due := now.Sub(e.devices.prunedAt) >= pruneInterval
	e.memory.Unlock()
	if !due {
		return false, nil
	}
	w.changes.EndedBefore, w.changes.MaxProven = now.Add(-endedMemory), maxProven
	guids, _, err := w.tx.FindDevices(w.ctx, now.Add(-fleetMemory), purgePage)
	if err != nil {
		return false, err
	}
	w.changes.NoDevices = append(w.changes.NoDevices, guids...)
	if err := w.pruneUnproven(now); err != nil {
		return false, err
	}
	if len(guids) < purgePage { // a full page lets the next call look for more
		w.onCommit(func() { e.devices.prunedAt = now })
	}
	return true, nil
}
