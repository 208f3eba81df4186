package storetest

import (
	"slices"
	"time"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

var modelAbsent = []*decision.Absence{{Rule: "r", After: 10 * time.Minute}, {Rule: "silent", After: time.Minute}, {Rule: "busy", After: 5 * time.Minute, AtLeast: 3}, {Rule: "usual", After: 5 * time.Minute, AtLeast: 2, UsualHours: true}}

func (m *model) heard() decision.Heard {
	a := pick(m, modelAbsent...)
	return decision.Heard{Absence: a, Group: pick(m, "g", "h", "i"), Raise: m.raise(a.Rule)}
}

// waits lets the engines listen or stop listening, or changes the groups that rules name.
func (m *model) waits() {
	m.t.Helper()
	switch m.r.IntN(4) {
	case 0:
		m.each("pause", func(b *book) error {
			b.Pause()
			return nil
		})
	case 1:
		rules, expected := map[string]ilert.IntegrationKey{}, []decision.Heard{m.heard(), m.heard()}
		for _, a := range modelAbsent {
			if m.r.IntN(4) > 0 {
				rules[a.Rule] = pick(m, configured, configured, doors)
			}
		}
		expected = slices.DeleteFunc(expected, func(h decision.Heard) bool {
			key, there := rules[h.Absence.Rule]
			return !there || h.Raise.Key.Integration != key
		})
		m.each("await", func(b *book) error { return b.Await(b.t.Context(), b.now, rules, expected) })
	default:
		m.each("listen", func(b *book) error {
			b.Listen(b.now)
			return nil
		})
	}
}
