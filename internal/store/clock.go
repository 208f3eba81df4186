package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Clock is the clock of a source that is behind ours.
type Clock struct {
	Source  string
	Behind  time.Duration // 0: it is not, and need not be kept
	HeardAt time.Time     // when the source was heard of
}

// Clocks returns the clocks that are kept, in the order in which their sources were heard of.
func (s *Store) Clocks(ctx context.Context) (clocks []Clock, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT source, behind, heard_at FROM clock ORDER BY heard_at`)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var c Clock
		var behind, heardAt int64
		if err := rows.Scan(&c.Source, &behind, &heardAt); err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
		c.Behind, c.HeardAt = time.Duration(behind)*time.Millisecond, timeOf(heardAt)
		clocks = append(clocks, c)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return clocks, nil
}

// KeepClocks keeps what is known of clocks, for the next process.
func (s *Store) KeepClocks(ctx context.Context, clocks []Clock) error {
	return s.change(ctx, func(c *change) error {
		for _, clock := range clocks {
			var err error
			if clock.Behind == 0 {
				err = c.exec(`DELETE FROM clock WHERE source = ?`, clock.Source)
			} else {
				err = c.exec(`INSERT OR REPLACE INTO clock (source, behind, heard_at) VALUES (?, ?, ?)`,
					clock.Source, clock.Behind.Milliseconds(), millis(clock.HeardAt))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}
