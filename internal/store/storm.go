package store

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
)

// When more alerts wait than ilert takes, those of a rule go out as one, a storm: an alert
// of its own that counts and lists them. They are its members from then on, until each of
// them ends; with the last one it ends.

// storming says what an alert has to do with a storm.
type storming int

const (
	alone storming = iota
	inStorm
	itself
)

// mostGathered is how many alerts of a rule one look at an integration key lets join its
// storm, so that nobody waits for long.
const mostGathered = 20_000

// listed is a member that a notice lists.
type listed struct {
	key  key
	told ilert.Type // what was told of it before
}

// firstsDue is the condition for alerts of an integration key (?1) that are due by a time
// (?2) and were never told.
const firstsDue = `integration_key = ?1 AND turn IN (1, 4, 7) AND pending = 1 AND claimed = 0 AND next_try <= ?2`

// gather makes storms of what is due of an integration key if that, with what storms did
// not tell yet, is more than goes out in a minute. It returns how many alerts have joined
// them.
func (c *change) gather(integrationKey ilert.IntegrationKey, now time.Time, minute int) (joined int, err error) {
	if minute <= 0 {
		return 0, nil
	}
	var backlog int
	err = c.row(`
		SELECT (SELECT count(*) FROM (SELECT 1 FROM alert WHERE `+firstsDue+` LIMIT ?3)) +
		       (SELECT count(*) FROM (SELECT 1 FROM alert WHERE integration_key = ?1 AND pending = 1 AND storm = 1 LIMIT ?3))`,
		integrationKey, now.UnixMilli(), minute+1).Scan(&backlog)
	if err != nil || backlog <= minute {
		return 0, err
	}
	type drift struct {
		rule     string
		n        int
		priority string
	}
	var drifts []drift
	err = c.each(func(rows *sql.Rows) error {
		d := drift{}
		var priority int
		err := rows.Scan(&d.rule, &d.n, &priority)
		d.priority = priorities[priority]
		drifts = append(drifts, d)
		return err
	}, `
		SELECT rule, count(*), min(turn / 3)
		FROM alert WHERE `+firstsDue+` AND rule <> '' GROUP BY rule`, integrationKey, now.UnixMilli())
	if err != nil {
		return 0, err
	}
	for _, d := range drifts {
		n, err := c.drift(integrationKey, d.rule, d.n, d.priority, now)
		if err != nil {
			return 0, err
		}
		joined += n
	}
	return joined, c.flushAlerts()
}

// drift lets the n alerts of a rule that are due join its storm, which begins with two, and
// returns how many have.
func (c *change) drift(integrationKey ilert.IntegrationKey, rule string, n int, priority string, now time.Time) (joined int, err error) {
	k := stormKey(integrationKey, rule)
	s, err := c.load(k)
	if err != nil || s == nil && n < 2 || s != nil && s.storm != itself || s != nil && !s.open() && n < 2 {
		return 0, err
	}
	if s == nil {
		s = &alert{key: k, alertKey: stormPrefix + rule, group: rule, storm: itself, priority: priority}
	}
	result, err := c.result(`
		UPDATE alert SET storm = 1, turn = -1
		WHERE integration_key = ?1 AND folded_key IN (SELECT folded_key FROM alert WHERE `+firstsDue+` AND rule = ?3 ORDER BY next_try LIMIT ?4)`,
		integrationKey, now.UnixMilli(), rule, mostGathered)
	if err != nil {
		return 0, err
	}
	changed, err := result.RowsAffected()
	if err != nil {
		return 0, err
	}
	for k, a := range c.rows { // what was read before
		if _, dirty := c.dirty[k]; a != nil && a.rule == rule && !dirty {
			delete(c.rows, k)
		}
	}
	s.swell(int(changed), priority, now, c.count)
	c.keep(s)
	return int(changed), nil
}

const stormPrefix = "storm/"

func stormKey(integrationKey ilert.IntegrationKey, rule string) key {
	return key{integrationKey, strings.ToLower(strings.TrimSpace(stormPrefix + rule))}
}

// swell takes n members into a storm.
func (a *alert) swell(n int, priority string, now time.Time, count fates) {
	a.size += n
	a.untold += n
	if priority == high || a.priority == "" {
		a.priority = priority
	}
	a.endsAt = time.Time{}                       // ilert may have refused its end
	if a.desired == ilert.Resolve && a.pending { // its end was not told, and will not be
		count.of(a.filter).Merged++
	}
	if a.desired != ilert.Alert || !a.pending {
		a.listNow(now)
	}
}

// listNow lets a storm be told because of members that ilert was not told.
func (a *alert) listNow(now time.Time) {
	a.want(ilert.Alert, &origin{at: now})
	a.listing = true
}

// claimStorm is what ilert is told of a storm: how many, and who is new to it.
func (c *change) claimStorm(s *alert, n Notice) (Notice, error) {
	n.Event = ilert.Event{
		EventType: s.next(), AlertKey: s.alertKey, Priority: s.priority,
		Summary: fmt.Sprintf("%d alerts of rule %s", s.size, s.group),
	}
	if s.desired == ilert.Resolve {
		n.Event.Summary = fmt.Sprintf("all alerts of rule %s have ended", s.group)
	} else if err := c.listMembers(s, &n); err != nil {
		return n, err
	}
	s.claim(&n)
	c.keep(s)
	return n, nil
}

func (c *change) listMembers(s *alert, n *Notice) error {
	of, pending := s.untold, true
	if of == 0 { // ilert is reminded
		of, pending = s.size, false
	}
	var keys []key
	err := c.each(func(rows *sql.Rows) error {
		k := key{integration: s.key.integration}
		err := rows.Scan(&k.folded)
		keys = append(keys, k)
		return err
	}, `
		SELECT folded_key FROM alert
		WHERE integration_key = ? AND pending = ? AND rule = ? AND storm = 1 ORDER BY folded_key LIMIT ?`,
		s.key.integration, pending, s.group, mostListed)
	if err != nil {
		return err
	}
	if err := c.preload(keys); err != nil {
		return err
	}
	names := make([]string, len(keys))
	for i, k := range keys {
		m, err := c.load(k)
		if err != nil {
			return err
		}
		if names[i] = m.alertKey; !pending {
			continue
		}
		n.members = append(n.members, listed{k, m.told})
		m.claimed, m.told = true, unsure
		c.keep(m)
	}
	n.Event.Details = strings.Join(names, "\n")
	if more := of - len(names); more > 0 {
		n.Event.Details += fmt.Sprintf("\nand %d more", more)
	}
	return nil
}

// settleStorm takes in what became of a notice that lists members.
func (c *change) settleStorm(s *alert, over bool, answer *Answer) error {
	var keys []key
	for _, one := range answer.Notice.members {
		keys = append(keys, one.key)
	}
	if err := c.preload(keys); err != nil {
		return err
	}
	for _, one := range answer.Notice.members {
		m, err := c.load(one.key)
		if err != nil {
			return err
		}
		if m == nil || m.storm != inStorm || !m.claimed {
			continue // it has ended meanwhile
		}
		if err := c.settleMember(s, m, one.told, answer); err != nil {
			return err
		}
	}
	switch {
	case s.desired == ilert.Resolve && over:
		c.forget(s.key)
	case s.desired == ilert.Resolve:
		c.keep(s)
	case s.size == 0: // ilert has refused them all
		if s.end(&origin{at: answer.At}, c.count) {
			c.forget(s.key)
		} else {
			c.keep(s)
		}
	default:
		if s.untold > 0 && !s.pending {
			s.listNow(answer.At)
		}
		c.keep(s)
	}
	return nil
}

func (c *change) settleMember(s, m *alert, told ilert.Type, answer *Answer) error {
	m.claimed = false
	switch answer.Result {
	case Told:
		m.told, m.toldAt, m.pending = ilert.Alert, answer.At, false
		c.count.of(m.filter).Delivered++
		s.untold--
	case Refused:
		c.count.of(m.filter).Dead++
		s.untold--
		s.size--
		m.storm, m.told, m.pending = alone, told, false
		c.keep(m)
		return c.refuse(m.message(), m.key, answer)
	case NotTold:
		m.told = told
	}
	c.keep(m)
	return nil
}

// stormOf returns the storm that speaks for a member.
func (c *change) stormOf(m *alert) (*alert, error) {
	s, err := c.load(stormKey(m.key.integration, m.rule))
	if err == nil && (s == nil || s.storm != itself) {
		err = errors.New("an alert's storm is missing")
	}
	return s, err
}

// leaveStorm ends a member, and its storm with the last one.
func (c *change) leaveStorm(m *alert, o *origin) error {
	s, err := c.stormOf(m)
	if err != nil {
		return err
	}
	c.forget(m.key)
	s.size--
	if m.pending {
		c.count.of(m.filter).Merged++
		s.untold--
	}
	switch {
	case s.size > 0:
		o.merged = true
		if s.untold == 0 {
			s.unlist(o, c.count)
		}
	case s.end(o, c.count):
		c.forget(s.key)
		return nil
	}
	c.keep(s)
	return nil
}

// raiseInStorm raises a member of a storm again: that goes for the storm.
func (c *change) raiseInStorm(m *alert, r raising, o *origin) error {
	if m.storm == itself { // nobody else's
		o.merged = true
		return nil
	}
	s, err := c.stormOf(m)
	if err != nil {
		return err
	}
	m.prolong(r, o.at)
	if r.Event.Priority == high {
		m.priority = high
	}
	c.keep(m)
	reminder := r.Reminder
	if reminder == 0 {
		reminder = Reminder
	}
	switch {
	case r.Event.Priority == high && s.priority != high:
		if s.pending {
			c.count.of(s.filter).Merged++
		}
		s.priority = high
		s.want(ilert.Alert, o)
	case !s.pending && o.at.Sub(s.toldAt) >= reminder:
		s.want(ilert.Alert, o)
	default:
		o.merged = true
		return nil
	}
	c.keep(s)
	return nil
}
