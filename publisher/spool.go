package publisher

import "time"

// Spool keeps accepted events on disk until they are delivered, so that they survive
// the process and outgrow its memory. Package spool has one. Its methods are called
// by one goroutine at a time.
type Spool interface {
	// Enabled reports false for a spool that was not configured: then nothing else
	// is called.
	Enabled() bool
	// Range returns the numbers of the first and the last record that an earlier
	// process left, and how many there are.
	Range() (first, last, count uint64)
	// Commit makes one durable step and returns how many records had to make room. On
	// an error nothing has changed.
	Commit(SpoolStep) (dropped uint64, err error)
	// Load returns up to most records from number from on, in order; one that is too
	// old comes without its data.
	Load(from uint64, most int) ([]SpoolRecord, error)
	// Close ends the use of the spool. What it holds is there for the next process.
	Close() error
}

// SpoolRecord is one event on disk.
type SpoolRecord struct {
	Number uint64 // ascends in the order of Publish
	Data   []byte
}

// SpoolStep is what one Commit does, in this order.
type SpoolStep struct {
	// Below is the number below which all records go, for their events have left.
	Below uint64
	// Void are the numbers of further records that go.
	Void []uint64
	// From is the number from which on, the oldest first, records make room: those
	// that are too old, and those that Add needs the place of. They are counted.
	From uint64
	// Add are the records to add. Their numbers ascend, over all steps.
	Add []SpoolRecord
}

// SpoolInterval is about the longest that an accepted event is in memory alone: what
// is not acknowledged by then is on disk, and that is all that a killed process
// loses. An event that the broker acknowledges sooner costs no disk access.
const SpoolInterval = 10 * time.Millisecond
