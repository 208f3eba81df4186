package rules

import (
	"errors"
	"fmt"
	"strings"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

// add adds the effects of a clause that matches to the decision. After an error it has added none.
func (w *work) add(c *clause) error {
	r := c.rule
	w.prepare(r, c.needs)
	effect, err := w.effect(c)
	if err != nil {
		return err
	}
	if effect != nil {
		w.addEffect(c, effect)
	} else if w.ignoring == nil {
		w.ignoring = c
	}
	if n := len(w.decision.Matched); c.is == begins && (n == 0 || w.decision.Matched[n-1] != r.Name) {
		w.decision.Matched = append(w.decision.Matched, r.Name)
	}
	return nil
}

// addEffect adds an effect of a clause to the decision.
func (w *work) addEffect(c *clause, effect decision.Effect) {
	if w.decision.Effects == nil {
		const some = 4 // most messages have no more effects
		w.decision.Effects = make([]decision.Effect, 0, some)
	}
	w.decision.Effects, w.places = append(w.decision.Effects, effect), append(w.places, c.place)
}

// effect returns the effect of a clause that matches, or nil if its rule ignores the message.
func (w *work) effect(c *clause) (decision.Effect, error) {
	r := c.rule
	switch {
	case c.is == ends && r.EndsAll:
		return decision.EndAll{Rule: r.Name}, nil
	case c.is == ends && r.EndsMatch != nil:
		key, err := w.keyOf(r, r.EndsMatch, "match")
		return decision.EndPrefix{Key: key}, err
	case r.Window != nil:
		return w.ofWindow(c)
	case r.Absence != nil:
		return w.ofAbsence(c)
	case r.Action == Ignore:
		return nil, nil
	}
	key, err := w.keyOf(r, r.Key, "key")
	switch {
	case err != nil:
		return nil, err
	case r.Prefix:
		return decision.EndPrefix{Key: key}, nil
	case c.is == ends, r.Action == Resolve:
		return decision.End{Key: key}, nil
	case c.is == cancels:
		return decision.End{Key: key, Waiting: true}, nil
	case r.Action == Accept:
		return decision.Accept{Key: key}, nil
	}
	return w.raise(r, key)
}

// ofWindow returns the effect of a clause of a rule with a window.
func (w *work) ofWindow(c *clause) (decision.Effect, error) {
	r := c.rule
	group, err := r.Group.text(w.machine, &w.facts)
	if err != nil {
		return nil, fmt.Errorf("group: %w", err)
	}
	switch c.is {
	case ends:
		return decision.Reset{Rule: r.Name, Group: group}, nil
	case counts:
		return decision.Whole{Window: r.Window, Group: group}, nil
	}
	member, err := r.Member.text(w.machine, &w.facts)
	if err != nil {
		return nil, fmt.Errorf("member: %w", err)
	}
	if c.is == leaves {
		return decision.Leave{Rule: r.Name, Group: group, Member: member}, nil
	}
	if c.is == forgets {
		return decision.Forget{Window: r.Window, Group: group, Member: member}, nil
	}
	w.facts.Group = group
	key, err := w.keyOf(r, r.Key, "key")
	if err != nil {
		return nil, err
	}
	raised, err := w.raise(r, key)
	if err != nil {
		return nil, err
	}
	return decision.Hit{Window: r.Window, Group: group, Member: member, Raise: raised}, nil
}

// keyOf returns the key of the alert of a rule, or the beginning of keys, from a text of the rule with a name.
func (w *work) keyOf(r *Rule, text *Template, name string) (decision.Key, error) {
	key, err := text.text(w.machine, &w.facts)
	if err == nil && strings.TrimSpace(key) == "" {
		err = errors.New("is empty")
	}
	if err != nil {
		return decision.Key{}, fmt.Errorf("%s: %w", name, err)
	}
	return decision.Key{Integration: r.IntegrationKey, Alert: key}, nil
}

// raise returns the effect that raises the alert of a rule.
func (w *work) raise(r *Rule, key decision.Key) (decision.Raise, error) {
	e, omitted, err := r.Alert.event(w.machine, &w.facts)
	for _, o := range omitted {
		w.decision.Omitted = append(w.decision.Omitted, ilert.Omission{Field: o.Field, Reason: "rule " + r.Name + ": " + o.Reason})
	}
	return decision.Raise{
		Rule: r.Name, Key: key, Event: e, For: r.For, Reminder: r.Reminder, Silence: r.Silence, Age: r.Age, After: r.After,
		Unless: w.unless(r),
	}, err
}
