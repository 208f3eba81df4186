package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
)

// Pace holds the requests and waits that the next process must know to keep below the limits of ilert.
type Pace struct {
	Requests []time.Time // of the last minute, the oldest first
	Hold     time.Time   // ilert has asked for no request before; zero: it has not
}

// Paces returns the pace of each integration key that has made requests in the minute before
// a time, or has to wait then.
func (s *Store) Paces(ctx context.Context, now time.Time) (map[ilert.IntegrationKey]Pace, error) {
	paces := map[ilert.IntegrationKey]Pace{}
	err := s.change(ctx, func(c *change) error {
		err := c.each(func(rows *sql.Rows) error {
			var key ilert.IntegrationKey
			var at int64
			var n int
			err := rows.Scan(&key, &at, &n)
			p := paces[key]
			p.Requests = append(p.Requests, slices.Repeat([]time.Time{timeOf(at)}, n)...)
			paces[key] = p
			return err
		}, `SELECT integration_key, at, requests FROM request WHERE at > ? AND at <= ? ORDER BY at`, millis(now.Add(-time.Minute)), millis(now))
		return errors.Join(err, c.each(func(rows *sql.Rows) error {
			var key ilert.IntegrationKey
			var until int64
			err := rows.Scan(&key, &until)
			p := paces[key]
			p.Hold = timeOf(until)
			paces[key] = p
			return err
		}, `SELECT integration_key, until FROM hold WHERE until > ?`, millis(now)))
	})
	if err != nil {
		return nil, fmt.Errorf("the pace of requests: %w", err)
	}
	return paces, nil
}

// keepRequests keeps that requests go out now, and forgets those that count no more.
func (c *change) keepRequests(key ilert.IntegrationKey, now time.Time, n int) error {
	return errors.Join(
		c.exec(`DELETE FROM request WHERE at <= ?`, millis(now.Add(-time.Minute))),
		c.exec(`
			INSERT INTO request (integration_key, at, requests) VALUES (?, ?, ?)
			ON CONFLICT (integration_key, at) DO UPDATE SET requests = request.requests + excluded.requests`, key, millis(now), n))
}

// keepHold keeps until when an integration key has to wait, if it has.
func (c *change) keepHold(answer *Answer) error {
	if answer.Hold.IsZero() {
		return nil
	}
	return errors.Join(
		c.exec(`DELETE FROM hold WHERE until <= ?`, millis(answer.At)),
		c.exec(`
			INSERT INTO hold (integration_key, until) VALUES (?, ?)
			ON CONFLICT (integration_key) DO UPDATE SET until = max(hold.until, excluded.until)`, answer.Notice.IntegrationKey, millis(answer.Hold)))
}
