package rules

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/expr-lang/expr/vm"

	"github.com/mps-events/mps-events/event"
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

// methods are the clauses for events of one type: by method, and for all other methods.
type methods struct {
	byName map[string][]*clause
	other  []*clause
}

// clause is a condition of a rule, and what it is for.
type clause struct {
	rule *rule
	is   purpose
	when *expression
}

type purpose int

const (
	begins purpose = iota // the rule's own condition
	ends
	leaves
	counts // towards of
)

func newEngine(all []*rule) *engine {
	e := &engine{rules: all, byType: map[event.Type]methods{}}
	e.machines.New = func() any { return new(vm.VM) }
	for _, r := range all {
		e.fleet = e.fleet || r.window != nil && r.window.Fleet
		// In the order of their effects: what a message ends it ends first, and it counts
		// towards the whole before it counts as a part.
		for _, c := range []*clause{{r, ends, r.endsWhen}, {r, leaves, r.leave}, {r, counts, r.of}, {r, begins, r.when}} {
			if c.when != nil || c.is == begins {
				e.clauses = append(e.clauses, c)
			}
		}
	}
	slices.SortStableFunc(e.clauses, func(a, b *clause) int { return cmp.Compare(a.order(), b.order()) })
	var named []string
	for _, c := range e.clauses {
		named = append(named, c.when.only("method")...)
		needs := c.needs()
		e.onEvents = e.onEvents || needs.event
		if !needs.event {
			e.rest = append(e.rest, c)
		}
	}
	for _, t := range []event.Type{event.Request, event.Success, event.Fail} {
		m := methods{byName: map[string][]*clause{}, other: e.of(t, "")}
		for _, name := range named {
			m.byName[name] = e.of(t, name)
		}
		e.byType[t] = m
	}
	return e
}

// order lets ends come first and raised alerts last.
func (c *clause) order() int {
	switch {
	case c.is == ends, c.is == leaves, c.is == begins && c.rule.action == resolve:
		return 0
	case c.is == counts:
		return 1
	case c.rule.window != nil:
		return 2
	default:
		return 3
	}
}

// needs is what the clause asks for to be evaluated, its templates aside.
func (c *clause) needs() needs {
	if c.when == nil {
		return needs{}
	}
	return c.when.needs
}

// of are the clauses that an event of that type and method may fulfil.
func (e *engine) of(t event.Type, method string) []*clause {
	var all []*clause
	for _, c := range e.clauses {
		types, names := c.when.only("type"), c.when.only("method")
		if (types == nil || slices.Contains(types, string(t))) && (names == nil || method != "" && slices.Contains(names, method)) {
			all = append(all, c)
		}
	}
	return all
}

// work is the decision of one message in the making.
type work struct {
	facts   facts
	message Message
	event   event.Event
	isEvent bool
	parsed  bool // msg has been read
	machine *vm.VM
	raised  bool // a raising rule has matched
}

func (e *engine) decide(m Message) Decision {
	w := work{message: m, machine: e.machines.Get().(*vm.VM)}
	defer e.machines.Put(w.machine)
	candidates, err := e.read(&w)
	if err != nil {
		return dead("%w", err)
	}
	var d Decision
	w.facts.Server = serverOf(m)
	if w.isEvent {
		d.At = timeOf(w.event.Timestamp)
		if e.fleet {
			d.Device = w.event.GUID
		}
	}
	for _, c := range candidates {
		if w.raised && c.is == begins && c.order() == 3 && c.rule.action != accept {
			continue // among these the first that matches wins
		}
		matched, err := w.matches(c)
		if err == nil && matched {
			err = w.add(c, &d)
		}
		if err != nil {
			return dead("rule %s: %w", c.rule.name, err)
		}
	}
	return d
}

// serverOf names the server that a message is from: its source, else its topic.
func serverOf(m Message) string {
	for _, p := range m.Properties {
		if p.Key == "source" && p.Value != "" {
			return p.Value
		}
	}
	return m.Topic
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
	var err error
	if e.onEvents {
		w.event, err = event.Parse(w.message.Payload)
		if err == nil {
			w.isEvent = true
			w.facts.Event = factsOf(&w.event)
			m := e.byType[w.event.Type]
			if named, ok := m.byName[w.facts.Event.Method]; ok {
				return named, nil
			}
			return m.other, nil
		}
		if !slices.ContainsFunc(e.rest, func(c *clause) bool { return c.rule.listensTo(w.message.Topic) }) {
			return nil, err
		}
	}
	if err := w.parse(); err != nil {
		return nil, err
	}
	return e.rest, nil
}

func factsOf(e *event.Event) eventFacts {
	f := eventFacts{
		Type: string(e.Type), Message: e.Message, Methods: e.Methods, GUID: e.GUID, Timestamp: e.Timestamp,
	}
	if len(e.Methods) > 0 {
		f.Method = e.Methods[0]
	}
	return f
}

// parse reads the payload as any JSON.
func (w *work) parse() error {
	if w.parsed {
		return nil
	}
	if !utf8.Valid(w.message.Payload) {
		return errors.New("the payload is not valid UTF-8")
	}
	decoder := json.NewDecoder(strings.NewReader(string(w.message.Payload)))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return fmt.Errorf("the payload is not JSON: %w", err)
	}
	if decoder.More() {
		return errors.New("the payload is not JSON: there is more behind it")
	}
	v, err := plainNumbers(v)
	w.facts.Msg, w.parsed = v, true
	return err
}

// plainNumbers makes whole numbers ints, so that no digit of an identifier is lost, and
// all others floats.
func plainNumbers(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.Atoi(string(v)); err == nil {
			return n, nil
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
	return len(r.topics) == 0 || slices.ContainsFunc(r.topics, func(filter string) bool { return mqttconn.Matches(filter, topic) })
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
	if n.event {
		w.completeEvent()
	}
	if n.msg {
		return w.parse()
	}
	return nil
}

// completeEvent adds what an event has in its user properties.
func (w *work) completeEvent() {
	if w.facts.Event.Outcome != "" {
		return
	}
	for _, p := range w.message.Properties {
		switch p.Key {
		case "outcome":
			w.facts.Event.Outcome = p.Value
		case "httpstatus":
			w.facts.Event.HTTPStatus, _ = strconv.Atoi(p.Value)
		}
	}
}

func (w *work) matches(c *clause) (bool, error) {
	if !c.rule.listensTo(w.message.Topic) {
		return false, nil
	}
	if c.when == nil {
		return true, nil
	}
	if err := w.prepare(c.rule, c.when.needs); err != nil {
		return false, err
	}
	value, err := c.when.run(w.machine, &w.facts)
	matched, _ := value.(bool)
	return matched, err
}

// add adds what a clause that matches does.
func (w *work) add(c *clause, d *Decision) error {
	r := c.rule
	if err := w.prepare(r, r.templateNeeds()); err != nil {
		return err
	}
	if c.is == begins {
		d.Matched = append(d.Matched, r.name)
	}
	group, err := r.group.text(w.machine, &w.facts)
	if err != nil {
		return fmt.Errorf("group: %w", err)
	}
	w.facts.Group = group
	switch {
	case c.is == ends && r.endsAll:
		d.Effects = append(d.Effects, EndAll{r.name})
		return nil
	case c.is == ends && r.window != nil:
		d.Effects = append(d.Effects, Reset{r.name, group})
		return nil
	case c.is == leaves, c.is == counts, c.is == begins && r.window != nil:
		return w.addToWindow(c, group, d)
	case r.action == ignore:
		w.raised = true
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
		w.raised = true
		raised, err := w.raise(r, key)
		if err != nil {
			return err
		}
		d.Effects = append(d.Effects, raised)
	}
	return nil
}

// addToWindow adds to what a window counts, or takes from it.
func (w *work) addToWindow(c *clause, group string, d *Decision) error {
	r := c.rule
	if c.is == counts {
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
	key, err := w.keyOf(r)
	if err != nil {
		return err
	}
	raised, err := w.raise(r, key)
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

func (w *work) raise(r *rule, key Key) (Raise, error) {
	e, err := r.alert.event(w.machine, &w.facts)
	return Raise{
		Rule: r.name, Key: key, Event: e, For: r.wait, Reminder: r.reminder, Silence: r.silence, Age: r.age,
	}, err
}
