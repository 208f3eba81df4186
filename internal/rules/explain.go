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
	if _, err := e.read(&w); err != nil {
		return nil, err
	}
	var all []Verdict
	raisedBy := ""
	for _, rule := range e.rules {
		v := Verdict{Rule: rule.Name}
		for _, c := range rule.clauses() {
			why, err := w.why(c)
			switch {
			case err != nil && w.isEmpty():
				v.Reasons = append(v.Reasons, "the message has no payload: "+err.Error())
			case err != nil:
				v.Reasons = append(v.Reasons, "the message is dead: "+err.Error())
			case why != "":
				if c.is == begins && !v.Matched {
					v.Reasons = append(v.Reasons, why)
				}
			case c.firstOnly() && raisedBy != "":
				v.Reasons = append(v.Reasons, fmt.Sprintf("it matches, but rule %s has matched before it", raisedBy))
			default:
				v.Matched = true
				v.Reasons = append(v.Reasons, w.says(c))
				if c.firstOnly() {
					raisedBy = rule.Name
				}
			}
		}
		all = append(all, v)
	}
	return all, nil
}

// says describes the effect of a clause that matches.
func (w *work) says(c *clause) string {
	var d decision.Decision
	if err := w.add(c, &d); err != nil {
		return "it matches, but the message is dead: " + err.Error()
	}
	says := doing(d)
	for _, o := range d.Omitted {
		says += ", without " + o.Field + ": " + strings.TrimPrefix(o.Reason, "rule "+c.rule.Name+": ")
	}
	return says
}

// doing describes the first effect of a decision.
func doing(d decision.Decision) string {
	if len(d.Effects) == 0 {
		return "is ignored"
	}
	switch e := d.Effects[0].(type) {
	case decision.Raise:
		return "raises the alert " + e.Key.Alert + notWhile(e.Unless)
	case decision.Accept:
		return "accepts the alert " + e.Key.Alert
	case decision.End:
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
		return "counts in the window" + ofGroup(e.Group) + notWhile(e.Raise.Unless)
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
		if holds, err := inner.holds(w.machine, &w.facts); err == nil && !holds {
			return part.String()
		}
	}
	return c.when.text
}
