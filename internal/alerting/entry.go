package alerting

import (
	"cmp"
	"time"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

// Entry is a line of the decision log: what the engine has decided about a message, an alert, a window or a lane. A
// transaction collects its entries, and the engine hands them over when it is durable.
type Entry struct {
	At      time.Time // of the arrival of the message, or of the answer or the timer that is the cause; zero: now
	What    What
	Message *Message // the cause; nil if no message is. It is valid only until the function given to LogTo returns.
	Fate    Fate     // of the message, if What is Decided
	By      By       // the reason for Ended
	Key     decision.Key
	Rule    string
	Group   string // of the window, or of the messages that a rule waits for

	InStorm bool       // the alert is a member of a storm, and is not sent itself
	Told    ilert.Type // what ilert was told last of the alert, before this
	ToldAt  time.Time
	Due     time.Time // when the alert is sent if nothing else happens; zero if it does not wait
	// Again is the time from which the alert is sent again if it is raised once more; of Merged.
	Again time.Time
	// Number is the number of alerts that have joined, and Size the number of members; of Joined.
	Number, Size int
	Counted      Counted   // of Counts
	HeldBy       string    // the folded key of the alert that is the reason for Held
	Silence      int64     // the ID of the silence that is the reason for Held
	Why          string    // the reason for Forgot, or the one that the Budget gives for Paused
	Until        time.Time // the end of Paused, of EndHeld, or of the silence; zero: not known
}

// What is the kind of an Entry.
type What string

// The kinds of entries.
const (
	Decided      What = "decided"             // a message had its fate
	Counts       What = "counted"             // a message counts in a window
	Queued       What = "queued"              // an event waits that is only passed on
	Raised       What = "raised"              // an alert begins
	Reopened     What = "reopened"            // an alert goes on whose end waited
	Louder       What = "raised to HIGH"      // an open alert gets the priority HIGH
	Reminded     What = "raised again"        // ilert is told again of an open alert
	Repeated     What = "repeated"            // ilert is told again of an open alert of which no message tells
	MissingThere What = "missing at ilert"    // a look has not found an open alert at ilert, which is told again
	StillOpen    What = "still open at ilert" // a look has found an alert at ilert that has ended, and ilert is told again
	ClosedThere  What = "closed at ilert"     // a person has closed an alert at ilert that stays true
	Merged       What = "merged"              // an open alert was raised, which changes nothing for ilert
	Accepted     What = "accepted"            // a person looks after the alert
	Held         What = "held"                // an alert waits for the end of another alert or of a silence
	Freed        What = "freed"               // an alert that was held waits no more for that
	EndHeld      What = "end held"            // an alert ends later, unless it is raised again before
	Ended        What = "ended"               // an alert ends
	Stale        What = "overtaken"           // another source has sent a later report about the alert
	Joined       What = "storm"               // alerts have joined a storm, whose notices report them
	Forgot       What = "forgotten"           // the silence of a group raises no alert until its next message
	Paused       What = "paused"              // something is due for an integration key, and may not be sent yet
)

// Fate is the fate of a message.
type Fate string

// The fates.
const (
	FateIgnored   Fate = "ignored"
	FateDuplicate Fate = "duplicate"
	FateMerged    Fate = "merged"
	FatePending   Fate = "pending" // a notice waits that is counted for the message
	FateDead      Fate = "dead"
)

// By is the reason why an alert ends.
type By string

// The reasons.
const (
	ByMessage  By = "message"
	BySilence  By = "silence"
	ByAge      By = "age"
	ByAfter    By = "after"     // a message has ended it, and it was not raised again for long enough
	ByCancel   By = "cancel"    // a message has ended it because it had not been sent
	ByPrefix   By = "prefix"    // a message has ended all alerts whose keys begin in one way
	ByPerson   By = "person"    // somebody has closed it by hand
	ByClear    By = "clear"     // the condition of the window has not held for long enough
	ByHealth   By = "health"    // a smaller share of the messages than the rule gives are hits
	ByRule     By = "rule"      // the rule has ended or is no more
	ByStorm    By = "storm"     // no member of the storm is left
	ByConsumer By = "mps-ilert" // the consumer itself
)

// LogTo makes the engine hand its entries to a function, in the order of the transactions. The function must return
// soon, since other transactions wait for it. Call LogTo before all other methods.
func (e *Engine) LogTo(log func([]Entry)) { e.log = log }

// logs reports whether the entries of this transaction are wanted.
func (w *work) logs() bool { return w.engine.log != nil && !w.view }

// note adds an entry about what o causes.
func (w *work) note(o *origin, e Entry) {
	if w.logs() {
		e.At, e.Message, e.Group = o.arrived, o.message, cmp.Or(e.Group, o.group)
		w.entries = append(w.entries, e)
	}
}

// noteAlert adds an entry about an alert before or after its change.
func (w *work) noteAlert(what What, a *Alert, o *origin) {
	if w.logs() {
		w.note(o, entryOf(what, a))
	}
}

// entryOf returns an entry about an alert as it is.
func entryOf(what What, a *Alert) Entry {
	e := Entry{
		What: what, Key: decision.Key{Integration: a.ID.Integration, Alert: a.AlertKey}, Rule: a.Rule,
		InStorm: a.Storm == InStorm, Told: a.Told, ToldAt: a.ToldAt,
	}
	if a.Windowed || a.Storm == IsStorm {
		e.Group = a.Group
	}
	if a.Pending {
		e.Due = a.NextTry
	}
	return e
}

// noteRaise adds an entry about an alert that was raised, given the alert as it was before.
func (w *work) noteRaise(was Alert, a *Alert, r raising, o *origin) {
	what := Reminded
	switch {
	case was.Desired == ilert.Resolve && was.Pending && was.Told == ilert.Alert:
		what = Reopened
	case !was.open(), was.Desired == Nothing:
		what = Raised
	case a.Version == was.Version:
		what = Merged
	case a.Priority != was.Priority:
		what = Louder
	}
	e := entryOf(what, a)
	if what == Merged && a.Desired == ilert.Alert && !a.Pending {
		e.Again = a.ToldAt.Add(r.reminder())
	}
	if what == Merged && !was.EndHeldUntil.IsZero() {
		e.What = Reopened
	}
	w.note(o, e)
}

// noteEnd adds an entry about an alert that is about to end.
func (w *work) noteEnd(a *Alert, o *origin) {
	if !w.logs() || !a.open() {
		return
	}
	e := entryOf(Ended, a)
	e.By = o.endsBy()
	w.note(o, e)
}

// endsBy returns the reason for which o ends alerts.
func (o *origin) endsBy() By {
	switch {
	case o.by != "":
		return o.by
	case o.message == nil:
		return ByConsumer
	}
	return ByMessage
}

// endsBy returns the reason why the alert ends at its EndsAt.
func (a *Alert) endsBy() By {
	switch {
	case a.EndsAt.Equal(a.AgeAt):
		return ByAge
	case a.EndsAt.Equal(a.EndHeldUntil):
		return ByAfter
	}
	return BySilence
}

// noteHit adds an entry about a window that has counted a message.
func (w *work) noteHit(g *Group, h decision.Hit, holds bool, o *origin) {
	if !w.logs() {
		return
	}
	n := Counted{Window: g.Window, Raised: holds, Row: g.Row}
	n.Reached, n.Or = g.reached(g.holds(h.Member), w.fleetSize)
	w.note(o, Entry{What: Counts, Key: h.Raise.Key, Rule: g.ID.Rule, Group: g.ID.Group, Counted: n})
}

// noteMessage adds the entry about a message before the entries about what it has changed. A message on which
// no rule fails, that none matches and that changes nothing has no entry.
func (w *work) noteMessage(m *Message, fate Fate, first int, at time.Time) {
	d := &m.Decision
	if !w.logs() || len(w.entries) == first && len(d.Matched)+len(d.Failed) == 0 && d.Dead == "" && !passesOn(d) {
		return
	}
	w.entries = append(w.entries, Entry{})
	copy(w.entries[first+1:], w.entries[first:])
	w.entries[first] = Entry{At: at, What: Decided, Message: m, Fate: fate}
}

// passesOn reports whether a decision passes an event on.
func passesOn(d *decision.Decision) bool {
	for _, effect := range d.Effects {
		if _, is := effect.(decision.Send); is {
			return true
		}
	}
	return false
}

// fate returns the fate of the message of a change.
func (o *origin) fate() Fate {
	switch {
	case o.waits:
		return FatePending
	case o.merged:
		return FateMerged
	default:
		return FateIgnored
	}
}

// noteJoined adds an entry about n alerts that have joined a storm.
func (w *work) noteJoined(s *Alert, n int, now time.Time) {
	if !w.logs() || n == 0 {
		return
	}
	e := entryOf(Joined, s)
	e.Rule, e.Number, e.Size = s.Group, n, s.Size
	w.note(&origin{arrived: now}, e)
}

// notePaused adds an entry about a lane for which something is due that may not be sent before a time.
func (w *work) notePaused(key ilert.IntegrationKey, until time.Time, why string, now time.Time) {
	if !until.After(now) {
		return // the next Claim goes on
	}
	if until.Equal(never) {
		until = time.Time{}
	}
	w.note(&origin{arrived: now}, Entry{What: Paused, Key: decision.Key{Integration: key}, Why: why, Until: until})
}

// noteHold adds an entry about an alert whose reason to be held has come, changed or gone.
func (w *work) noteHold(a *Alert) {
	if !w.logs() || !a.open() {
		return
	}
	e := entryOf(Freed, a)
	if a.isHeld() {
		e.What, e.Due, e.HeldBy, e.Silence = Held, time.Time{}, a.HeldBy, a.Silence
	}
	for _, s := range w.activeSilences() {
		if s.ID == a.Silence {
			e.Until = s.EndsAt
		}
	}
	w.entries = append(w.entries, e)
}

// noteForgotten adds an entry about a group whose silence raises no alert until its next message.
func (w *work) noteForgotten(a *Awaited, why string, o *origin) {
	w.note(o, Entry{What: Forgot, Key: decision.Key{Integration: a.Integration, Alert: a.AlertKey}, Rule: a.ID.Rule, Group: a.ID.Group, Why: why})
}
