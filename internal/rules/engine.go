package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/expr-lang/expr/vm"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/mqtttopic"
)

// engine holds compiled rules and the index of their conditions.
type engine struct {
	rules    []*Rule
	clauses  []*clause
	byType   map[event.Type]methods
	rest     []*clause // the clauses for messages that are no events
	onEvents bool      // a rule asks for events
	fleet    bool      // a rule asks for the size of the fleet
	machines sync.Pool
}

// work is the state of deciding about one message.
type work struct {
	facts   facts
	message decision.Message
	isEvent bool
	parsed  bool // facts.Msg is set
	machine *vm.VM
	raised  bool // a raising rule has matched

	asked  *Topics // the last question to concerns, and its answer
	answer bool
}

// decide returns the decision about a message.
func (e *engine) decide(m decision.Message) decision.Decision {
	w := work{message: m, machine: e.machines.Get().(*vm.VM)}
	defer e.machines.Put(w.machine)
	candidates, err := e.read(&w)
	if err != nil {
		return decision.NewDead("%w", err)
	}
	var d decision.Decision
	if w.isEvent {
		d.At = timeOf(w.facts.Event.Timestamp)
		// A request may contain a guid that no device has; a success cannot.
		if e.fleet && w.facts.Event.Type == string(event.Success) {
			d.Device = deviceOf(w.facts.Event.GUID)
		}
	}
	for _, c := range candidates {
		if w.raised && c.firstOnly() {
			continue
		}
		matched, err := w.matches(c)
		was, raised := d, w.raised
		if err == nil && matched {
			err = w.add(c, &d)
		}
		switch {
		case err != nil && w.isEmpty():
			d, w.raised = was, raised // the rule asks for something in the payload
		case err != nil:
			return decision.NewDead("rule %s: %w", c.rule.Name, err)
		}
	}
	return d
}

// isEmpty reports whether the message has no payload. Publishers clear a retained message with
// such a one, so it cannot be misunderstood.
func (w *work) isEmpty() bool { return len(w.message.Payload) == 0 }

// serverOf returns the server that sent a message: the property source, else the topic.
func serverOf(m decision.Message) string {
	for _, p := range m.Properties {
		if p.Key == "source" && p.Value != "" {
			return p.Value
		}
	}
	return m.Topic
}

// deviceOf returns the guid in lower case, because servers write one guid in either
// case. It returns "" for a text that is longer than any guid or that no database can store.
func deviceOf(guid string) string {
	const maxLength = 64
	if len(guid) > maxLength || strings.Contains(guid, "\x00") {
		return ""
	}
	return strings.ToLower(guid)
}

// timeOf returns the time of an event, or the zero time if the timestamp is impossible.
func timeOf(ms int64) time.Time {
	if ms <= 0 || ms > math.MaxInt64/int64(2*time.Millisecond) {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// read reads the message and returns the clauses that it may match.
func (e *engine) read(w *work) ([]*clause, error) {
	w.facts.Topic, w.facts.Server = w.message.Topic, serverOf(w.message)
	if e.onEvents {
		parsed, err := event.Parse(w.message.Payload)
		if err == nil {
			w.isEvent = true
			w.facts.Event = factsOf(&parsed, w.message.Properties)
			m := e.byType[parsed.Type]
			if named, ok := m.byName[w.facts.Event.Method]; ok {
				return named, nil
			}
			return m.other, nil
		}
		if !w.isEmpty() && !slices.ContainsFunc(e.rest, func(c *clause) bool { return c.rule.listensTo(w.message.Topic) }) {
			return nil, err
		}
	}
	return e.rest, w.parse()
}

// factsOf returns the facts of an event and of its user properties.
func factsOf(e *event.Event, properties []decision.Property) eventFacts {
	f := eventFacts{
		Type: string(e.Type), Message: e.Message, Methods: e.Methods, GUID: e.GUID, Timestamp: e.Timestamp,
	}
	if len(e.Methods) > 0 {
		f.Method = e.Methods[0]
	}
	for _, p := range properties {
		switch p.Key {
		case "outcome":
			f.Outcome = p.Value
		case "httpstatus":
			f.HTTPStatus, _ = strconv.Atoi(p.Value)
		}
	}
	return f
}

// parse reads the payload as JSON into msg.
func (w *work) parse() error {
	if w.parsed {
		return nil
	}
	if w.isEmpty() {
		w.parsed = true
		return nil
	}
	if !utf8.Valid(w.message.Payload) {
		return errors.New("the payload is not valid UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(w.message.Payload))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return fmt.Errorf("the payload is not JSON: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return errors.New("the payload is not JSON: there is more behind it")
	}
	v, err := plainNumbers(v)
	w.facts.Msg, w.parsed = v, err == nil
	return err
}

// plainNumbers converts whole numbers to int and all others to float64. A whole number that no
// int holds becomes a text, because it is an identifier, of which no digit may be lost.
func plainNumbers(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.Atoi(string(v)); err == nil {
			return n, nil
		}
		const maxLength = 64 // of an identifier
		if len(v) <= maxLength && !strings.ContainsAny(string(v), ".eE") {
			return string(v), nil
		}
		n, err := v.Float64()
		if err != nil {
			return nil, fmt.Errorf("the payload holds the number %.40s, which is too large", v)
		}
		return n, nil
	case []any:
		for i := range v {
			if v[i], err = plainNumbers(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range v {
			if v[k], err = plainNumbers(v[k]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// listensTo reports whether a topic matches the rule's filters.
func (r *Rule) listensTo(topic string) bool {
	return len(r.Topics.Filters) == 0 || slices.ContainsFunc(r.Topics.Filters, func(filter string) bool { return mqtttopic.Matches(filter, topic) })
}

// concerns reports whether a rule listens to the topic of the message. It remembers the last
// answer, because most rules of a file share their topics.
func (w *work) concerns(r *Rule) bool {
	if w.asked != r.Topics {
		w.asked, w.answer = r.Topics, r.listensTo(w.message.Topic)
	}
	return w.answer
}

// prepare sets the facts that an expression needs.
func (w *work) prepare(r *Rule, n needs) error {
	w.facts.Option, w.facts.Rule = r.Options, r.Name
	if n.properties && w.facts.Properties == nil {
		w.facts.Properties = map[string]string{}
		for _, p := range w.message.Properties {
			w.facts.Properties[p.Key] = p.Value
		}
	}
	if n.msg {
		return w.parse()
	}
	return nil
}

// matches reports whether the condition of a clause holds.
func (w *work) matches(c *clause) (bool, error) {
	if !w.concerns(c.rule) {
		return false, nil
	}
	if c.when == nil {
		return true, nil
	}
	if err := w.prepare(c.rule, c.when.needs); err != nil {
		return false, err
	}
	return c.when.holds(w.machine, &w.facts)
}

// add adds the effects of a clause that matches to the decision.
func (w *work) add(c *clause, d *decision.Decision) error {
	r := c.rule
	if err := w.prepare(r, c.needs); err != nil {
		return err
	}
	if c.is == begins {
		d.Matched = append(d.Matched, r.Name)
	}
	if c.is == ends && r.EndsAll {
		d.Effects = append(d.Effects, decision.EndAll{Rule: r.Name})
		return nil
	}
	if r.Window != nil {
		return w.addToWindow(c, d)
	}
	w.raised = w.raised || c.firstOnly()
	if r.Action == Ignore {
		return nil
	}
	key, err := w.keyOf(r)
	if err != nil {
		return err
	}
	switch {
	case c.is == ends, r.Action == Resolve:
		d.Effects = append(d.Effects, decision.End{Key: key})
	case r.Action == Accept:
		d.Effects = append(d.Effects, decision.Accept{Key: key})
	default:
		raised, err := w.raise(r, key, d)
		if err != nil {
			return err
		}
		d.Effects = append(d.Effects, raised)
	}
	return nil
}

// addToWindow adds the effects of a clause of a rule with a window.
func (w *work) addToWindow(c *clause, d *decision.Decision) error {
	r := c.rule
	group, err := r.Group.text(w.machine, &w.facts)
	if err != nil {
		return fmt.Errorf("group: %w", err)
	}
	switch c.is {
	case ends:
		d.Effects = append(d.Effects, decision.Reset{Rule: r.Name, Group: group})
		return nil
	case counts:
		d.Effects = append(d.Effects, decision.Hit{Window: r.Window, Group: group, Only: true})
		return nil
	}
	member, err := r.Member.text(w.machine, &w.facts)
	if err != nil {
		return fmt.Errorf("member: %w", err)
	}
	if c.is == leaves {
		d.Effects = append(d.Effects, decision.Leave{Rule: r.Name, Group: group, Member: member})
		return nil
	}
	w.facts.Group = group
	key, err := w.keyOf(r)
	if err != nil {
		return err
	}
	raised, err := w.raise(r, key, d)
	if err != nil {
		return err
	}
	d.Effects = append(d.Effects, decision.Hit{Window: r.Window, Group: group, Member: member, Raise: raised})
	return nil
}

// keyOf returns the key of the alert of a rule.
func (w *work) keyOf(r *Rule) (decision.Key, error) {
	key, err := r.Key.text(w.machine, &w.facts)
	if err == nil && strings.TrimSpace(key) == "" {
		err = errors.New("is empty")
	}
	if err != nil {
		return decision.Key{}, fmt.Errorf("key: %w", err)
	}
	return decision.Key{Integration: r.IntegrationKey, Alert: key}, nil
}

// raise returns the effect that raises the alert of a rule.
func (w *work) raise(r *Rule, key decision.Key, d *decision.Decision) (decision.Raise, error) {
	e, omitted, err := r.Alert.event(w.machine, &w.facts)
	for _, o := range omitted {
		d.Omitted = append(d.Omitted, ilert.Omission{Field: o.Field, Reason: "rule " + r.Name + ": " + o.Reason})
	}
	return decision.Raise{
		Rule: r.Name, Key: key, Event: e, For: r.For, Reminder: r.Reminder, Silence: r.Silence, Age: r.Age,
		Unless: w.unless(r, d),
	}, err
}
