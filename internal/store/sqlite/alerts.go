package sqlite

import (
	"strings"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/ilert"
)

const alertColumns = `integration_key, folded_key, alert_key, rule, windowed, grp, epoch, desired, told, told_at, body, priority,
	age_at, ends_at, said_at, said_by, version, pending, listing, claimed, tries, next_try, storm, size, untold, max_listed,
	unless, held_by, silence, filter, topic, payload, received_at, properties, ends_after, held_until, since, ended_at, ended_by, delay, heard`

func scanAlert(r *row) *alerting.Alert {
	return &alerting.Alert{
		ID: alerting.AlertID{Integration: r.key(), Folded: r.text()}, AlertKey: r.text(),
		Rule: r.text(), Windowed: r.bool(), Group: r.text(), Epoch: r.int64(),
		Desired: r.eventType(), Told: r.eventType(), ToldAt: r.time(), Body: r.text(), Priority: r.text(),
		AgeAt: r.time(), EndsAt: r.time(), Report: alerting.Report{At: r.time(), Source: r.text()},
		Version: r.int64(), Pending: r.bool(), Listing: r.bool(), Claimed: r.bool(), Tries: r.int(), NextTry: r.time(),
		Storm: alerting.StormRole(r.int()), Size: r.int(), Untold: r.int(), MaxListed: r.int(),
		Unless: r.text(), HeldBy: r.text(), Silence: r.int64(), Cause: scanCause(r), EndsAfter: r.duration(), EndHeldUntil: r.time(),
		Since: r.time(), EndedAt: r.time(), EndedBy: alerting.By(r.text()),
		Delay: r.duration(), Heard: r.duration(),
	}
}

func scanCause(r *row) alerting.Cause {
	return alerting.Cause{
		Filter: r.text(), Topic: r.text(), Payload: r.blob(), ReceivedAt: r.time(), Properties: alerting.Properties(r.text()),
	}
}

// foldedOf returns the folded alert keys by integration key: a statement is about the alerts of one integration key.
func foldedOf(ids []alerting.AlertID) map[ilert.IntegrationKey][]string {
	folded := map[ilert.IntegrationKey][]string{}
	for _, id := range ids {
		folded[id.Integration] = append(folded[id.Integration], id.Folded)
	}
	return folded
}

// addAlert adds an alert to rows, unless rows has it already.
func addAlert(a *alerting.Alert, rows *alerting.Rows) {
	if _, read := rows.Alerts[a.ID]; !read {
		mapIn(&rows.Alerts)[a.ID] = a
	}
}

// loadAlerts reads alerts, and the last reports about those that were deleted.
func (t *tx) loadAlerts(keys *alerting.Keys, rows *alerting.Rows) error {
	if len(keys.Alerts) == 0 {
		return nil
	}
	alerts := mapIn(&rows.Alerts)
	var unread, gone []alerting.AlertID
	for _, id := range keys.Alerts {
		if _, read := alerts[id]; !read {
			alerts[id] = nil
			unread = append(unread, id)
		}
	}
	for key, folded := range foldedOf(unread) {
		err := eachOf(t, func(r *row) {
			a := scanAlert(r)
			alerts[a.ID] = a
		}, `SELECT `+alertColumns+` FROM alert WHERE integration_key = ? AND folded_key IN (LIST)`, folded, key.Text())
		if err != nil {
			return err
		}
	}
	for _, id := range unread {
		if alerts[id] == nil {
			gone = append(gone, id)
		}
	}
	for key, folded := range foldedOf(gone) {
		err := eachOf(t, func(r *row) {
			mapIn(&rows.Ended)[alerting.AlertID{Integration: key, Folded: r.text()}] = alerting.Report{At: r.time(), Source: r.text()}
		}, `SELECT folded_key, at, source FROM ended WHERE integration_key = ? AND folded_key IN (LIST)`, folded, key.Text())
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) saveAlerts(c *alerting.Changes) error {
	for key, folded := range foldedOf(c.NoAlerts) {
		t.touchLane(key)
		if err := execOf(t, `DELETE FROM alert WHERE integration_key = ? AND folded_key IN (LIST)`, folded, key.Text()); err != nil {
			return err
		}
	}
	for _, a := range c.Alerts {
		t.touchLane(a.ID.Integration)
		t.epoch = max(t.epoch, a.Epoch)
		err := t.exec(insertAlert, a.ID.Integration.Text(), a.ID.Folded, a.AlertKey, a.Rule, a.Windowed, a.Group, a.Epoch,
			string(a.Desired), string(a.Told), millis(a.ToldAt), a.Body, a.Priority,
			millis(a.AgeAt), millis(a.EndsAt), millis(a.Report.At), a.Report.Source,
			a.Version, a.Pending, a.Listing, a.Claimed, a.Tries, millis(a.NextTry), int(a.Storm), a.Size, a.Untold, a.MaxListed,
			a.Unless, a.HeldBy, a.Silence, a.Cause.Filter, a.Cause.Topic, blob(a.Cause.Payload), millis(a.Cause.ReceivedAt), string(a.Cause.Properties),
			a.EndsAfter.Milliseconds(), millis(a.EndHeldUntil), millis(a.Since), millis(a.EndedAt), string(a.EndedBy),
			a.Delay.Milliseconds(), a.Heard.Milliseconds(), int(a.Class()))
		if err != nil {
			return err
		}
	}
	return t.saveDependencies(c)
}

// insertAlert is the statement that writes an alert. Column turn, the send class, comes last because no row is read
// with it.
var insertAlert = `INSERT OR REPLACE INTO alert (` + alertColumns + `, turn) VALUES (?` + strings.Repeat(",?", strings.Count(alertColumns, ",")+1) + `)`

func (t *tx) saveEnded(c *alerting.Changes) error {
	if !c.EndedBefore.IsZero() {
		if err := t.exec(`DELETE FROM ended WHERE at <= ?`, millis(c.EndedBefore)); err != nil {
			return err
		}
	}
	for id, report := range c.Ended {
		err := t.exec(`INSERT OR REPLACE INTO ended (integration_key, folded_key, at, source) VALUES (?, ?, ?, ?)`,
			id.Integration.Text(), id.Folded, millis(report.At), report.Source)
		if err != nil {
			return err
		}
	}
	return nil
}
