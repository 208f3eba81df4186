package rules

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/vm"

	"github.com/mps-events/mps-events/internal/decision"
)

// Verdict is the result of one rule for one message, for people.
type Verdict struct {
	Rule    string
	Matched bool
	// Reasons lists why the rule did not match, or what it does.
	Reasons []string
}

// Explain returns the verdict of each rule about a message, in the order of the rules.
func (r Rules) Explain(m decision.Message) ([]Verdict, error) {
	e := r.engine
	w := work{message: m, machine: new(vm.VM)}
	candidates, err := e.read(&w)
	if err != nil {
		return nil, err
	}
	d := e.evaluate(&w, candidates)
	var all []Verdict
	for place, rule := range e.rules {
		v := Verdict{Rule: rule.Name}
		fails := ""
		for _, c := range rule.clauses(place) {
			does, why, err := w.explain(c, d.Overruled)
			switch {
			case len(does) > 0 && w.ignores(c):
				v.Reasons = append(v.Reasons, fmt.Sprintf("it matches, but rule %s above it ignores the message", w.ignoring.rule.Name))
			case len(does) > 0:
				v.Matched = true
				v.Reasons = append(v.Reasons, does...)
			case why != "" && c.is == begins && !v.Matched:
				v.Reasons = append(v.Reasons, why)
			}
			switch {
			case err != nil && w.isEmpty():
				v.Reasons = append(v.Reasons, "the message has no payload: "+err.Error())
			case err != nil:
				fails = cmp.Or(fails, "fails: "+err.Error()) // one reason is enough
			}
		}
		if fails != "" {
			v.Reasons = append(v.Reasons, fails)
		}
		all = append(all, v)
	}
	return all, nil
}

// explain returns what a clause does, or the reason why it does not match. The error is the reason
// why its rule fails.
func (w *work) explain(c *clause, overruled []decision.Overruled) (does []string, why string, err error) {
	switch {
	case !w.concerns(c.rule):
		return nil, "the topic is not among " + strings.Join(c.rule.Topics.Filters, ", "), nil
	case c.needs.event && !w.isEvent:
		return nil, "the message is no event", nil
	case c.rule.Each != nil && w.begins(c):
		return w.explainEach(c, overruled)
	}
	return w.explainOne(c, overruled)
}

// explainEach explains a clause for each element of the rule's list.
func (w *work) explainEach(c *clause, overruled []decision.Overruled) (does []string, why string, err error) {
	items, err := w.items(c)
	if err != nil {
		return nil, "", err
	}
	const maxShown = 20
	matched := 0
	for i, item := range items {
		w.facts.Item = item
		element := fmt.Sprintf("element %d ", i+1)
		doesOne, whyOne, errOne := w.explainOne(c, overruled)
		switch {
		case errOne != nil:
			err = cmp.Or(err, fmt.Errorf("%s: %w", strings.TrimSpace(element), errOne))
		case len(doesOne) > 0:
			if matched++; matched <= maxShown {
				does = append(does, element+doesOne[0])
			}
		case why == "":
			why = element + whyOne
		}
	}
	w.facts.Item = nil
	switch {
	case matched > maxShown:
		does = append(does, fmt.Sprintf("and so on for %d other elements", matched-maxShown))
	case len(items) == 0:
		why = "there is no element in " + c.rule.Each.text
	}
	return does, why, err
}

// explainOne explains a clause as explain does, for the element that is item if the rule has a list.
func (w *work) explainOne(c *clause, overruled []decision.Overruled) (does []string, why string, err error) {
	if w.begins(c) {
		matched, err := w.matches(c)
		if err != nil {
			return nil, "", err
		}
		if matched {
			says, err := w.says(c, overruled)
			return says, "", err
		}
	}
	return nil, "not true: " + w.untrue(c) + w.breaking(c), nil
}

// says describes the effect of a clause that matches.
func (w *work) says(c *clause, overruled []decision.Overruled) ([]string, error) {
	alone := *w
	alone.decision, alone.places = decision.Decision{}, nil
	if err := alone.add(c); err != nil {
		return nil, err
	}
	d := alone.decision
	if len(d.Effects) == 0 {
		return []string{"is ignored"}, nil
	}
	says := doing(d.Effects[0])
	for _, o := range d.Omitted {
		says += ", without " + o.Field + ": " + strings.TrimPrefix(o.Reason, "rule "+c.rule.Name+": ")
	}
	key, is := keyedBy(d.Effects[0])
	for _, o := range overruled {
		if is != none && o.Rule == c.rule.Name && o.Key == key {
			says += fmt.Sprintf("; that has no effect, because rule %s above it decides about this alert", o.By)
		}
	}
	return []string{says}, nil
}

// doing describes an effect.
func doing(effect decision.Effect) string {
	switch e := effect.(type) {
	case decision.Raise:
		return "raises the alert " + e.Key.Alert + notWhile(e.Unless)
	case decision.Accept:
		return "accepts the alert " + e.Key.Alert
	case decision.End:
		if e.Waiting {
			return "ends the alert " + e.Key.Alert + " if it still waits to be sent"
		}
		return "ends the alert " + e.Key.Alert
	case decision.EndPrefix:
		return "ends all alerts whose keys begin with " + e.Key.Alert
	case decision.EndAll:
		return "ends all alerts of the rule"
	case decision.Reset:
		return "ends the alert" + ofGroup(e.Group)
	case decision.Leave:
		return "takes " + cmp.Or(e.Member, "nobody") + " out of the window" + ofGroup(e.Group)
	case decision.Forget:
		return "takes " + cmp.Or(e.Member, "nobody") + " out of the window" + ofGroup(e.Group) + ", which does not count it until it leaves again or " + e.Window.Longest().String() + " have passed"
	case decision.Whole:
		return "counts towards the whole of the window" + ofGroup(e.Group)
	case decision.Hit:
		return "counts in the window" + ofGroup(e.Group) + notWhile(e.Raise.Unless)
	case decision.Heard:
		return "waits for the next message" + ofGroup(e.Group) + ", for " + e.Absence.After.String() + notWhile(e.Raise.Unless)
	case decision.Dismiss:
		return "waits for no message" + ofGroup(e.Group) + " until the next one comes"
	}
	return ""
}

func ofGroup(group string) string {
	if group == "" {
		return ""
	}
	return " of " + group
}

// untrue returns the first part of a condition that is not true.
func (w *work) untrue(c *clause) string {
	for _, part := range conjuncts(c.when.tree) {
		inner, err := compile(part.String(), expr.AsBool(), c.rule.Options)
		if err != nil {
			continue
		}
		if !inner.begins(&w.facts) {
			return part.String()
		}
		w.prepare(c.rule, inner.needs)
		if holds, err := inner.holds(w.machine, &w.facts); err == nil && !holds {
			return part.String()
		}
	}
	return c.when.text
}
