package alerting

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

// Message is a received message and what the rules have decided of it.
type Message struct {
	Filter     string // the topic filter that it came by
	Topic      string
	Payload    []byte
	ReceivedAt time.Time
	Properties []decision.Property
	// Source is the publisher of the message, if that is known. The message changes nothing of an alert of which
	// another source has reported something later by more than MaxSkew; a MaxSkew of zero is no limit.
	Source  string
	MaxSkew time.Duration
	// Fingerprint is the hash of the id that its publisher gave the message; 0 if it has none. A
	// message whose fingerprint has come within the last hour is a duplicate.
	Fingerprint uint64
	Delivery    Delivery
	Decision    decision.Decision
	Tries       int // requests to ilert before, if it is a dead letter
}

// when returns the time of a message: the earlier of its own and of its arrival, so that a
// backlog does not look like a storm and a clock that is ahead silences nobody.
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

// origin is the cause of a change: a message, or time alone.
type origin struct {
	message *Message  // nil for time
	at      time.Time // when it happened
	arrived time.Time // when we learned of it
	waits   bool      // the message waits, or has waited before it was overtaken
	merged  bool      // it says what was sent or waits already
	hits    []hit     // that may raise alerts, once all effects are known
	revived bool      // the message is a dead letter that is taken in again
	stale   int       // effects of such a message that a later one contradicts
}

// cause returns the message as the cause of something that waits. The message waits for one thing only; what
// else it makes wait has no message that is counted.
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

// Apply stores what messages do, all or none, in their order.
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
			redelivered := w.keepReceipt(m) // whatever else tells: its packet identifier is another message's now
			if w.keepFingerprint(m) || redelivered {
				w.counts.of(m.Filter).Duplicate++
				continue
			}
			if err := w.applyMessage(m, m.ReceivedAt); err != nil {
				return err
			}
		}
		return nil
	})
}

// Do stores changes that no message makes, as of a time.
func (e *Engine) Do(ctx context.Context, at time.Time, effects ...decision.Effect) error {
	at = at.Truncate(time.Millisecond)
	return e.update(ctx, func(w *work) error {
		if err := w.plan([]Message{{ReceivedAt: at, Decision: decision.Decision{Effects: effects}}}); err != nil {
			return err
		}
		return w.applyEffects(effects, &origin{at: at, arrived: at})
	})
}

// applyMessage does what a message does that has arrived now, and counts its one fate.
func (w *work) applyMessage(m *Message, now time.Time) error {
	w.countMatches(m)
	if reason := m.Decision.Dead; reason != "" {
		w.counts.of(m.Filter).Dead++
		w.addLetter(m.letter(reason, now))
		return nil
	}
	o := origin{message: m, at: m.when(), arrived: now.Truncate(time.Millisecond)}
	if err := w.applyEffects(m.Decision.Effects, &o); err != nil {
		return err
	}
	w.countFate(&o)
	return nil
}

func (w *work) countMatches(m *Message) {
	for _, rule := range m.Decision.Matched {
		w.changes.Matched[rule]++
	}
}

// countFate counts the one fate of a message.
func (w *work) countFate(o *origin) {
	switch filter := o.message.Filter; {
	case o.waits: // it is counted with what waits
	case o.merged:
		w.counts.of(filter).Merged++
	default:
		w.counts.of(filter).Ignored++
	}
}

// applyEffects does the effects of a decision in their order. What a hit means is known once all are done.
func (w *work) applyEffects(effects []decision.Effect, o *origin) error {
	for _, effect := range effects {
		before := o.stale
		if err := w.applyEffect(effect, o); err != nil {
			return err
		}
		o.stale = min(o.stale, before+1) // one effect may be about many alerts
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
		w.endByID(idOf(e.Key), o)
	case decision.EndAll:
		w.endAll(e.Rule, o)
	case decision.Send:
		w.addItem(e, o)
	case decision.Hit:
		w.countHit(e, o)
	case decision.Reset:
		w.reset(GroupID{e.Rule, e.Group}, o)
	case decision.Leave:
		w.leave(GroupID{e.Rule, e.Group}, e.Member, o)
	default:
		return fmt.Errorf("alerting: no such effect: %T", effect)
	}
	return nil
}

// raise makes an alert one that should be open.
func (w *work) raise(r raising, o *origin) {
	id := idOf(r.Key)
	a := w.endOverdue(id, o)
	if a == nil {
		a = &Alert{ID: id, AlertKey: r.Key.Alert, Report: w.rows.Ended[id], Epoch: w.lastEpoch()}
	}
	if a.Report.stale(o) && (!o.revived || a.Desired != ilert.Alert) {
		o.stale++
		return
	}
	a.Report.renew(o)
	if a.Storm == InStorm || a.Storm == IsStorm {
		w.raiseInStorm(a, r, o)
		return
	}
	a.raise(r, o, w.counts)
	a.Epoch = w.lastEpoch()
	w.keep(a)
}

// endOverdue returns the alert of an identity after time or the end of its rule has ended it, if either has before
// a change.
func (w *work) endOverdue(id AlertID, o *origin) *Alert {
	w.endWithRule(id, o.arrived)
	a := w.alert(id)
	if !a.open() || a.EndsAt.IsZero() || o.at.Before(a.EndsAt) {
		return a
	}
	w.end(a, &origin{at: a.EndsAt, arrived: o.arrived})
	return w.alert(id)
}

// accept notes that somebody looks after an alert.
func (w *work) accept(id AlertID, o *origin) {
	w.endWithRule(id, o.arrived)
	a := w.alert(id)
	switch {
	case a == nil || a.Desired == ilert.Resolve:
		return
	case a.Report.stale(o):
		o.stale++
		return
	}
	a.Report.renew(o)
	if a.Storm == InStorm || a.Storm == IsStorm { // who looks after one of many does not look after all of them
		o.merged = true
		return
	}
	a.accept(o, w.counts)
	w.keep(a)
}

// endByID ends the alert of an identity, if there is one and nobody has reported something later of it.
func (w *work) endByID(id AlertID, o *origin) {
	w.endWithRule(id, o.arrived)
	a := w.alert(id)
	if a == nil {
		return
	}
	if a.Report.stale(o) {
		o.stale++
		return
	}
	a.Report.renew(o)
	w.end(a, o)
}

// end ends an alert, and forgets its window.
func (w *work) end(a *Alert, o *origin) {
	switch a.Storm {
	case InStorm:
		w.leaveStorm(a, o)
		return
	case IsStorm: // it ends with the last of its members
		return
	}
	windowed := a.Windowed
	w.endKeepingWindow(a, o)
	if windowed {
		w.forgetGroup(GroupID{a.Rule, a.Group})
	}
}

// endKeepingWindow ends an alert, and keeps its window.
func (w *work) endKeepingWindow(a *Alert, o *origin) {
	if a.Windowed && a.Told != Nothing {
		numbers, _ := w.numbers(a, o.at)
		a.Body = string(numbers.Fill([]byte(a.Body)))
	}
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
		panic(err) // what is JSON in it has been read as such
	}
	return string(text)
}
