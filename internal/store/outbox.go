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

// heads are the first of each lane. SQLite steps from lane to lane by the index, however
// long they are.
const heads = `
	WITH RECURSIVE lane (integration_key) AS (
		SELECT min(integration_key) FROM outbox
		UNION ALL
		SELECT (SELECT min(integration_key) FROM outbox o WHERE o.integration_key > lane.integration_key)
		FROM lane WHERE lane.integration_key IS NOT NULL
	), head (id) AS (
		SELECT (SELECT min(id) FROM outbox o WHERE o.integration_key = lane.integration_key) FROM lane
	)`

func (c *change) post(send rules.Send, o *origin) error {
	var a alert // whose message counts
	a.attribute(o)
	return c.exec(`
		INSERT INTO outbox (integration_key, path, body, claimed, tries, next_try, filter, topic, payload, received_at, trace_parent)
		VALUES (?, ?, ?, 0, 0, ?, ?, ?, coalesce(?, x''), ?, ?)`,
		send.IntegrationKey, send.Path, textOf(send.Event), millis(o.at), a.filter, a.topic, a.payload, millis(a.receivedAt), a.traceParent)
}

// dueLetters claims up to most letters that are to be sent by now.
func (c *change) dueLetters(now time.Time, most int) (due []Notice, err error) {
	err = c.each(func(rows *sql.Rows) error {
		var n Notice
		var body string
		if err := rows.Scan(&n.letter, &n.IntegrationKey, &n.Path, &body, &n.Tries, &n.TraceParent); err != nil {
			return err
		}
		due = append(due, n)
		return json.Unmarshal([]byte(body), &due[len(due)-1].Event)
	}, heads+`
		SELECT id, integration_key, path, body, tries, trace_parent FROM outbox
		WHERE id IN head AND claimed = 0 AND next_try <= ?
		ORDER BY next_try, id LIMIT ?`, now.UnixMilli(), most)
	if err != nil {
		return nil, err
	}
	for _, n := range due {
		if err := c.exec(`UPDATE outbox SET claimed = 1 WHERE id = ?`, n.letter); err != nil {
			return nil, err
		}
	}
	return due, nil
}

// settleLetter takes in what became of a letter.
func (c *change) settleLetter(answer *Answer) error {
	id := answer.Notice.letter
	if answer.Result == Unknown || answer.Result == NotTold {
		return c.exec(`UPDATE outbox SET claimed = 0, tries = tries + 1, next_try = ? WHERE id = ?`, answer.Retry.UnixMilli(), id)
	}
	var m Message
	var receivedAt int64
	err := c.tx.QueryRowContext(c.ctx, `DELETE FROM outbox WHERE id = ? RETURNING filter, topic, payload, received_at`, id).
		Scan(&m.Filter, &m.Topic, &m.Payload, &receivedAt)
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
	m.ReceivedAt = timeOf(receivedAt)
	return c.refuse(&m, answer)
}
