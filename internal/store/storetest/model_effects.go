package storetest

import (
	"fmt"
	"time"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

func (m *model) key() decision.Key {
	return decision.Key{Integration: pick(m, modelKeys...), Alert: pick(m, "a", "b", "C ", "c", "d", "e", "f", "storm/r")}
}

func (m *model) raise(rule string) decision.Raise {
	r := decision.Raise{Rule: rule, Key: m.key(), Event: ilert.Event{Summary: fmt.Sprint("text ", m.r.IntN(3)), Priority: pick(m, "LOW", "LOW", "HIGH", "")}}
	switch m.r.IntN(8) {
	case 0:
		r.For = 3 * time.Minute
	case 1:
		r.Silence = 10 * time.Minute
	case 2:
		r.Age, r.Reminder = 30*time.Minute, 5*time.Minute
	case 3:
		r.After, r.Silence = 4*time.Minute, pick(m, 0, 6*time.Minute)
	case 4:
		r.After, r.For = 4*time.Minute, 2*time.Minute
	}
	for range max(m.r.IntN(6)-3, 0) {
		r.Unless = append(r.Unless, pick(m, "a", "b", "c", "countsg", "storm/r", "none"))
	}
	return r
}

func (m *model) effect() decision.Effect {
	w := pick(m, modelWindows...)
	group, member := pick(m, "g", "h"), pick(m, "m1", "m2", "m3", "m4", "")
	switch m.r.IntN(24) {
	default:
		return m.raise(pick(m, modelRules...))
	case 0, 1:
		return decision.End{Key: m.key(), Waiting: m.r.IntN(3) == 0}
	case 2:
		return decision.Accept{Key: m.key()}
	case 3:
		return decision.EndAll{Rule: pick(m, append([]string{w.Rule}, modelRules...)...)}
	case 4, 5:
		return sends(pick(m, modelKeys...), pick(m, ilert.Alert, ilert.Accept, ilert.Resolve, ilert.Comment), pick(m, "", "a", "b"))
	case 6:
		return decision.Reset{Rule: w.Rule, Group: group}
	case 7:
		return decision.Leave{Rule: w.Rule, Group: group, Member: member}
	case 22, 23:
		return decision.Forget{Window: w, Group: group, Member: member}
	case 8:
		return decision.Whole{Window: w, Group: group}
	case 17:
		k := m.key()
		return decision.EndPrefix{Key: decision.Key{Integration: k.Integration, Alert: k.Alert[:1]}}
	case 16:
		return decision.Break{Rule: w.Rule, Group: group}
	case 9, 10, 11:
		r := m.raise(w.Rule)
		r.Key = decision.Key{Integration: pick(m, configured, doors), Alert: w.Rule + group}
		r.Event.Summary = place("count") + " of " + place("of") + ": " + place("members")
		return decision.Hit{Window: w, Group: group, Member: member, Raise: r}
	case 18, 19, 20:
		return m.heard()
	case 21:
		return decision.Dismiss{Rule: pick(m, modelAbsent...).Rule, Group: group}
	}
}
