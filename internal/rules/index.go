package rules

import (
	"cmp"
	"slices"

	"github.com/expr-lang/expr/vm"

	"github.com/mps-events/mps-events/event"
)

// methods holds the clauses for events of one type: by method, and for all other methods.
type methods struct {
	byName map[string][]*clause
	other  []*clause
}

// clause is a condition of a rule with its purpose.
type clause struct {
	rule  *Rule
	is    purpose
	when  *Expression // nil: always
	needs needs       // of the condition and the templates
}

// purpose is the kind of effect that a condition has.
type purpose int

const (
	begins purpose = iota // the rule's own condition
	ends
	leaves
	counts // a message counts towards the whole
)

// clauses returns the conditions of a rule in the order of their effects: a message ends before
// it begins, and it counts towards the whole before it counts as a part.
func (r *Rule) clauses() (all []*clause) {
	for _, c := range []*clause{
		{rule: r, is: ends, when: r.EndsWhen},
		{rule: r, is: leaves, when: r.Leave},
		{rule: r, is: counts, when: r.Of},
		{rule: r, is: begins, when: r.When},
	} {
		if c.when != nil || c.is == begins {
			c.needs = c.allNeeds()
			all = append(all, c)
		}
	}
	return all
}

// allNeeds returns the needs of the condition and of the templates that its purpose evaluates.
func (c *clause) allNeeds() (n needs) {
	r := c.rule
	if c.when != nil {
		n = c.when.needs
	}
	templates := []*Template{r.Group}
	switch {
	case c.is == ends && r.EndsAll:
		return n
	case c.is == ends && r.Window == nil:
		templates = append(templates, r.Key)
	case c.is == leaves:
		templates = append(templates, r.Member)
	case c.is == begins:
		templates = append(templates, r.Key, r.Member)
		templates = append(templates, r.Unless...)
		n = n.and(r.Alert.needs())
	}
	for _, t := range templates {
		if t != nil {
			n = n.and(t.needs)
		}
	}
	return n
}

// order returns the rank of a clause: ends come first and raised alerts last.
func (c *clause) order() int {
	switch {
	case c.is == ends, c.is == leaves, c.is == begins && c.rule.Action == Resolve:
		return 0
	case c.is == counts:
		return 1
	case c.rule.Window != nil:
		return 2
	default:
		return 3
	}
}

// firstOnly reports whether only the first matching clause of this kind has an effect.
func (c *clause) firstOnly() bool {
	return c.is == begins && c.rule.Window == nil && (c.rule.Action == Raise || c.rule.Action == Ignore)
}

// maxMethods limits the index by method. If rules name more methods, the index is by type alone.
const maxMethods = 1000

func newEngine(all []*Rule) *engine {
	e := &engine{rules: all, byType: map[event.Type]methods{}}
	e.machines.New = func() any { return new(vm.VM) }
	for _, r := range all {
		e.fleet = e.fleet || r.Window != nil && r.Window.Fleet
		e.clauses = append(e.clauses, r.clauses()...)
	}
	slices.SortStableFunc(e.clauses, func(a, b *clause) int { return cmp.Compare(a.order(), b.order()) })
	named := map[string]bool{}
	for _, c := range e.clauses {
		for _, name := range c.when.only("method") {
			named[name] = true
		}
		e.onEvents = e.onEvents || c.needs.event
		if !c.needs.event {
			e.rest = append(e.rest, c)
		}
	}
	for _, t := range []event.Type{event.Request, event.Success, event.Fail} {
		e.byType[t] = e.index(t, named)
	}
	return e
}

// index returns the clauses that events of a type may match, by method. It leaves out conditions
// that want another type or method.
func (e *engine) index(t event.Type, named map[string]bool) methods {
	var all []*clause
	for _, c := range e.clauses {
		if types := c.when.only("type"); types == nil || slices.Contains(types, string(t)) {
			all = append(all, c)
		}
	}
	if len(named) > maxMethods {
		return methods{other: all}
	}
	m := methods{byName: make(map[string][]*clause, len(named))}
	for _, c := range all {
		names := c.when.only("method")
		if names == nil {
			m.other = append(m.other, c)
		}
		for name := range named {
			if names == nil || slices.Contains(names, name) {
				m.byName[name] = append(m.byName[name], c)
			}
		}
	}
	return m
}
