package alerting

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

// Message is a received message with the decision of the rules about it.
type Message struct {
	Filter     string // topic filter by which it came
	Topic      string
	Payload    []byte
	ReceivedAt time.Time
	Properties []decision.Property
	// Source is the publisher of the message; empty if it is not known. The message does not change an alert about
	// which another source has sent a report that is later by more than MaxSkew. A MaxSkew of zero turns that off.
	Source  string
	MaxSkew time.Duration
	// Fingerprint is the hash of the ID that the publisher gave the message; 0 if it gave none. A message is
	// a duplicate if another one with its fingerprint has come within the last hour.
	Fingerprint uint64
	Delivery    Delivery
	Retained    bool // the broker has kept it, and it may be of any age
	Decision    decision.Decision
	Tries       int // requests to ilert before, if it is a dead letter
}

// when returns the earlier of the message's own time and its arrival. So a backlog does not look like a storm, and
// a source whose clock is ahead silences no other.
func (m *Message) when() time.Time {
	at := m.ReceivedAt
	if own := m.Decision.At; !own.IsZero() && own.Before(at) {
		at = own
	}
	return at.Truncate(time.Millisecond) // as the rows hold it
}

// letter returns the message as a dead letter.
func (m *Message) letter(reason string, at time.Time) *Letter {
	return &Letter{
		Filter: m.Filter, Topic: m.Topic, Payload: m.Payload, Properties: m.Properties,
		ReceivedAt: m.ReceivedAt, DiedAt: at, Reason: reason, Tries: m.Tries,
	}
}

// origin is the cause of a change: a message, or a timer.
type origin struct {
	message      *Message       // nil for a timer
	at           time.Time      // when it happened
	arrived      time.Time      // when the engine learned of it
	waits        bool           // the message is counted with what it makes wait
	merged       bool           // the message changes nothing of what was sent or waits
	hits         []decision.Hit // that may raise alerts after all effects are applied
	wholes       []GroupID      // whose alerts may end by health then
	revived      bool           // the message is a dead letter that is taken in again
	staleEffects int            // effects that a later report contradicts
	by           By             // why alerts end, if it is not the message
	group        string         // whose silence is the cause
}

// cause returns the message as the cause of something that waits. Only the first cause is counted as the message: a
// message has one fate, even if it makes several things wait.
func (o *origin) cause() Cause {
	c := Cause{ReceivedAt: o.at}
	m := o.message
	if m == nil {
		return c
	}
	c.Properties = propertiesOf(m.Properties)
	if !o.waits {
		c.Filter, c.Topic, c.Payload, c.ReceivedAt = m.Filter, m.Topic, m.Payload, m.ReceivedAt
		o.waits = true
	}
	return c
}

// message returns the message of a cause.
func (c *Cause) message() *Message {
	return &Message{Filter: c.Filter, Topic: c.Topic, Payload: c.Payload, ReceivedAt: c.ReceivedAt, Properties: c.Properties.List()}
}

// Apply applies messages in their order, all or none of them.
func (e *Engine) Apply(ctx context.Context, messages []Message) error {
	return e.update(ctx, func(w *work) error {
		for i := range messages {
			w.noteDevice(&messages[i])
		}
		if err := w.plan(messages); err != nil {
			return err
		}
		for i := range messages {
			m := &messages[i]
			w.counts.of(m.Filter).Received++
			redelivered := w.keepReceipt(m) // also of a duplicate, as the packet identifier is its own from now on
			if w.keepFingerprint(m) || redelivered {
				w.counts.of(m.Filter).Duplicate++
				w.noteMessage(m, FateDuplicate, len(w.entries), m.ReceivedAt)
				continue
			}
			if err := w.applyMessage(m, m.ReceivedAt); err != nil {
				return err
			}
		}
		return nil
	})
}

// Do applies effects that no message causes, as of a time.
func (e *Engine) Do(ctx context.Context, at time.Time, effects ...decision.Effect) error {
	at = at.Truncate(time.Millisecond)
	return e.update(ctx, func(w *work) error {
		if err := w.plan([]Message{{ReceivedAt: at, Decision: decision.Decision{Effects: effects}}}); err != nil {
			return err
		}
		return w.applyEffects(effects, &origin{at: at, arrived: at})
	})
}

// applyMessage applies the effects of a message that has arrived now, and counts its one fate.
func (w *work) applyMessage(m *Message, now time.Time) error {
	w.countMatches(m)
	if reason := m.Decision.Dead; reason != "" {
		w.counts.of(m.Filter).Dead++
		w.addLetter(m.letter(reason, now))
		w.noteMessage(m, FateDead, len(w.entries), now)
		return nil
	}
	o, first := origin{message: m, at: m.when(), arrived: now.Truncate(time.Millisecond)}, len(w.entries)
	if err := w.applyEffects(m.Decision.Effects, &o); err != nil {
		return err
	}
	w.countFate(&o)
	w.noteMessage(m, o.fate(), first, o.arrived)
	return nil
}

func (w *work) countMatches(m *Message) {
	for _, rule := range m.Decision.Matched {
		w.changes.Matched[rule]++
	}
}

// countFate counts the one fate of a message, unless the message waits: then its fate is decided later.
func (w *work) countFate(o *origin) {
	switch filter := o.message.Filter; {
	case o.waits:
	case o.merged:
		w.counts.of(filter).Merged++
	default:
		w.counts.of(filter).Ignored++
	}
}

// applyEffects applies the effects of a decision in their order. A hit may raise an alert only after all of them,
// since a later effect may count for the same window.
func (w *work) applyEffects(effects []decision.Effect, o *origin) error {
	for _, effect := range effects {
		before := o.staleEffects
		if err := w.applyEffect(effect, o); err != nil {
			return err
		}
		o.staleEffects = min(o.staleEffects, before+1) // one effect may be about many alerts
	}
	for _, id := range o.wholes {
		w.endIfHealthy(id, o)
	}
	for _, h := range o.hits {
		w.raiseByHit(h, o)
	}
	return nil
}

func (w *work) applyEffect(effect decision.Effect, o *origin) error {
	switch e := effect.(type) {
	case decision.Raise:
		w.raise(raising{Raise: e}, o)
	case decision.Accept:
		w.accept(idOf(e.Key), o)
	case decision.End:
		if e.Waiting {
			w.cancel(idOf(e.Key), o)
		} else {
			w.endByID(idOf(e.Key), o)
		}
	case decision.EndAll:
		w.endAll(e.Rule, o)
	case decision.EndPrefix:
		w.endPrefix(e.Key, o)
	case decision.Send:
		w.addItem(e, o)
	case decision.Hit:
		w.countHit(e, o)
	case decision.Whole:
		w.countWhole(e, o)
	case decision.Break:
		w.breakRow(GroupID{e.Rule, e.Group}, o)
	case decision.Reset:
		w.reset(GroupID{e.Rule, e.Group}, o)
	case decision.Leave:
		w.leave(GroupID{e.Rule, e.Group}, e.Member, o)
	case decision.Forget:
		w.forgetMember(e, o)
	case decision.Heard:
		w.hear(e, o)
	case decision.Dismiss:
		w.dismiss(GroupID{e.Rule, e.Group}, o)
	default:
		return fmt.Errorf("alerting: no such effect: %T", effect)
	}
	return nil
}

// raise makes an alert that should be open, unless a later report says otherwise.
func (w *work) raise(r raising, o *origin) {
	id := idOf(r.Key)
	a := w.endOverdue(id, o)
	if a == nil {
		a = &Alert{ID: id, AlertKey: r.Key.Alert, Report: w.rows.Ended[id], Epoch: w.lastEpoch()}
	}
	if a.Report.stale(o) && (!o.revived || a.Desired != ilert.Alert || !a.EndHeldUntil.IsZero()) {
		o.staleEffects++
		w.noteAlert(Stale, a, o)
		return
	}
	a.Report.renew(o)
	if a.Storm == InStorm || a.Storm == IsStorm {
		w.raiseInStorm(a, r, o)
		w.noteAlert(Merged, a, o)
		return
	}
	w.raiseAlert(a, r, o)
	a.Epoch = w.lastEpoch()
	w.keep(a)
}

// raiseAlert makes an alert one that should be open.
func (w *work) raiseAlert(a *Alert, r raising, o *origin) {
	if r.For > 0 {
		r.heard, r.listens = w.heardSince(o)
	}
	was := *a
	a.raise(r, o, w.counts)
	w.noteRaise(was, a, r, o)
}

// endOverdue ends the alert with an identity if its time or its rule has ended before the change that o causes. It
// returns the alert that is left, or nil.
func (w *work) endOverdue(id AlertID, o *origin) *Alert {
	w.endWithRule(id, o.arrived)
	a := w.alert(id)
	if !a.open() || a.EndsAt.IsZero() || o.at.Before(a.EndsAt) {
		return a
	}
	w.end(a, &origin{at: a.EndsAt, arrived: o.arrived, by: a.endsBy()})
	return w.alert(id)
}

// accept makes an alert accepted: a person looks after it.
func (w *work) accept(id AlertID, o *origin) {
	w.endWithRule(id, o.arrived)
	a := w.alert(id)
	switch {
	case a == nil || a.Desired == ilert.Resolve:
		return
	case a.Report.stale(o):
		o.staleEffects++
		w.noteAlert(Stale, a, o)
		return
	}
	a.Report.renew(o)
	if a.Storm == InStorm || a.Storm == IsStorm { // a person who looks after one alert does not look after its storm
		o.merged = true
		return
	}
	w.noteAlert(Accepted, a, o)
	a.accept(o, w.counts)
	w.keep(a)
}

// endByID ends the alert with an identity, if there is one, unless a later report says otherwise.
func (w *work) endByID(id AlertID, o *origin) {
	w.endWithRule(id, o.arrived)
	a := w.alert(id)
	if a == nil {
		return
	}
	if a.Report.stale(o) {
		o.staleEffects++
		w.noteAlert(Stale, a, o)
		return
	}
	a.Report.renew(o)
	w.endOrHold(a, o)
}

// cancel ends the alert with an identity if it waits and ilert does not know it, unless a later report says otherwise.
// Its end is not held: nobody knows the alert yet.
func (w *work) cancel(id AlertID, o *origin) {
	w.endWithRule(id, o.arrived)
	a := w.alert(id)
	if !a.IsWaiting() {
		return
	}
	if a.Report.stale(o) {
		o.staleEffects++
		w.noteAlert(Stale, a, o)
		return
	}
	a.Report.renew(o)
	o.by = ByCancel
	w.end(a, o)
	o.by = ""
}

// endOrHold ends an alert that a message ends, or holds the end if the rule wants that. It reports whether the alert
// has ended.
func (w *work) endOrHold(a *Alert, o *origin) (ended bool) {
	if a.EndsAfter == 0 || !a.open() {
		w.end(a, o)
		return true
	}
	a.holdEnd(o)
	e := entryOf(EndHeld, a)
	e.Until = a.EndHeldUntil
	w.note(o, e)
	w.keep(a)
	return false
}

// end ends an alert, and deletes its window. After a hold the window keeps what came since the hold began.
func (w *work) end(a *Alert, o *origin) {
	switch a.Storm {
	case InStorm:
		w.leaveStorm(a, o)
		return
	case IsStorm: // a storm ends with the last of its members
		return
	}
	windowed, since := a.Windowed, o.at
	afterHold := o.message == nil && !a.EndHeldUntil.IsZero() && o.at.Equal(a.EndHeldUntil)
	if afterHold {
		since = a.EndHeldUntil.Add(-a.EndsAfter)
	}
	w.endKeepingWindow(a, o)
	switch id := (GroupID{a.Rule, a.Group}); {
	case windowed && afterHold:
		w.emptyGroup(id, since, o.arrived)
	case windowed:
		w.forgetGroup(id)
	}
}

// endKeepingWindow ends an alert, and keeps its window. If ilert knows the alert, the numbers of the window go into
// its text now, since they do not belong to the alert any more.
func (w *work) endKeepingWindow(a *Alert, o *origin) {
	if a.Windowed && a.Told != Nothing {
		numbers, _ := w.numbers(a, o.at)
		if g := w.group(GroupID{a.Rule, a.Group}); g != nil && g.Window.Held { // "0 devices are gone: over" helps nobody
			numbers.Count, numbers.Distinct, numbers.Part = g.Peak, g.Peak, g.Peak
		}
		a.Body = string(numbers.Fill([]byte(a.Body)))
	}
	w.noteEnd(a, o)
	a.Windowed = false
	if a.end(o, w.counts) {
		w.drop(a.ID)
	} else {
		w.keep(a)
	}
}

// textOf returns an event in JSON, without the integration key.
func textOf(e ilert.Event) string {
	text, err := json.Marshal(struct {
		ilert.Event
		IntegrationKey string `json:"integrationKey,omitempty"`
	}{Event: e})
	if err != nil {
		panic(err) // cannot fail: the JSON in an event was parsed when it was made
	}
	return string(text)
}
