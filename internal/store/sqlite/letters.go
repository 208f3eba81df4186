package sqlite

import (
	"context"
	"encoding/json"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
)

const letterColumns = `id, filter, topic, payload, properties, received_at, died_at, reason, tries, retry, kept,
	kind, integration_key, folded_key, event_type, overtaken_by`

func scanLetter(r *row) *alerting.Letter {
	return &alerting.Letter{
		ID: r.int64(), Filter: r.text(), Topic: r.text(), Payload: r.blob(), Properties: alerting.Properties(r.text()).List(),
		ReceivedAt: r.time(), DiedAt: r.time(), Reason: r.text(), Tries: r.int(), Retry: r.bool(), Kept: r.text(),
		Kind: alerting.Kind(r.text()), Alert: alerting.AlertID{Integration: r.key(), Folded: r.text()},
		EventType: r.eventType(), OvertakenBy: r.eventType(),
	}
}

func (t *tx) loadLetters(keys *alerting.Keys, rows *alerting.Rows) error {
	return eachOf(t, func(r *row) {
		l := scanLetter(r)
		mapIn(&rows.Letters)[l.ID] = l
	}, `SELECT `+letterColumns+` FROM dead_letter WHERE id IN (LIST)`, keys.Letters)
}

func (t *tx) saveLetters(c *alerting.Changes) error {
	err := eachOf(t, func(r *row) { t.grow(letters, -1, -r.int64()) }, `DELETE FROM dead_letter WHERE id IN (LIST) RETURNING bytes`, c.NoLetters)
	if err != nil {
		return err
	}
	if err := t.overtake(c.Overtaken); err != nil {
		return err
	}
	for _, l := range c.Letters {
		if l.ID == 0 {
			err = t.addLetter(l)
		} else {
			err = t.exec(`UPDATE dead_letter SET reason = ?, died_at = ?, retry = ?, kept = ? WHERE id = ?`, l.Reason, millis(l.DiedAt), l.Retry, l.Kept, l.ID)
		}
		if err != nil {
			return err
		}
	}
	return execOf(t, `UPDATE dead_letter SET retry = 1 WHERE id IN (LIST)`, c.Retry)
}

func (t *tx) addLetter(l *alerting.Letter) (err error) {
	properties, err := propertiesText(l.Properties)
	if err != nil {
		return err
	}
	t.grow(letters, 1, l.Bytes())
	l.ID, err = t.insert(`INSERT INTO dead_letter (`+letterColumns+`) VALUES (NULL,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`,
		l.Filter, l.Topic, blob(l.Payload), properties, millis(l.ReceivedAt), millis(l.DiedAt), l.Reason, l.Tries, l.Retry, l.Kept,
		string(l.Kind), l.Alert.Integration.Text(), l.Alert.Folded, string(l.EventType), string(l.OvertakenBy))
	return err
}

// overtake marks the dead letters of the outbox that later events contradict.
func (t *tx) overtake(all []alerting.Overtaking) error {
	if len(all) == 0 {
		return nil
	}
	some := false // a store rarely has such letters
	err := t.each(func(r *row) { some = r.bool() }, `SELECT EXISTS (SELECT 1 FROM dead_letter WHERE kind = 'send' AND folded_key <> '')`)
	if err != nil || !some {
		return err
	}
	for _, o := range all {
		for _, earlier := range o.Contradict {
			err := t.exec(`
				UPDATE dead_letter SET overtaken_by = ?
				WHERE kind = 'send' AND folded_key <> '' AND integration_key = ? AND folded_key = ? AND event_type = ?`,
				string(o.By), o.Alert.Integration.Text(), o.Alert.Folded, string(earlier))
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// whereLetters returns the conditions and the order of a query for dead letters.
func whereLetters(which *alerting.LetterQuery) (where conditions, order string, err error) {
	if len(which.IDs) > 0 {
		ids, err := json.Marshal(which.IDs)
		if err != nil {
			return where, "", err
		}
		where.add("id IN (SELECT value FROM json_each(?))", string(ids))
	}
	where.text("filter = ?", which.Filter)
	where.text("topic = ?", which.Topic)
	where.text("instr(lower(reason), lower(?)) > 0", which.Reason)
	where.before("died_at < ?", which.Before)
	if which.Retry {
		where.add("retry = 1")
	}
	if which.After > 0 {
		where.add("id > ?", which.After)
	}
	if which.UpTo > 0 {
		where.add("id <= ?", which.UpTo)
	}
	if order = "id"; which.Oldest {
		order = "died_at, id"
	}
	return where, order, nil
}

// FindLetters returns what the engine needs to purge the chosen dead letters.
func (t *tx) FindLetters(_ context.Context, which alerting.LetterQuery) (found []alerting.Stored, err error) {
	if !which.ChoosesLetters() {
		return nil, nil
	}
	where, order, err := whereLetters(&which)
	if err != nil {
		return nil, err
	}
	err = t.each(func(r *row) {
		found = append(found, alerting.Stored{ID: r.int64(), Filter: r.text(), Retry: r.bool(), Bytes: r.int64()})
	}, `SELECT id, filter, retry, bytes FROM dead_letter`+where.limit(order, which.Limit), where.args...)
	return found, err
}

// Letters returns the chosen dead letters.
func (s *Store) Letters(ctx context.Context, which alerting.LetterQuery) (found []alerting.Letter, err error) {
	if !which.ChoosesLetters() {
		return nil, nil
	}
	where, order, err := whereLetters(&which)
	if err != nil {
		return nil, err
	}
	err = s.view(ctx, func(t *tx) error {
		return t.each(func(r *row) { found = append(found, *scanLetter(r)) },
			`SELECT `+letterColumns+` FROM dead_letter`+where.limit(order, which.Limit), where.args...)
	})
	return found, err
}

// propertiesText returns the text of alerting.Properties.
func propertiesText(all []decision.Property) (string, error) {
	if len(all) == 0 {
		return "", nil
	}
	text, err := json.Marshal(all)
	return string(text), err
}
