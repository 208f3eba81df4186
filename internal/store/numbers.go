package store

import (
	"database/sql"
	"slices"
	"time"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

// mostListed is how many members one notice names.
const mostListed = 200

// list is what a notice names.
type list struct {
	untold []string // for the first time
	more   bool     // there are others whom ilert was not told
}

// numbers are what the window of an alert says at a time, and who is named. If its
// condition holds no more, it is what it said last: nobody is helped by an alert of
// "0 of 0 calls".
func (c *change) numbers(a *alert, at time.Time) (n decision.Numbers, l list, err error) {
	g, err := c.group(groupKey{a.rule, a.group})
	if err != nil || g == nil {
		return n, l, err
	}
	holds, err := c.holds(g, at)
	if err != nil {
		return n, l, err
	}
	if !holds && !g.lastTrue.IsZero() {
		at = g.lastTrue
	}
	n.Count, n.Of = g.sums(at)
	n.Part = n.Count
	if g.spec.Fleet {
		if n.Of, err = c.fleetSize(at); err != nil {
			return n, l, err
		}
	}
	if err := c.flushMembers(g); err != nil {
		return n, l, err
	}
	if g.spec.Held {
		l, err = c.listHeld(g, &n)
		return n, l, err
	}
	since := at.Add(-g.spec.Length)
	if n.Distinct, err = c.countMembers(g, since); err != nil {
		return n, l, err
	}
	if g.spec.Fleet {
		n.Part = n.Distinct
	}
	n.Members, _, err = c.names(`SELECT member, 0 FROM member WHERE rule = ? AND grp = ? AND at > ? ORDER BY member LIMIT ?`,
		g.rule, g.group, millis(since), mostListed)
	n.More = n.Distinct - len(n.Members)
	return n, l, err
}

// listHeld names the members that an alert holds. More than fit are named one after the
// other: then those who were named already are left out.
func (c *change) listHeld(g *group, n *decision.Numbers) (l list, err error) {
	n.Count, n.Distinct, n.Part = g.size, g.size, g.size
	condition, of := "", g.size
	if g.size > mostListed && g.untold > 0 {
		condition, of = "AND told = 0", g.untold
	}
	n.Members, l.untold, err = c.names(`
		SELECT member, told FROM member WHERE rule = ? AND grp = ? `+condition+` ORDER BY told, member LIMIT ?`,
		g.rule, g.group, mostListed)
	n.More = of - len(n.Members)
	l.more = g.untold > len(l.untold)
	slices.Sort(n.Members)
	return l, err
}

// names reads members and whether they were told.
func (c *change) names(query string, args ...any) (all, untold []string, err error) {
	err = c.each(func(rows *sql.Rows) error {
		var name string
		var told bool
		err := rows.Scan(&name, &told)
		all = append(all, ilert.Line(name))
		if !told {
			untold = append(untold, name)
		}
		return err
	}, query, args...)
	return all, untold, err
}

// listed takes in what became of a notice of an alert with a window. over means that
// nothing remains of the alert.
func (c *change) listed(a *alert, over bool, answer *Answer) error {
	g, err := c.group(groupKey{a.rule, a.group})
	if err != nil || g == nil {
		return err
	}
	if over {
		g.checkAt, g.dirty = g.forgetAt(answer.At), true
		return nil
	}
	n := &answer.Notice
	if answer.Result != Told || n.Event.EventType != ilert.Alert || !g.spec.Held {
		return nil
	}
	if err := c.flushMembers(g); err != nil {
		return err
	}
	for _, name := range n.listed {
		result, err := c.result(`UPDATE member SET told = 1 WHERE rule = ? AND grp = ? AND member = ? AND told = 0`,
			g.rule, g.group, name)
		if err != nil {
			return err
		}
		changed, err := result.RowsAffected()
		if err != nil {
			return err
		}
		g.untold -= int(changed)
	}
	g.reread()
	g.dirty = true
	if g.untold > 0 {
		at := answer.At
		if !n.more { // they have joined since
			at = g.listAt(a, at)
		}
		a.list(at, &origin{at: answer.At})
	}
	return nil
}
