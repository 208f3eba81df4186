package alerting

import (
	"slices"
	"time"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

// maxReported is the number of members that one notice names.
const maxReported = 200

// firstReport is the list of members of a window that a notice reports for the first time.
type firstReport struct {
	names []string
	more  bool // there are others that no notice has reported
}

// numbers returns what the window of an alert says at a time, and whom a notice reports. If its
// condition holds no more, they are of the time when it last did: an alert of "0 of 0 calls" helps
// nobody.
func (w *work) numbers(a *Alert, at time.Time) (n decision.Numbers, first firstReport) {
	g := w.group(GroupID{a.Rule, a.Group})
	if g == nil {
		return n, first
	}
	if !w.holds(g, at) && !g.LastTrue.IsZero() {
		at = g.LastTrue
	}
	n.Count, n.Of = g.sums(at)
	n.Part = n.Count
	if g.Window.Fleet {
		n.Of = w.fleetSize()
	}
	if g.Window.Held {
		return n, g.heldMembers(&n)
	}
	since := at.Add(-g.Window.Length)
	n.Distinct = g.countMembers(since)
	if g.Window.Fleet {
		n.Part = n.Distinct
	}
	names := g.names(func(m *GroupMember) bool { return m.At.After(since) })
	slices.Sort(names)
	n.Members = lines(names[:min(len(names), maxReported)])
	n.More = n.Distinct - len(n.Members)
	return n, first
}

// heldMembers completes the numbers by the members that an alert holds. If there are more than
// a notice names, each notice names others: those that were reported already are left out.
func (g *Group) heldMembers(n *decision.Numbers) (first firstReport) {
	n.Count, n.Distinct, n.Part = g.Size, g.Size, g.Size
	untold := g.names(func(m *GroupMember) bool { return !m.Told })
	slices.Sort(untold)
	first.names = untold[:min(len(untold), maxReported)]
	names, of := first.names, g.Size
	if g.Size > maxReported && g.Untold > 0 {
		of = g.Untold
	} else {
		told := g.names(func(m *GroupMember) bool { return m.Told })
		slices.Sort(told)
		names = slices.Concat(names, told[:min(len(told), maxReported-len(names))])
	}
	n.Members = lines(names)
	n.More = of - len(names)
	first.more = g.Untold > len(first.names)
	slices.Sort(n.Members)
	return first
}

// names returns the names of members of which a condition is true, in no order.
func (g *Group) names(is func(*GroupMember) bool) (all []string) {
	for name, m := range g.Members {
		if is(m) {
			all = append(all, name)
		}
	}
	return all
}

// lines returns names as ilert takes them.
func lines(names []string) []string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = ilert.Line(name)
	}
	return all
}

// settleReported takes in what became of a notice of an alert with a window. over means that
// nothing remains of the alert.
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
		if m := g.Members[name]; m != nil && !m.Told {
			m.Told = true
			change.members[name] = struct{}{}
			g.Untold--
		}
	}
	if g.Untold > 0 {
		at := answer.At
		if !n.more { // they have joined since
			at = g.reportAt(a, at)
		}
		a.reportMembers(at, &origin{at: answer.At})
	}
}
