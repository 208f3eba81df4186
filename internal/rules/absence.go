package rules

import (
	"fmt"

	"github.com/expr-lang/expr/vm"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

// ofAbsence returns the effect of a clause of a rule that waits for messages.
func (w *work) ofAbsence(c *clause) (decision.Effect, error) {
	r := c.rule
	group, err := r.Group.text(w.machine, &w.facts)
	if err != nil {
		return nil, fmt.Errorf("group: %w", err)
	}
	if c.is == forgets {
		return decision.Dismiss{Rule: r.Name, Group: group}, nil
	}
	return w.heard(r, group)
}

// heard returns the effect that a message of a group has come.
func (w *work) heard(r *Rule, group string) (decision.Heard, error) {
	w.facts.Group = group
	key, err := w.keyOf(r, r.Key, "key")
	if err != nil {
		return decision.Heard{}, err
	}
	raised, err := w.raise(r, key)
	return decision.Heard{Absence: r.Absence, Group: group, Raise: raised}, err
}

// WaitsFromTheStart reports whether the rule waits for groups that have never spoken: those that it
// names, or its only one. With AtLeast it waits for none, because only messages show that a group is
// busy.
func (r *Rule) WaitsFromTheStart() bool {
	return r.Absence != nil && (len(r.Expect) > 0 || r.Group == nil && r.Absence.AtLeast == 0)
}

// SpeaksOfMessages reports whether the texts of the alert are made from a message.
func (r *Rule) SpeaksOfMessages() bool {
	n := r.Alert.needs()
	if r.Key != nil {
		n = n.and(r.Key.needs)
	}
	return n.event || n.msg || n.payload || n.age || n.properties || n.origin
}

// Awaiting returns the rules that wait for messages, with their integration keys.
func (r Rules) Awaiting() map[string]ilert.IntegrationKey {
	keys := map[string]ilert.IntegrationKey{}
	for _, rule := range r.rules {
		if rule.Absence != nil {
			keys[rule.Name] = rule.IntegrationKey
		}
	}
	return keys
}

// Expected returns the groups that the rules wait for from the start, as if each had spoken. The
// error is about texts that cannot be made.
func (r Rules) Expected() (all []decision.Heard, err error) {
	for _, rule := range r.rules {
		if !rule.WaitsFromTheStart() {
			continue
		}
		groups := rule.Expect
		if len(groups) == 0 {
			groups = []string{""}
		}
		w := work{machine: new(vm.VM)}
		w.prepare(rule, needs{})
		for _, group := range groups {
			heard, err := w.heard(rule, group)
			if err != nil {
				return nil, fmt.Errorf("rule %s: group %q: %w", rule.Name, group, err)
			}
			all = append(all, heard)
		}
	}
	return all, nil
}
