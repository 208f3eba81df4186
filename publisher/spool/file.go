package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"github.com/mps-events/mps-events/publisher/internal/journal"
)

const fileName = "events.db"

// file is the journal of a spool, in one file of bbolt.
type file struct {
	limits limits
	path   string
	db     *bbolt.DB
	clock  journal.Clock

	first, last, count uint64 // of the records that an earlier process left
}

var (
	eventsBucket = []byte("events") // number -> time of writing and data
	totalsBucket = []byte("totals")
	totalsKey    = []byte("count and bytes")
)

// open opens or creates the file and reads the range of its records.
func (f *file) open() (err error) {
	f.db, err = bbolt.Open(f.path, 0o600, &bbolt.Options{
		Timeout:      100 * time.Millisecond, // the process that has the file open may be ending
		FreelistType: bbolt.FreelistMapType,
	})
	switch {
	case errors.Is(err, bbolterrors.ErrTimeout):
		return errors.New("another process uses it")
	case err != nil:
		return err
	}
	return f.db.Update(func(tx *bbolt.Tx) error {
		events, err := tx.CreateBucketIfNotExists(eventsBucket)
		if err != nil {
			return err
		}
		if _, err := tx.CreateBucketIfNotExists(totalsBucket); err != nil {
			return err
		}
		f.count, _ = totalsOf(tx)
		first, _ := events.Cursor().First()
		last, _ := events.Cursor().Last()
		if first != nil {
			f.first, f.last = number(first), number(last)
		}
		return nil
	})
}

// guard calls do, adds the path of the file to its error, and turns a panic into an error: bbolt
// panics if a page is damaged, and reading the mapped file faults beyond its end if it was cut.
func (f *file) guard(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if damage := recover(); damage != nil {
			err = fmt.Errorf("the file is damaged: %v", damage)
		}
		if err != nil {
			err = fmt.Errorf("spool: %s: %w", f.path, err)
		}
	}()
	return do()
}

// Range implements journal.Journal.
func (f *file) Range() (first, last, count uint64) { return f.first, f.last, f.count }

// Commit implements journal.Journal.
func (f *file) Commit(step journal.Step) (dropped uint64, err error) {
	var c *commit
	err = f.guard(func() error {
		return f.db.Update(func(tx *bbolt.Tx) error {
			c = &commit{events: tx.Bucket(eventsBucket)}
			// The totals are read each time, because a transaction that failed may have changed them.
			c.count, c.bytes = totalsOf(tx)
			return c.do(tx.Bucket(totalsBucket), step, f)
		})
	})
	if err != nil {
		return 0, err
	}
	return c.dropped, nil
}

// totalsOf returns the number of records and of their bytes.
func totalsOf(tx *bbolt.Tx) (count uint64, bytes int64) {
	total := tx.Bucket(totalsBucket).Get(totalsKey)
	if len(total) != 16 {
		return 0, 0
	}
	return binary.BigEndian.Uint64(total), int64(binary.BigEndian.Uint64(total[8:]))
}

// commit is the transaction of one step.
type commit struct {
	events  *bbolt.Bucket
	count   uint64
	bytes   int64
	dropped uint64
}

// do carries out the step in the order that journal.Step gives.
func (c *commit) do(totals *bbolt.Bucket, step journal.Step, f *file) error {
	cursor := c.events.Cursor()
	for k, v := cursor.First(); k != nil && number(k) < step.Below; k, v = cursor.Seek(key(number(k) + 1)) {
		if err := c.remove(k, v); err != nil {
			return err
		}
	}
	for _, n := range step.Remove {
		if err := c.remove(key(n), c.events.Get(key(n))); err != nil {
			return err
		}
	}
	now := f.clock.Now()
	var needed int64
	for _, r := range step.Add {
		needed += size(r.Data)
	}
	const maxAged = 10_000 // in one transaction: bbolt keeps the pages that it changes in memory
	tooOld := func(v []byte) bool { return c.dropped < maxAged && f.tooOld(v, now) }
	for k, v := cursor.Seek(key(step.From)); k != nil && (c.bytes+needed > f.limits.maxBytes || tooOld(v)); k, v = cursor.Seek(key(number(k) + 1)) {
		if err := c.remove(k, v); err != nil {
			return err
		}
		c.dropped++
	}
	if len(step.Add) > 0 && c.bytes+needed > f.limits.maxBytes {
		return journal.ErrFull
	}
	c.events.FillPercent = 1          // numbers ascend
	written := time.Now().UnixMilli() // not the time of f.clock: the machine's clock may have been set since
	for _, r := range step.Add {
		value := binary.BigEndian.AppendUint64(make([]byte, 0, len(r.Data)+8), uint64(written))
		if err := c.events.Put(key(r.Number), append(value, r.Data...)); err != nil {
			return err
		}
	}
	c.count += uint64(len(step.Add))
	c.bytes += needed
	total := binary.BigEndian.AppendUint64(nil, c.count)
	return totals.Put(totalsKey, binary.BigEndian.AppendUint64(total, uint64(c.bytes)))
}

// remove removes a record, if it is there.
func (c *commit) remove(k, v []byte) error {
	if v == nil {
		return nil
	}
	c.count--
	c.bytes -= size(v) - 8
	return c.events.Delete(k)
}

func key(number uint64) []byte { return binary.BigEndian.AppendUint64(nil, number) }

func number(key []byte) uint64 { return binary.BigEndian.Uint64(key) }

// size returns the bytes that a record of this data counts for: the data, the key of 8 bytes and
// the time.
func size(data []byte) int64 { return int64(len(data)) + 16 }

// writtenAt returns the time at which a record was written.
func writtenAt(value []byte) time.Time {
	if len(value) < 8 {
		return time.Time{}
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(value)))
}

// tooOld reports whether a record was written more than WithMaxAge ago, at a time when the clock
// had been set.
func (f *file) tooOld(value []byte, now time.Time) bool {
	written := writtenAt(value)
	return journal.WasSet(written) && now.Sub(written) > f.limits.maxAge
}

// Load implements journal.Journal.
func (f *file) Load(from uint64, limit, maxBytes int) (records []journal.Record, end bool, err error) {
	err = f.guard(func() error {
		return f.db.View(func(tx *bbolt.Tx) error {
			cursor, now := tx.Bucket(eventsBucket).Cursor(), f.clock.Now()
			k, v := cursor.Seek(key(from))
			for ; k != nil && len(records) < limit && maxBytes >= 0; k, v = cursor.Next() {
				r := journal.Record{Number: number(k)}
				if len(v) >= 8 && !f.tooOld(v, now) {
					r.Data = append(r.Data, v[8:]...) // v is valid only in the transaction
				}
				records = append(records, r)
				maxBytes -= len(r.Data)
			}
			end = k == nil
			return nil
		})
	})
	return records, end, err
}
