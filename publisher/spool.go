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

// SpoolInterval is about the longest that an accepted event is in memory alone: what
// is not acknowledged by then is on disk, and that is all that a killed process
// loses. An event that the broker acknowledges sooner costs no disk access.
const SpoolInterval = 10 * time.Millisecond
