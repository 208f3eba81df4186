package store

import (
	"database/sql"
	"errors"
	"time"
)

// The outbox holds what is told just so, without a desired state: one request for each
// message. Each integration key has a lane of its own, in which one waits for the one
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

func (c *change) post(m *Message) error {
	_, err := c.tx.ExecContext(c.ctx, `
		INSERT INTO outbox (integration_key, path, body, claimed, tries, next_try, filter, topic, payload, received_at)
		VALUES (?, ?, ?, 0, 0, ?, ?, ?, coalesce(?, x''), ?)`,
		m.IntegrationKey, m.Path, m.Body, m.ReceivedAt.UnixMilli(), m.Filter, m.Topic, m.Payload, m.ReceivedAt.UnixMilli())
	return err
}

// dueLetters claims up to most letters that are to be sent by now.
func (c *change) dueLetters(now time.Time, most int) ([]Notice, error) {
	rows, err := c.tx.QueryContext(c.ctx, heads+`
		SELECT id, integration_key, path, body, tries FROM outbox
		WHERE id IN head AND claimed = 0 AND next_try <= ?
		ORDER BY next_try, id LIMIT ?`, now.UnixMilli(), most)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var due []Notice
	for rows.Next() {
		var n Notice
		if err := rows.Scan(&n.letter, &n.IntegrationKey, &n.Path, &n.Body, &n.Tries); err != nil {
			return nil, err
		}
		due = append(due, n)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	for _, n := range due {
		if _, err := c.tx.ExecContext(c.ctx, `UPDATE outbox SET claimed = 1 WHERE id = ?`, n.letter); err != nil {
			return nil, err
		}
	}
	return due, nil
}

// settleLetter takes in what became of a letter.
func (c *change) settleLetter(answer *Answer) error {
	id := answer.Notice.letter
	if answer.Result == Unknown || answer.Result == NotTold {
		_, err := c.tx.ExecContext(c.ctx, `UPDATE outbox SET claimed = 0, tries = tries + 1, next_try = ? WHERE id = ?`, answer.Retry.UnixMilli(), id)
		return err
	}
	m := Message{Reason: answer.Reason, Tries: answer.Notice.Tries + 1}
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
	m.ReceivedAt = time.UnixMilli(receivedAt)
	return c.bury(&m, answer.At)
}
