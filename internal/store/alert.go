package store

import (
	"strings"
	"time"
)

// Message is what one received message does, once rules have decided.
type Message struct {
	Filter     string // the topic filter that it came by
	Topic      string
	Payload    []byte
	ReceivedAt time.Time
	Effect     Effect

	// For Raise, End and Send; empty is the configured one.
	IntegrationKey string
	// For Raise and End: which alert.
	AlertKey string
	// For Raise: what it says.
	Summary, Details, Priority string
	// For Send: the request, but for the integration key.
	Path string
	Body []byte
	// For Dead: why, and after how many requests to ilert.
	Reason string
	Tries  int
}

// Effect is what a message does.
type Effect int

// The effects.
const (
	None  Effect = iota // nothing
	Raise               // the alert should be open
	End                 // the alert should be resolved
	Send                // ilert is told just this
	Dead                // it is kept as a dead letter
)

// States of an alert, in ilert's words where it has them.
const (
	StateAlert   = "ALERT"
	StateResolve = "RESOLVE"

	stateNothing = ""
	// stateUnsure is what ilert knows while a request is under way and after one
	// that was not answered: perhaps the old state, perhaps the new.
	stateUnsure = "UNSURE"
)

// key identifies an alert as ilert does.
type key struct{ integration, folded string }

func keyOf(integrationKey, alertKey string) key {
	return key{integrationKey, strings.ToLower(strings.TrimSpace(alertKey))}
}

// alert is a row: what ilert should know of one alert, and what it was told. It
// exists while these differ or while the alert is open.
type alert struct {
	key      key
	alertKey string // as it was first written
	desired  string
	told     string
	toldAt   time.Time
	summary  string
	details  string
	priority string
	version  int64
	pending  bool
	claimed  bool
	tries    int
	nextTry  time.Time

	// Of the message that waits, or waited last.
	filter     string
	topic      string
	payload    []byte
	receivedAt time.Time
}

// fates counts what became of messages, for each topic filter.
type fates map[string]*Tally

// Tally counts messages. Received = Ignored + Merged + Delivered + Dead + Purged +
// Pending.
type Tally struct {
	Received  uint64 `json:"received"`
	Ignored   uint64 `json:"ignored"`   // had no effect on an alert
	Merged    uint64 `json:"merged"`    // said what was told or waited already, or was overtaken before it was told
	Delivered uint64 `json:"delivered"` // ilert took it
	Dead      uint64 `json:"dead"`      // kept as a dead letter
	Purged    uint64 `json:"purged"`    // was a dead letter
	Pending   uint64 `json:"pending"`   // waits to be told
}

func (f fates) of(filter string) *Tally {
	t := f[filter]
	if t == nil {
		t = new(Tally)
		f[filter] = t
	}
	return t
}

// raise makes the alert one that should be open. fresh means that nothing is
// known of it yet.
func (a *alert) raise(m *Message, fresh bool, reminder time.Duration, count fates) {
	switch {
	case fresh, a.desired == StateAlert && !a.pending && m.ReceivedAt.Sub(a.toldAt) >= reminder:
		a.want(StateAlert, m)
	case a.desired == StateAlert:
		count.of(m.Filter).Merged++
	case a.told == StateAlert: // its end was not told yet, and will not be
		count.of(a.filter).Merged++
		count.of(m.Filter).Merged++
		a.desired, a.pending = StateAlert, false
		a.version++
	default:
		count.of(a.filter).Merged++
		a.want(StateAlert, m)
	}
}

// end makes the alert one that should be resolved, and reports whether nothing
// remains to be told or remembered of it.
func (a *alert) end(m *Message, count fates) (over bool) {
	if a.desired == StateResolve {
		count.of(m.Filter).Merged++
		return false
	}
	if a.pending { // what waits is overtaken
		count.of(a.filter).Merged++
	}
	if a.told == stateNothing {
		count.of(m.Filter).Merged++
		return true
	}
	a.want(StateResolve, m)
	return false
}

// want lets m wait to be told, at once.
func (a *alert) want(state string, m *Message) {
	a.desired, a.pending = state, true
	a.filter, a.topic, a.payload, a.receivedAt = m.Filter, m.Topic, m.Payload, m.ReceivedAt
	a.version++
	a.tries, a.nextTry = 0, m.ReceivedAt
	if state == StateAlert {
		a.summary, a.details, a.priority = m.Summary, m.Details, m.Priority
	}
}

// Notice is one thing to tell ilert: an alert's newest state, or what is to be sent
// just so. It is handed out by Claim and goes back by Settle.
type Notice struct {
	IntegrationKey string
	Tries          int // how often ilert was tried before

	// An alert's newest state.
	AlertKey                   string
	State                      string // StateAlert or StateResolve
	Summary, Details, Priority string
	version                    int64
	told                       string // what was told before it was claimed

	// What is to be sent just so, Body being nil for an alert.
	Path   string
	Body   []byte
	letter int64
}

// Answer is what became of a Notice.
type Answer struct {
	Notice Notice
	Result Result
	At     time.Time
	Retry  time.Time // for Unknown and NotTold: when to try again
	Reason string    // for Refused
}

// Result is how a Notice ended.
type Result int

// The results.
const (
	Told    Result = iota // ilert took it
	Unknown               // no answer: it may or may not have arrived
	NotTold               // it has not arrived, try again
	Refused               // ilert calls it invalid
)

// settle takes in an answer, and reports whether nothing remains to be told or
// remembered. The alert may have changed while the request was under way.
func (a *alert) settle(answer *Answer, count fates) (over bool) {
	a.claimed = false
	current := a.version == answer.Notice.version
	if answer.Result == NotTold || answer.Result == Refused {
		a.told = answer.Notice.told
	}
	switch answer.Result {
	case Told:
		a.told, a.toldAt = answer.Notice.State, answer.At
		if a.told == StateResolve {
			a.told = stateNothing // nothing is open
		}
		if current {
			count.of(a.filter).Delivered++
			a.pending = false
		} else if a.desired == a.told {
			count.of(a.filter).Merged++
			a.pending = false
		}
	case Refused:
		if current {
			count.of(a.filter).Dead++
			a.pending = false
			if a.desired == StateResolve {
				return true // it will never be told, and only a person can end it
			}
		}
	default:
		if current {
			a.tries++
			a.nextTry = answer.Retry
		}
	}
	if a.pending && a.desired == StateResolve && a.told == stateNothing {
		count.of(a.filter).Merged++ // the end of what was never told
		return true
	}
	return !a.pending && a.told == stateNothing
}
