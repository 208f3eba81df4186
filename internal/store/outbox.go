package store

import (
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/mps-events/mps-events/internal/rules"
)

// The outbox holds what is told just so, without a desired state: one request for each
// Send. Each integration key has a lane of its own, in which one waits for the one
// before it.

func (c *change) post(send rules.Send, o *origin) error {
	var a alert // whose message counts
	a.attribute(o)
	c.lane(send.IntegrationKey)
	return c.exec(`
		INSERT INTO outbox (integration_key, path, body, claimed, tries, next_try, filter, topic, payload, received_at, properties)
		VALUES (?, ?, ?, 0, 0, ?, ?, ?, coalesce(?, x''), ?, ?)`,
		send.IntegrationKey, send.Path, textOf(send.Event), millis(o.at), a.filter, a.topic, a.payload, millis(a.receivedAt), a.properties)
}

// headLetter returns the first letter of an integration key, or nil if it is not to be
// sent by now.
func (c *change) headLetter(integrationKey string, now time.Time) (*candidate, error) {
	head := candidate{single: true}
	n := &head.notice
	n.IntegrationKey = integrationKey
	var body string
	var properties properties
	var claimed bool
	var nextTry int64
	err := c.row(`
		SELECT id, path, body, tries, properties, claimed, next_try FROM outbox WHERE integration_key = ? ORDER BY id LIMIT 1`, integrationKey).
		Scan(&n.letter, &n.Path, &body, &n.Tries, &properties, &claimed, &nextTry)
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
	var receivedAt int64
	err := c.row(`DELETE FROM outbox WHERE id = ? RETURNING filter, topic, payload, received_at, properties`, id).
		Scan(&m.Filter, &m.Topic, &m.Payload, &receivedAt, &properties)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // settled before
	}
	if err != nil {
		return err
	}
	if answer.Result == Told {
		c.count.of(m.Filter).Delivered++
		return nil
	}
	c.count.of(m.Filter).Dead++
	m.ReceivedAt, m.Properties = timeOf(receivedAt), properties.list()
	return c.refuse(&m, answer)
}
