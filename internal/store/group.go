package store

import (
	"database/sql"
	"errors"
	"time"
)

const groupColumns = `rule, grp, spec, buckets, integration_key, folded_key, hold, size, untold, peak, latest, last_true, check_at`

// group returns the window of a group, or nil.
func (c *change) group(k groupKey) (*group, error) {
	if g, known := c.groups[k]; known {
		return g, nil
	}
	g := &group{members: map[string]*member{}}
	var spec, buckets string
	var hold, latest, lastTrue, checkAt int64
	err := c.row(`SELECT `+groupColumns+` FROM window_group WHERE rule = ? AND grp = ?`, k.rule, k.group).
		Scan(&g.rule, &g.group, &spec, &buckets, &g.key.integration, &g.key.folded, &hold, &g.size, &g.untold, &g.peak, &latest, &lastTrue, &checkAt)
	if errors.Is(err, sql.ErrNoRows) {
		c.groups[k] = nil
		return nil, nil
	}
	if err == nil {
		err = g.decode(spec, buckets)
	}
	if err != nil {
		return nil, err
	}
	g.hold = time.Duration(hold) * time.Millisecond
	g.latest, g.lastTrue, g.checkAt = timeOf(latest), timeOf(lastTrue), timeOf(checkAt)
	c.groups[k] = g
	return g, nil
}

// forgetGroup forgets a group and its members.
func (c *change) forgetGroup(k groupKey) error {
	c.groups[k] = nil
	return errors.Join(
		c.exec(`DELETE FROM window_group WHERE rule = ? AND grp = ?`, k.rule, k.group),
		c.exec(`DELETE FROM member WHERE rule = ? AND grp = ?`, k.rule, k.group))
}

// forgetGroups forgets all of a rule.
func (c *change) forgetGroups(rule string) error {
	for k := range c.groups {
		if k.rule == rule {
			c.groups[k] = nil
		}
	}
	return errors.Join(
		c.exec(`DELETE FROM window_group WHERE rule = ?`, rule),
		c.exec(`DELETE FROM member WHERE rule = ?`, rule))
}

func (c *change) flushGroups() error {
	for _, g := range c.groups {
		if g == nil || !g.dirty {
			continue
		}
		if err := c.flushGroup(g); err != nil {
			return err
		}
	}
	return nil
}

func (c *change) flushGroup(g *group) error {
	a, err := c.alertOf(g)
	if err != nil {
		return err
	}
	switch {
	case a == nil && !g.arrived.IsZero():
		if at := g.forgetAt(g.arrived); g.checkAt.Before(at) {
			g.checkAt = at
		}
	case a != nil && (g.checkAt.IsZero() || g.spec.Clear == 0):
		g.watch()
	}
	spec, buckets, err := g.encode()
	if err != nil {
		return err
	}
	err = c.exec(`INSERT OR REPLACE INTO window_group (`+groupColumns+`) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)`,
		g.rule, g.group, spec, buckets, g.key.integration, g.key.folded, g.hold.Milliseconds(), g.size, g.untold, g.peak,
		millis(g.latest), millis(g.lastTrue), millis(g.checkAt))
	if err != nil {
		return err
	}
	g.dirty = false
	if err := c.flushMembers(g); err != nil {
		return err
	}
	if len(g.members) == 0 || a != nil && g.spec.Held {
		return nil
	}
	return c.dropMembers(g, g.latest)
}

// member is who has hit a window.
type member struct {
	at    time.Time // the last time
	told  bool      // ilert was told its name
	dirty bool
}

// member returns a member of a group, or nil.
func (c *change) member(g *group, name string) (*member, error) {
	if m := g.members[name]; m != nil {
		return m, nil
	}
	var m member
	var at int64
	err := c.row(`SELECT at, told FROM member WHERE rule = ? AND grp = ? AND member = ?`, g.rule, g.group, name).Scan(&at, &m.told)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m.at = timeOf(at)
	g.members[name] = &m
	return &m, nil
}

// join takes a hit of a member, and reports whether it is new to members that an open
// alert holds.
func (c *change) join(g *group, name string, at time.Time) (joined bool, err error) {
	m, err := c.member(g, name)
	if err != nil {
		return false, err
	}
	if m != nil {
		if m.at.Before(at) {
			m.at, m.dirty = at, true
		}
		return false, nil
	}
	g.members[name] = &member{at: at, dirty: true}
	if !g.spec.Held {
		return false, nil
	}
	a, err := c.alertOf(g)
	if err != nil || a == nil {
		return false, err
	}
	g.size++
	g.untold++
	g.peak = max(g.peak, g.size)
	return true, nil
}

func (c *change) removeMember(g *group, name string) error {
	delete(g.members, name)
	g.loaded = 0 // one more is among the newest
	return c.exec(`DELETE FROM member WHERE rule = ? AND grp = ? AND member = ?`, g.rule, g.group, name)
}

// dropMembers forgets members whose last hit is too old at a time.
func (c *change) dropMembers(g *group, at time.Time) error {
	return c.exec(`DELETE FROM member WHERE rule = ? AND grp = ? AND at <= ?`, g.rule, g.group, millis(at.Add(-g.spec.Length)))
}

func (c *change) flushMembers(g *group) error {
	for name, m := range g.members {
		if !m.dirty {
			continue
		}
		err := c.exec(`INSERT OR REPLACE INTO member (rule, grp, member, at, told) VALUES (?, ?, ?, ?, ?)`,
			g.rule, g.group, name, millis(m.at), m.told)
		if err != nil {
			return err
		}
		m.dirty = false
	}
	return nil
}

// reread makes the members be read again, once others than this transaction's hits have
// changed in the table.
func (g *group) reread() {
	clear(g.members)
	g.loaded = 0
}

// holdMembers begins to hold the members that a group has.
func (c *change) holdMembers(g *group) error {
	err := errors.Join(c.flushMembers(g), c.dropMembers(g, g.latest))
	if err != nil {
		return err
	}
	g.reread()
	g.size, err = c.countMembers(g, time.Time{})
	g.untold, g.peak = g.size, g.size
	return err
}

// countMembers counts the members that have hit after a time.
func (c *change) countMembers(g *group, since time.Time) (n int, err error) {
	err = c.row(`SELECT count(*) FROM member WHERE rule = ? AND grp = ? AND at > ?`,
		g.rule, g.group, millis(since)).Scan(&n)
	return n, err
}

// distinct counts the members of a group at a time, but no further than most.
func (c *change) distinct(g *group, at time.Time, most int) (n int, err error) {
	if most == 0 {
		return 0, nil
	}
	if g.spec.Held {
		if a, err := c.alertOf(g); err != nil || a != nil {
			return g.size, err
		}
	}
	since := at.Add(-g.spec.Length)
	if err := c.loadNewest(g, since, most); err != nil {
		return 0, err
	}
	for _, m := range g.members {
		if m.at.After(since) {
			if n++; n == most {
				break
			}
		}
	}
	return n, nil
}

// loadNewest reads the newest so many members. If all of these count there are enough;
// else no older one counts.
func (c *change) loadNewest(g *group, since time.Time, most int) error {
	if g.loaded >= most {
		return nil
	}
	g.loaded = most
	return c.each(func(rows *sql.Rows) error {
		var name string
		var m member
		var at int64
		err := rows.Scan(&name, &at, &m.told)
		if g.members[name] == nil {
			m.at = timeOf(at)
			g.members[name] = &m
		}
		return err
	}, `SELECT member, at, told FROM member WHERE rule = ? AND grp = ? AND at > ? ORDER BY at DESC LIMIT ?`,
		g.rule, g.group, millis(since), most)
}
