package alerting

import (
	"cmp"
	"slices"
	"time"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

// MemberState is the standing of a member in its group.
type MemberState int

// The states of a member.
const (
	MemberHits      MemberState = iota // it counts until its last hit is too old
	MemberHeld                         // the open alert holds it until it leaves
	MemberForgotten                    // its hits do not count until it leaves, or until the message is too old that has forgotten it
)

// isCrowd reports whether the group has an open alert that holds members.
func (w *work) isCrowd(g *Group) bool { return g.Window.Held && w.alertOf(g) != nil }

// holds reports whether the open alert of the group holds a member.
func (g *Group) holds(name string) bool {
	m := g.Members[name]
	return m != nil && m.State == MemberHeld
}

// beginCrowd makes the open alert of a group hold the members that have hit within a time.
func (w *work) beginCrowd(g *Group, within time.Duration) {
	g.Size, g.Untold, g.Peak = 0, 0, 0
	for name, m := range g.Members {
		if m.State == MemberHeld { // by an alert that another rule has taken over
			m.State = MemberHits
			w.changeOf(g.ID).members[name] = struct{}{}
		}
	}
	w.holdMembers(g, within)
}

// joinCrowd makes the open alert of a group hold those who have hit while a condition of the window is true for what
// has come within its time alone. It returns the first such condition, or nil, and whether anybody has joined.
func (w *work) joinCrowd(g *Group) (first *decision.Condition, joined bool) {
	for _, c := range g.Window.Conditions() {
		if w.isTrue(g, c, g.Latest, false) {
			first = cmp.Or(first, c)
			joined = w.holdMembers(g, c.Length) || joined
		}
	}
	return first, joined
}

// holdMembers makes the open alert of a group hold those who have hit within a time, and reports whether any are new.
func (w *work) holdMembers(g *Group, within time.Duration) (joined bool) {
	since, before := g.Latest.Add(-within), g.Size
	for name, m := range g.Members {
		if g.Size == len(g.Members) {
			break
		}
		if m.State != MemberHits || !m.At.After(since) {
			continue
		}
		m.State, m.Told = MemberHeld, false
		w.changeOf(g.ID).members[name] = struct{}{}
		g.Size++
		g.Untold++
	}
	g.Peak = max(g.Peak, g.Size)
	w.changeOf(g.ID).dirty = true
	return g.Size > before
}

// waitsForCrowd reports whether an alert that is due and was not sent waits on, because others have left since it was
// raised: too few of those that it holds have been there for the time that it waits.
func (w *work) waitsForCrowd(a *Alert, now time.Time) bool {
	if a.Told != Nothing || a.Desired != ilert.Alert || !a.Windowed {
		return false
	}
	g := w.group(GroupID{a.Rule, a.Group})
	if g == nil || !w.isCrowd(g) || g.Hold == 0 {
		return false
	}
	var since []time.Time
	for _, m := range g.Members {
		if m.State == MemberHeld {
			since = append(since, m.Since)
		}
	}
	due := now.Add(g.Hold) // until then nobody else has been there for so long
	if need := w.members(g, g.lastTrue()); len(since) >= need {
		slices.SortFunc(since, time.Time.Compare)
		due = since[need-1].Add(g.Hold)
	}
	if !due.After(now) {
		return false
	}
	a.NextTry = due
	w.keep(a)
	return true
}

// leave removes a member from a group, and ends the alert if enough members have left.
func (w *work) leave(id GroupID, name string, o *origin) {
	g := w.endGroupWithRule(id, o.arrived)
	if g == nil {
		return
	}
	m := g.Members[name]
	if m == nil {
		return
	}
	a := w.alertOf(g)
	w.removeMember(g, name)
	if a == nil || !g.Window.Held || m.State != MemberHeld {
		return
	}
	g.Size--
	if !m.Told {
		g.Untold--
	}
	w.changeOf(id).dirty = true
	share := cmp.Or(g.Window.Left, 1)
	if (g.Size <= 0 || float64(g.Peak-g.Size)/float64(g.Peak) >= share) && w.endOrHold(a, o) {
		return
	}
	if !m.Told && g.Untold == 0 {
		a.cancelMembers(o, w.counts)
		w.keep(a)
	}
}

// forgetMember makes a member leave a group, and its hits not count for a time.
func (w *work) forgetMember(f decision.Forget, o *origin) {
	w.leave(GroupID{f.Window.Rule, f.Group}, f.Member, o)
	if f.Member == "" {
		return
	}
	g := w.groupOf(f.Window, f.Group, o)
	g.Members[f.Member] = &GroupMember{At: o.at, State: MemberForgotten}
	w.changeOf(g.ID).members[f.Member] = struct{}{}
}

// hasForgotten reports whether hits of a member do not count at a time.
func (g *Group) hasForgotten(name string, at time.Time) bool {
	m := g.Members[name]
	return m != nil && m.State == MemberForgotten && at.Before(m.At.Add(g.Window.Longest()))
}
