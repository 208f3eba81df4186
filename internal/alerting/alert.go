package alerting

import (
	"cmp"
	"time"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

// raising is a Raise effect with the group of the window that makes it, if a window does.
type raising struct {
	decision.Raise
	windowed bool
	group    string
	since    time.Time     // when that began of which the alert tells; zero: now
	heard    time.Duration // the listened time of the change, if listens
	listens  bool          // see work.heardSince
}

// reminder returns the interval after which an alert that is raised again is sent again.
func (r raising) reminder() time.Duration { return cmp.Or(r.Reminder, Reminder) }

// refusedEndMemory is the time after which an alert is forgotten whose end ilert has refused. Until then a person
// can retry the dead letter; in ilert the alert is open until a person closes it.
const refusedEndMemory = 30 * 24 * time.Hour

// isRefused reports whether ilert has refused the alert, so that ilert does not know it.
func (a *Alert) isRefused() bool { return a.Told == Nothing && !a.Pending }

// isUnsure reports whether the alert may or may not be open in ilert.
func (a *Alert) isUnsure() bool { return a.Told == Unsure || a.Told == UnsureAccepted }

// isAccepted reports whether an alert with this Told may be accepted in ilert.
func isAccepted(told ilert.Type) bool { return told == ilert.Accept || told == UnsureAccepted }

// IsEndHeldUnsent reports whether the end of the alert is held and ilert does not know the alert, so that it may not be sent.
func (a *Alert) IsEndHeldUnsent() bool { return !a.EndHeldUntil.IsZero() && a.Told == Nothing }

// open reports whether the alert should be open.
func (a *Alert) open() bool { return a != nil && a.Desired != ilert.Resolve }

// raise makes the alert one that should be open. A new alert comes without a desired state.
func (a *Alert) raise(r raising, o *origin, counts tallies) {
	louder := r.Event.Priority == high && a.Priority != high
	switch {
	case a.Desired == ilert.Resolve && a.Pending && a.Told == ilert.Alert:
		// Its end waits, and is not sent any more. But the end of an alert that may be accepted is sent, because
		// nobody looks after the alert that begins now. For the same reason an alert that a person has closed
		// is sent.
		counts.of(a.Cause.Filter).Merged++
		o.merged = true
		a.setRule(r, o)
		a.Desired, a.Pending = a.Told, false
		a.Version++
		a.Body = textOf(r.Event)
		if louder || a.Shown == ShownClosed {
			a.setDesired(ilert.Alert, o)
			a.setText(r)
		}
	case !a.open() || a.Desired == Nothing:
		if a.Pending {
			counts.of(a.Cause.Filter).Merged++
		}
		a.setRule(r, o)
		a.setDesired(ilert.Alert, o)
		a.setText(r)
		a.wait(r, o)
		if a.Since = r.since; a.Since.IsZero() {
			a.Since = o.at
		}
	case louder && a.Desired == ilert.Alert:
		a.raisePriority(r, o, counts)
	case a.isRefused(), a.Desired == ilert.Alert && !a.Pending && !a.isLeftInPeace(o.at) && o.at.Sub(a.ToldAt) >= r.reminder():
		a.setDesired(a.Desired, o)
		if a.Windowed == r.windowed {
			a.setText(r)
		}
	default: // also what is accepted, which stays quiet
		o.merged = true
		if a.Pending && a.Desired == ilert.Alert && a.Windowed == r.windowed {
			a.Body = textOf(r.Event) // what waits takes the newest text along
		}
	}
	a.Unless, a.Repeat = foldedList(r.Unless), r.Repeat
	a.prolong(r, o.at)
}

// raisePriority makes the alert, which is open, one of HIGH priority.
func (a *Alert) raisePriority(r raising, o *origin, counts tallies) {
	before := *a
	if a.Pending {
		counts.of(a.Cause.Filter).Merged++
	}
	if a.Windowed != r.windowed { // the new text needs a window, or must have none
		a.setRule(r, o)
	}
	a.setDesired(ilert.Alert, o)
	a.setText(r)
	if a.Told == Nothing {
		a.NextTry, a.Delay, a.Heard = before.NextTry, before.Delay, before.Heard
		a.waitLess(r, o)
	}
}

// setRule makes the alert belong to the rule, and the window, that raises it.
func (a *Alert) setRule(r raising, o *origin) {
	a.Rule, a.Windowed, a.Group = r.Rule, r.windowed, r.group
	a.AgeAt, a.EndsAt = time.Time{}, time.Time{}
	if r.Age > 0 {
		a.AgeAt = o.at.Add(r.Age)
	}
}

// prolong puts off the end of the alert by silence, but not beyond its age, and takes back an end that is held.
func (a *Alert) prolong(r raising, at time.Time) {
	var silent time.Time
	if r.Silence > 0 {
		silent = at.Add(r.Silence)
		if a.EndsAt.After(silent) {
			silent = a.EndsAt
		}
	}
	a.EndsAt = earlier(silent, a.AgeAt)
	a.EndsAfter, a.EndHeldUntil = r.After, time.Time{}
}

// earlier returns the earlier of two times. A zero time stands for never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// holdEnd makes the alert, which is open, end later than a change ends it: unless it is raised again before.
func (a *Alert) holdEnd(o *origin) {
	o.merged = true
	if a.EndHeldUntil.IsZero() {
		a.EndHeldUntil = o.at.Add(a.EndsAfter)
		a.EndsAt = earlier(a.EndsAt, a.EndHeldUntil)
	}
}

// accept makes the alert, which is open, accepted: a person looks after it.
func (a *Alert) accept(o *origin, counts tallies) {
	if a.Desired == ilert.Accept || a.isRefused() { // ilert cannot accept an alert that it has refused
		a.Desired, o.merged = ilert.Accept, true
		return
	}
	before := *a
	if a.Pending { // what waits is overtaken
		counts.of(a.Cause.Filter).Merged++
	}
	a.setDesired(ilert.Accept, o)
	if a.Told == Nothing { // the alert has to be sent first, when it is due
		a.Tries, a.NextTry, a.Delay, a.Heard = before.Tries, before.NextTry, before.Delay, before.Heard
	}
}

// end makes the alert one that should be resolved, and reports whether its row can be deleted.
func (a *Alert) end(o *origin, counts tallies) (over bool) {
	if a.Desired == ilert.Resolve {
		o.merged = o.merged || a.Pending // an end that does not wait was refused by ilert, which would refuse it again
		return false
	}
	if a.Pending { // what waits is overtaken
		counts.of(a.Cause.Filter).Merged++
	}
	if a.Told == Nothing {
		o.merged = true
		return true
	}
	a.EndsAt, a.EndHeldUntil = time.Time{}, time.Time{}
	a.EndedAt, a.EndedBy = o.at, o.endsBy()
	a.setDesired(ilert.Resolve, o)
	return false
}

// setDesired sets the desired state and makes it due at the time of its cause.
func (a *Alert) setDesired(state ilert.Type, o *origin) {
	a.Desired, a.Pending, a.Listing = state, true, false
	a.Version++
	a.Tries, a.NextTry, a.Delay, a.Heard = 0, o.at, 0, 0
	a.Cause = o.cause()
}

// setText sets the text and the priority.
func (a *Alert) setText(r raising) {
	a.Body, a.Priority = textOf(r.Event), r.Event.Priority
}

// reportMembers makes the alert due at a time to report new members, unless it waits anyway.
func (a *Alert) reportMembers(at time.Time, o *origin) {
	switch {
	case a.Desired == ilert.Alert && a.Told == ilert.Alert && !a.Pending:
		a.setDesired(ilert.Alert, o)
		a.Listing, a.NextTry = true, at
	case a.Pending:
		o.merged = true
	}
}

// cancelMembers takes back reportMembers after the new members have left, unless the notice has gone out.
func (a *Alert) cancelMembers(o *origin, counts tallies) {
	if a.Pending && a.Listing && a.Told == ilert.Alert && a.Desired == ilert.Alert {
		counts.of(a.Cause.Filter).Merged++
		o.merged = true
		a.Pending, a.Listing = false, false
		a.Version++
	}
}

// markClaimed notes that a notice of the alert goes out.
func (a *Alert) markClaimed(n *Notice) {
	a.Claimed = true
	switch {
	case n.Repeat: // the alert is open as before, whether the notice arrives or not
	case n.Event.EventType == ilert.Accept: // the alert is open whether the notice arrives or not
		a.Told = ilert.Accept
	case isAccepted(a.Told):
		a.Told = UnsureAccepted
	default:
		a.Told = Unsure
	}
}

// settle changes the alert as the answer to its notice demands, and reports whether its row can be deleted. The
// alert may have changed while the request was under way.
func (a *Alert) settle(answer *Answer, counts tallies) (over bool) {
	n := &answer.Notice
	a.Claimed = false
	if n.Repeat {
		a.settleRepeat(answer)
		return false
	}
	newest := a.Version == n.version
	switch answer.Result {
	case Taken:
		a.settleTaken(answer, newest, counts)
	case Refused:
		a.Told = n.told
		if newest {
			counts.of(a.Cause.Filter).Dead++
			a.Pending = false // the desired state stays until something changes it
			switch n.Event.EventType {
			case ilert.Resolve:
				a.EndsAt = answer.At.Add(refusedEndMemory)
			case ilert.Accept:
				a.Desired = ilert.Alert
			}
		}
	default:
		if answer.Result == NotTaken {
			a.Told = n.told
		}
		if newest {
			a.Tries++
			a.NextTry = answer.Retry
		}
	}
	if a.Pending && a.Desired == ilert.Resolve && a.Told == Nothing {
		counts.of(a.Cause.Filter).Merged++ // the end of what was never sent
		return true
	}
	return !a.Pending && a.Told == Nothing && a.Desired == ilert.Resolve
}

// noteOpened notes that ilert has taken an event of the alert, and that it opens a new one if it has none.
func (a *Alert) noteOpened(first bool, at time.Time) {
	if first || a.OpenedAt.IsZero() || a.Shown == ShownClosed {
		a.OpenedAt = at
	}
	if a.Shown == ShownClosed {
		a.Shown = ShownUnknown
	}
}

// settleTaken settles a notice that ilert took.
func (a *Alert) settleTaken(answer *Answer, newest bool, counts tallies) {
	n := &answer.Notice
	a.noteOpened(n.told == Nothing, answer.At)
	a.Told, a.ToldAt = n.Event.EventType, answer.At
	switch {
	case a.Told == ilert.Resolve:
		a.Told = Nothing // nothing is open
		if a.open() {    // it has begun again
			a.Shown, a.DiffersSince = ShownUnknown, time.Time{}
		}
	case a.Told == ilert.Alert && isAccepted(n.told):
		a.Told = ilert.Accept // it may still be accepted
	}
	switch {
	case newest && n.Event.EventType == a.Desired:
		counts.of(a.Cause.Filter).Delivered++
		a.Pending = false
	case newest: // the first of two notices, of which the second is sent next
		a.Tries, a.NextTry = 0, answer.At
	case a.Pending && a.Desired == a.Told && a.Priority == n.Event.Priority:
		counts.of(a.Cause.Filter).Merged++
		a.Pending, a.Delay, a.Heard = false, 0, 0
	}
}
