package alerting

import (
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
)

// finding is the result of the comparison of an alert with a look.
type finding int

const (
	unjudged finding = iota
	asItShouldBe
	acceptedThere    // a person has accepted it
	acceptanceUndone // a person has taken the acceptance back
	lostForNow       // ilert has not accepted what a message has accepted, and is not told again yet
	acceptanceLost   // the same, and ilert is told again
	closedThere      // a person has closed it
	missingForNow    // it is missing, and is not sent again yet
	missingThere     // it is missing, and is sent again
)

// isFresh reports whether something was sent so late that the look does not show what became of it.
func (l *Look) isFresh(told time.Time) bool { return told.After(l.Began.Add(-l.Delay)) }

// isTimeAgain reports whether what differs since a time may be sent again. The wait doubles with each time that it was sent
// and still differs, since ilert may have a reason.
func (l *Look) isTimeAgain(since, told time.Time) bool {
	return since.IsZero() || l.Began.Sub(told) >= min(told.Sub(since), maxLookAgain)
}

// find compares an alert with what ilert shows.
func (l *Look) find(a *Alert) finding {
	s := l.Sources[a.ID.Integration]
	if s == nil || !a.open() || a.Pending || a.Claimed || a.Storm == InStorm || a.Told == Nothing || a.isUnsure() {
		return unjudged
	}
	accepted, shown := s.Open[a.ID.Folded]
	end, ended := s.Ends[a.ID.Folded]
	switch {
	case shown && accepted && (a.Desired == ilert.Accept || a.Storm == IsStorm && a.Shown == ShownAccepted):
		return asItShouldBe
	case shown && accepted:
		return acceptedThere
	case shown && a.Shown == ShownAccepted:
		return acceptanceUndone
	case shown && a.Desired == ilert.Alert:
		return asItShouldBe
	case l.isFresh(a.ToldAt):
		return unjudged
	case shown && (!s.Well || !l.isTimeAgain(a.DiffersSince, a.ToldAt)):
		return lostForNow
	case shown:
		return acceptanceLost
	case a.Shown == ShownClosed:
		return asItShouldBe // it is left in peace
	case ended && end.After(a.OpenedAt) && !a.beganAnew(end):
		return closedThere
	case !s.Well || !l.isTimeAgain(a.DiffersSince, a.ToldAt):
		return missingForNow
	default:
		return missingThere
	}
}

// beganAnew reports whether the alert has ended and begun again since it was closed at ilert, and ilert was sent neither.
// Then Cause is still that of the end, which a later message has taken back.
func (a *Alert) beganAnew(closed time.Time) bool {
	return a.Desired == ilert.Alert && a.Cause.ReceivedAt.After(closed)
}

// changes reports whether what the look finds changes the row of an alert.
func (l *Look) changes(a *Alert) bool {
	switch l.find(a) {
	case unjudged:
		return false
	case asItShouldBe:
		return a.Shown != l.shown(a) || a.Shown != ShownClosed && !a.DiffersSince.IsZero()
	case missingForNow:
		return a.Shown != ShownMissing || a.DiffersSince.IsZero()
	case lostForNow:
		return a.Shown != ShownOpen || a.DiffersSince.IsZero()
	default:
		return true
	}
}

// shown returns what ilert shows of an alert that is as it should be.
func (l *Look) shown(a *Alert) Shown {
	accepted, shown := l.Sources[a.ID.Integration].Open[a.ID.Folded]
	switch {
	case accepted:
		return ShownAccepted
	case shown:
		return ShownOpen
	}
	return a.Shown
}
