package store

import (
	"context"
	"encoding/binary"
	"sync"
	"time"
)

const (
	// repeatMemory is how long a message is known again.
	repeatMemory = time.Hour
	// mostPrints is how many of the newest messages are known again: twice as many as a
	// publisher may have under way.
	mostPrints = 1 << 17
)

// repeats knows the ids of the messages that have come lately, so that a message which its
// publisher sends again has no second effect. What is in memory is on disk, too.
type repeats struct {
	sync.Mutex
	known   map[uint64]struct{}
	batches []batch // the oldest first
	size    int
}

// batch are the fingerprints of the messages of one transaction.
type batch struct {
	id     int64
	at     time.Time
	prints []uint64
}

// arrivals are what a transaction adds to repeats.
type arrivals struct {
	cache  *repeats
	prints []uint64
	known  map[uint64]struct{} // those of this transaction
	added  batch
	gone   int // of the oldest batches
}

// repeated says whether a message has come before, and remembers it.
func (c *change) repeated(m *Message) bool {
	if m.Fingerprint == 0 {
		return false
	}
	a := &c.arrivals
	a.cache.Lock()
	_, before := a.cache.known[m.Fingerprint]
	a.cache.Unlock()
	if _, now := a.known[m.Fingerprint]; now || before {
		return true
	}
	if a.known == nil {
		a.known = map[uint64]struct{}{}
	}
	a.known[m.Fingerprint] = struct{}{}
	a.prints = append(a.prints, m.Fingerprint)
	return false
}

// flushArrivals writes the fingerprints in one row, and takes back those that are too old
// or too many.
func (c *change) flushArrivals() error {
	a := &c.arrivals
	if len(a.prints) == 0 {
		return nil
	}
	now := time.Now()
	bytes := make([]byte, 0, 8*len(a.prints))
	for _, print := range a.prints {
		bytes = binary.BigEndian.AppendUint64(bytes, print)
	}
	a.added = batch{at: now, prints: a.prints}
	a.prints = nil
	err := c.row(`INSERT INTO arrival (at, prints) VALUES (?, ?) RETURNING id`, millis(now), bytes).Scan(&a.added.id)
	if err != nil {
		return err
	}
	a.cache.Lock()
	defer a.cache.Unlock()
	size := a.cache.size + len(a.added.prints)
	for _, b := range a.cache.batches {
		if size <= mostPrints && now.Sub(b.at) <= repeatMemory {
			break
		}
		size -= len(b.prints)
		a.gone++
	}
	if a.gone == 0 {
		return nil
	}
	return c.exec(`DELETE FROM arrival WHERE id <= ?`, a.cache.batches[a.gone-1].id)
}

// committed keeps in memory what is on disk now.
func (a *arrivals) committed() {
	if a.added.id == 0 {
		return
	}
	r := a.cache
	r.Lock()
	defer r.Unlock()
	for _, b := range r.batches[:a.gone] {
		r.size -= len(b.prints)
		for _, print := range b.prints {
			delete(r.known, print)
		}
	}
	r.batches = r.batches[a.gone:]
	r.add(a.added)
}

func (r *repeats) add(b batch) {
	if r.known == nil {
		r.known = map[uint64]struct{}{}
	}
	for _, print := range b.prints {
		r.known[print] = struct{}{}
	}
	r.batches = append(r.batches, b)
	r.size += len(b.prints)
}

// recall reads what had come before the process was started.
func (s *Store) recall(ctx context.Context) error {
	rows, err := s.db.QueryContext(ctx, `SELECT id, at, prints FROM arrival ORDER BY id`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var b batch
		var at int64
		var bytes []byte
		if err := rows.Scan(&b.id, &at, &bytes); err != nil {
			return err
		}
		b.at = timeOf(at)
		for ; len(bytes) >= 8; bytes = bytes[8:] {
			b.prints = append(b.prints, binary.BigEndian.Uint64(bytes))
		}
		s.repeats.add(b)
	}
	return rows.Err()
}
