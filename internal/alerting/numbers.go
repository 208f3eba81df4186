package alerting

import (
	"slices"
	"time"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

// maxReported is the number of members that one notice reports at most.
const maxReported = 200

// firstReport is the list of members of a window that a notice reports for the first time.
type firstReport struct {
	names []string
	more  bool // no notice has reported some others
}

// numbers returns the numbers in the texts of an alert: those of its window at a time, if it has one, and the members that
// a notice reports. If the
// condition of the window does not hold any more, the numbers are those of the time when it last did: an alert of
// "0 of 0 calls" helps nobody.
func (w *work) numbers(a *Alert, at time.Time) (n decision.Numbers, first firstReport) {
	n.Since = a.Since
	if !a.Windowed {
		return n, first
	}
	g := w.group(GroupID{a.Rule, a.Group})
	if g == nil {
		return n, first
	}
	c := w.holding(g, at)
	holds := c != nil
	if !holds || g.Window.Held {
		c = g.lastTrue()
	}
	n.Count, n.Of = g.sums(c.Length, at)
	if !holds && !g.LastTrue.IsZero() {
		at, n.Count, n.Of = g.LastTrue, g.WasHits, g.WasOf
	}
	n.Window = c.Length
	n.Part = n.Count
	if row := c.InARow; row > 0 && c.AtLeast == 0 {
		n.Count = max(min(g.Row, n.Count), row) // a row that has been broken was so long at least
	}
	if g.Window.Fleet {
		n.Of = w.fleetSize()
	}
	if g.Window.Held {
		return n, g.heldMembers(&n)
	}
	since := at.Add(-c.Length)
	n.Distinct = g.countMembers(since)
	if g.Window.Fleet {
		n.Part = n.Distinct
	}
	names := g.names(func(m *GroupMember) bool { return m.hasHit(since) })
	slices.Sort(names)
	n.Members = lines(names[:min(len(names), maxReported)])
	n.More = n.Distinct - len(n.Members)
	return n, first
}

// heldMembers adds the members that an alert holds to the numbers. If they are more than one notice reports, each
// notice leaves out the members that another one has reported.
func (g *Group) heldMembers(n *decision.Numbers) (first firstReport) {
	n.Count, n.Distinct, n.Part = g.Size, g.Size, g.Size
	unreported := g.names(func(m *GroupMember) bool { return m.State == MemberHeld && !m.Told })
	slices.Sort(unreported)
	first.names = unreported[:min(len(unreported), maxReported)]
	names, of := first.names, g.Size
	if g.Size > maxReported && g.Untold > 0 {
		of = g.Untold
	} else {
		reported := g.names(func(m *GroupMember) bool { return m.State == MemberHeld && m.Told })
		slices.Sort(reported)
		names = slices.Concat(names, reported[:min(len(reported), maxReported-len(names))])
	}
	n.Members = lines(names)
	n.More = of - len(names)
	first.more = g.Untold > len(first.names)
	slices.Sort(n.Members)
	return first
}

// names returns the names of the members for which is returns true, in no order.
func (g *Group) names(is func(*GroupMember) bool) (all []string) {
	for name, m := range g.Members {
		if is(m) {
			all = append(all, name)
		}
	}
	return all
}

// lines returns names as lines that are harmless in a text for ilert.
func lines(names []string) []string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = ilert.Line(name)
	}
	return all
}

// settleReported changes the window of an alert as the answer to a notice demands. If over, the row of the alert is
// deleted.
func (w *work) settleReported(a *Alert, over bool, answer *Answer) {
	id := GroupID{a.Rule, a.Group}
	g := w.group(id)
	if g == nil {
		return
	}
	n := &answer.Notice
	if over {
		g.CheckAt = g.forgetAt(answer.At)
		w.changeOf(id).dirty = true
		return
	}
	if answer.Result != Taken || n.Event.EventType != ilert.Alert || !g.Window.Held {
		return
	}
	change := w.changeOf(id)
	change.dirty = true
	for _, name := range n.reported {
		if m := g.Members[name]; g.holds(name) && !m.Told {
			m.Told = true
			change.members[name] = struct{}{}
			g.Untold--
		}
	}
	if g.Untold > 0 {
		at := answer.At
		if !n.more { // they have joined after the notice was claimed
			at = g.reportAt(a, at)
		}
		a.reportMembers(at, &origin{at: answer.At})
	}
}
