// Package journal is the interface between a publisher's queue and its spool. Only packages
// publisher and publisher/spool use it: a server gets a spool from the one and hands it to the
// other.
package journal

import "errors"

// ErrFull is the error that Commit returns when there is no room for all records of Step.Add.
// There may be room for fewer.
var ErrFull = errors.New("its limit of bytes is reached")

// Journal keeps records on disk. Its methods are called by one goroutine at a time.
type Journal interface {
	// Range returns the numbers of the first and the last record that an earlier
	// process left, and the count of its records.
	Range() (first, last, count uint64)
	// Commit carries out a step and writes it to disk. It returns the number of records that it
	// dropped to make room. If it returns an error, it has changed nothing.
	Commit(Step) (dropped uint64, err error)
	// Load returns up to limit records in order, beginning with number from. It stops after the
	// record with which their data exceed maxBytes. A record that is too old has no data. The
	// end is true if no record follows.
	Load(from uint64, limit, maxBytes int) (records []Record, end bool, err error)
}

// Record is one event on disk.
type Record struct {
	Number uint64 // numbers ascend in the order of Publish
	Data   []byte
}

// Step is the work of one Commit. Commit goes through the fields in this order.
type Step struct {
	// Below is the number below which Commit removes all records: their events are delivered or
	// dropped.
	Below uint64
	// Remove holds the numbers of further records that Commit removes.
	Remove []uint64
	// From is the number from which on Commit drops records, the oldest first, as long as they
	// are too old or Add needs their room. It counts them.
	From uint64
	// Add holds the records to add. Their numbers ascend, over all steps.
	Add []Record
}

// Spool is a value that holds a Journal, because it embeds a Holder.
type Spool interface{ heldJournal() Journal }

// Holder is the part that a struct embeds to be a Spool.
type Holder struct{ journal Journal }

// Hold returns a Holder that holds j.
func Hold(j Journal) Holder { return Holder{j} }

func (h Holder) heldJournal() Journal { return h.journal }

// Of returns the Journal that s holds.
func Of(s Spool) Journal { return s.heldJournal() }
