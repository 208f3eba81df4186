package alerting

import (
	"slices"
	"time"
)

// addMember adds a hit of a member to a group.
func (w *work) addMember(g *Group, name string, at time.Time) {
	m := g.Members[name]
	switch {
	case m == nil, m.State == MemberForgotten:
		g.Members[name] = &GroupMember{At: at, Since: at}
	case m.At.Before(at):
		m.At = at
	default:
		return
	}
	w.changeOf(g.ID).members[name] = struct{}{}
}

func (w *work) removeMember(g *Group, name string) {
	delete(g.Members, name)
	w.changeOf(g.ID).members[name] = struct{}{}
}

// dropMembers removes the members that the open alert does not hold and whose last hit is too old.
func (w *work) dropMembers(g *Group) {
	crowd := w.isCrowd(g)
	if crowd && g.Size == len(g.Members) {
		return
	}
	since := g.Latest.Add(-g.Window.Longest())
	for name, m := range g.Members {
		if !m.At.After(since) && (!crowd || m.State != MemberHeld) {
			w.removeMember(g, name)
		}
	}
}

// hasHit reports whether the member has hit after a time.
func (m *GroupMember) hasHit(since time.Time) bool {
	return m.State != MemberForgotten && m.At.After(since)
}

// countMembers counts the members that have hit after a time.
func (g *Group) countMembers(since time.Time) (n int) {
	for _, m := range g.Members {
		if m.hasHit(since) {
			n++
		}
	}
	return n
}

// hasMembers reports whether a group has at least need members that have hit after a time.
func (g *Group) hasMembers(since time.Time, need int) bool {
	if need == 0 {
		return true
	}
	if len(g.Members) < need {
		return false
	}
	n := 0
	for _, m := range g.Members {
		if m.hasHit(since) {
			if n++; n == need {
				return true
			}
		}
	}
	return false
}

// forgetGroup deletes a group and its members.
func (w *work) forgetGroup(id GroupID) {
	w.takeCached(id) // so that the cache does not keep it
	w.rows.Groups[id] = nil
	change := w.changeOf(id)
	change.emptied = true
	clear(change.members)
}

// emptyGroup makes a group whose alert has ended forget all up to a time, and deletes it if nothing is left.
func (w *work) emptyGroup(id GroupID, since, arrived time.Time) {
	g := w.group(id)
	if g == nil {
		return
	}
	tooOld := g.Latest.Add(-g.Window.Longest())
	for name, m := range g.Members {
		switch {
		case m.State == MemberForgotten && m.At.After(tooOld): // its hits come later
		case !m.At.After(since):
			w.removeMember(g, name)
		default:
			m.State, m.Told = MemberHits, false // the next alert names it anew
			w.changeOf(id).members[name] = struct{}{}
		}
	}
	number := g.numberOf(since)
	g.Buckets = slices.DeleteFunc(g.Buckets, func(b Bucket) bool { return b[0] <= number })
	if len(g.Buckets)+len(g.Members) == 0 {
		w.forgetGroup(id)
		return
	}
	hits, _ := g.sums(g.Window.Longest(), g.Latest)
	g.Alert, g.Row, g.Size, g.Untold, g.Peak = AlertID{}, min(g.Row, hits), 0, 0, 0
	g.CheckAt = g.forgetAt(arrived)
	w.changeOf(id).dirty = true
}

// saveGroups collects the groups and members that have changed.
func (w *work) saveGroups() {
	for id, change := range w.groups {
		if change.emptied {
			w.changes.NoGroups = append(w.changes.NoGroups, id)
		}
		if g := w.rows.Groups[id]; g != nil && (change.dirty || len(change.members) > 0) {
			w.saveGroup(g, change)
		}
	}
	clear(w.groups)
}

func (w *work) saveGroup(g *Group, change *groupChange) {
	a := w.alertOf(g)
	switch {
	case a == nil && !change.arrived.IsZero():
		if at := g.forgetAt(change.arrived); g.CheckAt.Before(at) {
			g.CheckAt = at
		}
	case a != nil && (g.CheckAt.IsZero() || g.Window.Clear == 0):
		g.scheduleCheck()
	}
	if len(change.members) > 0 {
		w.dropMembers(g)
	}
	w.changes.Groups = append(w.changes.Groups, g)
	for name := range change.members {
		id := MemberID{g.ID, name}
		if m := g.Members[name]; m != nil {
			w.changes.Members[id] = *m
		} else if !change.emptied {
			w.changes.NoMembers = append(w.changes.NoMembers, id)
		}
	}
}
