package store

import (
	"strings"
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/rules"
)

// What ilert was told of an alert, beside its own words.
const (
	nothing ilert.Type = ""
	// unsure is what ilert knows while a request is under way and after one that was
	// not answered: perhaps the old state, perhaps the new.
	unsure ilert.Type = "UNSURE"
	// unsureAccepted is the same of an alert that was accepted, and perhaps still is. What was
	// told is Accept as soon as a request with the acceptance is under way.
	unsureAccepted ilert.Type = "UNSURE_ACCEPTED"
)

// high is the priority above the others.
const high = "HIGH"

// isUnsure reports whether it is not known if ilert has the alert open.
func isUnsure(told ilert.Type) bool { return told == unsure || told == unsureAccepted }

// isAccepted reports whether the alert may be accepted at ilert.
func isAccepted(told ilert.Type) bool { return told == ilert.Accept || told == unsureAccepted }

// key identifies an alert as ilert does.
type key struct {
	integration ilert.IntegrationKey
	folded      string
}

func keyOf(k rules.Key) key {
	return key{k.Integration, strings.ToLower(strings.TrimSpace(k.Alert))}
}

// alert is a row: what ilert should know of one alert, and what it was told. It
// exists while these differ or while the alert is open.
type alert struct {
	key      key
	alertKey string // as it was first written
	rule     string
	windowed bool // it belongs to the window of rule and group
	group    string
	desired  ilert.Type
	told     ilert.Type
	toldAt   time.Time
	body     string // JSON of what ilert is told; a window's numbers have places in it
	priority string
	ageAt    time.Time // when it is too old; zero is never
	endsAt   time.Time // when it ends by itself; zero is never
	said     said
	version  int64
	pending  bool
	listing  bool // it waits only because of members that ilert was not told
	claimed  bool
	tries    int
	nextTry  time.Time
	storm    storming
	size     int // of a storm: how many it speaks for
	untold   int // and of how many ilert was not told
	// maxListed limits the members that the next notice of a storm lists; 0 is as many as fit.
	maxListed int

	// Of the message that waits, or waited last.
	filter     string
	topic      string
	payload    []byte
	receivedAt time.Time
	properties properties
}

// raising is a Raise, and the window that does it.
type raising struct {
	rules.Raise
	windowed bool
	group    string
}

// refusedEndMemory is the time after which an alert is forgotten whose end ilert has refused:
// it is open there until a person closes it, or retries the dead letter.
const refusedEndMemory = 30 * 24 * time.Hour

// isRefused reports whether ilert has refused the alert, so that ilert does not know it.
func (a *alert) isRefused() bool { return a.told == nothing && !a.pending }

// open says whether the alert should be open.
func (a *alert) open() bool { return a != nil && a.desired != ilert.Resolve }

// raise makes the alert one that should be open. A new one has no desired state yet.
func (a *alert) raise(r raising, o *origin, count fates) {
	louder := r.Event.Priority == high && a.priority != high
	reminder := r.Reminder
	if reminder == 0 {
		reminder = Reminder
	}
	switch {
	case a.desired == ilert.Resolve && a.pending && a.told == ilert.Alert:
		// Its end was not told yet, and will not be. That of one which may be accepted is told:
		// nobody looks after what has begun since.
		count.of(a.filter).Merged++
		o.merged = true
		a.begin(r, o)
		a.desired, a.pending = a.told, false
		a.version++
		a.body = textOf(r.Event)
		if louder {
			a.want(ilert.Alert, o).say(r)
		}
	case !a.open() || a.desired == nothing:
		if a.pending {
			count.of(a.filter).Merged++
		}
		a.begin(r, o)
		a.want(ilert.Alert, o).say(r)
		a.nextTry = o.at.Add(r.For)
	case louder && a.desired == ilert.Alert:
		next := o.at
		if a.told == nothing {
			next = earlier(a.nextTry, o.at.Add(r.For))
		}
		if a.pending {
			count.of(a.filter).Merged++
		}
		if a.windowed != r.windowed { // its text is of that kind
			a.begin(r, o)
		}
		a.want(ilert.Alert, o).say(r)
		a.nextTry = next
	case a.isRefused(), a.desired == ilert.Alert && !a.pending && o.at.Sub(a.toldAt) >= reminder:
		if a.want(a.desired, o); a.windowed == r.windowed {
			a.say(r)
		}
	default: // also what is accepted, which stays quiet
		o.merged = true
		if a.pending && a.desired == ilert.Alert && a.windowed == r.windowed {
			a.body = textOf(r.Event) // what waits takes the newest text along
		}
	}
	a.prolong(r, o.at)
}

// begin makes the alert that of who raises it.
func (a *alert) begin(r raising, o *origin) {
	a.rule, a.windowed, a.group = r.Rule, r.windowed, r.group
	a.ageAt, a.endsAt = time.Time{}, time.Time{}
	if r.Age > 0 {
		a.ageAt = o.at.Add(r.Age)
	}
}

// prolong puts off the end by silence.
func (a *alert) prolong(r raising, at time.Time) {
	var silent time.Time
	if r.Silence > 0 {
		silent = at.Add(r.Silence)
		if a.endsAt.After(silent) {
			silent = a.endsAt
		}
	}
	a.endsAt = earlier(silent, a.ageAt)
}

// earlier is the earlier of two times, of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// accept says that somebody looks after the alert, which is open.
func (a *alert) accept(o *origin, count fates) {
	if a.desired == ilert.Accept || a.isRefused() { // what ilert does not know it is told later, if at all
		a.desired, o.merged = ilert.Accept, true
		return
	}
	tries, nextTry := a.tries, a.nextTry
	if a.pending { // what waits is overtaken
		count.of(a.filter).Merged++
	}
	a.want(ilert.Accept, o)
	if a.told == nothing { // the alert has to be told first, in its time
		a.tries, a.nextTry = tries, nextTry
	}
}

// end makes the alert one that should be resolved, and reports whether nothing
// remains to be told or remembered of it.
func (a *alert) end(o *origin, count fates) (over bool) {
	if a.desired == ilert.Resolve {
		o.merged = o.merged || a.pending // what ilert has refused it refuses again
		return false
	}
	if a.pending { // what waits is overtaken
		count.of(a.filter).Merged++
	}
	if a.told == nothing {
		o.merged = true
		return true
	}
	a.endsAt = time.Time{}
	a.want(ilert.Resolve, o)
	return false
}

// want lets a state wait to be told, at once.
func (a *alert) want(state ilert.Type, o *origin) *alert {
	a.desired, a.pending, a.listing = state, true, false
	a.version++
	a.tries, a.nextTry = 0, o.at
	a.attribute(o)
	return a
}

// say takes the text.
func (a *alert) say(r raising) {
	a.body, a.priority = textOf(r.Event), r.Event.Priority
}

// list lets the alert be told again at a time, because of members that ilert was not
// told, unless it waits anyway.
func (a *alert) list(at time.Time, o *origin) {
	switch {
	case a.desired == ilert.Alert && a.told == ilert.Alert && !a.pending:
		a.want(ilert.Alert, o)
		a.listing, a.nextTry = true, at
	case a.pending:
		o.merged = true
	}
}

// unlist takes list back, if it is not too late, once the members have left.
func (a *alert) unlist(o *origin, count fates) {
	if a.pending && a.listing && a.told == ilert.Alert && a.desired == ilert.Alert {
		count.of(a.filter).Merged++
		o.merged = true
		a.pending, a.listing = false, false
		a.version++
	}
}

// next returns what ilert has to be told now: of an alert that was accepted before it was
// told, first the alert; of one that has begun again after it was accepted, first the end.
func (a *alert) next() ilert.Type {
	switch {
	case a.desired == ilert.Accept && (a.told == nothing || isUnsure(a.told)):
		return ilert.Alert
	case a.desired == ilert.Alert && isAccepted(a.told):
		return ilert.Resolve
	}
	return a.desired
}

// settle takes in an answer, and reports whether nothing remains to be told or
// remembered. The alert may have changed while the request was under way.
func (a *alert) settle(answer *Answer, count fates) (over bool) {
	n := &answer.Notice
	a.claimed = false
	current := a.version == n.version
	switch answer.Result {
	case Told:
		a.tookIn(answer, current, count)
	case Refused:
		a.told = n.told
		if current {
			count.of(a.filter).Dead++
			a.pending = false // but what ilert should know is still so, until something ends it
			switch n.Event.EventType {
			case ilert.Resolve:
				a.endsAt = answer.At.Add(refusedEndMemory)
			case ilert.Accept:
				a.desired = ilert.Alert
			}
		}
	default:
		if answer.Result == NotTold {
			a.told = n.told
		}
		if current {
			a.tries++
			a.nextTry = answer.Retry
		}
	}
	if a.pending && a.desired == ilert.Resolve && a.told == nothing {
		count.of(a.filter).Merged++ // the end of what was never told
		return true
	}
	return !a.pending && a.told == nothing && a.desired == ilert.Resolve
}

// tookIn is settle when ilert took the notice.
func (a *alert) tookIn(answer *Answer, current bool, count fates) {
	n := &answer.Notice
	a.told, a.toldAt = n.Event.EventType, answer.At
	switch {
	case a.told == ilert.Resolve:
		a.told = nothing // nothing is open
	case a.told == ilert.Alert && isAccepted(n.told):
		a.told = ilert.Accept // it may still be
	}
	switch {
	case current && n.Event.EventType == a.desired:
		count.of(a.filter).Delivered++
		a.pending = false
	case current: // the first of two; the other comes next
		a.tries, a.nextTry = 0, answer.At
	case a.pending && a.desired == a.told && a.priority == n.Event.Priority:
		count.of(a.filter).Merged++
		a.pending = false
	}
}
