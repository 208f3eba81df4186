package rules

import (
	"slices"
	"sync"

	"github.com/expr-lang/expr/vm"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/mqtttopic"
)

// engine holds compiled rules and the index of their conditions.
type engine struct {
	rules    []*Rule
	clauses  []*clause
	byType   map[event.Type]methods
	rest     []*clause // the clauses for messages that are no events
	onEvents bool      // a rule asks for events
	parses   bool      // a rule asks for something that an event has
	fleet    bool      // a rule asks for the size of the fleet
	works    sync.Pool
}

// work is the state of deciding about one message.
type work struct {
	facts   facts
	message decision.Message
	payload []byte // the text of the message
	isEvent bool
	parsed  bool // facts.Msg is set
	machine *vm.VM

	decision decision.Decision
	places   []int   // for each effect of decision the place of its rule
	ignoring *clause // the clause of the first matching rule with Ignore

	listOf *Rule // the last rule whose list was evaluated, with the list or the reason why there is none
	list   []any
	noList error

	asked  *Topics // the last question to concerns, and its answer
	answer bool
}

// decide returns the decision about a message.
func (e *engine) decide(m decision.Message) decision.Decision {
	w := e.works.Get().(*work)
	defer func() {
		*w = work{machine: w.machine, places: w.places[:0]}
		e.works.Put(w)
	}()
	w.message = m
	candidates, err := e.read(w)
	if err != nil {
		return decision.NewDead("%w", err)
	}
	return e.evaluate(w, candidates)
}

// evaluate returns the decision about a message that was read.
func (e *engine) evaluate(w *work, candidates []*clause) decision.Decision {
	if w.isEvent {
		w.decision.At = timeOf(w.facts.Event.Timestamp)
		// A request may contain a guid that no device has; a success cannot.
		if e.fleet && w.facts.Event.Type == string(event.Success) {
			w.decision.Device = deviceOf(w.facts.Event.GUID)
		}
	}
	for _, c := range candidates {
		if !w.ignores(c) {
			w.take(c)
		}
	}
	w.overrule(e.rules)
	return w.decided()
}

// take evaluates a clause, and adds its effects to the decision.
func (w *work) take(c *clause) {
	about := w.begins(c)
	if breaks := c.breaks() && w.concerns(c.rule); !about && !breaks {
		return
	}
	if about && c.is == begins && !w.isEmpty() {
		w.decision.Looked = append(w.decision.Looked, c.rule.Name)
	}
	if c.rule.Each != nil {
		w.takeEach(c, about)
	} else if err := w.takeOne(c, about); err != nil {
		w.fail(c.rule, err)
	}
}

// takeOne adds the effect of a clause if its condition is true, or if it breaks a row. about is the answer of begins.
func (w *work) takeOne(c *clause, about bool) error {
	if !about {
		w.addBreak(c)
		return nil
	}
	matched, err := w.matches(c)
	switch {
	case err != nil:
		return err
	case matched:
		return w.add(c)
	case c.breaks():
		w.addBreak(c)
	}
	return nil
}

// fail notes that a rule cannot decide about the message. The other rules decide all the same. No
// rule fails on an empty message, because each may ask for something in the payload.
func (w *work) fail(r *Rule, err error) {
	failed := &w.decision.Failed
	if !w.isEmpty() && !slices.ContainsFunc(*failed, func(f decision.Failure) bool { return f.Rule == r.Name }) {
		*failed = append(*failed, decision.NewFailure(r.Name, err))
	}
}

// decided returns the decision. The message is dead if a rule failed on it and it means nothing to
// any other.
func (w *work) decided() decision.Decision {
	d := w.decision
	if len(d.Failed) == 0 || len(d.Matched)+len(d.Effects) > 0 {
		return d
	}
	dead := decision.NewDead("rule %s: %s", d.Failed[0].Rule, d.Failed[0].Reason)
	dead.Failed, dead.Looked = d.Failed, d.Looked
	return dead
}

// ignores reports whether a rule with Ignore above a clause has matched, and keeps the message from it.
// Alerts end all the same.
func (w *work) ignores(c *clause) bool {
	return w.ignoring != nil && w.ignoring.place < c.place && c.order() > orderOfEnds
}

// listensTo reports whether a topic matches the rule's filters.
func (r *Rule) listensTo(topic string) bool {
	return len(r.Topics.Filters) == 0 || slices.ContainsFunc(r.Topics.Filters, func(filter string) bool { return filter == topic || mqtttopic.Matches(filter, topic) })
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
func (w *work) prepare(r *Rule, n needs) {
	w.facts.Option, w.facts.Rule = r.Options, r.Name
	if n.properties && w.facts.Properties == nil {
		w.facts.Properties = map[string]string{}
		for _, p := range w.message.Properties {
			w.facts.Properties[p.Key] = p.Value
		}
	}
	if n.payload && w.facts.Payload == "" {
		w.facts.Payload = string(w.payload)
	}
	if n.msg {
		w.parse()
	}
}

// begins reports whether a clause is about the message, as far as can be seen without expr's machine.
func (w *work) begins(c *clause) bool {
	return w.concerns(c.rule) && (c.when == nil || c.when.begins(&w.facts))
}

// matches reports whether the condition of a clause holds whose beginning is true.
func (w *work) matches(c *clause) (bool, error) {
	if c.when == nil || c.when.native {
		return true, nil
	}
	w.prepare(c.rule, c.when.needs)
	return c.when.holds(w.machine, &w.facts)
}
