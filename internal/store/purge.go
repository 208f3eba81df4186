package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
)

// AskToRetry asks the daemon to take dead letters in again, and returns how many.
func (s *Store) AskToRetry(ctx context.Context, which Letters) (int64, error) {
	return s.pages(ctx, which, func(page Letters) (int64, error) {
		where, args := page.where()
		//nolint:gosec // where is made of what stands in letter.go, and holds marks for values
		result, err := s.db.ExecContext(ctx, `UPDATE dead_letter SET retry = 1 WHERE retry = 0 AND `+where, args...)
		if err != nil {
			return 0, fmt.Errorf("store: %w", s.fault(err))
		}
		return result.RowsAffected()
	})
}

// Purged counts what was thrown away.
type Purged struct {
	Letters int64
	Waiting int64 // outbox items
}

// Purge throws dead letters away, and outbox items that wait for integration keys of messages:
// for those that Keys names, or else for all that ilert has never taken. They are counted as
// purged. It works in pages, between which others have their turn; what arrives meanwhile stays.
func (s *Store) Purge(ctx context.Context, which Letters) (n Purged, err error) {
	if which.choosesLetters() {
		n.Letters, err = s.pages(ctx, which, func(page Letters) (n int64, err error) {
			err = s.change(ctx, func(c *change) (err error) {
				where, args := page.where()
				n, err = c.purgeLetters(where, args...)
				return err
			})
			return n, err
		})
	}
	if err == nil && which.choosesWaiting() {
		n.Waiting, err = s.purgeWaiting(ctx, which)
	}
	return n, err
}

// pages calls do with one page of the chosen dead letters after the other, and adds up what it
// returns.
func (s *Store) pages(ctx context.Context, which Letters, do func(page Letters) (int64, error)) (n int64, err error) {
	if err := s.db.QueryRowContext(ctx, `SELECT coalesce(max(id), 0) FROM dead_letter`).Scan(&which.upTo); err != nil {
		return 0, fmt.Errorf("store: %w", s.fault(err))
	}
	for {
		began, page := time.Now(), which
		page.Limit = purgePage
		if which.Limit > 0 {
			page.Limit = min(which.Limit, purgePage)
		}
		var size int
		where, args := page.where()
		err := s.db.QueryRowContext(ctx, `SELECT count(*), coalesce(max(id), 0) FROM dead_letter WHERE `+where, args...).Scan(&size, &page.upTo)
		if err != nil {
			return n, fmt.Errorf("store: %w", s.fault(err))
		}
		if size == 0 {
			return n, nil
		}
		done, err := do(page)
		n += done
		if err != nil || size < page.Limit || size == which.Limit {
			return n, err
		}
		which.After = page.upTo
		if which.Limit > 0 {
			which.Limit -= size
		}
		if err := yield(ctx, began); err != nil {
			return n, err
		}
	}
}

// yield waits as long as the work took since it began: another process that waits for the
// store only looks now and then whether it is free.
func yield(ctx context.Context, began time.Time) error {
	select {
	case <-time.After(time.Since(began)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// purgeLetters throws dead letters away, counts them as purged and returns how many.
func (c *change) purgeLetters(where string, args ...any) (n int64, err error) {
	err = c.each(func(rows *sql.Rows) error {
		var filter string
		var bytes int64
		err := rows.Scan(&filter, &bytes)
		c.shrink(deadLetters, bytes)
		c.count.of(filter).Dead--
		c.count.of(filter).Purged++
		n++
		return err
	}, `DELETE FROM dead_letter WHERE `+where+` RETURNING filter, bytes`, args...)
	return n, err
}

// purgeWaiting throws the chosen outbox items away, a page at a time.
func (s *Store) purgeWaiting(ctx context.Context, which Letters) (n int64, err error) {
	keys, last, err := s.keysWaiting(ctx, which)
	if err != nil {
		return 0, err
	}
	where, args := which.whereWaiting()
	where += " AND id <= ?"
	args = append(args, last)
	if len(which.Keys) == 0 {
		return s.purgeWaitingWhere(ctx, where+" AND unproven > 0", args...)
	}
	for _, k := range keys {
		purged, err := s.purgeWaitingWhere(ctx, where+" AND integration_key = ?", append(args[:len(args):len(args)], k)...)
		n += purged
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func (s *Store) purgeWaitingWhere(ctx context.Context, where string, args ...any) (n int64, err error) {
	for page := int64(purgePage); page == purgePage; n += page {
		began := time.Now()
		err := s.change(ctx, func(c *change) (err error) {
			page, err = c.purgeOutbox(`id IN (SELECT id FROM outbox WHERE `+where+` ORDER BY id LIMIT ?)`, append(args[:len(args):len(args)], purgePage)...)
			return err
		})
		if err == nil && page == purgePage {
			err = yield(ctx, began)
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// keysWaiting returns the chosen integration keys of messages for which outbox items wait, and
// the last item of all.
func (s *Store) keysWaiting(ctx context.Context, which Letters) (keys []ilert.IntegrationKey, last int64, err error) {
	where, args := which.whereWaiting()
	err = s.change(ctx, func(c *change) error {
		err := c.row(`SELECT coalesce(max(id), 0) FROM outbox`).Scan(&last)
		if err != nil || len(which.Keys) == 0 {
			return err
		}
		return c.each(func(rows *sql.Rows) error {
			var k ilert.IntegrationKey
			err := rows.Scan(&k)
			if which.names(k) {
				keys = append(keys, k)
			}
			return err
		}, `SELECT DISTINCT integration_key FROM outbox WHERE `+where, args...)
	})
	return keys, last, err
}
