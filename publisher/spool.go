package publisher

import (
	"time"

	"github.com/mps-events/mps-events/publisher/internal/journal"
)

// Spool keeps accepted events on disk until they are delivered, so that they survive
// the process and outgrow its memory. The functions Open and FromEnv of package
// publisher/spool return one; there are no others.
type Spool interface {
	// Enabled reports whether the spool has a folder. One without keeps nothing, and
	// the Publisher works as it does without a Spool.
	Enabled() bool
	// Close ends the use of the spool; what it holds is there for the next process.
	// Publisher.Shutdown calls it, so that only a server whose New has failed has to.
	Close() error

	journalSpool
}

// journalSpool is unexported, and so is what it asks for: it keeps the protocol between
// the queue and the spool out of the documentation.
type journalSpool = journal.Spool

// SpoolInterval is the longest that an accepted event waits in memory alone before it is
// written to the spool; one that the broker acknowledges sooner costs no disk access. The
// disk then takes the time of one write, before which it may have to end the write that is
// under way: a killed process loses at most what was accepted within these three. One write
// takes up to 2,048 events or 1 MiB; of more than that the newest wait for the next.
const SpoolInterval = 10 * time.Millisecond
