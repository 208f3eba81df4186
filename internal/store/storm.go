package store

import (
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/mps-events/mps-events/internal/decision"
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
	// apart is the state of an alert whose name ilert has refused in a storm: it goes alone.
	apart
)

// mostGathered is how many alerts of a rule one look at an integration key lets join its
// storm, so that nobody waits for long.
const mostGathered = 20_000

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
	s, free, err := c.storm(integrationKey, rule)
	if err != nil || !s.open() && n < 2 || s == nil && free == "" {
		return 0, err
	}
	if s == nil {
		s = &alert{key: keyOf(decision.Key{Integration: integrationKey, Alert: free}), alertKey: free, group: rule, storm: itself, priority: priority}
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

// storm returns the storm of a rule, or nil and the alert key for a new one, which is empty if
// there is none. Rules whose names ilert cannot tell apart in an alert key have different
// keys, and an alert that has the key of a storm keeps it.
func (c *change) storm(integrationKey ilert.IntegrationKey, rule string) (s *alert, free string, err error) {
	plain := stormPrefix + ilert.Line(rule)
	for _, alertKey := range []string{plain, fmt.Sprintf("%s~%.4x", plain, sha256.Sum256([]byte(rule)))} {
		a, err := c.load(keyOf(decision.Key{Integration: integrationKey, Alert: alertKey}))
		switch {
		case err != nil:
			return nil, "", err
		case a == nil && free == "":
			free = alertKey
		case a != nil && a.storm == itself && a.group == rule:
			return a, "", nil
		}
	}
	return nil, free, nil
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

// stormOf returns the storm that speaks for a member.
func (c *change) stormOf(m *alert) (*alert, error) {
	s, _, err := c.storm(m.key.integration, m.rule)
	if err == nil && s == nil {
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
