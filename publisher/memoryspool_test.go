package publisher

import (
	"bytes"
	"errors"
	"slices"

	"github.com/mps-events/mps-events/publisher/internal/journal"
)

// memorySpool is a journal in memory that fails as a test tells it to.
type memorySpool struct {
	records     []journal.Record
	room        int                  // number of records for which there is room
	commitFails func() bool          // called once in each Commit
	loadFails   func() bool          // called once in each Load
	tooOld      func() bool          // called for each record that may be dropped for its age
	during      func()               // called while Commit or Load is at work
	gone        func(journal.Record) // called for each record that was dropped to make room
	aged        func(journal.Record) // called for each record that Load returns without its data
}

// newMemorySpool returns a memorySpool in which nothing fails.
func newMemorySpool(room int) *memorySpool {
	no := func() bool { return false }
	return &memorySpool{
		room: room, commitFails: no, loadFails: no, tooOld: no,
		during: func() {}, gone: func(journal.Record) {}, aged: func(journal.Record) {},
	}
}

var errDisk = errors.New("input/output error")

// fakeSpool is a Spool that holds a journal of the test.
type fakeSpool struct {
	journal.Holder
	released chan struct{} // Close waits until it is closed, unless it is nil
}

func spoolOf(j journal.Journal) fakeSpool { return fakeSpool{Holder: journal.Hold(j)} }

func (fakeSpool) Enabled() bool { return true }

func (s fakeSpool) Close() error {
	if s.released != nil {
		<-s.released
	}
	return nil
}

func (m *memorySpool) has(number uint64) bool {
	return slices.ContainsFunc(m.records, func(r journal.Record) bool { return r.Number == number })
}

func (m *memorySpool) Range() (first, last, count uint64) {
	if len(m.records) == 0 {
		return 0, 0, 0
	}
	return m.records[0].Number, m.records[len(m.records)-1].Number, uint64(len(m.records))
}

func (m *memorySpool) Commit(s journal.Step) (dropped uint64, err error) {
	m.during()
	defer m.during()
	if m.commitFails() {
		return 0, errDisk
	}
	kept := slices.DeleteFunc(slices.Clone(m.records), func(r journal.Record) bool {
		return r.Number < s.Below || slices.Contains(s.Remove, r.Number)
	})
	tooMany := len(kept) + len(s.Add) - m.room
	var gone []journal.Record
	kept = slices.DeleteFunc(kept, func(r journal.Record) bool {
		if r.Number < s.From || tooMany <= len(gone) && !m.tooOld() {
			return false
		}
		gone = append(gone, r)
		return true
	})
	if len(s.Add) > 0 && len(kept)+len(s.Add) > m.room {
		return 0, journal.ErrFull
	}
	for _, r := range s.Add {
		kept = append(kept, journal.Record{Number: r.Number, Data: bytes.Clone(r.Data)})
	}
	m.records = kept
	for _, r := range gone {
		m.gone(r)
	}
	return uint64(len(gone)), nil
}

func (m *memorySpool) Load(from uint64, limit, maxBytes int) (records []journal.Record, end bool, err error) {
	m.during()
	defer m.during()
	if m.loadFails() {
		return nil, false, errDisk
	}
	for _, r := range m.records {
		if r.Number < from {
			continue
		}
		if len(records) == limit || maxBytes < 0 {
			return records, false, nil
		}
		data := bytes.Clone(r.Data)
		if m.tooOld() {
			m.aged(r)
			data = nil
		}
		records = append(records, journal.Record{Number: r.Number, Data: data})
		maxBytes -= len(data)
	}
	return records, true, nil
}
