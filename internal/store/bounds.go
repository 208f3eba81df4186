package store

import (
	"context"
	"database/sql"
	"errors"
	"sync/atomic"
	"time"
)

// Bounds limits what the store keeps of what anybody can send. Beyond them the oldest are
// purged, and counted so.
type Bounds struct {
	Letters      int           // dead letters
	LetterBytes  int64         // of their topics, payloads and properties
	LetterAge    time.Duration // since they died
	Waiting      int           // outbox items, but for those of unproven integration keys
	WaitingBytes int64         // likewise
	Devices      int           // devices of the fleet, which are forgotten and not counted
}

// DefaultBounds are the bounds of a store that is opened.
var DefaultBounds = Bounds{
	Letters: 100_000, LetterBytes: 256 << 20, LetterAge: 30 * 24 * time.Hour,
	Waiting: 100_000, WaitingBytes: 256 << 20, Devices: 2_000_000,
}

// purgePage is the number of rows that one transaction purges at most, so that no message waits
// long for it. It is more than a batch of messages adds.
const purgePage = 2000

// Tidy purges a page of the dead letters that are too old, as of a time, and of what is too
// much, and reports whether to call it again at once. A transaction that adds rows keeps the
// bounds by itself; Tidy is for time, and for bounds that were lowered.
func (s *Store) Tidy(ctx context.Context, now time.Time) (more bool, err error) {
	err = s.change(ctx, func(c *change) error {
		n, err := c.purgeLetters(`id IN (SELECT id FROM dead_letter WHERE died_at <= ? ORDER BY died_at, id LIMIT ?)`,
			millis(now.Add(-c.bounds.LetterAge)), purgePage)
		c.overflow.Letters += n
		if err != nil {
			return err
		}
		most, err := c.bound()
		more = max(n, most) == purgePage
		return err
	})
	return more, err
}

// Overflow returns how much was purged to keep the bounds since the store was opened.
func (s *Store) Overflow() Purged {
	return Purged{Letters: s.overflow.letters.Load(), Waiting: s.overflow.waiting.Load()}
}

// overflow counts what was purged to keep the bounds.
type overflow struct{ letters, waiting atomic.Int64 }

func (o *overflow) add(p Purged) {
	o.letters.Add(p.Letters)
	o.waiting.Add(p.Waiting)
}

// boundAdded keeps the bounds of what the transaction has added to.
func (c *change) boundAdded() error {
	if !c.added {
		return nil
	}
	_, err := c.bound()
	return err
}

// bound purges the oldest rows beyond the bounds, a page of each table at most, and returns
// the most that it has purged of one.
func (c *change) bound() (most int64, err error) {
	c.added = false
	letters, err := c.excess("dead_letter", `SELECT bytes FROM dead_letter ORDER BY died_at, id LIMIT ?`, c.bounds.Letters, c.bounds.LetterBytes)
	if err == nil && letters > 0 {
		_, err = c.purgeLetters(`id IN (SELECT id FROM dead_letter ORDER BY died_at, id LIMIT ?)`, letters)
	}
	// As many of unproven keys as there may be push out no others.
	waiting, failed := c.excess("outbox", `SELECT bytes FROM outbox WHERE unproven = 0 AND claimed = 0 ORDER BY id LIMIT ?`,
		c.bounds.Waiting+maxUnproven, c.bounds.WaitingBytes+maxUnprovenBytes)
	if failed == nil && waiting > 0 {
		_, failed = c.purgeOutbox(`id IN (SELECT id FROM outbox WHERE unproven = 0 AND claimed = 0 ORDER BY id LIMIT ?)`, waiting)
	}
	devices, forgetting := c.excess("device", `SELECT 0 FROM device ORDER BY seen_at LIMIT ?`, c.bounds.Devices, 0)
	if forgetting == nil && devices > 0 {
		forgetting = c.exec(`DELETE FROM device WHERE guid IN (SELECT guid FROM device ORDER BY seen_at LIMIT ?)`, devices)
	}
	c.overflow.Letters += letters
	c.overflow.Waiting += waiting
	return max(letters, waiting, devices), errors.Join(err, failed, forgetting)
}

// excess returns how many of the oldest rows of a table are too many, a page at most. The query
// returns their bytes, the oldest first, as many as its argument says.
func (c *change) excess(table, oldest string, maxRows int, maxBytes int64) (n int64, err error) {
	var count int
	var bytes int64
	err = c.row(`SELECT count, bytes FROM volume WHERE name = ?`, table).Scan(&count, &bytes)
	if err != nil || count <= maxRows && bytes <= maxBytes {
		return 0, err
	}
	err = c.each(func(rows *sql.Rows) error {
		var size int64
		err := rows.Scan(&size)
		if count > maxRows || bytes > maxBytes {
			n++
			count--
			bytes -= size
		}
		return err
	}, oldest, purgePage)
	return n, err
}
