package rules_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/rules/rulefile"
)

// The conditions that an event is held against are chosen by its type and method, and the
// simple ones are not evaluated by the machine. That saves time and must change nothing:
// the same rules with conditions into which nobody can look decide the same.
func FuzzTheIndexChangesNoDecision(f *testing.F) {
	for seed := range uint64(150) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		g := generator{rand.New(rand.NewPCG(seed, 1))}
		text := g.file()
		chosen := load(t, strings.NewReplacer("<<", "", ">>", "").Replace(text))
		all := load(t, strings.NewReplacer("<<", "(true ? (", ">>", ") : false)").Replace(text))
		for range 40 {
			m := g.message()
			require.Equal(t, decided(all, m), decided(chosen, m), "%s\n%s", m.Payload, text)
		}
	})
}

// decided returns the decision. Of the reasons of failures it keeps the rules, because the rest
// quotes the conditions, as it does of a dead one. More rules look into a message whose conditions
// nobody else can evaluate.
func decided(r rulefile.Loaded, m decision.Message) decision.Decision {
	d := r.Decide(m)
	if rule, _, failed := strings.Cut(d.Dead, ": "); failed {
		d.Dead = rule
	}
	for i := range d.Failed {
		d.Failed[i].Reason = ""
	}
	d.Looked = nil
	return d
}

// generator makes rules and messages that have something to do with each other.
type generator struct{ *rand.Rand }

func (g generator) one(of ...string) string { return of[g.IntN(len(of))] }

func (g generator) file() string {
	var b strings.Builder
	b.WriteString("options: {on: true, off: false, guids: ['1', A], none: []}\nrules:\n")
	for i := range 1 + g.IntN(12) {
		fmt.Fprintf(&b, "- name: rule%d\n", i)
		if g.IntN(5) > 0 {
			fmt.Fprintf(&b, "  when: '<<%s>>'\n", g.condition(3))
		}
		if g.IntN(6) == 0 {
			b.WriteString("  each: " + g.one("event.methods", "msg?.list", "'[1, 2]'") + "\n")
		}
		if g.IntN(4) == 0 {
			fmt.Fprintf(&b, "  topics: %s\n", g.one("mps/events", "mps/+", "other/#"))
		}
		switch g.IntN(7) {
		case 6:
			fmt.Fprintf(&b, "  window: 5m\n  group: '{event.guid}'\n  in_a_row: 2\n  of: '<<%s>>'\n  raise: {summary: s}\n  ends: {age: 1h}\n", g.condition(2))
		case 0:
			b.WriteString("  ignore: true\n")
		case 1:
			b.WriteString("  " + g.one("accept", "resolve") + ": " + g.key() + "\n")
		case 2, 3:
			fmt.Fprintf(&b, "  raise: {key: %s, summary: 'about {event.message}'}\n  ends: {age: 1h, when: '<<%s>>', all: %s}\n", g.key(), g.condition(2), g.one("true", "false"))
		default:
			fmt.Fprintf(&b, "  window: 5m\n  group: '{server}'\n  member: '{event.guid}'\n  distinct: 2\n  raise: {summary: 'so many: {count}'}\n")
			fmt.Fprintf(&b, "  ratio: 0.5\n  of: '<<%s>>'\n  leave: '<<%s>>'\n  ends: {when: '<<%s>>'}\n", g.condition(2), g.condition(2), g.condition(2))
		}
	}
	return b.String()
}

func (g generator) key() string {
	return g.one("'{event.guid}'", "'a/{event.method}'", "fixed", "'{topic}'", "'{msg.guid}'")
}

func (g generator) condition(depth int) string {
	if depth > 0 {
		inner := func() string { return g.condition(depth - 1) }
		switch g.IntN(6) {
		case 0, 1, 2:
			return inner() + " && " + inner()
		case 3:
			return "(" + inner() + " || " + inner() + ")"
		case 4:
			return "not (" + inner() + ")"
		}
	}
	if g.IntN(30) == 0 {
		return g.one(`event.methods[1] == "`+g.method()+`"`, `msg.deep.er == 1`) // may fail
	}
	return g.one(
		`event.type == "`+g.kind()+`"`, `event.type != "`+g.kind()+`"`, `event.type in ["`+g.kind()+`", "`+g.kind()+`"]`,
		`event.method == "`+g.method()+`"`, `event.method != "`+g.method()+`"`, `event.method in ["`+g.method()+`", "`+g.method()+`"]`,
		`event.method startsWith "A"`, `event.guid startsWith ""`, `event.method not in ["`+g.method()+`"]`, `event.method in []`, `event.guid != ""`, `"fail" == event.type`,
		`option.on`, `option.off`, `event.guid in option.guids`, `event.method in option.guids`, `event.guid not in option.none`, `event.method in option.none`,
		`msg?.deep?.er == nil`, `topic == "mps/events"`, `true`,
		`(event.type == "`+g.kind()+`" ? event.guid == "1" : event.method == "`+g.method()+`")`, `properties.a == "1"`,
	)
}

func (g generator) kind() string   { return g.one("request", "success", "fail") }
func (g generator) method() string { return g.one("", "A", "AB", "CA") }

func (g generator) message() decision.Message {
	m := decision.Message{Topic: g.one("mps/events", "mps/x", "other/a/b")}
	methods := g.one(`[]`, `["`+g.method()+`"]`, `["`+g.method()+`","`+g.method()+`"]`)
	m.Payload = fmt.Appendf(nil, `{"type":"%s","message":"m","methods":%s,%s"timestamp":%d}`,
		g.kind(), methods, g.one("", `"guid":"1",`, `"guid":"2",`), g.IntN(3))
	switch g.IntN(8) {
	case 0:
		m.Payload = []byte(g.one(`{}`, `null`, `{"deep":{"er":1},"guid":"1"}`, `text`, `[1]`))
	case 1:
		m.Properties = []decision.Property{{Key: "a", Value: "1"}, {Key: "source", Value: "s"}}
	}
	return m
}
