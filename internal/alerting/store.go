package alerting

import (
	"context"
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
)

// Store keeps the rows of alerting and decides nothing. One process at a time has it open to
// write; beside it, others may read, purge and mark dead letters. Its methods may be called
// concurrently.
type Store interface {
	// Update calls do in a transaction and commits what do has saved; the transaction is durable
	// when Update returns nil, and nothing is kept if it or do returns an error. Only waiting for
	// its turn ends with ctx.
	Update(ctx context.Context, do func(Tx) error) error
	// View calls do in a transaction that only reads, of one moment, and holds up no Update.
	View(ctx context.Context, do func(Tx) error) error
	// NextDue returns the earliest time at which something is due: a lane, the end of an alert, the check
	// of a group, or a page of a RuleEnd, which is due at once; and false if there is nothing.
	NextDue(ctx context.Context) (time.Time, bool, error)
	Close() error

	People
}

// People is the part of a Store that people ask, not the engine. It reads beside the work.
type People interface {
	// Status counts what the store holds, as of a time.
	Status(ctx context.Context, now time.Time) (Status, error)
	// Alerts returns the alerts of a rule, or all (""), with the number of members of each, in the order of their identities.
	Alerts(ctx context.Context, rule string, limit int) ([]AlertWithMembers, error)
	// Letters returns the chosen dead letters, the oldest first.
	Letters(ctx context.Context, which LetterQuery) ([]Letter, error)
	// WaitingKeys returns the literal integration keys for which chosen outbox items wait that are
	// unproven or were tried, or that Keys of the query names, the longest waiting first. IDs, Reason
	// and Limit of the query do not count.
	WaitingKeys(ctx context.Context, which LetterQuery) ([]WaitingKey, error)
}

// Tx is a transaction of a Store. Each call is one round trip for a database behind a network,
// so a batch of work makes few of them. Rows that it returns belong to the caller. Of rows that are equal in the
// order that a method promises, those of the lower identity come first, by the bytes of its texts.
type Tx interface {
	// Load reads the rows of keys into rows, whose maps may be nil. Alerts and groups that rows holds
	// already are left as they are.
	Load(ctx context.Context, keys Keys, rows *Rows) error
	// Save writes changes, keeps the volumes, and derives anew when each lane is due of which an
	// alert or outbox item has changed or that Lanes names: at the earliest NextTry of its alerts that are
	// pending, unclaimed and of a class, and of the first item of its outbox unless that is claimed; but not
	// before LaneHold.Any nor, unless the class is of the kind Others, before LaneHold.Singles.
	// A lane for which nothing waits is forgotten, with what holds it up. Within one call, deletions
	// come before insertions of the same table.
	Save(ctx context.Context, changes *Changes) error

	// FindDue returns what is due, up to maxEnds alerts and groups and maxLanes lanes.
	FindDue(ctx context.Context, now time.Time, maxEnds, maxLanes int) (Due, error)
	// FindWork returns what is due of lanes, in the order of the queries.
	FindWork(ctx context.Context, now time.Time, lanes []LaneQuery) ([]LaneWork, error)
	// JoinStorms makes alerts members of storms: of each query's rule and integration key up to Limit of
	// those of a first class that are due, the longest due first. It returns how many there were for each.
	JoinStorms(ctx context.Context, now time.Time, joins []StormJoin) ([]int, error)
	// FindRules returns for each rule that has alerts, groups or a count of matches, and each
	// integration key of its alerts, how many of these are open.
	FindRules(ctx context.Context) ([]RuleCount, error)
	// FindLetters returns the chosen dead letters: in the order in which they died if Oldest is
	// set, else in the order of IDs.
	FindLetters(ctx context.Context, which LetterQuery) ([]Stored, error)
	// FindOutbox returns the chosen outbox items in the order of IDs.
	FindOutbox(ctx context.Context, which OutboxQuery) ([]Stored, error)
	// FindDevices returns up to limit devices, the longest unseen first, that were not seen
	// after a time, and how many devices there are.
	FindDevices(ctx context.Context, before time.Time, limit int) (guids []string, total int, err error)
	// Recover begins the work of an engine: it lets go of all that is claimed, makes every lane be
	// derived anew with nothing that holds it up, and reads what an engine keeps in memory.
	Recover(ctx context.Context, memory *Memory) error
}

// Keys names the rows that Load reads. The zero value names none.
type Keys struct {
	Alerts  []AlertID
	Groups  []GroupID // with all members
	Storms  []StormQuery
	Rules   []RuleQuery
	Outbox  []int64
	Behind  []OutboxRef
	Letters []int64
	Proven  []ilert.IntegrationKey // literal ones
	Devices []string
	Fleet   time.Time // count devices seen after it; zero: do not
	Volumes bool
	Busy    []ilert.IntegrationKey // for which something waits or is claimed
}

// Rows are the rows that Load has read. What is not there has a nil or no entry, as each field says.
type Rows struct {
	Alerts  map[AlertID]*Alert            // nil: there is none
	Ended   map[AlertID]Report            // of alerts that are no more, if they have one
	Groups  map[GroupID]*Group            // nil: there is none
	Storms  map[StormQuery]StormMembers   // its members are in Alerts, too
	Rules   map[string]RulePage           // by rule
	Outbox  map[int64]*OutboxItem         // only those that there are
	Behind  map[OutboxRef][]ilert.Type    // event types in the order of the outbox
	Letters map[int64]*Letter             // only those that there are
	Proven  map[ilert.IntegrationKey]bool // ilert has taken an event by it
	Devices map[string]time.Time          // only those that there are
	Fleet   int
	Volumes Volumes
	// With Volumes: no lower than the highest ID of a dead letter and of an outbox item.
	LastLetter, LastItem int64

	Busy map[ilert.IntegrationKey]bool // an alert or an outbox item waits or is claimed
}

// StormQuery asks for members of a storm.
type StormQuery struct {
	Key   ilert.IntegrationKey
	Rule  string
	Limit int
}

// StormMembers counts the members of a storm and holds those to list: up to the limit, in the order of their
// identities, the ones that wait to be reported or, if there are none of these, any.
type StormMembers struct {
	Size, Untold int
	Members      []AlertID
}

// RuleQuery asks for alerts and groups of a rule whose Epoch is lower.
type RuleQuery struct {
	Rule  string
	Epoch int64
	Limit int // of alerts, and of groups
}

// RulePage holds identities of alerts and groups of a rule.
type RulePage struct {
	Alerts []AlertID // are in Rows.Alerts, too
	Groups []GroupID
}

// OutboxRef asks for the event types of those among the next 1,000 items of the same integration
// key that have the same alert key.
type OutboxRef struct {
	ID    int64 // the items behind it
	Alert AlertID
}

// Volumes are the sizes of what anybody can fill.
type Volumes struct{ Letters, Outbox, Unproven Volume }

// Due holds what is due at a time.
type Due struct {
	Alerts []*Alert // whose EndsAt has come, the longest due first
	Groups []*Group // whose CheckAt has come, likewise, with their members
	// Lanes are the integration keys for which something may be sent: those that are unproven after the
	// others, each the longest due first.
	Lanes []ilert.IntegrationKey
}

// LaneQuery asks for what is due of an integration key.
type LaneQuery struct {
	Key     ilert.IntegrationKey
	Any     int // limit of each class that speaks for many, or ends
	Singles int // limit of each class of one thing alone
	Minute  int // count what waits, up to one more, and its rules; 0: do not
}

// LaneWork holds the rows of an integration key that are due.
type LaneWork struct {
	// Alerts are pending, unclaimed and due, by SendClass, the longest due of each first; of those that are
	// due at the same time the rule comes before the identity, as in an index that counts them by rule.
	Alerts []*Alert
	Head   *OutboxItem // the first of the outbox, if it is unclaimed and due
	// Waiting is the number of alerts of a first class that are due and of storms' members that
	// wait to be reported, counted up to the query's Minute plus one for each of these.
	Waiting int
	Rules   []RuleBacklog // if Waiting exceeds Minute
}

// RuleBacklog counts the alerts of a first class of a rule that are due.
type RuleBacklog struct {
	Rule     string
	N        int
	Priority int // the highest of them, as an index of Priorities
}

// StormJoin names the alerts that become members of a storm.
type StormJoin struct {
	Key   ilert.IntegrationKey
	Rule  string
	Limit int
}

// RuleCount counts the open alerts of a rule with an integration key.
type RuleCount struct {
	Rule string
	Key  ilert.IntegrationKey
	Open int
}

// Stored is a dead letter or an outbox item, as far as it is needed to purge it.
type Stored struct {
	ID       int64
	Filter   string
	Key      ilert.IntegrationKey // of an outbox item
	Unproven bool
	Retry    bool // of a dead letter: somebody has asked to take it in again
	Bytes    int64
}

// OutboxQuery chooses outbox items: those to which all of what is set applies.
type OutboxQuery struct {
	Filter, Topic string
	Before        time.Time             // when they were queued
	Key           *ilert.IntegrationKey // nil: of any
	UpTo          int64                 // highest ID; 0: any
	Proven        bool                  // only those that are not unproven, and not claimed
	Unproven      bool                  // only those that are
	Limit         int
}

// Changes are the rows that Save writes.
type Changes struct {
	Alerts      []*Alert
	NoAlerts    []AlertID
	Ended       map[AlertID]Report
	EndedBefore time.Time // reports that are no later are deleted; zero: none

	Groups    []*Group  // without their members
	NoGroups  []GroupID // with their members, before Members are written
	Members   map[MemberID]GroupMember
	NoMembers []MemberID

	Lanes    map[ilert.IntegrationKey]*LaneHold // to be derived anew; nil keeps what holds it up
	AllLanes bool                               // forget what holds up every lane, and let each be due now

	Outbox    []*OutboxItem // in the order of arrival; a new one gets its ID; of one that is there Claimed, Tries and NextTry are written
	NoOutbox  []int64
	Proven    map[ilert.IntegrationKey]time.Time // keys that ilert has taken; their items are unproven no more
	MaxProven int                                // keep so many of the newest; 0: all

	Letters   []*Letter // a new one gets its ID; of one that is there Reason, DiedAt, Retry and Kept are written
	NoLetters []int64
	Retry     []int64 // dead letters that somebody has asked to take in again
	// Overtaken marks dead letters of the outbox that a later event of their alert contradicts.
	Overtaken []Overtaking

	RuleEnds   []RuleEnd
	NoRuleEnds []RuleEnd
	NoRules    []string // forget how often they matched

	Devices   []Device // the later SeenAt wins
	NoDevices []string

	Arrival    *Arrival // gets its ID
	NoArrivals int64    // up to this ID
	Receipt    *ReceiptRow
	NoReceipts []int64
	Requests   []Requests          // are added
	NoRequests time.Time           // up to this time
	Holds      []Hold              // the later one wins
	NoHolds    time.Time           // up to this time
	Clocks     []Clock             // one with Behind 0 is deleted
	Subscribed map[string][]string // by client id: all of its topic filters

	Tallies map[string]Tally  // to be added, by topic filter; a count that fell is a number that wraps
	Matched map[string]uint64 // to be added, by rule
}

// Overtaking marks the dead letters of the outbox for an alert that are of some event types.
type Overtaking struct {
	Alert      AlertID
	By         ilert.Type
	Contradict []ilert.Type
}

// Memory holds the rows that an engine keeps in memory and reads when it begins.
type Memory struct {
	Arrivals      []Arrival    // in the order of IDs
	Receipts      []ReceiptRow // likewise
	Requests      []Requests   // the oldest first
	Holds         []Hold
	Clocks        []Clock // in the order in which their sources were heard of
	Subscriptions map[string][]string
	RuleEnds      []RuleEnd // in the order of epochs
	Epoch         int64     // the highest that was ever given
}
