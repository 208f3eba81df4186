package alerting

import (
	"slices"
	"time"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

// Status is the count of what a store holds at one moment.
type Status struct {
	Tallies map[string]Tally  // by topic filter
	Matches map[string]uint64 // how often each rule matched
	Open    uint64            // alerts that ilert knows as open
	Waiting uint64            // alerts that wait to be sent now, or were sent in vain
	Later   uint64            // alerts that wait for their time
	Claimed uint64            // alerts of which a request is under way
	// Oldest is the time since when the longest waiting one has waited; zero if nothing waits. An
	// alert that was not tried yet waits from the time at which it was due, one that was tried from the
	// arrival of its message.
	Oldest time.Time
	// Of the outbox items whose integration keys messages brought and ilert has never taken: the
	// number of keys and of items, and the time since when the oldest waits.
	UnprovenKeys, Unproven uint64
	OldestUnproven         time.Time
	// Sizes of the dead letters and the outbox; see Bounds.
	LetterBytes, Outbox, OutboxBytes uint64
}

// Tally counts messages. Received = Ignored + Duplicate + Merged + Delivered + Dead +
// Purged + Pending.
type Tally struct {
	Received  uint64 `json:"received"`
	Ignored   uint64 `json:"ignored"`   // had no effect on an alert
	Duplicate uint64 `json:"duplicate"` // has come before
	Merged    uint64 `json:"merged"`    // said what was sent or waited already, or was overtaken before it was sent
	Delivered uint64 `json:"delivered"` // ilert took it
	Dead      uint64 `json:"dead"`      // kept as a dead letter
	Purged    uint64 `json:"purged"`    // was a dead letter, or waited, and was thrown away
	Pending   uint64 `json:"pending"`   // waits to be sent
}

// AlertWithMembers is an alert and the number of its members: those that its window's open alert
// holds or has counted, or those of a storm.
type AlertWithMembers struct {
	Alert
	Members int
}

// Letter is a dead letter: a message that could not be understood or that ilert called
// invalid, as it arrived.
type Letter struct {
	ID         int64
	Filter     string // the topic filter that it came by
	Topic      string
	Payload    []byte
	Properties []decision.Property
	ReceivedAt time.Time
	DiedAt     time.Time
	Reason     string
	Tries      int  // requests to ilert
	Retry      bool // somebody has asked to take it in again
	// Kept is the reason why it was not taken in again the last time; empty if nobody has asked.
	Kept string

	// Of what ilert refused; otherwise zero.
	Kind        Kind
	Alert       AlertID
	EventType   ilert.Type
	OvertakenBy ilert.Type // a later event of the alert key that contradicts it
}

// Kind is the kind of a dead letter.
type Kind string

// The kinds.
const (
	Unread  Kind = ""      // a message that could not be understood
	OfAlert Kind = "alert" // a notice of an alert that ilert refused
	Sent    Kind = "send"  // an outbox item that ilert refused
)

// LetterQuery chooses dead letters, and outbox items that wait for integration keys of messages:
// those to which all of what is set applies. IDs, Reason, Limit and After choose no outbox items,
// and Keys alone no dead letters.
type LetterQuery struct {
	IDs    []int64
	Filter string
	Topic  string    // the whole topic
	Reason string    // a part of the reason, without regard to case
	Before time.Time // when they died
	Limit  int       // 0 is all
	Keys   []string  // integration keys as String names them

	Retry       bool  // only those that somebody has asked to take in again
	Oldest      bool  // those that died first instead of those of the lowest IDs
	After, UpTo int64 // IDs of a page; UpTo 0: any
}

// ChoosesLetters reports whether dead letters are chosen.
func (q LetterQuery) ChoosesLetters() bool { return len(q.Keys) == 0 || len(q.IDs) > 0 }

// ChoosesWaiting reports whether outbox items are chosen.
func (q LetterQuery) ChoosesWaiting() bool {
	return len(q.Keys) > 0 || len(q.IDs) == 0 && q.Reason == "" && q.Limit == 0 && q.After == 0
}

// Names reports whether the query chooses an integration key.
func (q LetterQuery) Names(k ilert.IntegrationKey) bool {
	return len(q.Keys) == 0 || slices.Contains(q.Keys, k.String())
}

// WaitingKey is an integration key that a message brought, for which outbox items wait that
// ilert did not take.
type WaitingKey struct {
	Key      ilert.IntegrationKey
	Unproven bool // ilert has never taken it
	Items    int
	Tries    int // requests for the first of them
	Since    time.Time
	Topic    string // of the first message
}

// Clock is the clock of a source that is behind ours.
type Clock struct {
	Source  string
	Behind  time.Duration // 0: it is not, and need not be kept
	HeardAt time.Time     // when the source was heard of
}
