// Package spool keeps a publisher's events on disk while the broker is away, so that
// they outlast the process and outgrow its memory:
//
//	config, err := publisher.ConfigFromEnv()
//	...
//	config.Spool, err = spool.FromEnv() // MPS_MQTT_SPOOL_DIR; empty: no spool
//	...
//	pub, err := publisher.New(config)
//
// What the broker acknowledges within a few milliseconds is never written. What it
// does not is on disk after publisher.SpoolInterval, which is all that a killed
// process loses, and is published, in order and with the same id, by this process or
// the next. The folder holds one file of bbolt, for one process at a time.
package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"github.com/mps-events/mps-events/internal/mqttconn"
	"github.com/mps-events/mps-events/publisher"
)

// Options say where a Spool keeps events and how many.
type Options struct {
	// Dir is a folder of the spool's own; it is made if need be. Empty: no spool.
	Dir string
	// MaxBytes bounds the events on disk; default 1 GiB, about 3 million events. The
	// file may become a half larger. When they reach it the oldest make room, and are
	// counted as dropped.
	MaxBytes int64
	// MaxAge is how long an event is kept on disk; default 7 days. Older ones are
	// dropped, and counted, when newer ones come or when it is their turn.
	MaxAge time.Duration
}

const (
	defaultMaxBytes = 1 << 30
	defaultMaxAge   = 7 * 24 * time.Hour
	fileName        = "events.db"
)

// ErrFull is returned by Commit when the events of one step have no room.
var ErrFull = errors.New("spool: MaxBytes reached")

// Spool is an open spool, to be set as publisher.Config.Spool; Publisher.Shutdown
// closes it. Its methods are the publisher's.
type Spool struct {
	options Options
	path    string
	db      *bbolt.DB // nil without Dir

	first, last, count uint64 // what an earlier process left
}

var _ publisher.Spool = (*Spool)(nil)

// FromEnv is Open with the folder that MPS_MQTT_SPOOL_DIR names. If that is empty the
// Spool may be set all the same, and keeps nothing.
func FromEnv() (*Spool, error) {
	s, err := Open(Options{Dir: os.Getenv(mqttconn.SpoolDirVariable)})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", mqttconn.SpoolDirVariable, err)
	}
	return s, nil
}

// Open opens or creates a spool. A spool that another process has open, and a file that
// is no spool or damaged, are errors; the file is left as it is.
func Open(options Options) (*Spool, error) {
	if options.MaxBytes == 0 {
		options.MaxBytes = defaultMaxBytes
	}
	if options.MaxAge == 0 {
		options.MaxAge = defaultMaxAge
	}
	if options.MaxBytes < 0 {
		return nil, fmt.Errorf("spool: MaxBytes %d: want a positive number, or 0 for %d", options.MaxBytes, int64(defaultMaxBytes))
	}
	if options.MaxAge < 0 {
		return nil, fmt.Errorf("spool: MaxAge %v: want a positive duration, or 0 for %v", options.MaxAge, defaultMaxAge)
	}
	s := &Spool{options: options, path: filepath.Join(options.Dir, fileName)}
	if options.Dir == "" {
		return s, nil
	}
	if err := os.MkdirAll(options.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	if err := s.guard(s.open); err != nil {
		if s.db != nil {
			_ = s.db.Close()
		}
		return nil, err
	}
	return s, nil
}

var (
	eventsBucket = []byte("events") // number -> time of writing and data
	totalsBucket = []byte("totals")
	totalsKey    = []byte("count and bytes")
)

func (s *Spool) open() (err error) {
	s.db, err = bbolt.Open(s.path, 0o600, &bbolt.Options{
		Timeout:      100 * time.Millisecond, // for the process that holds it to end
		FreelistType: bbolt.FreelistMapType,
	})
	switch {
	case errors.Is(err, bbolterrors.ErrTimeout):
		return errors.New("another process uses it")
	case err != nil:
		return err
	}
	return s.db.Update(func(tx *bbolt.Tx) error {
		events, err := tx.CreateBucketIfNotExists(eventsBucket)
		if err != nil {
			return err
		}
		if _, err := tx.CreateBucketIfNotExists(totalsBucket); err != nil {
			return err
		}
		s.count, _ = totalsOf(tx)
		first, _ := events.Cursor().First()
		last, _ := events.Cursor().Last()
		if first != nil {
			s.first, s.last = number(first), number(last)
		}
		return nil
	})
}

// guard names the file in errors, and makes an error of a panic: bbolt panics where a
// page is not what it should be, and maps the file, which faults where it was cut.
func (s *Spool) guard(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if damage := recover(); damage != nil {
			err = fmt.Errorf("the file is damaged: %v", damage)
		}
		if err != nil {
			err = fmt.Errorf("spool: %s: %w", s.path, err)
		}
	}()
	return do()
}

// Enabled reports whether there is a folder to keep events in.
func (s *Spool) Enabled() bool { return s != nil && s.db != nil }

// Range implements publisher.Spool.
func (s *Spool) Range() (first, last, count uint64) { return s.first, s.last, s.count }

// Commit implements publisher.Spool.
func (s *Spool) Commit(step publisher.SpoolStep) (dropped uint64, err error) {
	var c *commit
	err = s.guard(func() error {
		return s.db.Update(func(tx *bbolt.Tx) error {
			c = &commit{events: tx.Bucket(eventsBucket)}
			// Read each time: nobody knows what became of a transaction that failed.
			c.count, c.bytes = totalsOf(tx)
			return c.do(tx.Bucket(totalsBucket), step, s.options)
		})
	})
	if err != nil {
		return 0, err
	}
	return c.dropped, nil
}

func totalsOf(tx *bbolt.Tx) (count uint64, bytes int64) {
	total := tx.Bucket(totalsBucket).Get(totalsKey)
	if len(total) != 16 {
		return 0, 0
	}
	return binary.BigEndian.Uint64(total), int64(binary.BigEndian.Uint64(total[8:]))
}

// commit is one transaction.
type commit struct {
	events  *bbolt.Bucket
	count   uint64
	bytes   int64
	dropped uint64
}

func (c *commit) do(totals *bbolt.Bucket, step publisher.SpoolStep, o Options) error {
	cursor := c.events.Cursor()
	for k, v := cursor.First(); k != nil && number(k) < step.Below; k, v = cursor.Seek(key(number(k) + 1)) {
		if err := c.remove(k, v); err != nil {
			return err
		}
	}
	for _, n := range step.Void {
		if err := c.remove(key(n), c.events.Get(key(n))); err != nil {
			return err
		}
	}
	now := time.Now()
	var needed int64
	for _, r := range step.Add {
		needed += size(r.Data)
	}
	const mostAged = 10_000 // in one transaction: bbolt holds in memory what it touches
	tooOld := func(v []byte) bool { return c.dropped < mostAged && now.Sub(writtenAt(v)) > o.MaxAge }
	for k, v := cursor.Seek(key(step.From)); k != nil && (c.bytes+needed > o.MaxBytes || tooOld(v)); k, v = cursor.Seek(key(number(k) + 1)) {
		if err := c.remove(k, v); err != nil {
			return err
		}
		c.dropped++
	}
	if len(step.Add) > 0 && c.bytes+needed > o.MaxBytes {
		return ErrFull
	}
	c.events.FillPercent = 1 // numbers ascend
	for _, r := range step.Add {
		value := binary.BigEndian.AppendUint64(make([]byte, 0, len(r.Data)+8), uint64(now.UnixMilli()))
		if err := c.events.Put(key(r.Number), append(value, r.Data...)); err != nil {
			return err
		}
	}
	c.count += uint64(len(step.Add))
	c.bytes += needed
	total := binary.BigEndian.AppendUint64(nil, c.count)
	return totals.Put(totalsKey, binary.BigEndian.AppendUint64(total, uint64(c.bytes)))
}

// remove removes a record that is there.
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

// size is what a record of this data counts for: it has a key of 8 bytes and the time.
func size(data []byte) int64 { return int64(len(data)) + 16 }

func writtenAt(value []byte) time.Time {
	if len(value) < 8 {
		return time.Time{}
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(value)))
}

// Load implements publisher.Spool.
func (s *Spool) Load(from uint64, most int) (records []publisher.SpoolRecord, err error) {
	err = s.guard(func() error {
		return s.db.View(func(tx *bbolt.Tx) error {
			cursor := tx.Bucket(eventsBucket).Cursor()
			for k, v := cursor.Seek(key(from)); k != nil && len(records) < most; k, v = cursor.Next() {
				r := publisher.SpoolRecord{Number: number(k)}
				if time.Since(writtenAt(v)) <= s.options.MaxAge {
					r.Data = append(r.Data, v[8:]...) // v is gone after the transaction
				}
				records = append(records, r)
			}
			return nil
		})
	})
	return records, err
}

// Close closes the file.
func (s *Spool) Close() error {
	if !s.Enabled() {
		return nil
	}
	return s.guard(s.db.Close)
}
