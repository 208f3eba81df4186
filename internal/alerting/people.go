package alerting

import (
	"slices"
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
)

// Status is the count of what a store holds at one moment.
type Status struct {
	Tallies map[string]Tally  // by topic filter
	Matches map[string]uint64 // number of matches by rule
	Open    uint64            // alerts that are open in ilert
	Waiting uint64            // alerts that are due, or that were sent in vain and wait for the next try
	Later   uint64            // alerts that were not tried yet and are not due, or that are held back
	Claimed uint64            // alerts of which a request is under way
	// Held and Silenced are the numbers of alerts that other alerts hold, and that silences hold. They count in none
	// of the numbers above but Open.
	Held, Silenced uint64
	// Oldest is the time from which the longest waiting alert or outbox item has waited; zero if nothing waits. An
	// alert that was not tried yet waits from the time at which it was due, any other from the arrival of its message.
	Oldest time.Time
	// UnprovenKeys and Unproven are the numbers of unproven integration keys and of the outbox items that wait for
	// them. OldestUnproven is the time at which the oldest of these items was queued.
	UnprovenKeys, Unproven uint64
	OldestUnproven         time.Time
	// LetterBytes, Outbox and OutboxBytes are the sizes of the dead letters and the outbox; see Bounds.
	LetterBytes, Outbox, OutboxBytes uint64
}

// AlertWithMembers is an alert with the number of members of its window or storm.
type AlertWithMembers struct {
	Alert
	Members int
}

// LetterQuery is the choice of the dead letters, and of the outbox items that wait for literal integration keys, that
// meet all conditions which are set. A query with IDs, Reason, Limit or After chooses no outbox items unless it has
// Keys; one with Keys and without IDs chooses no dead letters.
type LetterQuery struct {
	IDs    []int64
	Filter string
	Topic  string    // the whole topic
	Reason string    // a part of the reason, without regard to case
	Before time.Time // died before this time
	Limit  int       // 0: all
	Keys   []string  // integration keys as their method String returns them

	Retry       bool  // a person has asked to take the letter in again
	Oldest      bool  // in the order in which the letters died, not of their IDs
	After, UpTo int64 // IDs of a page; UpTo 0: any
}

// ChoosesLetters reports whether the query chooses dead letters.
func (q LetterQuery) ChoosesLetters() bool { return len(q.Keys) == 0 || len(q.IDs) > 0 }

// ChoosesWaiting reports whether the query chooses outbox items.
func (q LetterQuery) ChoosesWaiting() bool {
	return len(q.Keys) > 0 || len(q.IDs) == 0 && q.Reason == "" && q.Limit == 0 && q.After == 0
}

// Names reports whether the query chooses an integration key.
func (q LetterQuery) Names(k ilert.IntegrationKey) bool {
	return len(q.Keys) == 0 || slices.Contains(q.Keys, k.String())
}

// WaitingKey is a literal integration key for which outbox items wait.
type WaitingKey struct {
	Key      ilert.IntegrationKey
	Unproven bool // ilert has never taken an event by it
	Items    int
	Tries    int // requests for the first item
	Since    time.Time
	Topic    string // of the first item's message
}
