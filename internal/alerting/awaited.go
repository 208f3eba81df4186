package alerting

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

// Awaited is the row of a group that a rule waits for.
type Awaited struct {
	ID    GroupID
	State AwaitedState
	// Expected is true for a group that the rule names, so that it is not forgotten.
	Expected bool
	// Heard is the listened time at which the last message came, or at which the alert of a group that is Silent is
	// After old. The store has a time that may be later by the part of After in saveShare.
	Heard   time.Duration
	After   time.Duration // as the rule had it at the last message, like the fields below
	AtLeast int
	Age     time.Duration // of the alert; 0: the default
	// Integration, AlertKey, Body and Unless are those of the alert for the next silence, or of the present one.
	Integration ilert.IntegrationKey
	AlertKey    string
	Body        string
	Unless      string        // see Alert.Unless
	Repeat      time.Duration // see Alert.Repeat
	Count       *AwaitedCount // of recent messages; nil without AtLeast, and before the first message

	saved   time.Duration // Heard as the store has it
	unsaved bool
}

// AwaitedState is the state of a group that a rule waits for.
type AwaitedState int

// The states.
const (
	Awaiting  AwaitedState = iota // its silence is an alert
	Silent                        // it has been silent, and its alert was raised
	Dismissed                     // its silence is no alert until its next message
)

const (
	// maxSilentAge is the default age at which the alert of a group that stays silent ends, and the group is forgotten.
	maxSilentAge = 30 * 24 * time.Hour
	// saveShare is the share of After by which a group may be heard again without a change of its row in the store.
	saveShare = 32
	// neverDue is a listened time that never comes.
	neverDue = time.Duration(math.MaxInt64)
)

// awaited holds the groups that rules wait for, in the engine's memory. A message of a group changes the row there, and
// the row of the store only now and then.
type awaited struct {
	groups map[GroupID]*Awaited // a transaction replaces a row, and does not change it
	bytes  int64                // of texts
	next   time.Duration        // listened time before which nothing is due
	beyond int64                // messages of groups that are not awaited, because that would exceed the bounds
}

// recall sets the rows that the store has kept. If the last process was killed, the listened time of a message may be
// later than the clock, which then has not kept its last minute.
func (all *awaited) recall(rows []*Awaited, clock time.Duration) {
	for _, a := range rows {
		a.saved = a.Heard
		a.Heard = min(a.Heard, clock)
		all.put(a.ID, a)
	}
}

// put replaces the row of a group, or deletes it if a is nil.
func (all *awaited) put(id GroupID, a *Awaited) {
	if before := all.groups[id]; before != nil {
		all.bytes -= before.bytes()
		delete(all.groups, id)
	}
	if a == nil {
		return
	}
	if all.groups == nil {
		all.groups = map[GroupID]*Awaited{}
	}
	all.groups[a.ID] = a
	all.bytes += a.bytes()
	all.next = min(all.next, a.due(0))
}

func (a *Awaited) bytes() int64 {
	return int64(len(a.ID.Group) + len(a.AlertKey) + len(a.Body) + len(a.Unless))
}

func (a *Awaited) alertID() AlertID {
	return idOf(decision.Key{Integration: a.Integration, Alert: a.AlertKey})
}

// due returns the listened time at which the silence of a group is an alert, or at which the group is forgotten.
func (a *Awaited) due(grace time.Duration) time.Duration {
	switch {
	case a.State == Awaiting:
		return max(a.Heard, grace) + a.After
	case a.State == Silent && !a.Expected:
		return a.Heard + a.After + a.age()
	case a.State == Dismissed && !a.Expected:
		return a.Heard + usualMemory
	}
	return neverDue
}

// age returns the age at which the alert of a group ends; 0: never.
func (a *Awaited) age() time.Duration {
	if a.Age == 0 && !a.Expected {
		return maxSilentAge
	}
	return a.Age
}

// isBusy reports whether enough messages of the group have come for its silence to be an alert.
func (a *Awaited) isBusy() bool { return a.Count.sum() >= a.AtLeast }

// awaitedRow returns the row of a group that a rule waits for, or nil. The caller must not change it.
func (w *work) awaitedRow(id GroupID) *Awaited {
	if a, changed := w.awaited[id]; changed {
		return a
	}
	w.engine.memory.Lock()
	defer w.engine.memory.Unlock()
	return w.engine.awaited.groups[id]
}

// keepAwaited replaces the row of a group, to be saved.
func (w *work) keepAwaited(a *Awaited) {
	a.unsaved, a.saved = true, a.Heard
	if a.State == Awaiting {
		a.saved += (a.After / saveShare).Truncate(time.Millisecond)
	}
	w.awaited[a.ID] = a
}

// dropAwaited forgets a group, or lets it be dismissed if its rule names it, or knows its usual hours.
func (w *work) dropAwaited(a *Awaited) {
	if !a.Expected && (!a.Count.hasUsual() || a.State == Dismissed) {
		w.awaited[a.ID] = nil
		return
	}
	dismissed := *a
	dismissed.State = Dismissed
	w.keepAwaited(&dismissed)
}

// planAwaited adds the keys of the alerts that end if messages of a group come. There are none while the group is
// awaited, so that such a message costs no query.
func (w *work) planAwaited(k *Keys, id GroupID, raised *decision.Raise) {
	switch a := w.awaitedRow(id); {
	case a == nil && raised != nil:
		k.Alerts = append(k.Alerts, idOf(raised.Key))
	case a != nil && a.State == Silent:
		k.Alerts = append(k.Alerts, a.alertID())
	}
}

// hear notes a message of a group, and ends the alert of the group.
func (w *work) hear(h decision.Heard, o *origin) {
	if o.revived {
		return // it is old, and does not show that the group speaks now
	}
	id := GroupID{h.Absence.Rule, h.Group}
	before := w.awaitedRow(id)
	now := Awaited{ID: id, Heard: w.heardAt(o)}
	switch {
	case before == nil && w.isBeyondAwaited():
		return
	case before != nil && o.message != nil && o.message.Retained:
		return // it makes a group known, but does not show that the group speaks now
	case before == nil:
		now.ID = GroupID{h.Absence.Rule, strings.Clone(h.Group)}
		w.endSilence(id.Rule, idOf(h.Raise.Key), o)
	default:
		now.ID, now.Expected = before.ID, before.Expected
		now.AlertKey, now.Body, now.Unless, now.Count = before.AlertKey, before.Body, before.Unless, before.Count
		if before.State == Silent {
			w.endSilence(id.Rule, before.alertID(), o)
		}
	}
	now.set(&h, w.awaitedBytesLeft())
	now.count(h.Absence, o, w.isListening())
	if before != nil && before.State == Awaiting && before.sameRule(&now) && now.Heard <= before.saved && now.isBusy() == before.isBusy() {
		now.saved, now.unsaved = before.saved, before.unsaved
		w.awaited[id] = &now
		return
	}
	w.keepAwaited(&now)
}

// set sets the condition and the alert of the rule. It keeps the texts if the new ones are longer than there is room for.
func (a *Awaited) set(h *decision.Heard, room int64) {
	a.After, a.AtLeast, a.Age, a.Repeat, a.Integration = h.Absence.After, h.Absence.AtLeast, h.Raise.Age, h.Raise.Repeat, h.Raise.Key.Integration
	body, unless := textOf(h.Raise.Event), foldedList(h.Raise.Unless)
	same := body == a.Body && unless == a.Unless && h.Raise.Key.Alert == a.AlertKey
	if same || a.Body != "" && int64(len(body)+len(unless)-len(a.Body)-len(a.Unless)) > room {
		return
	}
	a.AlertKey, a.Body, a.Unless = strings.Clone(h.Raise.Key.Alert), body, unless
}

// count counts a message, if the rule asks for a number of messages. While a backlog is read, only the time of an event
// says when it happened, so other messages do not count.
func (a *Awaited) count(absence *decision.Absence, o *origin, listening bool) {
	if a.AtLeast == 0 {
		a.Count = nil
		return
	}
	count := a.Count.copy(absence.UsualHours)
	if m := o.message; listening || m != nil && !m.Decision.At.IsZero() {
		count.add(o.at, o.arrived, a.After)
		if count.Usual != nil {
			count.Usual.add(o.at, o.arrived, a.AtLeast)
		}
	}
	a.Count = count
}

// sameRule reports whether nothing of the rule and of the alert's key has changed since the last message.
func (a *Awaited) sameRule(b *Awaited) bool {
	return a.After == b.After && a.AtLeast == b.AtLeast && a.Count.hasUsual() == b.Count.hasUsual() && a.Age == b.Age && a.Repeat == b.Repeat &&
		a.Integration == b.Integration && a.AlertKey == b.AlertKey && a.Unless == b.Unless
}

// endSilence ends an alert that the silence of a group has raised, if it is loaded.
func (w *work) endSilence(rule string, id AlertID, o *origin) {
	if _, read := w.rows.Alerts[id]; !read {
		return
	}
	w.endWithRule(id, o.arrived)
	if a := w.alert(id); a.open() && a.Rule == rule {
		w.end(a, o)
	}
}

// dismiss stops waiting for a group.
func (w *work) dismiss(id GroupID, o *origin) {
	a := w.awaitedRow(id)
	if a == nil || o.revived {
		return
	}
	if a.State == Silent {
		w.endSilence(id.Rule, a.alertID(), o)
	}
	w.dropAwaited(a)
	w.noteForgotten(a, "", o)
}

// isBeyondAwaited reports whether one more group would exceed the bounds.
func (w *work) isBeyondAwaited() bool {
	e := w.engine
	e.memory.Lock()
	defer e.memory.Unlock()
	if b := e.bounds; b.Awaited == 0 || int64(len(e.awaited.groups))+w.newAwaited < int64(b.Awaited) && e.awaited.bytes < b.AwaitedBytes {
		w.newAwaited++
		return false
	}
	w.beyond++
	return true
}

// awaitedBytesLeft returns the number of bytes by which the texts of awaited groups may grow.
func (w *work) awaitedBytesLeft() int64 {
	e := w.engine
	e.memory.Lock()
	defer e.memory.Unlock()
	if e.bounds.AwaitedBytes == 0 {
		return math.MaxInt64
	}
	return e.bounds.AwaitedBytes - e.awaited.bytes
}

func (w *work) isListening() bool {
	w.engine.memory.Lock()
	defer w.engine.memory.Unlock()
	return w.engine.listening.running
}

// findSilent returns a page of the groups that are due, the longest due first.
func (w *work) findSilent() (page []*Awaited) {
	e := w.engine
	e.memory.Lock()
	defer e.memory.Unlock()
	clock, grace := e.listening.Clock, e.listening.Grace
	if len(e.awaited.groups) == 0 || clock < e.awaited.next {
		return nil
	}
	next := neverDue
	for _, a := range e.awaited.groups {
		if due := a.due(grace); due <= clock {
			page = append(page, a)
		} else {
			next = min(next, due)
		}
	}
	slices.SortFunc(page, func(a, b *Awaited) int {
		return cmp.Or(cmp.Compare(a.due(grace), b.due(grace)), strings.Compare(a.ID.Rule, b.ID.Rule), strings.Compare(a.ID.Group, b.ID.Group))
	})
	if len(page) > maxPage {
		page, next = page[:maxPage], clock
	}
	w.onCommit(func() { e.awaited.next = next }) // before takeOver puts the rows that this transaction changes
	return page
}

// silenceKeys returns the keys of the alert that the silence of a group raises, and of those that can hold it.
func (a *Awaited) silenceKeys() []AlertID {
	alert := Alert{ID: a.alertID(), Unless: a.Unless}
	return append(alert.unless(), alert.ID)
}

// endWait raises the alert of a group that is due, or forgets the group.
func (w *work) endWait(a *Awaited, now time.Time) error {
	now = now.Truncate(time.Millisecond)
	o := &origin{at: now, arrived: now, group: a.ID.Group}
	switch {
	case a.State == Silent:
		w.dropAwaited(a)
		w.noteForgotten(a, "it was silent for longer than its alert may be open", o)
		return nil
	case a.State == Dismissed:
		w.dropAwaited(a)
		return nil
	case !a.isBusy():
		w.dropAwaited(a)
		w.noteForgotten(a, fmt.Sprintf("at_least is %d, and %d had come", a.AtLeast, a.Count.sum()), o)
		return nil
	case !a.Count.isUsual(w.silence(a, now)):
		w.dropAwaited(a)
		w.noteForgotten(a, "usual_hours: at this time of the day fewer messages come", o)
		return nil
	}
	silent := *a
	silent.State = Silent
	w.engine.memory.Lock()
	silent.Heard = w.engine.listening.Clock - a.After // its age counts from now
	w.engine.memory.Unlock()
	w.keepAwaited(&silent)
	key := decision.Key{Integration: a.Integration, Alert: a.AlertKey}
	r := decision.Raise{Rule: a.ID.Rule, Key: key, Age: a.age(), Repeat: a.Repeat, Unless: listOf(a.Unless)}
	if err := json.Unmarshal([]byte(a.Body), &r.Event); err != nil {
		return fmt.Errorf("alerting: the text of the silence of %s: %w", a.AlertKey, err)
	}
	since, _ := w.silence(a, now)
	w.raise(raising{Raise: r, since: since.Truncate(time.Millisecond)}, o)
	return nil
}

// silence returns the time of the silence of a group that is due.
func (w *work) silence(a *Awaited, now time.Time) (from, until time.Time) {
	w.engine.memory.Lock()
	defer w.engine.memory.Unlock()
	l := &w.engine.listening
	until = now.Add(a.due(l.Grace) - l.Clock) // not now, if the timers run late
	return until.Add(-a.After), until
}

// saveAwaited collects the rows of awaited groups that the store needs to have.
func (w *work) saveAwaited() {
	for id, a := range w.awaited {
		switch {
		case a == nil:
			w.changes.NoAwaited = append(w.changes.NoAwaited, id)
		case a.unsaved:
			a.unsaved = false
			saved := *a
			saved.Heard = a.saved
			w.changes.Awaited = append(w.changes.Awaited, &saved)
		}
	}
}

// addAwaitedTo changes the rows in the engine's memory as a transaction has changed them.
func (w *work) addAwaitedTo(all *awaited) {
	for id, a := range w.awaited {
		all.put(id, a)
	}
	all.beyond += w.beyond
}
