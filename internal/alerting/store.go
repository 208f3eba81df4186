package alerting

import (
	"context"
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
)

// Store is the place that keeps the rows of alerting. It decides nothing. One process at a time works on it; others
// may read, purge and mark dead letters beside that one. Its methods may be called concurrently.
type Store interface {
	// Update calls do in a transaction and commits what do has saved. The transaction is durable when Update
	// returns nil; if Update or do returns an error, nothing is kept. If ctx ends, Update stops waiting for
	// other transactions, but it does not stop its own.
	Update(ctx context.Context, do func(Tx) error) error
	// View calls do in a transaction that only reads and sees the rows of one moment. It holds up no Update.
	View(ctx context.Context, do func(Tx) error) error
	// NextDue returns the earliest time at which a lane, the end of an alert, the check of a group, or a page of
	// a RuleEnd is due, and false if there is none of these. A page of a RuleEnd is due at once.
	NextDue(ctx context.Context) (time.Time, bool, error)
	// Close ends the use of the store.
	Close() error

	People
}

// People is the part of a Store that answers what people ask. Its methods read beside Update.
type People interface {
	// Status returns what the store holds, as of a time.
	Status(ctx context.Context, now time.Time) (Status, error)
	// Alerts returns the alerts of a rule, or all (""), with the number of members of each, in the order of their identities.
	Alerts(ctx context.Context, rule string, limit int) ([]AlertWithMembers, error)
	// AlertsWithKey returns the alerts of all integration keys that have a folded alert key, in the order of their identities.
	AlertsWithKey(ctx context.Context, folded string) ([]AlertWithMembers, error)
	// Letters returns the chosen dead letters, the oldest first.
	Letters(ctx context.Context, which LetterQuery) ([]Letter, error)
	// WaitingKeys returns the literal integration keys for which chosen outbox items wait, the longest waiting
	// first: those of which an item is unproven or was tried, or that Keys of the query names. It ignores IDs,
	// Reason and Limit of the query.
	WaitingKeys(ctx context.Context, which LetterQuery) ([]WaitingKey, error)
}

// Tx is a transaction of a Store. A database behind a network makes one round trip of each call, so the engine
// makes few of them. Rows that a method returns belong to the caller. If rows are equal in the order that a method
// promises, the row with the lower identity comes first; identities are compared by the bytes of their texts.
type Tx interface {
	// Load reads the rows of keys into rows, whose maps may be nil. It does not change alerts and groups that
	// rows holds already.
	Load(ctx context.Context, keys Keys, rows *Rows) error
	// Save writes changes, and keeps the volumes. For each lane that Lanes names, or of which an alert or outbox
	// item has changed, it derives anew the time at which the lane is due. That is the earliest NextTry of its
	// alerts that are pending, unclaimed and of a class, and of the first item of its outbox unless that is claimed.
	// But it is not before LaneHold.Any nor, unless the class is of the kind Others, before LaneHold.Singles.
	// Save deletes a lane for which nothing waits, with its LaneHold. Within one call, deletions come before
	// insertions into the same table.
	Save(ctx context.Context, changes *Changes) error

	// FindDue returns what is due: up to maxEnds alerts, up to maxEnds groups, up to maxEnds delayed
	// alerts by the listened time, and up to maxLanes lanes.
	FindDue(ctx context.Context, now time.Time, listened time.Duration, maxEnds, maxLanes int) (Due, error)
	// FindWork returns the rows of lanes that are due, in the order of the queries.
	FindWork(ctx context.Context, now time.Time, lanes []LaneQuery) ([]LaneWork, error)
	// FindWaiting returns alerts that wait, for each query up to Limit.
	FindWaiting(ctx context.Context, queries []WaitingQuery) ([][]*Alert, error)
	// JoinStorms makes alerts members of storms: for each join up to Limit alerts of its rule and integration key
	// that are due and of the kind Firsts, the longest due first. It returns their number for each join.
	JoinStorms(ctx context.Context, now time.Time, joins []StormJoin) ([]int, error)
	// FindRules returns the number of open alerts for each rule that has alerts, groups or a count of matches, and
	// for each integration key of its alerts.
	FindRules(ctx context.Context) ([]RuleCount, error)
	// FindLetters returns the chosen dead letters: in the order in which they died if Oldest is
	// set, else in the order of IDs.
	FindLetters(ctx context.Context, which LetterQuery) ([]Stored, error)
	// FindOutbox returns the chosen outbox items in the order of IDs.
	FindOutbox(ctx context.Context, which OutboxQuery) ([]Stored, error)
	// FindDevices returns up to limit devices that were not seen after a time, the longest unseen first, and
	// the total number of devices.
	FindDevices(ctx context.Context, before time.Time, limit int) (guids []string, total int, err error)
	// Recover prepares the rows for a new engine: it makes unclaimed what is claimed, derives every lane anew
	// without its LaneHold, and reads the rows that an engine keeps in memory.
	Recover(ctx context.Context, memory *Memory) error
}

// Keys is the list of rows that Load reads.
type Keys struct {
	Alerts   []AlertID
	Groups   []GroupID // with all members
	Storms   []StormQuery
	Rules    []RuleQuery
	Prefixes []PrefixQuery
	Outbox   []int64
	Behind   []OutboxRef
	Letters  []int64
	Proven   []ilert.IntegrationKey // must be literal
	Devices  []string
	Fleet    FleetQuery // zero: do not count
	Volumes  bool
	Orders   bool
	Busy     []ilert.IntegrationKey
}

// Rows is the set of rows that Load has read. A key without a row has a nil entry or no entry, as each field says.
type Rows struct {
	Alerts   map[AlertID]*Alert            // nil: there is no such alert
	Ended    map[AlertID]Report            // of alerts that were deleted; no entry: there is no report
	Groups   map[GroupID]*Group            // nil: there is no such group
	Storms   map[StormQuery]StormMembers   // the members are in Alerts, too
	Rules    map[string]RulePage           // by rule
	Prefixes map[AlertID]PrefixPage        // by prefix
	Outbox   map[int64]*OutboxItem         // no entry: there is no such item
	Behind   map[OutboxRef][]ilert.Type    // event types in the order of the outbox
	Letters  map[int64]*Letter             // no entry: there is no such letter
	Proven   map[ilert.IntegrationKey]bool // ilert has taken an event by it
	Devices  map[string]time.Time          // no entry: the device is not known
	Fleet    FleetCount
	Volumes  Volumes
	// With Volumes: no lower than the highest ID of a dead letter and of an outbox item.
	LastLetter, LastItem int64

	Busy map[ilert.IntegrationKey]bool // an alert or an outbox item waits or is claimed

	// With Orders, in the order of IDs.
	Silences []Silence
	Closings []Closing
}

// StormQuery is the question for members of a storm.
type StormQuery struct {
	Key   ilert.IntegrationKey
	Rule  string
	Limit int
}

// StormMembers is the answer to a StormQuery.
type StormMembers struct {
	Size, Untold int
	// Members are the members to report, up to the limit, in the order of their identities: those that no notice
	// has reported or, if there are none of these, any.
	Members []AlertID
}

// RuleQuery is the question for alerts and groups of a rule with a lower Epoch.
type RuleQuery struct {
	Rule  string
	Epoch int64
	Limit int // of alerts, and of groups
}

// RulePage is the answer to a RuleQuery.
type RulePage struct {
	Alerts []AlertID // the alerts are in Rows.Alerts, too
	Groups []GroupID
}

// OutboxRef is the question for the event types of the items behind an item that have the same alert key, among
// the next 1,000 of its integration key.
type OutboxRef struct {
	ID    int64 // of the item
	Alert AlertID
}

// Volumes holds the sizes of the tables that anybody who publishes can fill. Unproven is a part of Outbox.
type Volumes struct{ Letters, Outbox, Unproven Volume }

// Due holds what is due at a time.
type Due struct {
	Alerts []*Alert // whose EndsAt has come, the longest due first
	// Delayed are the alerts that wait and whose Heard and Delay together are not above the listened time, the lowest
	// first.
	Delayed []*Alert
	// NextDelay is the lowest sum of Heard and Delay of those that are left: 0 if there are none.
	NextDelay time.Duration
	Groups    []*Group // whose CheckAt has come, the longest due first, with their members
	// Lanes are the integration keys for which a notice may be due, the longest due first, but those that are
	// unproven after the others.
	Lanes []ilert.IntegrationKey
}

// LaneQuery is the question for the rows of an integration key that are due.
type LaneQuery struct {
	Key     ilert.IntegrationKey
	Any     int // limit of each class of the kind Others
	Singles int // limit of each other class
	Minute  int // notices that go out in a minute, with which to compare what waits; 0: do not count
}

// LaneWork holds the rows of an integration key that are due.
type LaneWork struct {
	// Alerts are pending, unclaimed and due, in the order of their SendClass, the longest due of each first. Those
	// of a class that are due at the same time are in the order of their rules, then of their identities: a
	// database has an index in that order, by which it counts the alerts of each rule.
	Alerts []*Alert
	Head   *OutboxItem // the first item of the outbox, if it is unclaimed and due
	// Waiting is the number of alerts of the kind Firsts that are due, and of members of storms that no notice has
	// reported. The store counts neither further than Minute plus one.
	Waiting int
	Rules   []RuleBacklog // if Waiting exceeds Minute
}

// RuleBacklog is the number of alerts of a rule that are due and of the kind Firsts.
type RuleBacklog struct {
	Rule     string
	N        int
	Priority int // the highest priority of these alerts, as an index of Priorities
}

// WaitingQuery is the question for alerts that may have to be held, or may be held no more.
type WaitingQuery struct {
	// DependsOn is an alert whose key the method DependsOn of an alert names. These come in the order of their
	// identities. If it is zero, the query is for all alerts that are pending and unclaimed, in the order of their
	// integration keys, and then in that of LaneWork with NoClass first.
	DependsOn AlertID
	After     *Alert // only alerts that come after it; nil: from the first
	Limit     int
}

// StormJoin is the order to make alerts of a rule and integration key members of a storm.
type StormJoin struct {
	Key   ilert.IntegrationKey
	Rule  string
	Limit int
}

// RuleCount is the number of open alerts of a rule with an integration key.
type RuleCount struct {
	Rule string
	Key  ilert.IntegrationKey
	Open int
}

// Stored is the part of a dead letter or an outbox item that the engine needs to purge it.
type Stored struct {
	ID       int64
	Filter   string
	Key      ilert.IntegrationKey // of an outbox item
	Unproven bool
	Retry    bool // of a dead letter: a person has asked to take it in again
	Bytes    int64
}

// OutboxQuery is the choice of the outbox items that meet all conditions which are set.
type OutboxQuery struct {
	Filter, Topic string
	Before        time.Time             // queued before this time
	Key           *ilert.IntegrationKey // nil: any
	UpTo          int64                 // highest ID; 0: any
	Proven        bool                  // not unproven, and not claimed
	Unproven      bool                  // unproven
	Limit         int
}

// Changes is the set of changes that Save writes.
type Changes struct {
	Alerts      []*Alert
	NoAlerts    []AlertID
	Ended       map[AlertID]Report
	EndedBefore time.Time // delete the reports up to this time; zero: none

	Groups    []*Group  // without their members
	NoGroups  []GroupID // and their members, which are deleted before Members are written
	Members   map[MemberID]GroupMember
	NoMembers []MemberID

	Lanes    map[ilert.IntegrationKey]*LaneHold // to be derived anew; nil keeps the LaneHold of the lane
	AllLanes bool                               // delete each LaneHold, and let each lane be due now

	// Outbox holds items in the order of arrival. The store gives a new item its ID; of any other it writes Claimed,
	// Tries and NextTry.
	Outbox    []*OutboxItem
	NoOutbox  []int64
	Proven    map[ilert.IntegrationKey]time.Time // keys that ilert has taken; their items are unproven no more
	MaxProven int                                // limit of proven keys, of which the oldest are deleted; 0: none

	// Letters holds dead letters. The store gives a new one its ID; of any other it writes Reason, DiedAt, Retry and
	// Kept.
	Letters   []*Letter
	NoLetters []int64
	Retry     []int64 // dead letters that a person has asked to take in again
	Overtaken []Overtaking

	// Silences holds silences. The store gives a new one its ID; of any other it writes EndsAt.
	Silences   []*Silence
	NoSilences []int64
	Closings   []Closing // the store gives each its ID
	NoClosings []int64

	RuleEnds   []RuleEnd
	NoRuleEnds []RuleEnd
	NoRules    []string // rules whose counts of matches are deleted

	Devices   []Device // the later SeenAt wins
	NoDevices []string

	Arrival    *Arrival // the store gives it its ID
	NoArrivals int64    // delete up to this ID
	Receipt    *ReceiptRow
	NoReceipts []int64
	Requests   []Requests          // are added to those of the same time
	NoRequests time.Time           // delete up to this time
	Holds      []Hold              // the later one wins
	NoHolds    time.Time           // delete up to this time
	Clocks     []Clock             // a clock with Behind 0 is deleted
	Subscribed map[string][]string // by client ID: all of its topic filters

	Awaited   []*Awaited
	NoAwaited []GroupID
	Listening *Listening // nil: not changed

	Tallies map[string]Tally  // to be added, by topic filter; to subtract, a number wraps around
	Matched map[string]uint64 // to be added, by rule
}

// Overtaking is the order to mark the dead letters of the outbox that an event contradicts.
type Overtaking struct {
	Alert      AlertID
	By         ilert.Type   // of the event
	Contradict []ilert.Type // event types of the dead letters
}

// Memory is the set of rows that an engine keeps in memory, and reads when it opens a store.
type Memory struct {
	Arrivals      []Arrival    // in the order of IDs
	Receipts      []ReceiptRow // in the order of IDs
	Requests      []Requests   // the oldest first
	Holds         []Hold
	Clocks        []Clock             // in the order of HeardAt
	Subscriptions map[string][]string // topic filters by client ID
	RuleEnds      []RuleEnd           // in the order of epochs
	Epoch         int64               // the highest of any RuleEnd, also of deleted ones
	Awaited       []*Awaited          // in the order of rules, then of groups
	Listening     Listening
	NextDelay     time.Duration // the lowest sum of Heard and Delay of any delayed alert; 0 if there are none
	Silences      []Silence     // in the order of IDs
	DependedOn    []AlertID     // by which FindWaiting finds an alert, in the order of identities
}
