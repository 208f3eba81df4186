// Package decision is the vocabulary between the packages that decide about messages (rules and
// ilagent) and the store, which applies the decisions: a message, the effects of its decision,
// and windows over many messages. It is data. It contains no rules, no clock and no database, so
// a package that imports it links no expression language, no YAML and no SQL.
package decision

import (
	"fmt"
	"strings"
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/redact"
)

// Message is an MQTT message that the consumer has received.
type Message struct {
	Topic      string
	Payload    []byte
	Properties []Property
	Retain     bool      // the broker had kept it for new subscribers
	ReceivedAt time.Time // zero: unknown
}

// Property is a user property of MQTT 5.
type Property struct{ Key, Value string }

// Decision is the result of evaluating a message.
type Decision struct {
	// Effects are applied in this order. A message without effects is ignored.
	Effects []Effect
	// Matched lists the rules that matched; the store counts them.
	Matched []string
	// Device is the guid of the device that the message is about. It is set only if a rule
	// asks for the size of the fleet.
	Device string
	// At is the time of the event that the message itself gives; zero if it gives none.
	At time.Time
	// Overruled lists effects, the first hundred, that rules had wanted and that are not among Effects.
	Overruled []Overruled
	// Failed lists the rules that could not decide about the message, each once.
	Failed []Failure
	// Looked lists the rules that had to look into the message beyond comparisons of an event's
	// fields, which cannot fail. It may lack rules of Failed.
	Looked []string
	// Omitted lists the optional fields that are left out of the alerts, with the reasons.
	Omitted []ilert.Omission
	// Dead is the reason why the message cannot be understood; empty if it can.
	Dead string
}

// NewDead returns the decision about a message that cannot be understood. It cuts long reasons.
func NewDead(format string, args ...any) Decision {
	return Decision{Dead: briefly(fmt.Errorf(format, args...))}
}

// Failure is the reason why a rule could not decide about a message.
type Failure struct{ Rule, Reason string }

// NewFailure returns the failure of a rule. It cuts long reasons.
func NewFailure(rule string, err error) Failure { return Failure{rule, briefly(err)} }

// briefly returns the text of an error for people. It may quote what a message holds.
func briefly(err error) string {
	const maxReason = 600
	reason := err.Error()
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "") + "..."
	}
	return reason
}

// Effect is one change that a message causes: Raise, Accept, End, EndAll, EndPrefix, Send, Hit,
// Whole, Break, Reset, Leave, Forget, Heard or Dismiss.
type Effect interface{ effect() }

// Key identifies an alert.
type Key struct {
	Integration ilert.IntegrationKey
	Alert       string
}

// Folded returns the key as ilert compares keys: in lower case, without blanks around it.
func (k Key) Folded() Key {
	return Key{k.Integration, strings.ToLower(strings.TrimSpace(k.Alert))}
}

// Overruled is a rule without effect on an alert, because By, which comes before it in the file,
// has another effect on the same alert.
type Overruled struct {
	Rule, By string
	Key      Key // folded
}

// Raise is the effect that an alert should be open.
type Raise struct {
	Rule  string
	Key   Key
	Event ilert.Event // the event for ilert without type and keys

	For      time.Duration // the alert is sent only after it has been raised for so long
	Reminder time.Duration // an alert that is raised again is sent again after this time
	Silence  time.Duration // the alert ends when it was not raised again for so long; 0: never
	Age      time.Duration // the alert ends so long after it began; 0: never
	// After is the time for which an end by a message is held: the alert ends only if it was not raised
	// again for so long.
	After time.Duration

	// Unless holds up to five alert keys of the same integration key. While one of these alerts is
	// open, this one is not sent for the first time.
	Unless []string
}

// Accept is the effect that a person looks after an alert, if the alert is open.
type Accept struct{ Key Key }

// End is the effect that an alert should be resolved, if it is open.
type End struct {
	Key     Key
	Waiting bool // only while the alert waits and ilert does not know it; then the end is not held
}

// EndAll is the effect that all alerts of a rule should be resolved and its windows emptied.
type EndAll struct{ Rule string }

// EndPrefix is the effect that all alerts should be resolved that have the integration key of Key and
// whose keys begin with its alert key.
type EndPrefix struct{ Key Key }

// Send is the effect that an event is sent to ilert as it is, in the order of arrival.
type Send struct {
	redact.All
	IntegrationKey ilert.IntegrationKey
	Path           string // of ilert's API
	Event          ilert.Event
}

// Hit is the effect that a message counts in a group of a rule's window. Each group counts by
// itself. While the window's condition holds, the alert is raised.
type Hit struct {
	Window *Window
	Group  string
	Member string // may be empty: the hit counts, but adds no member
	Raise  Raise
}

// Whole is the effect that a message counts towards the whole of a group, which Ratio and Healthy divide by.
type Whole struct {
	Window *Window
	Group  string
}

// Break is the effect that the next Hit of a group is the first of a row.
type Break struct{ Rule, Group string }

// Reset is the effect that a group's window is emptied and its alert ends.
type Reset struct{ Rule, Group string }

// Leave is the effect that a member leaves a group's window.
type Leave struct{ Rule, Group, Member string }

// Forget is the effect that a member leaves a group's window, and that its hits do not count until it leaves again
// or the window's longest Length has passed.
type Forget struct {
	Window        *Window
	Group, Member string
}

// Window is a condition over the messages of the last Length. The alert is raised while all
// parts of the condition hold, or all parts of Or.
type Window struct {
	Rule string
	Condition
	Or    Condition // without Length there is none
	Fleet bool      // Ratio is the share of devices
	// Held makes members stay until they leave, however long that takes, once the alert is
	// raised.
	Held bool
	// Left is the share of members whose leaving ends the alert, if Held.
	Left float64
	// Clear is the time after which the alert ends if the condition has not held; 0: never.
	Clear time.Duration
	// Healthy is the share of hits by counted messages below which the alert ends; 0: it does not.
	Healthy float64
}

// Conditions returns the conditions of the window, of which the first that holds counts.
func (w *Window) Conditions() []*Condition {
	all := [...]*Condition{&w.Condition, &w.Or}
	if w.Or.Length == 0 {
		return all[:1:1]
	}
	return all[:]
}

// Shortest returns the length of the condition that looks back less.
func (w *Window) Shortest() time.Duration {
	if w.Or.Length == 0 {
		return w.Length
	}
	return min(w.Length, w.Or.Length)
}

// Longest returns the length of the condition that looks back further.
func (w *Window) Longest() time.Duration { return max(w.Length, w.Or.Length) }

// CountsRows reports whether a condition asks for hits in a row.
func (w *Window) CountsRows() bool { return w.InARow > 0 || w.Or.InARow > 0 }

// Condition is a set of limits that the messages of the last Length reach or not.
type Condition struct {
	Length   time.Duration
	AtLeast  int     // the least number of hits
	InARow   int     // the least number of hits since the last Break
	Distinct int     // the least number of members
	Ratio    float64 // the least share: hits by counted messages or, with Window.Fleet, members by devices
}

func (Raise) effect()     {}
func (Accept) effect()    {}
func (End) effect()       {}
func (EndAll) effect()    {}
func (EndPrefix) effect() {}
func (Send) effect()      {}
func (Hit) effect()       {}
func (Whole) effect()     {}
func (Break) effect()     {}
func (Reset) effect()     {}
func (Leave) effect()     {}
func (Forget) effect()    {}
