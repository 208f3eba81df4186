package sqlite

import (
	"encoding/json"

	"github.com/mps-events/mps-events/internal/alerting"
)

const awaitedColumns = `rule, grp, state, expected, heard, after, at_least, age, integration_key, alert_key, body, unless, repeat, count`

// saveAwaited writes the groups that rules wait for, and the listened time.
func (t *tx) saveAwaited(c *alerting.Changes) error {
	for rule, names := range groupsOf(c.NoAwaited) {
		if err := execOf(t, `DELETE FROM awaited WHERE rule = ? AND grp IN (LIST)`, names, rule); err != nil {
			return err
		}
	}
	for _, a := range c.Awaited {
		count := ""
		if a.Count != nil {
			text, err := json.Marshal(a.Count)
			if err != nil {
				return err
			}
			count = string(text)
		}
		err := t.exec(`INSERT OR REPLACE INTO awaited (`+awaitedColumns+`) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)`,
			a.ID.Rule, a.ID.Group, int(a.State), a.Expected, a.Heard.Milliseconds(), a.After.Milliseconds(), a.AtLeast, a.Age.Milliseconds(),
			a.Integration.Text(), a.AlertKey, a.Body, a.Unless, a.Repeat.Milliseconds(), count)
		if err != nil {
			return err
		}
	}
	if l := c.Listening; l != nil {
		return t.exec(`UPDATE listening SET clock = ?, grace = ?, at = ?`, l.Clock.Milliseconds(), l.Grace.Milliseconds(), millis(l.At))
	}
	return nil
}

func scanAwaited(r *row) *alerting.Awaited {
	a := &alerting.Awaited{
		ID: alerting.GroupID{Rule: r.text(), Group: r.text()}, State: alerting.AwaitedState(r.int()), Expected: r.bool(),
		Heard: r.duration(), After: r.duration(), AtLeast: r.int(), Age: r.duration(), Integration: r.key(), AlertKey: r.text(), Body: r.text(), Unless: r.text(), Repeat: r.duration(),
	}
	if text := r.text(); text != "" {
		a.Count = new(alerting.AwaitedCount)
		if err := json.Unmarshal([]byte(text), a.Count); err != nil {
			r.err = err
		}
	}
	return a
}

func (t *tx) recoverAwaited(m *alerting.Memory) error {
	names := map[string]string{} // the rows of a rule share its name, since they may be very many
	err := t.each(func(r *row) {
		a := scanAwaited(r)
		if _, known := names[a.ID.Rule]; !known {
			names[a.ID.Rule] = a.ID.Rule
		}
		a.ID.Rule = names[a.ID.Rule]
		m.Awaited = append(m.Awaited, a)
	}, `SELECT `+awaitedColumns+` FROM awaited ORDER BY rule, grp`)
	if err != nil {
		return err
	}
	return t.each(func(r *row) { m.Listening = alerting.Listening{Clock: r.duration(), Grace: r.duration(), At: r.time()} }, `SELECT clock, grace, at FROM listening`)
}
