// Package decision is the vocabulary between those who decide what a message means
// (rules, ilagent's mapping) and those who keep what ilert should know (the store): the
// message, the effects of its decision, the window over many messages. It is data: it
// knows no text of rules, no clock and no database, so that whoever imports it links
// neither an expression language nor YAML nor SQL.
package decision

import (
	"fmt"
	"strings"
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/redact"
)

// Message is what has arrived.
type Message struct {
	Topic      string
	Payload    []byte
	Properties []Property
}

// Property is a user property of MQTT 5.
type Property struct{ Key, Value string }

// Decision is what a message means.
type Decision struct {
	// Effects are what it does, in this order. Without any it is ignored.
	Effects []Effect
	// Matched are the rules that matched, to be counted.
	Matched []string
	// Device is the guid of the device that it is about, if a rule asks for the size
	// of the fleet.
	Device string
	// At is when it happened, by its own account; zero if it gives none.
	At time.Time
	// Omitted are optional fields that alerts go out without.
	Omitted []ilert.Omission
	// Dead says why it cannot be understood; empty if it can.
	Dead string
}

// NewDead returns the decision about a message that cannot be understood, with the reason.
func NewDead(format string, args ...any) Decision {
	const maxReason = 600 // people read it, and it may quote what a message holds
	reason := fmt.Errorf(format, args...).Error()
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "") + "..."
	}
	return Decision{Dead: reason}
}

// Effect is one thing that a message does: Raise, Accept, End, EndAll, Send, Hit, Reset
// or Leave.
type Effect interface{ effect() }

// Key identifies an alert.
type Key struct {
	Integration ilert.IntegrationKey
	Alert       string
}

// Raise says that an alert should be open.
type Raise struct {
	Rule  string
	Key   Key
	Event ilert.Event // what ilert is told, but for type and keys

	For      time.Duration // how long it must have been so before ilert is told
	Reminder time.Duration // how long after it was told a repeated one is told again
	Silence  time.Duration // it ends when it was not repeated for so long; 0 never
	Age      time.Duration // it ends so long after it began; 0 never
}

// Accept says that somebody looks after an alert, if it is open.
type Accept struct{ Key Key }

// End says that an alert should be resolved, if it is open.
type End struct{ Key Key }

// EndAll says so of all alerts of a rule, and empties its windows.
type EndAll struct{ Rule string }

// Send says that ilert is told just this, in the order of arrival.
type Send struct {
	redact.All
	IntegrationKey ilert.IntegrationKey
	Path           string // of ilert's API
	Event          ilert.Event
}

// Hit adds to a window of a rule, each of whose groups counts by itself. While the
// window's condition holds, the alert is raised.
type Hit struct {
	Window *Window
	Group  string
	Member string // who; empty counts, but is nobody
	Only   bool   // it counts only towards Of
	Raise  Raise  // unless Only
}

// Reset empties a group's window and ends its alert.
type Reset struct{ Rule, Group string }

// Leave takes a member out of a group's window.
type Leave struct{ Rule, Group, Member string }

// Window is a condition over many messages, those of the last Length. All that it asks
// for must be so at once.
type Window struct {
	Rule     string
	Length   time.Duration
	AtLeast  int     // so many hits
	Distinct int     // of so many members
	Ratio    float64 // hits by what counts towards Of; with Fleet members by devices
	Fleet    bool
	// Held says that members stay until they leave, however long that takes, once the
	// alert is raised.
	Held bool
	// Left ends the alert when this share of its members has left, if Held.
	Left float64
	// Clear ends the alert when the condition has not held for so long; 0 never.
	Clear time.Duration
}

func (Raise) effect()  {}
func (Accept) effect() {}
func (End) effect()    {}
func (EndAll) effect() {}
func (Send) effect()   {}
func (Hit) effect()    {}
func (Reset) effect()  {}
func (Leave) effect()  {}
