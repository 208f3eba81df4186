package alerting

import (
	"slices"

	"github.com/mps-events/mps-events/internal/ilert"
)

// The priorities of ilert; an event may have none.
const (
	high = "HIGH"
	low  = "LOW"
)

// Priorities holds ilert's priorities in the order in which they are sent. The last one stands for none.
var Priorities = []string{high, low, ""}

// SendClass is the priority and kind by which due alerts are claimed in order: priority*Kinds + kind.
type SendClass int

// The kinds of notices, in the order in which those of a priority are sent that are due at the same time.
const (
	Others SendClass = iota // ends, storms and alerts of windows: each speaks for many
	Firsts                  // single alerts that ilert does not know: they may join a storm
	Again                   // single alerts that ilert may know, and halves of the list of a storm
	Kinds
)

// Classes is the number of send classes. NoClass is the class of an alert that is not sent itself: one that is held or
// delayed, one whose end is held before ilert knows it, or a member of a storm.
const (
	Classes           = 3 * Kinds
	NoClass SendClass = -1
)

// Kind returns the kind of a class.
func (c SendClass) Kind() SendClass { return c % Kinds }

// Class returns the class of the alert while it waits.
func (a *Alert) Class() SendClass {
	priority := SendClass(slices.Index(Priorities, a.Priority))
	if priority < 0 {
		priority = SendClass(len(Priorities) - 1)
	}
	switch next := a.next(); {
	case a.Storm == InStorm, a.IsEndHeldUnsent(), a.isHeld(), a.isDelayed():
		return NoClass
	case a.Storm == IsStorm && a.MaxListed > 0 && next == ilert.Alert:
		return priority*Kinds + Again // many halves must not hold up what else waits
	case next != ilert.Alert || a.Windowed || a.Storm == IsStorm:
		return priority*Kinds + Others
	case a.Told == Nothing && a.Storm != Apart:
		return priority*Kinds + Firsts
	default:
		return priority*Kinds + Again
	}
}

// next returns the event type to send now. If the alert was accepted before ilert knew it, that is first the alert. If
// it has begun again after it was accepted, that is first the end.
func (a *Alert) next() ilert.Type {
	switch {
	case a.Desired == ilert.Accept && (a.Told == Nothing || a.isUnsure()):
		return ilert.Alert
	case a.Desired == ilert.Alert && isAccepted(a.Told):
		return ilert.Resolve
	}
	return a.Desired
}
