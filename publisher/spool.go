package publisher

import (
	"time"

	"github.com/mps-events/mps-events/publisher/internal/journal"
)

// Spool is a store on disk for accepted events until they are delivered: they survive
// the process and need no memory. The functions Open and FromEnv of package
// publisher/spool return one; nothing else can be a Spool.
type Spool interface {
	// Enabled reports whether the spool has a folder. A spool without a folder keeps nothing, and
	// the Publisher works as it does without a Spool.
	Enabled() bool
	// Close closes the spool; the next process finds the events that it holds.
	// Publisher.Shutdown calls it, so a server calls it only if New has failed.
	Close() error

	journalSpool
}

// journalSpool is an unexported name for journal.Spool. It keeps the interface between
// the queue and the spool out of the documentation.
type journalSpool = journal.Spool

// SpoolInterval is the longest time for which an accepted event waits in memory alone before it
// is due to be written to the spool; an event that the broker acknowledges sooner costs no disk
// access. Then the event waits for the end of the write that is under way, and for its own
// write: a killed process loses at most the events that were accepted in the sum of these three
// times. One write holds up to 2,048 events or 1 MiB; newer events wait for the next write.
const SpoolInterval = 10 * time.Millisecond
