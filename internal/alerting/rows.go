package alerting

import (
	"strings"
	"time"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

// AlertID identifies an alert as ilert does: by its alert source, and by its alert key without
// regard to case and surrounding blanks.
type AlertID struct {
	Integration ilert.IntegrationKey
	Folded      string
}

// idOf returns the identity of the alert that a key names.
func idOf(k decision.Key) AlertID {
	return AlertID{k.Integration, strings.ToLower(strings.TrimSpace(k.Alert))}
}

// Alert is the row of an alert: what ilert should know of it, and what we told ilert. It exists
// while these differ, or while the alert is open.
type Alert struct {
	ID       AlertID
	AlertKey string // as it was first written
	Rule     string // that raised it; empty for none
	Windowed bool   // it belongs to the window of Rule and Group
	Group    string // of its window; of a storm: the rule that the storm speaks for
	Epoch    int64  // number of the last RuleEnd that the alert has outlived

	Desired  ilert.Type // ALERT, ACCEPT or RESOLVE
	Told     ilert.Type // Nothing, ALERT, ACCEPT, Unsure, or UnsureAccepted
	ToldAt   time.Time
	Body     string // JSON of the event, without keys and type; a windowed one has places for numbers
	Priority string

	AgeAt  time.Time // when the alert is too old; zero is never
	EndsAt time.Time // when the alert ends by itself; zero is never
	Report Report    // the newest one about it

	Version int64 // changes with Desired, so that an answer finds out whether it is about the newest state
	Pending bool  // Desired waits to be sent
	Listing bool  // it waits only because of members that no notice has reported
	Claimed bool  // a request is under way
	Tries   int   // requests so far
	NextTry time.Time

	Storm     StormRole
	Size      int // of a storm: its members
	Untold    int // of a storm: its members that no notice has reported
	MaxListed int // of a storm: the limit of members in its next notice; 0 is as many as fit

	Cause Cause
}

// What ilert was told of an alert, beside its event types.
const (
	// Nothing means that ilert does not know the alert.
	Nothing ilert.Type = ""
	// Unsure means that a request is under way or was not answered: ilert knows the old state
	// or the new one.
	Unsure ilert.Type = "UNSURE"
	// UnsureAccepted is Unsure of an alert that was accepted, and perhaps still is.
	UnsureAccepted ilert.Type = "UNSURE_ACCEPTED"
)

// StormRole is the relation of an alert to a storm.
type StormRole int

// The roles.
const (
	Alone   StormRole = iota
	InStorm           // one of those that a storm speaks for
	IsStorm           // the storm itself
	// Apart is an alert that ilert has refused as a member of a storm: it is sent alone.
	Apart
)

// Report is the newest message about an alert of which the source is known.
type Report struct {
	At     time.Time
	Source string // empty if there was none
}

// Cause is the message because of which an alert or an outbox item waits, or waited last.
type Cause struct {
	Filter     string // topic filter under which the message is counted; empty if no message is counted for it
	Topic      string
	Payload    []byte
	ReceivedAt time.Time
	Properties Properties
}

// RuleEnd is the end of all alerts and windows of a rule that began before it. It waits in a
// row of its own while a page of them after the other is ended.
type RuleEnd struct {
	Rule    string
	Epoch   int64 // rises with each end of any rule; alerts and windows of a lower epoch end
	At      time.Time
	Arrived time.Time
	Source  string        // that has ended them; empty if no message did
	MaxSkew time.Duration // of that message
	Windows bool          // the rule's windows are forgotten, too
	// Kept is the integration key whose alerts do not end; nil: all end.
	Kept *ilert.IntegrationKey
}

// GroupID names the window of a group of a rule.
type GroupID struct{ Rule, Group string }

// Group is the window of a group of a rule, with all of its members.
type Group struct {
	ID       GroupID
	Window   decision.Window // as the rule had it at the last hit
	Buckets  []Bucket        // the oldest first
	Alert    AlertID
	Hold     time.Duration // for which the condition must have held before the alert is sent
	Epoch    int64         // as that of an Alert
	Latest   time.Time     // up to which the window has counted
	LastTrue time.Time     // when the condition was last known to hold
	CheckAt  time.Time     // when to check the condition again; zero is never

	Size   int // members that the open alert holds
	Untold int // of these, those that no notice has reported
	Peak   int // the largest Size

	Members map[string]*GroupMember
}

// Bucket counts what happened in a part of a window: the part's number since 1970, the hits,
// and what counts towards the total.
type Bucket [3]int64

// GroupMember is a member of a Group.
type GroupMember struct {
	At   time.Time // of its last hit
	Told bool      // a notice has reported it
}

// MemberID names a member of a group.
type MemberID struct {
	Group GroupID
	Name  string
}

// OutboxItem is an event that is sent as it is, in the order of arrival within its integration
// key, without a desired state.
type OutboxItem struct {
	ID        int64   // 0 before it is saved
	Alert     AlertID // its integration key, and its alert key if it has one
	Path      string  // of ilert's API
	Body      string  // JSON of the event, without the integration key
	EventType ilert.Type
	QueuedAt  time.Time
	Unproven  bool // a message brought the integration key, and ilert has never taken it
	Claimed   bool
	Tries     int
	NextTry   time.Time
	Cause     Cause
}

// Volume is the size of a table.
type Volume struct{ Rows, Bytes int64 }

func (v Volume) plus(rows, bytes int64) Volume { return Volume{v.Rows + rows, v.Bytes + bytes} }

func (v Volume) exceeds(limit Volume) bool { return v.Rows > limit.Rows || v.Bytes > limit.Bytes }

// Device is a device of the fleet and when it was last heard of, to within an hour.
type Device struct {
	GUID   string
	SeenAt time.Time
}

// Arrival is the set of fingerprints of the messages of one transaction.
type Arrival struct {
	ID     int64
	At     time.Time
	Prints []uint64
}

// ReceiptRow is the set of receipts of one transaction.
type ReceiptRow struct {
	ID       int64
	Session  string // of the broker
	Receipts []byte // see encodeReceipts
}

// Requests counts the requests to ilert by an integration key that went out at a time.
type Requests struct {
	Key ilert.IntegrationKey
	At  time.Time
	N   int
}

// Hold is the time before which ilert has asked for no request of an integration key.
type Hold struct {
	Key   ilert.IntegrationKey
	Until time.Time
}

// LaneHold records from when on the notices of an integration key may be sent, as far as its
// budget is known.
type LaneHold struct {
	Any     time.Time // any notice
	Singles time.Time // those about one thing alone
}
