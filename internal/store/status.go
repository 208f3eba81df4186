package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Status is what the store holds at one moment.
type Status struct {
	Tallies map[string]Tally  // by topic filter
	Matches map[string]uint64 // how often each rule matched
	Open    uint64            // alerts that ilert knows as open
	Waiting uint64            // alerts that ilert is to be told of, now or after it did not take them
	Later   uint64            // alerts that wait for their time
	Claimed uint64            // alerts of which a request is under way
	// Oldest is since when what waits longest has waited; zero if nothing does. What was
	// not tried yet waits from its time on, and what was, from the arrival of its message.
	Oldest time.Time
	// Of the outbox items whose integration keys messages brought and ilert has never taken:
	// how many keys, how many items, and since when the oldest waits.
	UnprovenKeys, Unproven uint64
	OldestUnproven         time.Time
	// How much the dead letters and the outbox hold; see Bounds.
	LetterBytes, Outbox, OutboxBytes uint64
}

// reader is for who only reads, if there is one.
func (s *Store) reader() *sql.DB {
	if s.read != nil {
		return s.read
	}
	return s.db
}

// Status counts what the store holds, as of a time. It reads beside the work and holds
// up none of it.
func (s *Store) Status(ctx context.Context, now time.Time) (Status, error) {
	var all Status
	tx, err := s.reader().BeginTx(ctx, nil)
	if err != nil {
		return all, fmt.Errorf("store: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing was changed
	if all.Tallies, err = tallies(ctx, tx); err != nil {
		return all, err
	}
	if all.Matches, err = matches(ctx, tx); err != nil {
		return all, err
	}
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM alert WHERE told IN ('ALERT', 'ACCEPT')`).Scan(&all.Open); err != nil {
		return all, fmt.Errorf("store: %w", err)
	}
	var alert, letter sql.NullInt64
	err = tx.QueryRowContext(ctx, `
		SELECT count(*) FILTER (WHERE claimed = 0 AND (tries > 0 OR next_try <= ?1)),
		       count(*) FILTER (WHERE claimed = 0 AND tries = 0 AND next_try > ?1),
		       count(*) FILTER (WHERE claimed = 1),
		       min(CASE WHEN tries > 0 THEN received_at WHEN next_try <= ?1 THEN next_try END),
		       (SELECT received_at FROM outbox ORDER BY id LIMIT 1)
		FROM alert WHERE pending = 1`, now.UnixMilli()).Scan(&all.Waiting, &all.Later, &all.Claimed, &alert, &letter)
	if err != nil {
		return all, fmt.Errorf("store: %w", err)
	}
	var unproven sql.NullInt64
	err = tx.QueryRowContext(ctx, `SELECT count(DISTINCT integration_key), count(*), min(queued_at) FROM outbox WHERE unproven > 0`).
		Scan(&all.UnprovenKeys, &all.Unproven, &unproven)
	if err != nil {
		return all, fmt.Errorf("store: %w", err)
	}
	err = tx.QueryRowContext(ctx, `
		SELECT l.bytes, o.count, o.bytes FROM volume AS l, volume AS o WHERE l.name = 'dead_letter' AND o.name = 'outbox'`).
		Scan(&all.LetterBytes, &all.Outbox, &all.OutboxBytes)
	if err != nil {
		return all, fmt.Errorf("store: %w", err)
	}
	all.OldestUnproven = timeOf(unproven.Int64)
	all.Oldest = earlier(timeOf(alert.Int64), timeOf(letter.Int64))
	return all, nil
}
