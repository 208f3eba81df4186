package sqlite

import (
	"context"

	"github.com/mps-events/mps-events/internal/alerting"
)

const resolutionColumns = `integration_key, folded_key, alert_key, rule, storm, body, priority, since, at`

// FindResolutions returns the ends of alerts that come after one in the order of identities.
func (t *tx) FindResolutions(_ context.Context, after alerting.AlertID, limit int) (all []alerting.Resolution, err error) {
	err = t.each(func(r *row) {
		all = append(all, alerting.Resolution{
			ID: alerting.AlertID{Integration: r.key(), Folded: r.text()}, AlertKey: r.text(), Rule: r.text(), Storm: r.bool(),
			Body: r.text(), Priority: r.text(), Since: r.time(), At: r.time(),
		})
	}, `SELECT `+resolutionColumns+` FROM resolution
		WHERE (integration_key, folded_key) > (?, ?) ORDER BY integration_key, folded_key LIMIT ? + 0`, after.Integration.Text(), after.Folded, limit)
	return all, err
}

func (t *tx) saveResolutions(c *alerting.Changes) error {
	for key, folded := range foldedOf(c.NoResolutions) {
		if err := execOf(t, `DELETE FROM resolution WHERE integration_key = ? AND folded_key IN (LIST)`, folded, key.Text()); err != nil {
			return err
		}
	}
	if !c.ResolutionsBefore.IsZero() {
		if err := t.exec(`DELETE FROM resolution WHERE at <= ?`, millis(c.ResolutionsBefore)); err != nil {
			return err
		}
	}
	for _, one := range c.Resolutions {
		err := t.exec(`INSERT OR REPLACE INTO resolution (`+resolutionColumns+`) VALUES (?,?,?,?,?,?,?,?,?)`, one.ID.Integration.Text(), one.ID.Folded,
			one.AlertKey, one.Rule, one.Storm, one.Body, one.Priority, millis(one.Since), millis(one.At))
		if err != nil {
			return err
		}
	}
	return nil
}
