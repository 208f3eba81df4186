package store

import (
	"cmp"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
)

// listed is a member that a notice lists.
type listed struct {
	key  key
	told ilert.Type // what was told of it before
}

// claimStorm returns a notice that counts the members of a storm and lists those that are new to
// ilert, and false if there are none, so that the storm is over.
func (c *change) claimStorm(s *alert, now time.Time) (n Notice, some bool, err error) {
	n = s.notice()
	n.Event = ilert.Event{EventType: s.next(), AlertKey: s.alertKey, Priority: s.priority}
	rule := ilert.Line(s.group)
	if s.desired == ilert.Resolve {
		n.Event.Summary = fmt.Sprintf("all alerts of rule %s have ended", rule)
	} else {
		if err := c.listMembers(s, &n); err != nil {
			return n, false, err
		}
		if n.names == 0 {
			if s.end(&origin{at: now}, c.count) {
				c.forget(s.key)
			} else {
				c.keep(s)
			}
			return n, false, nil
		}
		n.Event.Summary = fmt.Sprintf("%d alerts of rule %s", s.size, rule)
	}
	s.claim(&n)
	c.keep(s)
	return n, true, nil
}

// listMembers lists members in a notice: those that are new to ilert or, if there are none, which
// is so when it is reminded, any.
func (c *change) listMembers(s *alert, n *Notice) error {
	err := c.row(`
		SELECT count(*), coalesce(sum(pending), 0) FROM alert
		WHERE integration_key = ? AND pending IN (0, 1) AND rule = ? AND storm = 1`, s.key.integration, s.group).Scan(&s.size, &s.untold)
	if err != nil {
		return err
	}
	of, pending := s.untold, true
	if of == 0 {
		of, pending = s.size, false
	}
	var keys []key
	err = c.each(func(rows *sql.Rows) error {
		k := key{integration: s.key.integration}
		err := rows.Scan(&k.folded)
		keys = append(keys, k)
		return err
	}, `
		SELECT folded_key FROM alert
		WHERE integration_key = ? AND pending = ? AND rule = ? AND storm = 1 ORDER BY folded_key LIMIT ?`,
		s.key.integration, pending, s.group, cmp.Or(s.maxListed, mostListed))
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
		if names[i] = ilert.Line(m.alertKey); !pending {
			continue
		}
		n.members = append(n.members, listed{k, m.told})
		m.claimed, m.told = true, unsure
		c.keep(m)
	}
	n.names = len(names)
	n.Event.Details = strings.Join(names, "\n")
	if more := of - len(names); more > 0 {
		n.Event.Details += fmt.Sprintf("\nand %d more", more)
	}
	return nil
}

// settleStorm takes in what became of a notice that lists members. A list that ilert has refused
// is sent again in halves, until one member is left in it. That one is sent alone from then
// on, by its own event: ilert may take it, or refuse it for what it says itself. The lists
// grow again with each that ilert takes.
func (c *change) settleStorm(s *alert, answer Answer) error {
	n := &answer.Notice
	culprit := false
	switch {
	case answer.Result == Told && s.maxListed > 0:
		if s.maxListed *= 2; s.maxListed >= mostListed {
			s.maxListed = 0
		}
	case answer.Result == Refused && n.names > 1:
		s.maxListed = n.names / 2
		answer.Result, answer.Retry = NotTold, answer.At
	case answer.Result == Refused && len(n.members) == 1:
		culprit = true
		answer.Result, answer.Retry = NotTold, answer.At
	case answer.Result == Refused && s.version == n.version && s.filter != nobody:
		if err := c.refuse(s.message(), s.key, &answer); err != nil {
			return err
		}
	}
	over := s.settle(&answer, c.count)
	if err := c.settleMembers(s, &answer, culprit); err != nil {
		return err
	}
	switch {
	case s.desired == ilert.Resolve && over:
		c.forget(s.key)
		return nil
	case s.desired == ilert.Resolve:
	case s.size == 0: // the last was sent alone
		if s.end(&origin{at: answer.At}, c.count) {
			c.forget(s.key)
			return nil
		}
	case s.untold == 0:
		s.unlist(&origin{at: answer.At}, c.count)
	case !s.pending:
		s.listNow(answer.At)
	}
	c.keep(s)
	return nil
}

// settleMembers takes in what became of the members that a notice lists.
func (c *change) settleMembers(s *alert, answer *Answer, culprit bool) error {
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
		m.claimed = false
		switch answer.Result {
		case Told:
			m.told, m.toldAt, m.pending = ilert.Alert, answer.At, false
			c.count.of(m.filter).Delivered++
			s.untold--
		case NotTold:
			m.told = one.told
		}
		if culprit { // only the storm has spoken for it
			m.storm, m.told, m.nextTry = apart, nothing, answer.At
			s.size--
			s.untold--
		}
		c.keep(m)
	}
	return nil
}
