package store

import (
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

// The outbox holds what is told just so, without a desired state: one request for each
// Send. Each integration key has a lane of its own, in which one waits for the one
// before it.

func (c *change) post(send decision.Send, o *origin) error {
	var a alert // whose message counts
	a.attribute(o)
	c.lane(send.IntegrationKey)
	k := keyOf(decision.Key{Integration: send.IntegrationKey, Alert: send.Event.AlertKey})
	if err := c.overtake(k, send.Event.EventType); err != nil {
		return err
	}
	body := textOf(send.Event)
	unproven, err := c.isUnproven(send.IntegrationKey)
	if err != nil {
		return err
	}
	size := len(body) + len(a.topic) + len(a.payload) + len(a.properties)
	if secret, literal := send.IntegrationKey.Literal(); literal {
		size += len(secret)
	}
	bytes := 0
	if unproven {
		bytes = size
		c.unproven.added = true
	}
	c.grow(outbox, size)
	return c.exec(`
		INSERT INTO outbox (integration_key, path, body, claimed, tries, next_try, filter, topic, payload, received_at, properties,
			folded_key, event_type, queued_at, unproven)
		VALUES (?, ?, ?, 0, 0, ?, ?, ?, coalesce(?, x''), ?, ?, ?, ?, ?, ?)`,
		send.IntegrationKey, send.Path, body, millis(o.at), a.filter, a.topic, a.payload, millis(a.receivedAt), a.properties,
		k.folded, send.Event.EventType, millis(o.arrived), bytes)
}

// contradicts returns the event types that say otherwise of an alert than another one.
func contradicts(t ilert.Type) (earlier []ilert.Type) {
	switch t {
	case ilert.Alert:
		return []ilert.Type{ilert.Resolve}
	case ilert.Resolve:
		return []ilert.Type{ilert.Alert, ilert.Accept}
	}
	return nil
}

// overtake marks the dead letters of the outbox that an event of their alert key contradicts,
// so that they are not sent after it.
func (c *change) overtake(k key, by ilert.Type) error {
	if c.sent == nil { // once a transaction: mostly there are none
		c.sent = new(bool)
		if err := c.row(`SELECT EXISTS (SELECT 1 FROM dead_letter WHERE kind = 'send' AND folded_key <> '')`).Scan(c.sent); err != nil {
			return err
		}
	}
	if !*c.sent || k.folded == "" {
		return nil
	}
	for _, earlier := range contradicts(by) {
		err := c.exec(`
			UPDATE dead_letter SET overtaken_by = ?
			WHERE kind = 'send' AND folded_key <> '' AND integration_key = ? AND folded_key = ? AND event_type = ?`, by, k.integration, k.folded, earlier)
		if err != nil {
			return err
		}
	}
	return nil
}

// overtaken returns the event type that waits behind a refused outbox item and contradicts it,
// if there is one among the next of its integration key.
func (c *change) overtaken(id int64, k key, refused ilert.Type) (by ilert.Type, err error) {
	const next = 1000
	err = c.each(func(rows *sql.Rows) error {
		var later ilert.Type
		err := rows.Scan(&later)
		if slices.Contains(contradicts(later), refused) {
			by = later
		}
		return err
	}, `
		SELECT event_type FROM (SELECT id, event_type, folded_key FROM outbox WHERE integration_key = ? AND id > ? ORDER BY id LIMIT ?)
		WHERE folded_key = ? AND folded_key <> '' ORDER BY id`, k.integration, id, next, k.folded)
	return by, err
}

// headLetter returns the first letter of an integration key, or nil if it is not to be
// sent by now.
func (c *change) headLetter(integrationKey ilert.IntegrationKey, now time.Time) (*candidate, error) {
	head := candidate{single: true}
	n := &head.notice
	n.IntegrationKey = integrationKey
	var body string
	var properties properties
	var claimed bool
	var nextTry int64
	err := c.row(`
		SELECT id, path, body, tries, properties, claimed, next_try, unproven > 0 FROM outbox WHERE integration_key = ? ORDER BY id LIMIT 1`, integrationKey).
		Scan(&n.letter, &n.Path, &body, &n.Tries, &properties, &claimed, &nextTry, &n.Unproven)
	if errors.Is(err, sql.ErrNoRows) || err == nil && (claimed || nextTry > now.UnixMilli()) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	head.due, n.TraceParent = timeOf(nextTry), properties.traceParent()
	return &head, json.Unmarshal([]byte(body), &n.Event)
}

func (c *change) claimLetter(n Notice) (Notice, error) {
	return n, c.exec(`UPDATE outbox SET claimed = 1 WHERE id = ?`, n.letter)
}

// settleLetter takes in what became of a letter.
func (c *change) settleLetter(answer *Answer) error {
	id := answer.Notice.letter
	if answer.Result == Unknown || answer.Result == NotTold {
		return c.exec(`UPDATE outbox SET claimed = 0, tries = tries + 1, next_try = ? WHERE id = ?`, answer.Retry.UnixMilli(), id)
	}
	var m Message
	var properties properties
	var receivedAt, bytes int64
	err := c.row(`DELETE FROM outbox WHERE id = ? RETURNING filter, topic, payload, received_at, properties, bytes`, id).
		Scan(&m.Filter, &m.Topic, &m.Payload, &receivedAt, &properties, &bytes)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // settled before
	}
	if err != nil {
		return err
	}
	c.shrink(outbox, bytes)
	n := &answer.Notice
	if answer.Result == Told {
		c.count.of(m.Filter).Delivered++
		return c.prove(n.IntegrationKey, answer.At)
	}
	c.count.of(m.Filter).Dead++
	m.ReceivedAt, m.Properties = timeOf(receivedAt), properties.list()
	return c.refuse(&m, keyOf(decision.Key{Integration: n.IntegrationKey, Alert: n.Event.AlertKey}), answer)
}
