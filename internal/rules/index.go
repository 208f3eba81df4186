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
	place int // of the rule in the file
	is    purpose
	when  *Expression // nil: always
	own   needs       // of the condition and the templates
	needs needs       // own, and those of the rule's list
}

// purpose is the kind of effect that a condition has.
type purpose int

const (
	begins purpose = iota // the rule's own condition
	ends
	leaves
	cancels // ends the alert while it waits
	counts  // a message counts towards the whole
	forgets // a group is not waited for any more, or a member does not count
)

// clauses returns the conditions of the rule at a place, in the order of their effects: a message
// ends before it begins, it counts towards the whole before it counts as a part, and its group is
// heard before it is forgotten. A member leaves before it is forgotten.
func (r *Rule) clauses(place int) (all []*clause) {
	for _, c := range []*clause{
		{rule: r, place: place, is: ends, when: r.EndsWhen},
		{rule: r, place: place, is: leaves, when: r.Leave},
		{rule: r, place: place, is: cancels, when: r.Cancel},
		{rule: r, place: place, is: counts, when: r.Of},
		{rule: r, place: place, is: begins, when: r.When},
		{rule: r, place: place, is: forgets, when: r.Forget},
	} {
		if c.when != nil || c.is == begins {
			c.own = c.ownNeeds()
			c.needs = c.own
			if r.Each != nil {
				c.needs = c.own.and(r.Each.needs)
			}
			all = append(all, c)
		}
	}
	return all
}

// ownNeeds returns the needs of the condition and of the templates that its purpose evaluates.
func (c *clause) ownNeeds() (n needs) {
	r := c.rule
	if c.when != nil {
		n = c.when.needs
	}
	templates := []*Template{r.Group}
	switch {
	case c.is == ends && r.EndsAll:
		return n
	case c.is == ends && r.EndsMatch != nil:
		return n.and(r.EndsMatch.needs)
	case c.is == ends && r.Window == nil, c.is == cancels:
		templates = append(templates, r.Key)
	case c.is == leaves, c.is == forgets && r.Window != nil:
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

// The ranks of clauses, in the order in which a message meets them.
const (
	orderOfEnds = iota
	orderOfIgnoring
	orderOfWhole
	orderOfHits
	orderOfRaising
)

// order returns the rank of a clause. What ends an alert comes first, because also a message that a
// rule ignores ends alerts; what ignores the message comes before all that it is kept from.
func (c *clause) order() int {
	switch {
	case c.is == ends, c.is == leaves, c.is == cancels, c.is == forgets,
		c.is == begins && (c.rule.Action == Resolve || c.rule.Absence != nil):
		return orderOfEnds
	case c.is == begins && c.rule.Action == Ignore:
		return orderOfIgnoring
	case c.is == counts:
		return orderOfWhole
	case c.rule.Window != nil:
		return orderOfHits
	default:
		return orderOfRaising
	}
}

// only returns the values that a field of an event must have one of to be of interest for the clause; nil: any.
func (c *clause) only(field string) []string {
	values := c.when.only(field)
	if !c.breaks() {
		return values
	}
	breaking := c.rule.Of.only(field) // nil without Of, because then any message breaks the row
	if values == nil || breaking == nil {
		return nil
	}
	return slices.Concat(values, breaking)
}

// maxMethods limits the index by method. If rules name more methods, the index is by type alone.
const maxMethods = 1000

func newEngine(all []*Rule) *engine {
	e := &engine{rules: all, byType: map[event.Type]methods{}}
	e.works.New = func() any { return &work{machine: new(vm.VM)} }
	for place, r := range all {
		e.fleet = e.fleet || r.Window != nil && r.Window.Fleet
		e.clauses = append(e.clauses, r.clauses(place)...)
	}
	slices.SortStableFunc(e.clauses, func(a, b *clause) int { return cmp.Compare(a.order(), b.order()) })
	named := map[string]bool{}
	for _, c := range e.clauses {
		for _, name := range c.only("method") {
			named[name] = true
		}
		e.onEvents = e.onEvents || c.needs.event
		e.parses = e.parses || c.needs.event || c.needs.age
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
// that want another type or method, or that an option turns off.
func (e *engine) index(t event.Type, named map[string]bool) methods {
	var all []*clause
	for _, c := range e.clauses {
		if c.when != nil && c.when.never && !c.breaks() {
			continue
		}
		if types := c.only("type"); types == nil || slices.Contains(types, string(t)) {
			all = append(all, c)
		}
	}
	if len(named) > maxMethods {
		return methods{other: all}
	}
	m := methods{byName: make(map[string][]*clause, len(named))}
	for _, c := range all {
		names := c.only("method")
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
