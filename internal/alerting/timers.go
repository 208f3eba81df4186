package alerting

import (
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
)

// runTimers ends a page of what time has ended by now: the alerts of rules that have ended, alerts that were
// silent too long or are too old, and those of windows whose condition holds no more. It
// reports whether it found any: the next look may find more.
func (w *work) runTimers(due Due, now time.Time) (found bool, err error) {
	w.adopt(due.Alerts)
	for _, g := range due.Groups {
		if cached, is := w.takeCached(g.ID); is {
			g = cached
		}
		if _, read := w.rows.Groups[g.ID]; !read {
			w.rows.Groups[g.ID] = g
		}
	}
	k := w.relatedKeys()
	end, ending := w.oldestEnd()
	if ending {
		k.Rules = append(k.Rules, RuleQuery{end.Rule, end.Epoch, maxPage})
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
	for _, g := range due.Groups {
		if g := w.endGroupWithRule(g.ID, now); g != nil { // unless the end of an alert has forgotten it
			w.checkGroup(g, now)
		}
	}
	pruned, err := w.prune(now)
	return ending || pruned || len(due.Alerts)+len(due.Groups) > 0, err
}

// endDue ends an alert that time has ended.
func (w *work) endDue(a *Alert, now time.Time) {
	switch {
	case a == nil || a.EndsAt.IsZero() || a.EndsAt.After(now): // it has ended with its rule
	case !a.open(): // ilert has refused its end
		w.drop(a.ID)
	case w.owesReport(a):
		// Nobody would ever hear of whom no notice has reported: it is sent now, and the alert
		// ends a minute later.
		a.NextTry, a.EndsAt = now, now.Add(time.Minute)
		a.AgeAt = a.EndsAt
		w.keep(a)
	default:
		w.end(a, &origin{at: a.EndsAt, arrived: now})
	}
}

// owesReport reports whether an alert that ilert knows holds members that no notice has reported.
func (w *work) owesReport(a *Alert) bool {
	if !a.Windowed || a.Told != ilert.Alert || !a.Pending || !a.Listing {
		return false
	}
	g := w.group(GroupID{a.Rule, a.Group})
	return g != nil && g.Window.Held && g.Untold > 0
}

// checkGroup looks at a group because of the time alone: it forgets one that is over, and
// ends the alert whose condition has not held for long enough.
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
	// The moments that were missed are made up for, as long as they can tell anything.
	for t := g.CheckAt; !t.After(now); g.CheckAt = t {
		holds := w.holds(g, t)
		over := g.LastTrue.Add(g.Window.Clear)
		switch {
		case holds && g.Window.Held: // until somebody leaves
			g.LastTrue = now
			t = now.Add(g.checkInterval())
		case holds:
			g.LastTrue = t
			t = t.Add(g.checkInterval())
		case !t.Before(over):
			w.endCleared(g, a, &origin{at: over, arrived: now})
			return
		case g.Window.Held, t.After(g.Latest.Add(g.Window.Length)): // as long as nobody comes
			t = over
		default:
			t = earlier(t.Add(g.step()), over)
		}
	}
}

// endCleared ends the alert of a group whose condition holds no more. What its window has
// counted stays in it until it is too old: the condition may hold again.
func (w *work) endCleared(g *Group, a *Alert, o *origin) {
	if g.Window.Held {
		w.end(a, o)
		return
	}
	g.CheckAt = g.forgetAt(o.arrived)
	w.endKeepingWindow(a, o)
}
