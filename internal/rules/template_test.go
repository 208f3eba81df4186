package rules_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/rules/rulefile"
)

// texts returns rules whose texts are this template.
func texts(t testing.TB, template string) rulefile.Loaded {
	t.Helper()
	quoted, err := json.Marshal(template)
	require.NoError(t, err)
	return load(t, fmt.Sprintf("rules: [{name: r, raise: {key: k, summary: s, details: %s, custom_details: %[1]s}, ends: {age: 1h}}]", quoted))
}

func TestTemplates(t *testing.T) {
	m := decision.Message{Topic: "a/b", Payload: []byte(
		`{"s":"<x> & \"y\"","n":5,"f":0.10,"big":12345678901234567,"b":false,"l":[1,"a"],"o":{"k":"v"},"nothing":null,"huge":123456789012345678901234567890}`)}
	for template, want := range map[string][2]string{
		"plain":                     {`plain`, `"plain"`},
		"{topic}":                   {`a/b`, `"a/b"`},
		" { topic } ":               {` a/b `, `" a/b "`},
		"{{a}}":                     {`{a}`, `"{a}"`},
		"{{{topic}}}":               {`{a/b}`, `"{a/b}"`},
		"{{}}":                      {`{}`, `"{}"`},
		"{msg.s}":                   {`<x> & "y"`, `"<x> & \"y\""`},
		"{msg.n}":                   {`5`, `5`},
		"n {msg.n}":                 {`n 5`, `"n 5"`},
		"{msg.f}":                   {`0.1`, `0.1`},
		"{msg.big}":                 {`12345678901234567`, `12345678901234567`},
		"{msg.huge}":                {`123456789012345678901234567890`, `"123456789012345678901234567890"`},
		"{msg.b}":                   {`false`, `false`},
		"{msg.l}":                   {`[1,"a"]`, `[1,"a"]`},
		"{msg.o}":                   {`{"k":"v"}`, `{"k":"v"}`},
		"{msg.nothing}{msg.no}":     {``, `""`},
		"{msg.nothing}":             {``, ``}, // null is none
		`{"}"}`:                     {`}`, `"}"`},
		`{'{' + topic + "}"}`:       {`{a/b}`, `"{a/b}"`},
		`{"a\"}"}`:                  {`a"}`, `"a\"}"`},
		"{`}`}":                     {`}`, `"}"`},
		`{ {"a": topic}["a"] }`:     {`a/b`, `"a/b"`},
		`{split(topic, "/")}`:       {`["a","b"]`, `["a","b"]`},
		`{split(topic, "/")[1]}`:    {`b`, `"b"`},
		"{default(msg.no, 'none')}": {`none`, `"none"`},
		"{rule}/{server}":           {`r/a/b`, `"r/a/b"`},
		"{truncate(topic, 1)}":      {`a`, `"a"`},
		"ü{topic}€":                 {`üa/b€`, `"üa/b€"`},
	} {
		d := texts(t, template).Decide(m)
		require.Empty(t, d.Dead, template)
		e := d.Effects[0].(decision.Raise).Event
		assert.Equal(t, want, [2]string{e.Details, string(e.CustomDetails)}, template)
	}
}

func TestTemplatesThatAreWrong(t *testing.T) {
	for template, want := range map[string]string{
		"{topic":                       `"{topic": a { without its }; write {{ for one that stands for itself`,
		"topic}":                       `"topic}": a } without its {; write }} for one that stands for itself`,
		strings.Repeat("{topic}", 200): `more than 100 texts and expressions in one`,
		"{}":                           `{}: at character 1: it ends too early; to YAML, # begins a comment where no quotes are around the whole`,
		"{tpic}":                       `{tpic}: at character 1: there is no tpic, did you mean "topic"?`,
		"{count}":                      `{count} may only stand in the summary, details, links and custom_details of a rule with a window`,
		"{event.gid}":                  `{event.gid}: at character 7: event has no field gid, did you mean "guid"?`,
		`{topic + 1}`:                  `{topic + 1}: at character 7: a text and a number do not go together by +; float(...) makes a number of the text, string(...) a text of a number`,
		`{lower(topic, 1)}`:            `{lower(topic, 1)}: at character 1: too many arguments to call lower`,
		`{map([1], # + 1)}`:            `{map([1], # + 1)}: functions that loop over a list are not allowed; use in, find, or each`,
		`{"}`:                          `"{\"}": a { without its }; write {{ for one that stands for itself`,
		"{group}":                      `there is no group here; it may stand in what the raise of a window or of absent says`,
	} {
		quoted, err := json.Marshal(template)
		require.NoError(t, err)
		assert.Equal(t, "f:1:56: details: "+want, mistakes(t, fmt.Sprintf("rules: [{name: r, raise: {key: k, summary: s, details: %s}, ends: {age: 1h}}]", quoted)))
	}
}

func TestTextsAreCutAndClean(t *testing.T) {
	r := texts(t, "{msg.s}{msg.s}")
	d := r.Decide(decision.Message{Payload: []byte(`{"s":"` + strings.Repeat("ü€", 40_000) + `"}`)})
	details := d.Effects[0].(decision.Raise).Event.Details
	assert.LessOrEqual(t, len(details), 32<<10)
	assert.Greater(t, len(details), 32<<10-4)
	assert.True(t, utf8.ValidString(details), "no character is cut in two")

	r = texts(t, "{properties.a}-{topic}")
	d = r.Decide(decision.Message{Topic: "\xff", Payload: []byte(`{}`), Properties: []decision.Property{{Key: "a", Value: "b\xfe"}}})
	assert.Equal(t, "b\uFFFD-\uFFFD", d.Effects[0].(decision.Raise).Event.Details)

	r = texts(t, "{msg}")
	d = r.Decide(decision.Message{Payload: []byte(`{"s":"` + strings.Repeat("a", 70_000) + `"}`)})
	assert.Equal(t, []ilert.Omission{{Field: "customDetails", Reason: "rule r: more than 65536 bytes"}}, d.Omitted)
}

func TestATextIsNotCutWithinAPlace(t *testing.T) {
	for n := range 10 {
		loaded := load(t, "rules: [{name: w, window: 1m, at_least: 1, clear: 1m, raise: {summary: '{msg.s}{count}{count}'}}]")
		d := loaded.Decide(decision.Message{Payload: []byte(`{"s":"` + strings.Repeat("a", 32<<10-n) + `"}`)})
		summary := d.Effects[0].(decision.Hit).Raise.Event.Summary
		assert.NotContains(t, string(decision.Numbers{Count: 7}.Fill([]byte(summary))), "\uFDD0", n)
	}
}

// The places of numbers are characters that a message may hold too, as they are or as
// escapes, in texts and in values.
func TestNoMessageHoldsThePlaceOfANumber(t *testing.T) {
	loaded := load(t, `
rules:
  - name: w
    window: 5m
    at_least: 1
    clear: 1m
    group: "{msg.s}"
    raise: {summary: "{msg.s} {count}", details: "{msg}", custom_details: {a: "{msg.s}", b: "{msg}", c: "{count}", d: "x{msg.s}", e: "{topic}"}}
`)
	for _, place := range []string{"\uFDD0count\uFDD1", `\ufdd0count\ufdd1`, `\uFDD0members\uFDD1`} {
		d := loaded.Decide(decision.Message{Topic: "\uFDD0count\uFDD1", Payload: []byte(`{"s":"` + place + `","` + place + `":1}`)})
		require.Empty(t, d.Dead)
		text, err := json.Marshal(d.Effects[0].(decision.Hit).Raise.Event)
		require.NoError(t, err)
		told := string(decision.Numbers{Count: 77}.Fill(text))
		assert.Equal(t, 2, strings.Count(told, "77"), told)
		assert.NotContains(t, told, "\uFDD0")
		assert.True(t, json.Valid([]byte(told)))
	}
}
