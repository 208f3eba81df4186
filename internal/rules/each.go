package rules

import (
	"fmt"
	"maps"
	"slices"

	"github.com/mps-events/mps-events/internal/decision"
)

// These limits keep rules with a list cheap, whatever a message contains.
const (
	maxItems     = 1000    // elements of a list
	maxItemBytes = 8 << 20 // elements times the bytes of the message, if expressions name the message for each
	maxItemTexts = 1 << 20 // bytes of the texts of all elements together
)

// items returns the elements of the list of a rule. It remembers the last list, because the clauses
// of a rule share it.
func (w *work) items(c *clause) ([]any, error) {
	r := c.rule
	if w.listOf != r {
		w.listOf = r
		w.prepare(r, r.Each.needs)
		w.list, w.noList = w.elements(r.Each)
	}
	if w.noList != nil {
		return nil, fmt.Errorf("each: %w", w.noList)
	}
	if n := len(w.list) * w.size(c.own); n > maxItemBytes {
		return nil, fmt.Errorf("each: %d elements of a message that is named for each of them, %d bytes in all: want at most %d; name item instead", len(w.list), n, maxItemBytes)
	}
	return w.list, nil
}

// size returns the bytes of the parts of the message that expressions name.
func (w *work) size(n needs) int {
	const decoding = 4 // times the size, because it takes longer than all else
	size := len(w.message.Topic)
	switch named := n.msg || n.payload || n.event; {
	case named && n.decodes:
		size += decoding * len(w.payload)
	case named:
		size += len(w.payload)
	}
	if n.properties {
		for _, p := range w.message.Properties {
			size += len(p.Key) + len(p.Value)
		}
	}
	return size
}

// elements returns the elements of the list that an expression is. Those of an object have its keys
// and values.
func (w *work) elements(list *Expression) ([]any, error) {
	value, err := list.run(w.machine, &w.facts)
	if err != nil {
		return nil, err
	}
	switch v := value.(type) {
	case nil:
		return nil, nil
	case []any:
		return v, tooMany(len(v))
	case []string:
		return elementsOf(len(v), slices.Values(v), func(s string) any { return s })
	case map[string]any:
		return elementsOf(len(v), slices.Values(slices.Sorted(maps.Keys(v))), func(key string) any { return map[string]any{"key": key, "value": v[key]} })
	case map[string]string:
		return elementsOf(len(v), slices.Values(slices.Sorted(maps.Keys(v))), func(key string) any { return map[string]any{"key": key, "value": v[key]} })
	}
	return nil, fmt.Errorf("%s: want a list or an object, have %s", list.text, KindOf(value))
}

// elementsOf returns the elements for n names, unless these are too many.
func elementsOf(n int, names func(func(string) bool), element func(string) any) ([]any, error) {
	if err := tooMany(n); err != nil {
		return nil, err
	}
	all := make([]any, 0, n)
	for name := range names {
		all = append(all, element(name))
	}
	return all, nil
}

// tooMany returns an error if a list has more elements than a rule may decide about.
func tooMany(n int) error {
	if n > maxItems {
		return fmt.Errorf("%d elements: want at most %d", n, maxItems)
	}
	return nil
}

// takeEach adds the effects of a clause for each element of the rule's list. An element on which the
// rule fails hinders no other.
func (w *work) takeEach(c *clause, about bool) {
	items, err := w.items(c)
	if err != nil {
		w.fail(c.rule, err)
		return
	}
	texts := 0
	for i, item := range items {
		before := len(w.decision.Effects)
		w.facts.Item = item
		if err := w.takeOne(c, about); err != nil {
			w.fail(c.rule, fmt.Errorf("element %d: %w", i+1, err))
		}
		for _, effect := range w.decision.Effects[before:] {
			texts += lengthOf(effect)
		}
		if c.is == ends && c.rule.EndsAll && len(w.decision.Effects) > before {
			break // all alerts end once
		}
		if texts > maxItemTexts {
			w.fail(c.rule, fmt.Errorf("each: the texts of the first %d elements have %d bytes: want at most %d for all; the others have no effect", i+1, texts, maxItemTexts))
			break
		}
	}
	w.facts.Item = nil
}

// lengthOf returns the bytes of the texts of an effect.
func lengthOf(effect decision.Effect) int {
	switch e := effect.(type) {
	case decision.Raise:
		ev := e.Event
		return len(e.Key.Alert) + len(ev.Summary) + len(ev.Details) + len(ev.Links) + len(ev.Images) + len(ev.Labels) + len(ev.CustomDetails)
	case decision.Hit:
		return len(e.Group) + len(e.Member) + lengthOf(e.Raise)
	case decision.Heard:
		return len(e.Group) + lengthOf(e.Raise)
	}
	return 0
}
