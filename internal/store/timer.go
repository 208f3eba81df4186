package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
)

// mostTimers is how many alerts, and how many windows, one transaction ends: a crowd of them
// must not keep messages waiting. The next look finds the rest.
const mostTimers = 2000

// timers ends what time ends by now: alerts that were silent too long or are too old,
// and those of windows whose condition holds no more. What is read afterwards sees it.
func (c *change) timers(now time.Time) error {
	var keys []key
	err := c.each(func(rows *sql.Rows) error {
		var k key
		err := rows.Scan(&k.integration, &k.folded)
		keys = append(keys, k)
		return err
	}, `SELECT integration_key, folded_key FROM alert WHERE ends_at > 0 AND ends_at <= ? ORDER BY ends_at LIMIT ?`, now.UnixMilli(), mostTimers)
	if err != nil {
		return err
	}
	for _, k := range keys {
		a, err := c.load(k)
		if err != nil {
			return err
		}
		if !a.open() { // ilert has refused its end
			c.forget(k)
			continue
		}
		owes, err := c.owesNames(a)
		switch {
		case err != nil:
			return err
		case owes:
			c.namesFirst(a, now)
			continue
		}
		if err := c.end(a, &origin{at: a.endsAt, arrived: now}); err != nil {
			return err
		}
	}
	if err := c.checkGroups(now); err != nil {
		return err
	}
	if err := c.prune(now); err != nil {
		return err
	}
	return c.flush()
}

// owesNames says whether an alert that ilert knows holds members whom it was not told.
func (c *change) owesNames(a *alert) (bool, error) {
	if !a.windowed || a.told != ilert.Alert || !a.pending || !a.listing {
		return false, nil
	}
	g, err := c.group(groupKey{a.rule, a.group})
	return g != nil && g.spec.Held && g.untold > 0, err
}

// namesFirst lets ilert be told of members now, and the alert end a minute later: whom it
// did not name nobody would ever hear of.
func (c *change) namesFirst(a *alert, now time.Time) {
	a.nextTry, a.endsAt = now, now.Add(time.Minute)
	a.ageAt = a.endsAt
	c.keep(a)
}

func (c *change) checkGroups(now time.Time) error {
	var due []groupKey
	err := c.each(func(rows *sql.Rows) error {
		var k groupKey
		err := rows.Scan(&k.rule, &k.group)
		due = append(due, k)
		return err
	}, `SELECT rule, grp FROM window_group WHERE check_at > 0 AND check_at <= ? ORDER BY check_at LIMIT ?`, now.UnixMilli(), mostTimers)
	if err != nil {
		return err
	}
	for _, k := range due {
		g, err := c.group(k)
		if err != nil {
			return err
		}
		if g == nil {
			continue // an alert's end has forgotten it
		}
		if err := c.check(g, now); err != nil {
			return err
		}
	}
	return nil
}

// check looks at a group because of the time alone: it forgets one that is over, and
// ends the alert whose condition has not held for long enough.
func (c *change) check(g *group, now time.Time) error {
	a, err := c.alertOf(g)
	if err != nil {
		return err
	}
	if a == nil {
		return c.forgetGroup(g.groupKey)
	}
	if g.spec.Clear == 0 {
		g.watch()
		g.dirty = true
		return nil
	}
	// The moments that were missed are made up for, as long as they can tell anything.
	for t := g.checkAt; !t.After(now); g.checkAt = t {
		holds, err := c.holds(g, t)
		if err != nil {
			return err
		}
		over := g.lastTrue.Add(g.spec.Clear)
		switch {
		case holds && g.spec.Held: // until somebody leaves
			g.lastTrue = now
			t = now.Add(g.pause())
		case holds:
			g.lastTrue = t
			t = t.Add(g.pause())
		case !t.Before(over):
			return c.clear(g, a, &origin{at: over, arrived: now})
		case g.spec.Held, t.After(g.latest.Add(g.spec.Length)): // as long as nobody comes
			t = over
		default:
			t = earlier(t.Add(g.step()), over)
		}
	}
	g.dirty = true
	return nil
}

// clear ends the alert of a group whose condition holds no more. What its window has
// counted stays in it until it is too old: the condition may hold again.
func (c *change) clear(g *group, a *alert, o *origin) error {
	if g.spec.Held {
		return c.end(a, o)
	}
	g.checkAt, g.dirty = g.forgetAt(o.arrived), true
	return c.close(a, o)
}

// NextTry returns when to call Claim again, and false if nothing waits: a notice may be
// due then, or time ends something. It is never too late.
func (s *Store) NextTry(ctx context.Context) (time.Time, bool, error) {
	var next sql.NullInt64
	err := s.db.QueryRowContext(ctx, `
		SELECT min(at) FROM (
			SELECT min(at) AS at FROM lane
			UNION ALL
			SELECT min(ends_at) FROM alert WHERE ends_at > 0
			UNION ALL
			SELECT min(check_at) FROM window_group WHERE check_at > 0)`).Scan(&next)
	if err != nil {
		return time.Time{}, false, fmt.Errorf("store: %w", err)
	}
	return time.UnixMilli(next.Int64), next.Valid, nil
}
