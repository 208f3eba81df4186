// Package journal is the protocol between a publisher's queue and its spool. Only
// packages publisher and publisher/spool speak it: a server sees of it that one of them
// opens a spool, and the other takes it.
package journal

import "errors"

// ErrFull is returned by Commit when the records of Step.Add have no room. Fewer of them
// may have.
var ErrFull = errors.New("its bound of bytes is reached")

// Journal keeps records on disk. Its methods are called by one goroutine at a time.
type Journal interface {
	// Range returns the numbers of the first and the last record that an earlier
	// process left, and how many there are.
	Range() (first, last, count uint64)
	// Commit makes one durable step and returns how many records had to make room. On
	// an error nothing has changed.
	Commit(Step) (dropped uint64, err error)
	// Load returns up to limit records from number from on, in order, and of these only
	// the first with more than maxBytes of data in all. One that is too old comes without
	// its data. The end is true if no record follows.
	Load(from uint64, limit, maxBytes int) (records []Record, end bool, err error)
}

// Record is one event on disk.
type Record struct {
	Number uint64 // ascends in the order of Publish
	Data   []byte
}

// Step is the work of one Commit, in this order.
type Step struct {
	// Below is the number below which all records go, for their events have left.
	Below uint64
	// Void are the numbers of further records that go.
	Void []uint64
	// From is the number from which on, the oldest first, records make room: those
	// that are too old, and those that Add needs the place of. They are counted.
	From uint64
	// Add are the records to add. Their numbers ascend, over all steps.
	Add []Record
}

// Spool is a value that has a Journal, because it embeds a Holder.
type Spool interface{ heldJournal() Journal }

// Holder makes the struct that embeds it a Spool.
type Holder struct{ journal Journal }

// Hold returns a Holder of j.
func Hold(j Journal) Holder { return Holder{j} }

func (h Holder) heldJournal() Journal { return h.journal }

// Of returns the Journal of s.
func Of(s Spool) Journal { return s.heldJournal() }
