package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
)

// Budget is how much ilert may be told of an integration key now.
type Budget struct {
	Any     int       // notices of any kind
	Singles int       // at most so many of them are alerts of one thing alone, or sent just so
	Again   time.Time // when it will be more; zero: an answer comes first
	Minute  int       // what it is in a minute; 0 is any number
	Kept    bool      // Claim keeps for the next process that the notices go out
}

// Limits returns the Budget of an integration key. It is asked of those for which
// something is due.
type Limits func(ilert.IntegrationKey) Budget

// Unlimited is for who is told at once.
func Unlimited(ilert.IntegrationKey) Budget { return Budget{Any: 1 << 30, Singles: 1 << 30} }

// mostVisits is how many integration keys one Claim looks at.
const mostVisits = 1000

// Claim ends what time ends by now, and returns up to most notices that ilert is to be
// given by then, within the limits of each integration key: HIGH before LOW and the longest
// due first. What is sent just so ranks as LOW. If more alerts wait than the key carries in
// a minute, those of a rule become one. It hands none of them out again before Settle. No
// key waits for another one, each has its turn; but those that ilert has never taken, which may
// be any number, come behind the others.
func (s *Store) Claim(ctx context.Context, now time.Time, most int, limits Limits) ([]Notice, error) {
	var notices []Notice
	err := s.change(ctx, func(c *change) error {
		if err := c.timers(now); err != nil {
			return err
		}
		keys, err := c.lanesDue(now)
		if err != nil {
			return err
		}
		for _, k := range keys {
			if len(notices) == most {
				break
			}
			claimed, err := c.visit(k, now, most-len(notices), limits)
			if err != nil {
				return err
			}
			notices = append(notices, claimed...)
		}
		slices.SortStableFunc(notices, func(a, b Notice) int { return a.rank() - b.rank() })
		return nil
	})
	if err != nil {
		return nil, err // nothing has been claimed
	}
	return notices, nil
}

// rank is for the order of what several integration keys have at the same time.
func (n *Notice) rank() int {
	switch {
	case n.letter != 0:
		return len(priorities)
	case n.Event.Priority == high:
		return 0
	default:
		return 1
	}
}

// candidate is what may be claimed.
type candidate struct {
	due    time.Time
	single bool
	alert  *alert // or nil, and
	notice Notice // of a letter
}

func (c *change) lanesDue(now time.Time) (keys []ilert.IntegrationKey, err error) {
	err = c.each(func(rows *sql.Rows) error {
		var k ilert.IntegrationKey
		err := rows.Scan(&k)
		keys = append(keys, k)
		return err
	}, `SELECT integration_key FROM lane WHERE at <= ? ORDER BY unproven, at LIMIT ?`, now.UnixMilli(), mostVisits)
	return keys, err
}

// visit claims what is due of an integration key, as far as its budget goes.
func (c *change) visit(key ilert.IntegrationKey, now time.Time, most int, limits Limits) ([]Notice, error) {
	l := c.lane(key)
	l.hold(time.Time{}, time.Time{})
	fronts, err := c.fronts(key)
	if err != nil || !fronts.due(now) {
		return nil, err
	}
	budget := limits(key)
	p := purse{Budget: budget, anyAgain: later(budget.Again), singlesAgain: later(budget.Again)}
	if p.Any <= 0 {
		l.hold(p.anyAgain, p.singlesAgain)
		return nil, nil
	}
	switch joined, err := c.gather(key, now, p.Minute); {
	case err != nil:
		return nil, err
	case joined >= mostGathered: // and the others will at once
		p.Singles, p.singlesAgain = 0, now
		fallthrough
	case joined > 0:
		if fronts, err = c.fronts(key); err != nil {
			return nil, err
		}
	}
	if most < p.Any {
		// The key's next turn is behind those that wait already.
		p.Any, p.anyAgain = most, now
	}
	claimed, err := c.spend(key, now, &p, l, &fronts)
	if err == nil && budget.Kept && len(claimed) > 0 {
		err = c.keepRequests(key, now, len(claimed))
	}
	return claimed, err
}

// purse is what is left of a budget, and when there is more.
type purse struct {
	Budget
	anyAgain, singlesAgain time.Time
}

// spend claims by priority until nothing is left, and notes what holds up the rest.
func (c *change) spend(key ilert.IntegrationKey, now time.Time, p *purse, l *lane, f *fronts) (claimed []Notice, err error) {
	for priority := range priorities {
		all, err := c.candidates(key, priority, now, p.Budget, f)
		if err != nil {
			return nil, err
		}
		for _, one := range all {
			switch {
			case p.Any == 0:
				l.hold(p.anyAgain, p.anyAgain)
				continue
			case one.single && p.Singles <= 0:
				l.hold(l.anyFrom, p.singlesAgain)
				continue
			case one.single:
				p.Singles--
			}
			n, some, err := c.take(&one, now)
			if err != nil {
				return nil, err
			}
			if some {
				p.Any--
				claimed = append(claimed, n)
			}
		}
	}
	return claimed, nil
}

// take claims a candidate, and returns false if there is nothing to send of it.
func (c *change) take(one *candidate, now time.Time) (n Notice, some bool, err error) {
	switch {
	case one.alert == nil:
		n, err = c.claimLetter(one.notice)
	case one.alert.storm == itself:
		return c.claimStorm(one.alert, now)
	default:
		n, err = c.claim(one.alert, now)
	}
	return n, true, err
}

// candidates are what of a priority is due, the longest first: more than the budget
// allows, if there is more.
func (c *change) candidates(key ilert.IntegrationKey, priority int, now time.Time, b Budget, f *fronts) (all []candidate, err error) {
	for kind := range kinds {
		single := kind != others
		most := b.Any + 1
		if single {
			most = max(min(b.Any, b.Singles), 0) + 1
		}
		turn := priority*kinds + kind
		if f[turn].after(now) {
			continue
		}
		err := c.each(func(rows *sql.Rows) error {
			a, err := scan(rows)
			all = append(all, candidate{due: a.nextTry, single: single, alert: a})
			return err
		}, `
			SELECT `+columns+` FROM alert
			WHERE integration_key = ? AND turn = ? AND pending = 1 AND claimed = 0 AND next_try <= ?
			ORDER BY next_try LIMIT ?`, key, turn, now.UnixMilli(), most)
		if err != nil {
			return nil, err
		}
	}
	if priorities[priority] == low && !f[letters].after(now) {
		head, err := c.headLetter(key, now)
		if err != nil {
			return nil, err
		}
		if head != nil {
			all = append(all, *head)
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return a.due.Compare(b.due) })
	return all, nil
}

// lane is what holds up an integration key.
type lane struct {
	known                bool // what holds it up has been set
	anyFrom, singlesFrom time.Time
}

// never is after all times.
var never = time.UnixMilli(1 << 50)

// later is a time, or never if there is none.
func later(t time.Time) time.Time {
	if t.IsZero() {
		return never
	}
	return t
}

// lane makes the time be found anew when to look at an integration key.
func (c *change) lane(key ilert.IntegrationKey) *lane {
	l := c.lanes[key]
	if l == nil {
		l = new(lane)
		c.lanes[key] = l
	}
	return l
}

func (l *lane) hold(anyFrom, singlesFrom time.Time) {
	l.known, l.anyFrom, l.singlesFrom = true, anyFrom, singlesFrom
}

func (c *change) flushLanes() error {
	for key, l := range c.lanes {
		if err := c.flushLane(key, l); err != nil {
			return err
		}
	}
	clear(c.lanes)
	return nil
}

func (c *change) flushLane(key ilert.IntegrationKey, l *lane) error {
	f, err := c.fronts(key)
	if err != nil {
		return err
	}
	if !f.waits() {
		return c.exec(`DELETE FROM lane WHERE integration_key = ?`, key)
	}
	if !l.known {
		var anyFrom, singlesFrom int64
		err := c.row(`SELECT any_from, singles_from FROM lane WHERE integration_key = ?`, key).Scan(&anyFrom, &singlesFrom)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		l.hold(timeOf(anyFrom), timeOf(singlesFrom))
	}
	at := never
	for turn := range f {
		from := l.anyFrom
		if turn == letters || turn%kinds != others {
			from = latest(from, l.singlesFrom)
		}
		if f[turn].Valid {
			at = earlier(at, latest(from, time.UnixMilli(f[turn].Int64)))
		}
	}
	unproven, err := c.isUnproven(key)
	if err != nil {
		return err
	}
	return c.exec(`INSERT OR REPLACE INTO lane (integration_key, any_from, singles_from, at, unproven) VALUES (?, ?, ?, ?, ?)`,
		key, millis(l.anyFrom), millis(l.singlesFrom), millis(at), unproven)
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

const low = "LOW"

// priorities in their order.
var priorities = []string{high, low, ""}

// The kinds of what waits, in the order in which those of a priority go when they are due
// at the same time.
const (
	others = iota // ends, and what speaks for many
	firsts        // alerts of one thing that was never told
	again         // and told before, perhaps; what joins no storm, and the halves of one
	kinds
)

// turn is what the alert's row is found by when it is due. Asked for one by one, the
// index has what is due of each at its front, however much waits for later.
func (a *alert) turn() int {
	priority := slices.Index(priorities, a.priority)
	if priority < 0 {
		priority = len(priorities) - 1
	}
	switch {
	case a.storm == inStorm:
		return -1 // it does not go alone
	case a.storm == itself && a.maxListed > 0 && a.next() == ilert.Alert:
		return priority*kinds + again // many halves must not hold up what else waits
	case a.next() != ilert.Alert || a.windowed || a.storm == itself:
		return priority*kinds + others
	case a.told == nothing && a.storm != apart:
		return priority*kinds + firsts
	default:
		return priority*kinds + again
	}
}

// letters is the front of the outbox, behind those of all turns.
const letters = 9

// fronts are when the first of each turn is due.
type fronts [letters + 1]front

// front is a time, in Unix milliseconds, if there is one.
type front sql.NullInt64

func (f front) after(now time.Time) bool { return !f.Valid || f.Int64 > now.UnixMilli() }

// due says whether one of them is now.
func (f *fronts) due(now time.Time) bool {
	return slices.ContainsFunc(f[:], func(f front) bool { return !f.after(now) })
}

// waits says whether anything does.
func (f *fronts) waits() bool {
	return slices.ContainsFunc(f[:], func(f front) bool { return f.Valid })
}

// fronts are those of an integration key.
func (c *change) fronts(key ilert.IntegrationKey) (f fronts, err error) {
	err = c.each(func(rows *sql.Rows) error {
		var turn int
		var at sql.NullInt64
		err := rows.Scan(&turn, &at)
		f[turn] = front(at)
		return err
	}, `
		SELECT column1, (SELECT min(next_try) FROM alert WHERE integration_key = ?1 AND turn = column1 AND pending = 1 AND claimed = 0)
		FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8))
		UNION ALL
		SELECT 9, (SELECT CASE claimed WHEN 0 THEN next_try END FROM outbox WHERE integration_key = ?1 ORDER BY id LIMIT 1)`, key)
	return f, err
}
