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
		failed := false
		for _, c := range rule.clauses(place) {
			why, err := w.why(c)
			switch {
			case err != nil && w.isEmpty():
				v.Reasons = append(v.Reasons, "the message has no payload: "+err.Error())
			case err != nil && !failed:
				failed = true
				v.Reasons = append(v.Reasons, "fails: "+err.Error())
			case err != nil: // one reason is enough
			case why != "":
				if c.is == begins && !v.Matched {
					v.Reasons = append(v.Reasons, why)
				}
			case w.ignores(c):
				v.Reasons = append(v.Reasons, fmt.Sprintf("it matches, but rule %s above it ignores the message", w.ignoring.rule.Name))
			default:
				v.Matched = true
				v.Reasons = append(v.Reasons, w.says(c, d.Overruled))
			}
		}
		all = append(all, v)
	}
	return all, nil
}

// says describes the effect of a clause that matches.
func (w *work) says(c *clause, overruled []decision.Overruled) string {
	alone := *w
	alone.decision, alone.places = decision.Decision{}, nil
	if err := alone.add(c); err != nil {
		return "it matches, and fails: " + err.Error()
	}
	d := alone.decision
	if len(d.Effects) == 0 {
		return "is ignored"
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
	return says
}

// doing describes an effect.
func doing(effect decision.Effect) string {
	switch e := effect.(type) {
	case decision.Raise:
		return "raises the alert " + e.Key.Alert
	case decision.Accept:
		return "accepts the alert " + e.Key.Alert
	case decision.End:
		if e.Waiting {
			return "ends the alert " + e.Key.Alert + " if it still waits to be sent"
		}
		return "ends the alert " + e.Key.Alert
	case decision.EndAll:
		return "ends all alerts of the rule"
	case decision.Reset:
		return "ends the alert" + ofGroup(e.Group)
	case decision.Leave:
		return "takes " + cmp.Or(e.Member, "nobody") + " out of the window" + ofGroup(e.Group)
	case decision.Hit:
		if e.Only {
			return "counts towards the whole of the window" + ofGroup(e.Group)
		}
		return "counts in the window" + ofGroup(e.Group)
	}
	return ""
}

func ofGroup(group string) string {
	if group == "" {
		return ""
	}
	return " of " + group
}

// why returns the reason why a clause does not match, or "" if it matches.
func (w *work) why(c *clause) (string, error) {
	switch {
	case !w.concerns(c.rule):
		return "the topic is not among " + strings.Join(c.rule.Topics.Filters, ", "), nil
	case c.needs.event && !w.isEvent:
		return "the message is no event", nil
	}
	if matched, err := w.matches(c); err != nil {
		return "", err
	} else if matched {
		return "", nil
	}
	return "not true: " + w.untrue(c), nil
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
		if holds, err := inner.holds(w.machine, &w.facts); err == nil && !holds {
			return part.String()
		}
	}
	return c.when.text
}
