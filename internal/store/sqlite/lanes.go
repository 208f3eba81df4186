package sqlite

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/ilert"
)

// lane is the state of an integration key, with times in milliseconds.
type lane struct {
	due [alerting.Classes]int64 // when the first alert of each send class is due
	out int64                   // when the first outbox item is due
	rep int64                   // when the first alert is to be repeated

	exists                     bool // there is a row; any, singles, at and unproven are its columns
	any, singles, at, unproven int64
	proven                     bool
}

// never is a time that is later than all others.
const never = math.MaxInt64

// laneQuery is the query that reads a lane. It has a column for each send class, because SQLite finds the first alert
// of one class in an index at once, however many others wait.
var laneQuery = func() string {
	text := new(strings.Builder)
	text.WriteString(`SELECT `)
	for class := range alerting.Classes {
		fmt.Fprintf(text, `(SELECT min(next_try) FROM alert WHERE integration_key = ?1 AND turn = %d AND pending = 1 AND claimed = 0), `, class)
	}
	text.WriteString(`
		(SELECT min(repeat_at) FROM alert WHERE integration_key = ?1 AND repeat_at > 0),
		(SELECT CASE claimed WHEN 0 THEN next_try END FROM outbox WHERE integration_key = ?1 ORDER BY id LIMIT 1),
		l.integration_key IS NOT NULL, l.any_from, l.singles_from, l.at, l.unproven, EXISTS (SELECT 1 FROM proven_key WHERE fingerprint = ?2)
		FROM (SELECT 1) LEFT JOIN lane AS l ON l.integration_key = ?1`)
	return text.String()
}()

func (t *tx) lane(key ilert.IntegrationKey) (l lane, err error) {
	literal := ""
	if isLiteral(key) {
		literal = key.Fingerprint()
	}
	err = t.each(func(r *row) {
		for class := range l.due {
			l.due[class] = r.orNever()
		}
		l.rep, l.out = r.orNever(), r.orNever()
		l.exists, l.any, l.singles, l.at, l.unproven, l.proven = r.bool(), r.int64(), r.int64(), r.int64(), r.int64(), r.bool()
	}, laneQuery, key.Text(), literal)
	return l, err
}

func isLiteral(key ilert.IntegrationKey) bool {
	_, literal := key.Literal()
	return literal
}

// next returns the time at which a notice may be sent, or never.
func (l *lane) next() int64 {
	singles := max(l.any, l.singles)
	next := int64(never)
	for class, due := range l.due {
		from := singles
		if alerting.SendClass(class).Kind() == alerting.Others {
			from = l.any
		}
		if due != never {
			next = min(next, max(due, from))
		}
	}
	if first := min(l.out, l.rep); first != never {
		next = min(next, max(first, singles))
	}
	return next
}

func (t *tx) saveLanes(c *alerting.Changes) error {
	if c.AllLanes {
		if err := t.exec(`UPDATE lane SET any_from = 0, singles_from = 0, at = 0`); err != nil {
			return err
		}
	}
	return t.deriveLanes()
}

// deriveLanes writes the lanes that were touched, if they have changed.
func (t *tx) deriveLanes() error {
	for key, hold := range t.lanes {
		if err := t.deriveLane(key, hold); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) deriveLane(key ilert.IntegrationKey, hold *alerting.LaneHold) error {
	l, err := t.lane(key)
	if err != nil {
		return err
	}
	before := l
	if hold != nil {
		l.any, l.singles = millis(hold.Any), millis(hold.Singles)
	}
	l.unproven = 0
	if isLiteral(key) && !l.proven {
		l.unproven = 1
	}
	switch l.at = l.next(); {
	case l.at != never && (l != before || !l.exists):
		return t.exec(`INSERT OR REPLACE INTO lane (integration_key, any_from, singles_from, at, unproven) VALUES (?, ?, ?, ?, ?)`,
			key.Text(), l.any, l.singles, l.at, l.unproven)
	case l.at == never && l.exists:
		return t.exec(`DELETE FROM lane WHERE integration_key = ?`, key.Text())
	}
	return nil
}

// loadBusy reads whether an alert or outbox item of an integration key waits or is claimed, or a repeat has failed.
func (t *tx) loadBusy(keys *alerting.Keys, rows *alerting.Rows) error {
	for _, key := range keys.Busy {
		err := t.each(func(r *row) { mapIn(&rows.Busy)[key] = r.bool() }, `
			SELECT EXISTS (SELECT 1 FROM outbox WHERE integration_key = ?1)
				OR EXISTS (SELECT 1 FROM alert WHERE integration_key = ?1 AND pending = 1 AND claimed = 0)
				OR EXISTS (SELECT 1 FROM alert WHERE integration_key = ?1 AND claimed = 1)
				OR EXISTS (SELECT 1 FROM alert WHERE integration_key = ?1 AND repeat_at > 0 AND tries > 0)`, key.Text())
		if err != nil {
			return err
		}
	}
	return nil
}

// FindWork returns the rows of lanes that are due.
func (t *tx) FindWork(_ context.Context, now time.Time, lanes []alerting.LaneQuery) ([]alerting.LaneWork, error) {
	all := make([]alerting.LaneWork, len(lanes))
	for i := range lanes {
		if err := t.findWork(now, &lanes[i], &all[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (t *tx) findWork(now time.Time, q *alerting.LaneQuery, work *alerting.LaneWork) error {
	l, err := t.lane(q.Key)
	if err != nil {
		return err
	}
	key, until, firsts := q.Key.Text(), millis(now), false
	for class, due := range l.due {
		if due > until {
			continue
		}
		limit := q.Singles
		switch alerting.SendClass(class).Kind() {
		case alerting.Others:
			limit = q.Any
		case alerting.Firsts:
			firsts = true
		}
		err := t.each(func(r *row) { work.Alerts = append(work.Alerts, scanAlert(r)) }, `
			SELECT `+alertColumns+` FROM alert
			WHERE integration_key = ? AND turn = ? AND pending = 1 AND claimed = 0 AND next_try <= ?
			ORDER BY next_try, rule, folded_key LIMIT ? + 0`, key, class, until, limit)
		if err != nil {
			return err
		}
	}
	if l.out <= until {
		err := t.each(func(r *row) { work.Head = scanItem(r) },
			`SELECT `+itemColumns+` FROM outbox WHERE integration_key = ? ORDER BY id LIMIT 1`, key)
		if err != nil {
			return err
		}
	}
	if l.rep <= until {
		err := t.each(func(r *row) { work.Repeats = append(work.Repeats, scanAlert(r)) }, `
			SELECT `+alertColumns+` FROM alert
			WHERE integration_key = ? AND repeat_at > 0 AND repeat_at <= ? ORDER BY repeat_at, folded_key LIMIT ? + 0`, key, until, q.Singles)
		if err != nil {
			return err
		}
	}
	return t.countWaiting(key, until, q.Minute, firsts, work)
}

// countWaiting counts the alerts of an integration key that wait for their first notice, and those of each rule if they
// are many. If not firsts, none is of the kind Firsts and due.
func (t *tx) countWaiting(key string, until int64, minute int, firsts bool, work *alerting.LaneWork) error {
	if minute <= 0 {
		return nil
	}
	err := t.each(func(r *row) { work.Waiting = r.int() }, `
		SELECT (SELECT count(*) FROM (SELECT 1 FROM alert WHERE `+firstsDue+` LIMIT ?3 + 0)) +
		       (SELECT count(*) FROM (SELECT 1 FROM alert WHERE integration_key = ?1 AND pending = 1 AND storm = 1 LIMIT ?3 + 0))`,
		key, until, minute+1)
	if err != nil || work.Waiting <= minute || !firsts {
		return err
	}
	return t.each(func(r *row) {
		work.Rules = append(work.Rules, alerting.RuleBacklog{Rule: r.text(), N: r.int(), Priority: r.int()})
	}, `SELECT rule, count(*), min(turn / 3) FROM alert WHERE `+firstsDue+` AND rule <> '' GROUP BY rule ORDER BY rule`, key, until)
}
