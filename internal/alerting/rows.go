package alerting

import (
	"time"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

// AlertID is the identity of an alert. Like ilert it ignores case and surrounding blanks of the alert key.
type AlertID struct {
	Integration ilert.IntegrationKey
	Folded      string // alert key in lower case without surrounding blanks
}

// idOf returns the identity of the alert with a key.
func idOf(k decision.Key) AlertID { return AlertID{k.Integration, k.Folded().Alert} }

// Alert is the row of an alert: the state that ilert should show, and the one that was sent last. The row exists
// while these differ, or while the alert is open.
type Alert struct {
	ID       AlertID
	AlertKey string // as the message wrote it that raised the alert
	Rule     string // that raised it; empty for none
	Windowed bool   // it belongs to the window of Rule and Group
	Group    string // of its window; of a storm: the rule of its members
	Epoch    int64  // a RuleEnd ends the alert only if its Epoch is higher

	Desired  ilert.Type // state that ilert should show: ALERT, ACCEPT or RESOLVE
	Told     ilert.Type // state that was sent last: Nothing, ALERT, ACCEPT, Unsure, or UnsureAccepted
	ToldAt   time.Time
	Body     string // JSON of the event, without keys and type; if Windowed, with marks for numbers
	Priority string

	AgeAt  time.Time // when the alert ends by its age; zero: never
	EndsAt time.Time // when the alert ends by its age, by silence, or at EndHeldUntil; zero: never
	Report Report    // the newest report about it

	Since   time.Time // when that began of which the alert tells; zero: not known
	EndedAt time.Time // when Desired became RESOLVE
	EndedBy By

	EndsAfter    time.Duration // for which an end by a message is held; 0: it is not
	EndHeldUntil time.Time     // when a held end ends the alert, unless it is raised before; zero: no end is held

	Version int64 // changes with Desired, so that an answer finds out whether it is about the newest state
	Pending bool  // Desired waits to be sent
	Listing bool  // it waits only to report new members
	Claimed bool  // a request is under way
	Tries   int   // requests so far
	NextTry time.Time

	// Delay is the time for which the engine must have listened since Heard, before the alert is sent; 0: it does not
	// wait for that. NextTry is then the time at which the alert is sent if the engine listens all the time.
	Delay time.Duration
	Heard time.Duration // listened time

	Storm     StormRole
	Size      int // of a storm: its members
	Untold    int // of a storm: its members that no notice has reported
	MaxListed int // of a storm: the limit of members in its next notice; 0: as many as fit

	// Repeat is the interval of the rule after which the alert is sent again while it stays true; 0: that of the engine,
	// negative: never. RepeatAt is the time at which that is due; zero: it is not to be repeated now.
	Repeat   time.Duration
	RepeatAt time.Time
	// Shown is the state of the alert at ilert at the last look. DiffersSince is the time since when looks find that it is not what it
	// should be; zero: it is, or is not known.
	Shown        Shown
	DiffersSince time.Time
	OpenedAt     time.Time // when ilert took the alert first since it began, or since ilert had lost it; zero: not yet

	Unless  string // JSON list of alert keys, folded: while one of them is open, the alert is not sent for the first time
	HeldBy  string // the key of these that is open and holds it
	Silence int64  // ID of the silence that holds it

	Cause Cause
}

// The values of Alert.Told beside ilert's event types.
const (
	// Nothing means that ilert does not know the alert.
	Nothing ilert.Type = ""
	// Unsure means that a request is under way or was not answered: ilert shows the old state or the new one.
	Unsure ilert.Type = "UNSURE"
	// UnsureAccepted means the same for an alert that was accepted, and may still be accepted in ilert.
	UnsureAccepted ilert.Type = "UNSURE_ACCEPTED"
)

// StormRole is the relation of an alert to a storm.
type StormRole int

// The roles.
const (
	Alone   StormRole = iota
	InStorm           // a member of a storm, which is not sent itself
	IsStorm           // the storm itself
	// Apart is the role of an alert that ilert has refused as a member of a storm: it is sent alone.
	Apart
)

// Report is the source and the time of the newest message about an alert.
type Report struct {
	At     time.Time
	Source string // empty if no message with a source was about the alert
}

// Cause is the message that makes an alert or an outbox item wait, or did so last.
type Cause struct {
	Filter     string // topic filter under which the message is counted; empty if no message is counted for it
	Topic      string
	Payload    []byte
	ReceivedAt time.Time
	Properties Properties
}

// RuleEnd is the end of all alerts and windows of a rule, or of all alerts with a Prefix, that began before it. The row
// exists until the engine has ended them, a page at a time.
type RuleEnd struct {
	Rule    string
	Epoch   int64 // rises with each end of any rule; alerts and windows of a lower epoch end
	At      time.Time
	Arrived time.Time
	Source  string        // of the message that has ended the rule; empty if no message did
	MaxSkew time.Duration // of that message
	Windows bool          // the windows of the rule end, too
	Holds   bool          // the ends of alerts with EndsAfter are held
	// Kept is the integration key whose alerts do not end; nil: all end.
	Kept *ilert.IntegrationKey
	// Prefix is the beginning of the identities of the alerts that end, of all rules; nil: the alerts of Rule end.
	Prefix *AlertID
	From   string // of a Prefix: the folded key up to which the alerts have ended
}

// GroupID is the identity of the window of a group.
type GroupID struct{ Rule, Group string }

// Group is the row of the window of a group, with all of its members.
type Group struct {
	ID       GroupID
	Window   decision.Window // as the rule had it at the last hit
	Buckets  []Bucket        // the oldest first
	Row      int             // hits since the last Break, however old they are
	Alert    AlertID
	Hold     time.Duration // for which the condition must have held before the alert is sent
	Epoch    int64         // a RuleEnd ends the window only if its Epoch is higher
	Latest   time.Time     // up to which the window has counted
	LastTrue time.Time     // when a condition was last known to hold
	ByOr     bool          // that was Window.Or
	WasHits  int           // its hits then
	WasOf    int           // the total then of which these were a part
	CheckAt  time.Time     // when to check the condition again; zero: never

	Size   int // members that the open alert holds
	Untold int // of these, the members that no notice has reported
	Peak   int // the largest Size

	Members map[string]*GroupMember
}

// Bucket is the count of a part of a window: the number of the part since 1970, the hits in it, and what counts
// towards the total.
type Bucket [3]int64

// GroupMember is a member of a Group.
type GroupMember struct {
	At    time.Time // of its last hit, or of the message that has forgotten it
	Since time.Time // of its first hit since it last left
	Told  bool      // a notice has reported it
	State MemberState
}

// MemberID is the identity of a member of a group.
type MemberID struct {
	Group GroupID
	Name  string
}

// OutboxItem is the row of an event that is sent as it is, without a desired state. Items of an integration key are
// sent in the order of arrival.
type OutboxItem struct {
	ID        int64   // 0 before it is saved
	Alert     AlertID // its integration key, and its alert key if it has one
	Path      string  // in ilert's API
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

// Device is a device of the fleet, with the time of its last message to within an hour.
type Device struct {
	GUID   string
	SeenAt time.Time
}

// FleetQuery asks for the size of the fleet.
type FleetQuery struct {
	SeenAfter time.Time // only devices that were seen after it count
	NewAfter  time.Time // and are new if they were seen for the first time after it
}

// FleetCount is the answer to a FleetQuery.
type FleetCount struct {
	Size, New int
	Oldest    time.Time // when the first of all devices was seen for the first time; zero: unknown, or there is none
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
	Session  string // session of the broker in which they came
	Receipts []byte // see encodeReceipts
}

// Requests is the number of requests to ilert by an integration key that went out at a time.
type Requests struct {
	Key ilert.IntegrationKey
	At  time.Time
	N   int
}

// Hold is the time until which ilert has asked for no request of an integration key.
type Hold struct {
	Key   ilert.IntegrationKey
	Until time.Time
}

// LaneHold holds the times before which the budget of an integration key allows no notice.
type LaneHold struct {
	Any     time.Time // no notice
	Singles time.Time // no notice about one thing alone
}
