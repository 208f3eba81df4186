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
	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/mqttconn"
)

// engine decides by the rules of files.
type engine struct {
	rules    []*rule
	clauses  []*clause
	byType   map[event.Type]methods
	rest     []*clause // those for what is no event
	onEvents bool      // a rule asks for events
	fleet    bool      // a rule asks for the size of the fleet
	machines sync.Pool
}

// work is the decision of one message in the making.
type work struct {
	facts   facts
	message Message
	isEvent bool
	parsed  bool // msg has been read
	machine *vm.VM
	raised  bool // a raising rule has matched

	asked  *topics // what concerns has answered last
	answer bool
}

func (e *engine) decide(m Message) Decision {
	w := work{message: m, machine: e.machines.Get().(*vm.VM)}
	defer e.machines.Put(w.machine)
	candidates, err := e.read(&w)
	if err != nil {
		return dead("%w", err)
	}
	var d Decision
	if w.isEvent {
		d.At = timeOf(w.facts.Event.Timestamp)
		// Anybody may ask for a guid that is no device's.
		if e.fleet && w.facts.Event.Type == string(event.Success) {
			d.Device = deviceOf(w.facts.Event.GUID)
		}
	}
	for _, c := range candidates {
		if w.raised && c.first() {
			continue
		}
		matched, err := w.matches(c)
		was, raised := d, w.raised
		if err == nil && matched {
			err = w.add(c, &d)
		}
		switch {
		case err != nil && w.isEmpty():
			d, w.raised = was, raised // it asks for what cannot be there
		case err != nil:
			return dead("rule %s: %w", c.rule.name, err)
		}
	}
	return d
}

// isEmpty reports whether the message has no payload. By such a one a retained message is
// cleared, so there is nothing in it that could not be understood.
func (w *work) isEmpty() bool { return len(w.message.Payload) == 0 }

// serverOf names the server that a message is from: its source, else its topic.
func serverOf(m Message) string {
	for _, p := range m.Properties {
		if p.Key == "source" && p.Value != "" {
			return p.Value
		}
	}
	return m.Topic
}

// deviceOf is how a device is counted: servers write one guid in either case, and what is
// longer than any guid, or no database can hold, is none.
func deviceOf(guid string) string {
	const longest = 64
	if len(guid) > longest || strings.Contains(guid, "\x00") {
		return ""
	}
	return strings.ToLower(guid)
}

// timeOf is when an event happened by its own account.
func timeOf(ms int64) time.Time {
	if ms <= 0 || ms > math.MaxInt64/int64(2*time.Millisecond) {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// read reads what every clause needs, and returns those that may match.
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

// factsOf are the facts of an event, with what stands in its user properties.
func factsOf(e *event.Event, properties []Property) eventFacts {
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

// parse reads the payload as any JSON.
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

// plainNumbers makes whole numbers ints and all others floats. Whole numbers that no int
// holds become texts: they are identifiers, of which no digit may be lost.
func plainNumbers(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.Atoi(string(v)); err == nil {
			return n, nil
		}
		const longest = 64 // of identifiers
		if len(v) <= longest && !strings.ContainsAny(string(v), ".eE") {
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

func (r *rule) listensTo(topic string) bool {
	return len(r.topics.filters) == 0 || slices.ContainsFunc(r.topics.filters, func(filter string) bool { return mqttconn.Matches(filter, topic) })
}

// concerns reports whether the message is for a rule. Most rules of a file are for the
// same topics, and it is asked for one after the other.
func (w *work) concerns(r *rule) bool {
	if w.asked != r.topics {
		w.asked, w.answer = r.topics, r.listensTo(w.message.Topic)
	}
	return w.answer
}

// prepare reads what an expression needs.
func (w *work) prepare(r *rule, n needs) error {
	w.facts.Option, w.facts.Rule = r.options, r.name
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

// add adds what a clause that matches does.
func (w *work) add(c *clause, d *Decision) error {
	r := c.rule
	if err := w.prepare(r, c.needs); err != nil {
		return err
	}
	if c.is == begins {
		d.Matched = append(d.Matched, r.name)
	}
	if c.is == ends && r.endsAll {
		d.Effects = append(d.Effects, EndAll{r.name})
		return nil
	}
	if r.window != nil {
		return w.addToWindow(c, d)
	}
	w.raised = w.raised || c.first()
	if r.action == ignore {
		return nil
	}
	key, err := w.keyOf(r)
	if err != nil {
		return err
	}
	switch {
	case c.is == ends, r.action == resolve:
		d.Effects = append(d.Effects, End{key})
	case r.action == accept:
		d.Effects = append(d.Effects, Accept{key})
	default:
		raised, err := w.raise(r, key, d)
		if err != nil {
			return err
		}
		d.Effects = append(d.Effects, raised)
	}
	return nil
}

// addToWindow adds to what a window counts, or takes from it.
func (w *work) addToWindow(c *clause, d *Decision) error {
	r := c.rule
	group, err := r.group.text(w.machine, &w.facts)
	if err != nil {
		return fmt.Errorf("group: %w", err)
	}
	switch c.is {
	case ends:
		d.Effects = append(d.Effects, Reset{r.name, group})
		return nil
	case counts:
		d.Effects = append(d.Effects, Hit{Window: r.window, Group: group, Only: true})
		return nil
	}
	member, err := r.member.text(w.machine, &w.facts)
	if err != nil {
		return fmt.Errorf("member: %w", err)
	}
	if c.is == leaves {
		d.Effects = append(d.Effects, Leave{r.name, group, member})
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
	d.Effects = append(d.Effects, Hit{Window: r.window, Group: group, Member: member, Raise: raised})
	return nil
}

// keyOf is the key of the alert that a rule is about.
func (w *work) keyOf(r *rule) (Key, error) {
	key, err := r.key.text(w.machine, &w.facts)
	if err == nil && strings.TrimSpace(key) == "" {
		err = errors.New("is empty")
	}
	if err != nil {
		return Key{}, fmt.Errorf("key: %w", err)
	}
	return Key{r.integrationKey, key}, nil
}

func (w *work) raise(r *rule, key Key, d *Decision) (Raise, error) {
	e, omitted, err := r.alert.event(w.machine, &w.facts)
	for _, o := range omitted {
		d.Omitted = append(d.Omitted, ilert.Omission{Field: o.Field, Reason: "rule " + r.name + ": " + o.Reason})
	}
	return Raise{
		Rule: r.name, Key: key, Event: e, For: r.wait, Reminder: r.reminder, Silence: r.silence, Age: r.age,
	}, err
}
