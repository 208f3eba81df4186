package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
)

// An integration key that a message brought is unproven until ilert has taken an event by it:
// anybody who reaches the port or the broker can make one up. What waits for such keys is
// bounded, the oldest is purged first.
const (
	maxUnproven      = 10_000
	maxUnprovenBytes = 64 << 20
	maxUnprovenAge   = 24 * time.Hour
	// maxProven is the number of proven keys that are remembered.
	maxProven = 10_000
)

// unproven holds the knowledge of a transaction about unproven keys.
type unproven struct {
	known map[ilert.IntegrationKey]bool
	added bool // outbox items for some
}

// isUnproven reports whether a message brought the key and ilert has never taken it.
func (c *change) isUnproven(k ilert.IntegrationKey) (is bool, err error) {
	if _, literal := k.Literal(); !literal {
		return false, nil
	}
	is, known := c.unproven.known[k]
	if known {
		return is, nil
	}
	err = c.row(`SELECT NOT EXISTS (SELECT 1 FROM proven_key WHERE fingerprint = ?)`, k.Fingerprint()).Scan(&is)
	c.unproven.known[k] = is
	return is, err
}

// prove notes that ilert has taken an event by a key.
func (c *change) prove(k ilert.IntegrationKey, at time.Time) error {
	is, err := c.isUnproven(k)
	if err != nil || !is {
		return err
	}
	c.unproven.known[k] = false
	return errors.Join(
		c.exec(`INSERT OR IGNORE INTO proven_key (fingerprint, at) VALUES (?, ?)`, k.Fingerprint(), millis(at)),
		c.exec(`UPDATE outbox SET unproven = 0 WHERE integration_key = ? AND unproven > 0`, k))
}

// boundUnproven purges the oldest outbox items of unproven keys if there are too many.
func (c *change) boundUnproven() error {
	if !c.unproven.added {
		return nil
	}
	c.unproven.added = false
	var n, bytes int
	err := c.row(`SELECT count(*), coalesce(sum(unproven), 0) FROM outbox WHERE unproven > 0`).Scan(&n, &bytes)
	if err != nil || n <= maxUnproven && bytes <= maxUnprovenBytes {
		return err
	}
	purged, err := c.purgeOutbox(`
		id IN (SELECT id FROM (
			SELECT id, row_number() OVER newest AS n, sum(unproven) OVER newest AS bytes
			FROM outbox WHERE unproven > 0 WINDOW newest AS (ORDER BY queued_at DESC, id DESC ROWS UNBOUNDED PRECEDING))
		WHERE n > ? OR bytes > ?)`, maxUnproven, maxUnprovenBytes)
	c.overflow.Waiting += purged
	return err
}

// pruneUnproven purges outbox items of unproven keys that are too old, and forgets the
// proven keys that are too many.
func (c *change) pruneUnproven(now time.Time) error {
	purged, err := c.purgeOutbox(`unproven > 0 AND queued_at <= ?`, millis(now.Add(-maxUnprovenAge)))
	c.overflow.Waiting += purged
	return errors.Join(err, c.exec(`
		DELETE FROM proven_key WHERE fingerprint IN (SELECT fingerprint FROM proven_key ORDER BY at DESC LIMIT -1 OFFSET ?)`, maxProven))
}

// purgeOutbox throws outbox items away, counts them as purged and returns how many.
func (c *change) purgeOutbox(where string, args ...any) (n int64, err error) {
	err = c.each(func(rows *sql.Rows) error {
		var filter string
		var k ilert.IntegrationKey
		var bytes int64
		err := rows.Scan(&filter, &k, &bytes)
		c.shrink(outbox, bytes)
		c.count.of(filter).Purged++
		c.lane(k)
		n++
		return err
	}, `DELETE FROM outbox WHERE `+where+` RETURNING filter, integration_key, bytes`, args...)
	return n, err
}

// WaitingKey is an integration key that a message brought, for which outbox items wait that
// ilert did not take.
type WaitingKey struct {
	Key      ilert.IntegrationKey
	Unproven bool // ilert has never taken it
	Items    int
	Tries    int // requests for the first of them
	Since    time.Time
	Topic    string // of the first message
}

// WaitingKeys returns the integration keys of messages for which chosen outbox items wait that
// ilert has refused or that are unproven, the longest first. It asks of which only Filter,
// Topic, Before, which is when they were queued, and Keys.
func (s *Store) WaitingKeys(ctx context.Context, which Letters) ([]WaitingKey, error) {
	if !which.choosesWaiting() {
		return nil, nil
	}
	where, args := which.whereWaiting()
	rows, err := s.reader().QueryContext(ctx, `
		SELECT integration_key, max(unproven) > 0, count(*), max(tries), min(queued_at), min(topic)
		FROM outbox WHERE `+where+` GROUP BY integration_key HAVING max(unproven) > 0 OR max(tries) > 0 ORDER BY min(queued_at), integration_key`, args...)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	defer rows.Close()
	var all []WaitingKey
	for rows.Next() {
		var k WaitingKey
		var since int64
		if err := rows.Scan(&k.Key, &k.Unproven, &k.Items, &k.Tries, &since, &k.Topic); err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
		k.Since = timeOf(since)
		if which.names(k.Key) {
			all = append(all, k)
		}
	}
	return all, rows.Err()
}

// Idle returns those of some integration keys for which nothing waits or is under way.
func (s *Store) Idle(ctx context.Context, keys []ilert.IntegrationKey) (idle []ilert.IntegrationKey, err error) {
	for _, k := range keys {
		var waits bool
		err := s.reader().QueryRowContext(ctx, `
			SELECT EXISTS (SELECT 1 FROM lane WHERE integration_key = ?1) OR EXISTS (SELECT 1 FROM outbox WHERE integration_key = ?1)
				OR EXISTS (SELECT 1 FROM alert WHERE integration_key = ?1 AND claimed = 1)`, k).Scan(&waits)
		if err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
		if !waits {
			idle = append(idle, k)
		}
	}
	return idle, nil
}
