package rules

import (
	"fmt"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/vm"
)

// Verdict says what one rule makes of a message, for people.
type Verdict struct {
	Rule    string
	Matched bool
	// Reasons say why it did not match, or what it does, a line each.
	Reasons []string
}

// Explain says what each rule makes of a message, in the order of the rules.
func (r Rules) Explain(m Message) ([]Verdict, error) {
	if r.engine == nil {
		return nil, nil
	}
	e := r.engine
	w := work{message: m, machine: new(vm.VM)}
	w.facts.Server = serverOf(m)
	if _, err := e.read(&w); err != nil {
		return nil, err
	}
	var all []Verdict
	raisedBy := ""
	for _, rule := range e.rules {
		v := Verdict{Rule: rule.name}
		for _, c := range []*clause{{rule, begins, rule.when}, {rule, ends, rule.endsWhen}, {rule, leaves, rule.leave}, {rule, counts, rule.of}} {
			if c.when == nil && c.is != begins {
				continue
			}
			why := w.why(c)
			first := c.is == begins && c.order() == 3 && rule.action != accept
			switch {
			case why == "" && first && raisedBy != "":
				v.Reasons = append(v.Reasons, fmt.Sprintf("it matches, but rule %s has matched before it", raisedBy))
			case why == "":
				v.Matched = true
				v.Reasons = append(v.Reasons, c.says())
				if first {
					raisedBy = rule.name
				}
			case c.is == begins:
				v.Reasons = append(v.Reasons, why)
			}
		}
		all = append(all, v)
	}
	return all, nil
}

// says is what the rule does when the clause matches.
func (c *clause) says() string {
	switch {
	case c.is == ends && c.rule.endsAll:
		return "ends all alerts of the rule"
	case c.is == ends:
		return "ends the alert"
	case c.is == leaves:
		return "takes the member out of the window"
	case c.is == counts:
		return "counts towards the whole of the window"
	case c.rule.window != nil:
		return "counts in the window"
	}
	return map[action]string{raise: "raises the alert", ignore: "is ignored", accept: "accepts the alert", resolve: "ends the alert"}[c.rule.action]
}

// why says what keeps a clause from matching; empty if it matches.
func (w *work) why(c *clause) string {
	if !c.rule.listensTo(w.message.Topic) {
		return "the topic is not among " + strings.Join(c.rule.topics, ", ")
	}
	if c.when == nil {
		return ""
	}
	if c.when.needs.event && !w.isEvent {
		return "the message is no event"
	}
	matched, err := w.matches(c)
	if err != nil {
		return err.Error()
	}
	if matched {
		return ""
	}
	for _, part := range conjuncts(c.when.tree) {
		text := part.String()
		inner, err := compile(text, expr.AsBool(), c.rule.options)
		if err != nil {
			break
		}
		if value, err := inner.run(w.machine, &w.facts); err == nil && value == false {
			return "not true: " + text
		}
	}
	return "not true: " + c.when.text
}
