package store

import (
	"context"
	"database/sql"
	"fmt"
)

// fates counts what became of messages, for each topic filter.
type fates map[string]*Tally

// Tally counts messages. Received = Ignored + Duplicate + Merged + Delivered + Dead +
// Purged + Pending.
type Tally struct {
	Received  uint64 `json:"received"`
	Ignored   uint64 `json:"ignored"`   // had no effect on an alert
	Duplicate uint64 `json:"duplicate"` // has come before
	Merged    uint64 `json:"merged"`    // said what was told or waited already, or was overtaken before it was told
	Delivered uint64 `json:"delivered"` // ilert took it
	Dead      uint64 `json:"dead"`      // kept as a dead letter
	Purged    uint64 `json:"purged"`    // was a dead letter
	Pending   uint64 `json:"pending"`   // waits to be told
}

// of returns the counters of a filter. Nobody's are thrown away.
func (f fates) of(filter string) *Tally {
	t := f[filter]
	if t == nil {
		t = new(Tally)
		if filter != nobody {
			f[filter] = t
		}
	}
	return t
}

func (c *change) flushTallies() error {
	for filter, t := range c.count {
		// What leaves a fate is counted down: the conversion makes a number below zero of
		// what has wrapped round.
		err := c.exec(`
			INSERT INTO tally (filter, received, ignored, duplicate, merged, delivered, dead, purged) VALUES (?,?,?,?,?,?,?,?)
			ON CONFLICT (filter) DO UPDATE SET
				received = tally.received + excluded.received, ignored = tally.ignored + excluded.ignored,
				duplicate = tally.duplicate + excluded.duplicate,
				merged = tally.merged + excluded.merged, delivered = tally.delivered + excluded.delivered,
				dead = tally.dead + excluded.dead, purged = tally.purged + excluded.purged`,
			filter, int64(t.Received), int64(t.Ignored), int64(t.Duplicate), int64(t.Merged), int64(t.Delivered), int64(t.Dead), int64(t.Purged))
		if err != nil {
			return err
		}
	}
	clear(c.count)
	for rule, n := range c.matched {
		err := c.exec(`
			INSERT INTO rule_tally (rule, matched) VALUES (?, ?)
			ON CONFLICT (rule) DO UPDATE SET matched = rule_tally.matched + excluded.matched`, rule, int64(n))
		if err != nil {
			return err
		}
	}
	clear(c.matched)
	return nil
}

// Tallies returns the counters for each topic filter.
func (s *Store) Tallies(ctx context.Context) (map[string]Tally, error) { return tallies(ctx, s.db) }

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func tallies(ctx context.Context, db querier) (map[string]Tally, error) {
	rows, err := db.QueryContext(ctx, `
		SELECT filter, received, ignored, duplicate, merged, delivered, dead, purged,
		       (SELECT count(*) FROM alert WHERE pending = 1 AND alert.filter = tally.filter) +
		       (SELECT count(*) FROM outbox WHERE outbox.filter = tally.filter)
		FROM tally`)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	defer rows.Close()
	tallies := map[string]Tally{}
	for rows.Next() {
		var filter string
		var t Tally
		if err := rows.Scan(&filter, &t.Received, &t.Ignored, &t.Duplicate, &t.Merged, &t.Delivered, &t.Dead, &t.Purged, &t.Pending); err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
		tallies[filter] = t
	}
	return tallies, rows.Err()
}

// Matches returns how often each rule matched.
func (s *Store) Matches(ctx context.Context) (map[string]uint64, error) { return matches(ctx, s.db) }

func matches(ctx context.Context, db querier) (map[string]uint64, error) {
	rows, err := db.QueryContext(ctx, `SELECT rule, matched FROM rule_tally`)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	defer rows.Close()
	matches := map[string]uint64{}
	for rows.Next() {
		var rule string
		var n uint64
		if err := rows.Scan(&rule, &n); err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
		matches[rule] = n
	}
	return matches, rows.Err()
}
