package sqlite

import (
	"context"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/ilert"
)

// itemColumns holds the columns of an outbox item. Column unproven is the size of the item if its integration key is
// unproven, else 0.
const itemColumns = `id, integration_key, folded_key, path, body, event_type, queued_at, unproven, claimed, tries, next_try,
	filter, topic, payload, received_at, properties`

func scanItem(r *row) *alerting.OutboxItem {
	return &alerting.OutboxItem{
		ID: r.int64(), Alert: alerting.AlertID{Integration: r.key(), Folded: r.text()}, Path: r.text(), Body: r.text(), EventType: r.eventType(),
		QueuedAt: r.time(), Unproven: r.bool(), Claimed: r.bool(), Tries: r.int(), NextTry: r.time(),
		Cause: scanCause(r),
	}
}

func (t *tx) loadOutbox(keys *alerting.Keys, rows *alerting.Rows) error {
	return eachOf(t, func(r *row) {
		item := scanItem(r)
		mapIn(&rows.Outbox)[item.ID] = item
	}, `SELECT `+itemColumns+` FROM outbox WHERE id IN (LIST)`, keys.Outbox)
}

func (t *tx) loadBehind(keys *alerting.Keys, rows *alerting.Rows) error {
	for _, ref := range keys.Behind {
		var types []ilert.Type
		err := t.each(func(r *row) { types = append(types, r.eventType()) }, `
			SELECT event_type FROM (SELECT id, event_type, folded_key FROM outbox WHERE integration_key = ? AND id > ? ORDER BY id LIMIT 1000)
			WHERE folded_key = ? AND folded_key <> '' ORDER BY id`, ref.Alert.Integration.Text(), ref.ID, ref.Alert.Folded)
		if err != nil {
			return err
		}
		mapIn(&rows.Behind)[ref] = types
	}
	return nil
}

func (t *tx) loadProven(keys *alerting.Keys, rows *alerting.Rows) error {
	of := map[string]ilert.IntegrationKey{}
	var fingerprints []string
	for _, key := range keys.Proven {
		mapIn(&rows.Proven)[key] = false
		fingerprint := key.Fingerprint()
		of[fingerprint] = key
		fingerprints = append(fingerprints, fingerprint)
	}
	return eachOf(t, func(r *row) { rows.Proven[of[r.text()]] = true }, `SELECT fingerprint FROM proven_key WHERE fingerprint IN (LIST)`, fingerprints)
}

func (t *tx) saveOutbox(c *alerting.Changes) error {
	err := eachOf(t, func(r *row) {
		t.touchLane(r.key())
		t.grow(outbox, -1, -r.int64())
		if unproven := r.int64(); unproven > 0 {
			t.grow(unprovenItems, -1, -unproven)
		}
	}, `DELETE FROM outbox WHERE id IN (LIST) RETURNING integration_key, bytes, unproven`, c.NoOutbox)
	if err != nil {
		return err
	}
	for _, item := range c.Outbox {
		t.touchLane(item.Alert.Integration)
		if item.ID == 0 {
			err = t.addItem(item)
		} else {
			err = t.exec(`UPDATE outbox SET claimed = ?, tries = ?, next_try = ? WHERE id = ?`, item.Claimed, item.Tries, millis(item.NextTry), item.ID)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) addItem(item *alerting.OutboxItem) (err error) {
	bytes := item.Bytes() // an INSERT that returns the column bytes takes three times as long
	t.grow(outbox, 1, bytes)
	unproven := int64(0)
	if item.Unproven {
		unproven = bytes
		t.grow(unprovenItems, 1, bytes)
	}
	item.ID, err = t.insert(`INSERT INTO outbox (`+itemColumns+`) VALUES (NULL,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`,
		item.Alert.Integration.Text(), item.Alert.Folded, item.Path, item.Body, string(item.EventType), millis(item.QueuedAt),
		unproven, item.Claimed, item.Tries, millis(item.NextTry),
		item.Cause.Filter, item.Cause.Topic, blob(item.Cause.Payload), millis(item.Cause.ReceivedAt), string(item.Cause.Properties))
	return err
}

func (t *tx) saveProven(c *alerting.Changes) error {
	for key, at := range c.Proven {
		if err := t.exec(`UPDATE lane SET unproven = 0 WHERE integration_key = ?`, key.Text()); err != nil {
			return err
		}
		if err := t.exec(`INSERT OR IGNORE INTO proven_key (fingerprint, at) VALUES (?, ?)`, key.Fingerprint(), millis(at)); err != nil {
			return err
		}
		var items, bytes int64
		err := t.each(func(r *row) { items, bytes = r.int64(), r.int64() },
			`SELECT count(*), coalesce(sum(unproven), 0) FROM outbox WHERE integration_key = ? AND unproven > 0`, key.Text())
		if err != nil {
			return err
		}
		if items == 0 {
			continue
		}
		t.grow(unprovenItems, -items, -bytes)
		if err := t.exec(`UPDATE outbox SET unproven = 0 WHERE integration_key = ? AND unproven > 0`, key.Text()); err != nil {
			return err
		}
	}
	if c.MaxProven == 0 {
		return nil
	}
	return t.exec(`
		DELETE FROM proven_key WHERE fingerprint IN (SELECT fingerprint FROM proven_key ORDER BY at DESC, fingerprint LIMIT -1 OFFSET ?)`, c.MaxProven)
}

// FindOutbox returns the chosen outbox items.
func (t *tx) FindOutbox(_ context.Context, which alerting.OutboxQuery) (found []alerting.Stored, err error) {
	var where conditions
	where.text("filter = ?", which.Filter)
	where.text("topic = ?", which.Topic)
	where.before("queued_at < ?", which.Before)
	if which.Key != nil {
		where.add("integration_key = ?", which.Key.Text())
	}
	if which.UpTo > 0 {
		where.add("id <= ?", which.UpTo)
	}
	if which.Proven {
		where.add("unproven = 0 AND claimed = 0")
	}
	index := ""
	if which.Unproven {
		where.add("unproven > 0")
		if which.Key == nil {
			index = " INDEXED BY outbox_unproven" // SQLite would otherwise read all items in their order
		}
	}
	err = t.each(func(r *row) {
		found = append(found, alerting.Stored{ID: r.int64(), Filter: r.text(), Key: r.key(), Unproven: r.bool(), Bytes: r.int64()})
	}, `SELECT id, filter, integration_key, unproven, bytes FROM outbox`+index+where.limit("id", which.Limit), where.args...)
	return found, err
}
