package sqlite

import (
	"context"

	"github.com/mps-events/mps-events/internal/alerting"
)

// dependents is the query for alerts that depend on an alert.
const dependents = `SELECT ` + alertColumns + ` FROM alert WHERE integration_key = ?1 AND folded_key IN (
	SELECT folded_key FROM dependency WHERE integration_key = ?1 AND on_key = ?2 AND folded_key > ?3 ORDER BY folded_key LIMIT ?4 + 0)
	ORDER BY folded_key`

// waiting is the query for all alerts that wait. It names the index, which has them in the right order.
const waiting = `SELECT ` + alertColumns + ` FROM alert INDEXED BY alert_due
	WHERE pending = 1 AND claimed = 0 AND (integration_key, turn, next_try, rule, folded_key) > (?, ?, ?, ?, ?)
	ORDER BY integration_key, turn, next_try, rule, folded_key LIMIT ? + 0`

// FindWaiting returns alerts that wait.
func (t *tx) FindWaiting(_ context.Context, queries []alerting.WaitingQuery) ([][]*alerting.Alert, error) {
	all := make([][]*alerting.Alert, len(queries))
	for i, q := range queries {
		scan := func(r *row) { all[i] = append(all[i], scanAlert(r)) }
		var err error
		switch after := q.After; {
		case q.DependsOn != (alerting.AlertID{}):
			folded := ""
			if after != nil {
				folded = after.ID.Folded
			}
			err = t.each(scan, dependents, q.DependsOn.Integration.Text(), q.DependsOn.Folded, folded, q.Limit)
		case after == nil:
			err = t.each(scan, waiting, "", -never, 0, "", "", q.Limit)
		default:
			err = t.each(scan, waiting, after.ID.Integration.Text(), int(after.Class()), millis(after.NextTry), after.Rule, after.ID.Folded, q.Limit)
		}
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// saveDependencies writes on which alerts those depend that have changed.
func (t *tx) saveDependencies(c *alerting.Changes) error {
	if len(c.NoAlerts)+len(c.Alerts) == 0 {
		return nil
	}
	some := false // many rule files make none
	if err := t.each(func(r *row) { some = r.bool() }, `SELECT EXISTS (SELECT 1 FROM dependency)`); err != nil {
		return err
	}
	if some {
		changed := c.NoAlerts[:len(c.NoAlerts):len(c.NoAlerts)]
		for _, a := range c.Alerts {
			changed = append(changed, a.ID)
		}
		for key, folded := range foldedOf(changed) {
			if err := execOf(t, `DELETE FROM dependency WHERE integration_key = ? AND folded_key IN (LIST)`, folded, key.Text()); err != nil {
				return err
			}
		}
	}
	for _, a := range c.Alerts {
		for _, key := range a.DependsOn() {
			err := t.exec(`INSERT INTO dependency (integration_key, on_key, folded_key) VALUES (?, ?, ?)`, a.ID.Integration.Text(), key, a.ID.Folded)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *tx) recoverHolds(m *alerting.Memory) (err error) {
	if m.Silences, err = t.silences(); err != nil {
		return err
	}
	return t.each(func(r *row) {
		m.DependedOn = append(m.DependedOn, alerting.AlertID{Integration: r.key(), Folded: r.text()})
	}, `SELECT DISTINCT integration_key, on_key FROM dependency ORDER BY integration_key, on_key`)
}

func (t *tx) silences() (all []alerting.Silence, err error) {
	err = t.each(func(r *row) {
		all = append(all, alerting.Silence{ID: r.int64(), Pattern: r.text(), Comment: r.text(), Creator: r.text(), CreatedAt: r.time(), EndsAt: r.time()})
	}, `SELECT id, pattern, comment, creator, created_at, ends_at FROM silence ORDER BY id`)
	return all, err
}

// loadOrders reads what people have asked for.
func (t *tx) loadOrders(keys *alerting.Keys, rows *alerting.Rows) (err error) {
	if !keys.Orders {
		return nil
	}
	if rows.Silences, err = t.silences(); err != nil {
		return err
	}
	rows.Closings = nil
	return t.each(func(r *row) {
		rows.Closings = append(rows.Closings, alerting.Closing{
			ID: r.int64(), Alert: alerting.AlertID{Integration: r.key(), Folded: r.text()}, Creator: r.text(),
		})
	}, `SELECT id, integration_key, folded_key, creator FROM closing ORDER BY id`)
}

func (t *tx) saveOrders(c *alerting.Changes) (err error) {
	if err := execOf(t, `DELETE FROM silence WHERE id IN (LIST)`, c.NoSilences); err != nil {
		return err
	}
	for _, s := range c.Silences {
		if s.ID != 0 {
			err = t.exec(`UPDATE silence SET ends_at = ? WHERE id = ?`, millis(s.EndsAt), s.ID)
		} else {
			s.ID, err = t.insert(`INSERT INTO silence (id, pattern, comment, creator, created_at, ends_at) VALUES (NULL,?,?,?,?,?)`,
				s.Pattern, s.Comment, s.Creator, millis(s.CreatedAt), millis(s.EndsAt))
		}
		if err != nil {
			return err
		}
	}
	if err := execOf(t, `DELETE FROM closing WHERE id IN (LIST)`, c.NoClosings); err != nil {
		return err
	}
	for _, order := range c.Closings {
		err := t.exec(`INSERT INTO closing (id, integration_key, folded_key, creator) VALUES (NULL,?,?,?)`,
			order.Alert.Integration.Text(), order.Alert.Folded, order.Creator)
		if err != nil {
			return err
		}
	}
	return nil
}
