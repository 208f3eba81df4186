package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

// Message is one received message.
type Message struct {
	Filter     string // the topic filter that it came by
	Topic      string
	Payload    []byte
	ReceivedAt time.Time
	Properties []decision.Property
	// Source is who says so, if that is known: of what an alert's last message by another
	// source said later, by more than MaxSkew, it changes nothing. A MaxSkew of zero is any.
	Source  string
	MaxSkew time.Duration
	// Fingerprint is that of the id that its publisher gave the message; 0 if it has none. A
	// message of a fingerprint that has come within the last hour is a duplicate.
	Fingerprint uint64
	Delivery    Delivery
	Decision    decision.Decision // what it does
	Tries       int               // if it is dead: requests to ilert before
}

// Rules is what letters have for a topic filter that no message caused, such as the
// end of an alert by time, or a message's second alert. Their payload is what ilert
// was told. No topic filter begins so.
const Rules = "#rules"

// nobody stands for the topic filter of what waits and is no message's.
const nobody = ""

// origin is whose change it is: a message's or, as when time ends an alert, nobody's.
type origin struct {
	message *Message
	at      time.Time // when it happened
	arrived time.Time // when we learned of it
	waits   bool      // the message waits to be told, or did before it was overtaken
	merged  bool      // it says what was told or waits already
	hits    []hit     // that may raise alerts, once all effects are known
	revived bool      // the message is a dead letter that is taken in again
	stale   int       // effects of such a message that what has come since says otherwise
}

// when is the time of a message: the smaller of its own and of its arrival, so that a
// backlog does not look like a storm and a clock that runs ahead silences nobody.
func (m *Message) when() time.Time {
	at := m.ReceivedAt
	if own := m.Decision.At; !own.IsZero() && own.Before(at) {
		at = own
	}
	return at.Truncate(time.Millisecond) // as it is kept
}

// Do stores changes that no message makes, as of a time.
func (s *Store) Do(ctx context.Context, at time.Time, effects ...decision.Effect) error {
	return s.change(ctx, func(c *change) error {
		o := origin{at: at.Truncate(time.Millisecond), arrived: at.Truncate(time.Millisecond)}
		for _, effect := range effects {
			if err := c.effect(effect, &o); err != nil {
				return err
			}
		}
		return nil
	})
}

// letter returns m as a dead letter.
func (m *Message) letter(reason string, at time.Time) *Letter {
	return &Letter{
		Filter: m.Filter, Topic: m.Topic, Payload: m.Payload, Properties: m.Properties,
		ReceivedAt: m.ReceivedAt, DiedAt: at, Reason: reason, Tries: m.Tries,
	}
}

// apply does what m does, which arrived now, and counts its one fate.
func (c *change) apply(m *Message, now time.Time) error {
	c.countMatches(m)
	if reason := m.Decision.Dead; reason != "" {
		c.count.of(m.Filter).Dead++
		return c.bury(m.letter(reason, now))
	}
	o := origin{message: m, at: m.when(), arrived: now.Truncate(time.Millisecond)}
	if err := c.do(&o); err != nil {
		return err
	}
	c.countFate(&o)
	return nil
}

func (c *change) countMatches(m *Message) {
	for _, rule := range m.Decision.Matched {
		c.matched[rule]++
	}
}

// do does all that the message of a change does.
func (c *change) do(o *origin) error {
	for _, effect := range o.message.Decision.Effects {
		if err := c.effect(effect, o); err != nil {
			return err
		}
	}
	for _, h := range o.hits {
		if err := c.weigh(h, o); err != nil {
			return err
		}
	}
	return nil
}

// countFate counts the one fate of the message of a change.
func (c *change) countFate(o *origin) {
	switch filter := o.message.Filter; {
	case o.waits: // and is counted by what waits
	case o.merged:
		c.count.of(filter).Merged++
	default:
		c.count.of(filter).Ignored++
	}
}

func (c *change) effect(effect decision.Effect, o *origin) error {
	switch e := effect.(type) {
	case decision.Raise:
		return c.raise(raising{Raise: e}, o)
	case decision.Accept:
		return c.accept(e.Key, o)
	case decision.End:
		return c.endKey(keyOf(e.Key), o)
	case decision.EndAll:
		return c.endAll(e.Rule, o)
	case decision.Send:
		return c.post(e, o)
	case decision.Hit:
		return c.hit(e, o)
	case decision.Reset:
		return c.reset(e, o)
	case decision.Leave:
		return c.leave(e, o)
	}
	return fmt.Errorf("no such effect: %T", effect)
}

func (c *change) raise(r raising, o *origin) error {
	k := keyOf(r.Key)
	a, err := c.load(k)
	if err != nil {
		return err
	}
	if a, err = c.expire(a, o); err != nil {
		return err
	}
	if a == nil {
		a = &alert{key: k, alertKey: r.Key.Alert}
		if a.said, err = c.ended(k); err != nil {
			return err
		}
	}
	if a.said.stale(o) && (!o.revived || a.desired != ilert.Alert) {
		o.stale++
		return nil
	}
	a.said.hear(o)
	if a.storm == inStorm || a.storm == itself {
		return c.raiseInStorm(a, r, o)
	}
	a.raise(r, o, c.count)
	c.keep(a)
	return nil
}

// expire ends an alert that time has ended before the change, though nobody has looked
// at it since, and returns what is left of it.
func (c *change) expire(a *alert, o *origin) (*alert, error) {
	if !a.open() || a.endsAt.IsZero() || o.at.Before(a.endsAt) {
		return a, nil
	}
	err := c.end(a, &origin{at: a.endsAt, arrived: o.arrived})
	return c.rows[a.key], err
}

func (c *change) accept(k decision.Key, o *origin) error {
	a, err := c.load(keyOf(k))
	if err != nil || a == nil || a.desired == ilert.Resolve {
		return err
	}
	if a.said.stale(o) {
		o.stale++
		return nil
	}
	a.said.hear(o)
	if a.storm == inStorm || a.storm == itself { // who looks after one of many looks not after them all
		o.merged = true
		return nil
	}
	a.accept(o, c.count)
	c.keep(a)
	return nil
}

func (c *change) endKey(k key, o *origin) error {
	a, err := c.load(k)
	if err != nil || a == nil { // the end of what is not open
		return err
	}
	if a.said.stale(o) { // or of what has begun since
		o.stale++
		return nil
	}
	a.said.hear(o)
	return c.end(a, o)
}

// end ends an alert, and forgets its window.
func (c *change) end(a *alert, o *origin) error {
	switch a.storm {
	case inStorm:
		return c.leaveStorm(a, o)
	case itself: // until the last of its members ends
		return nil
	}
	windowed := a.windowed
	if err := c.close(a, o); err != nil || !windowed {
		return err
	}
	return c.forgetGroup(groupKey{a.rule, a.group})
}

// close ends an alert, and lets its window be.
func (c *change) close(a *alert, o *origin) error {
	if a.windowed && a.told != nothing {
		numbers, _, err := c.numbers(a, o.at)
		if err != nil {
			return err
		}
		a.body = string(numbers.Fill([]byte(a.body)))
	}
	a.windowed = false
	if a.end(o, c.count) {
		c.forget(a.key)
	} else {
		c.keep(a)
	}
	return nil
}

// endAll ends all alerts of a rule, and forgets its windows.
func (c *change) endAll(rule string, o *origin) error {
	keys, err := c.keysOf(rule)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if err := c.endKey(k, o); err != nil {
			return err
		}
	}
	return c.forgetGroups(rule)
}

// attribute lets what waits be that of the change's message, unless the message waits
// elsewhere already.
func (a *alert) attribute(o *origin) {
	a.filter, a.topic, a.payload, a.receivedAt, a.properties = nobody, "", nil, o.at, ""
	m := o.message
	if m == nil {
		return
	}
	a.properties = propertiesOf(m.Properties)
	if o.waits {
		return
	}
	a.filter, a.topic, a.payload, a.receivedAt = m.Filter, m.Topic, m.Payload, m.ReceivedAt
	o.waits = true
}

// message returns the message that waits, or waited last.
func (a *alert) message() *Message {
	return &Message{Filter: a.filter, Topic: a.topic, Payload: a.payload, ReceivedAt: a.receivedAt, Properties: a.properties.list()}
}

// textOf is e in JSON, without the integration key.
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
