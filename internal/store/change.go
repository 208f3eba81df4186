package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// change is one transaction. It reads each row once, however many messages touch
// it, and writes what has changed at its end.
type change struct {
	ctx   context.Context
	tx    *sql.Tx
	rows  map[key]*alert // nil: known not to be there
	dirty map[key]struct{}
	count fates
}

func (s *Store) change(ctx context.Context, do func(*change) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it has nothing to do
	c := &change{ctx: ctx, tx: tx, rows: map[key]*alert{}, dirty: map[key]struct{}{}, count: fates{}}
	if err := do(c); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err := c.flush(); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

const columns = `integration_key, folded_key, alert_key, desired, told, told_at, summary, details, priority, version, pending, claimed, tries, next_try, filter, topic, payload, received_at`

func scan(row interface{ Scan(...any) error }) (*alert, error) {
	var a alert
	var toldAt, nextTry, receivedAt int64
	err := row.Scan(&a.key.integration, &a.key.folded, &a.alertKey, &a.desired, &a.told, &toldAt, &a.summary, &a.details,
		&a.priority, &a.version, &a.pending, &a.claimed, &a.tries, &nextTry, &a.filter, &a.topic, &a.payload, &receivedAt)
	a.toldAt, a.nextTry, a.receivedAt = time.UnixMilli(toldAt), time.UnixMilli(nextTry), time.UnixMilli(receivedAt)
	return &a, err
}

// load returns the alert of that key, or nil.
func (c *change) load(k key) (*alert, error) {
	if a, known := c.rows[k]; known {
		return a, nil
	}
	a, err := scan(c.tx.QueryRowContext(c.ctx, `SELECT `+columns+` FROM alert WHERE integration_key = ? AND folded_key = ?`, k.integration, k.folded))
	if errors.Is(err, sql.ErrNoRows) {
		a, err = nil, nil
	}
	if err != nil {
		return nil, err
	}
	c.rows[k] = a
	return a, nil
}

// priorities in their order. Asked for one by one, the index has what is due of each at
// its front, however much waits for later.
var priorities = []string{"HIGH", "LOW", ""}

func (c *change) due(now time.Time, most int) (due []*alert, err error) {
	for _, priority := range priorities {
		of, err := c.dueOf(priority, now, most-len(due))
		if due = append(due, of...); err != nil || len(due) == most {
			return due, err
		}
	}
	return due, nil
}

func (c *change) dueOf(priority string, now time.Time, most int) ([]*alert, error) {
	rows, err := c.tx.QueryContext(c.ctx, `
		SELECT `+columns+` FROM alert
		WHERE pending = 1 AND claimed = 0 AND priority = ? AND next_try <= ?
		ORDER BY next_try LIMIT ?`, priority, now.UnixMilli(), most)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var due []*alert
	for rows.Next() {
		a, err := scan(rows)
		if err != nil {
			return nil, err
		}
		due = append(due, a)
	}
	return due, rows.Err()
}

func (c *change) keep(a *alert) {
	c.rows[a.key] = a
	c.dirty[a.key] = struct{}{}
}

func (c *change) forget(k key) {
	c.rows[k] = nil
	c.dirty[k] = struct{}{}
}

func (c *change) flush() error {
	for k := range c.dirty {
		a := c.rows[k]
		var err error
		if a == nil {
			_, err = c.tx.ExecContext(c.ctx, `DELETE FROM alert WHERE integration_key = ? AND folded_key = ?`, k.integration, k.folded)
		} else {
			_, err = c.tx.ExecContext(c.ctx, `INSERT OR REPLACE INTO alert (`+columns+`) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,coalesce(?, x''),?)`,
				a.key.integration, a.key.folded, a.alertKey, a.desired, a.told, a.toldAt.UnixMilli(), a.summary, a.details,
				a.priority, a.version, a.pending, a.claimed, a.tries, a.nextTry.UnixMilli(),
				a.filter, a.topic, a.payload, a.receivedAt.UnixMilli())
		}
		if err != nil {
			return err
		}
	}
	for filter, t := range c.count {
		// What leaves a fate is counted down: the conversion makes a number below zero of
		// what has wrapped round.
		_, err := c.tx.ExecContext(c.ctx, `
			INSERT INTO tally (filter, received, ignored, merged, delivered, dead, purged) VALUES (?,?,?,?,?,?,?)
			ON CONFLICT (filter) DO UPDATE SET
				received = received + excluded.received, ignored = ignored + excluded.ignored,
				merged = merged + excluded.merged, delivered = delivered + excluded.delivered,
				dead = dead + excluded.dead, purged = purged + excluded.purged`,
			filter, int64(t.Received), int64(t.Ignored), int64(t.Merged), int64(t.Delivered), int64(t.Dead), int64(t.Purged))
		if err != nil {
			return err
		}
	}
	return nil
}
