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
// much, and reports whether to call it again at once. A transaction that adds dead letters or
// outbox items keeps their bounds by itself; Tidy is for time, for devices, and for bounds that
// were lowered.
func (s *Store) Tidy(ctx context.Context, now time.Time) (more bool, err error) {
	err = s.change(ctx, func(c *change) error {
		expired, err := c.purgeLetters(`id IN (SELECT id FROM dead_letter WHERE died_at <= ? ORDER BY died_at, id LIMIT ?)`,
			millis(now.Add(-c.bounds.LetterAge)), purgePage)
		if err != nil {
			return err
		}
		letters, err := c.bound(deadLetters)
		if err != nil {
			return err
		}
		waiting, err := c.bound(outbox)
		if err != nil {
			return err
		}
		devices, err := c.boundDevices()
		c.overflow.Letters += expired
		more = max(expired, letters, waiting, devices) == purgePage
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

// Tables whose volume is known.
const (
	deadLetters = "dead_letter"
	outbox      = "outbox"
)

// volume is the number of rows of a table and of their bytes, or by how much these have grown.
type volume struct{ rows, bytes int64 }

// grow notes that a row of so many bytes, as its column has them, is added to a table. That
// the INSERT returned them would cost three times as much, and so would a trigger.
func (c *change) grow(table string, bytes int) {
	v := c.grown[table]
	c.grown[table] = volume{v.rows + 1, v.bytes + int64(bytes)}
}

// shrink notes that a row of so many bytes is gone from a table.
func (c *change) shrink(table string, bytes int64) {
	v := c.grown[table]
	c.grown[table] = volume{v.rows - 1, v.bytes - bytes}
}

// flushVolumes writes the volumes of the tables that have grown, and keeps their bounds.
func (c *change) flushVolumes() error {
	for _, table := range []string{deadLetters, outbox} {
		if c.grown[table] != (volume{}) {
			if _, err := c.bound(table); err != nil {
				return err
			}
		}
	}
	return nil
}

// bound writes the volume of a table, and purges a page at most of its oldest rows if that is
// beyond the bounds. It returns how many.
func (c *change) bound(table string) (purged int64, err error) {
	has, err := c.flushVolume(table)
	if err != nil || *c.bounds == (Bounds{}) {
		return 0, err
	}
	most, oldest := volume{int64(c.bounds.Letters), c.bounds.LetterBytes}, `FROM dead_letter ORDER BY died_at, id LIMIT ?`
	purge, count := c.purgeLetters, &c.overflow.Letters
	if table == outbox {
		// As many of unproven keys as there may be push out no others.
		most = volume{int64(c.bounds.Waiting) + maxUnproven, c.bounds.WaitingBytes + maxUnprovenBytes}
		oldest = `FROM outbox WHERE unproven = 0 AND claimed = 0 ORDER BY id LIMIT ?`
		purge, count = c.purgeOutbox, &c.overflow.Waiting
	}
	n := 0
	if has.exceeds(most) {
		err = c.each(func(rows *sql.Rows) error {
			var bytes int64
			err := rows.Scan(&bytes)
			if has.exceeds(most) {
				has = volume{has.rows - 1, has.bytes - bytes}
				n++
			}
			return err
		}, `SELECT bytes `+oldest, purgePage)
	}
	if err != nil || n == 0 {
		return 0, err
	}
	purged, err = purge(`id IN (SELECT id `+oldest+`)`, n)
	*count += purged
	_, failed := c.flushVolume(table)
	return purged, errors.Join(err, failed)
}

func (v volume) exceeds(most volume) bool { return v.rows > most.rows || v.bytes > most.bytes }

// flushVolume writes by how much a table has grown, and returns its volume.
func (c *change) flushVolume(table string) (has volume, err error) {
	by := c.grown[table]
	delete(c.grown, table)
	err = c.row(`UPDATE volume SET count = count + ?, bytes = bytes + ? WHERE name = ? RETURNING count, bytes`, by.rows, by.bytes, table).
		Scan(&has.rows, &has.bytes)
	return has, err
}

// boundDevices forgets a page of the devices that were not seen for longest if there are too
// many, and returns how many.
func (c *change) boundDevices() (n int64, err error) {
	if err := c.row(`SELECT count(*) FROM device`).Scan(&n); err != nil {
		return 0, err
	}
	n = min(max(n-int64(c.bounds.Devices), 0), purgePage)
	return n, c.exec(`DELETE FROM device WHERE guid IN (SELECT guid FROM device ORDER BY seen_at LIMIT ?)`, n)
}
