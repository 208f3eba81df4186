package rules_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/decision"
)

// holds reports whether a condition holds for a message, on which no rule may fail.
func holds(t *testing.T, condition string, m decision.Message) bool {
	t.Helper()
	d := load(t, "rules:\n- name: r\n  accept: k\n  when: >-\n    "+condition+"\n").Decide(m)
	require.Empty(t, d.Failed, "%s: %.100q", condition, m.Payload)
	require.Empty(t, d.Dead)
	return len(d.Effects) == 1
}

func TestAnyPayloadIsAMessage(t *testing.T) {
	for payload, conditions := range map[string][]string{
		"Offline":                   {`msg == "Offline"`, `payload == "Offline"`, `msg?.state == nil`, `fromJSON(payload) == nil`},
		`"Offline"`:                 {`msg == "Offline"`, `payload == "\"Offline\""`, `fromJSON(payload) == "Offline"`},
		"\uFEFF {\"a\":1} \n\x00":   {`msg.a == 1`, `payload == "{\"a\":1}"`},
		"ON\r\n":                    {`msg == "ON"`, `payload == "ON"`},
		"23,5":                      {`msg == "23,5"`, `number(msg) == 23.5`},
		"23.5":                      {`msg == 23.5`, `number(msg) == 23.5`, `payload == "23.5"`},
		"nan":                       {`msg == nil`, `payload == "nan"`},
		"-Infinity":                 {`msg == nil`},
		`{"a":NaN,"b":1}`:           {`msg.a == nil`, `msg.b == 1`},
		`[inf, -inf,+Inf,Infinity]`: {`len(msg) == 4`, `msg[0] == nil and msg[3] == nil`},
		`{"a":"nan, inf","b":nan}`:  {`msg.a == "nan, inf"`, `msg.b == nil`},
		`{"a":1e999999,"b":2}`:      {`msg.a == nil`, `msg.b == 2`},
		"\xff\xfe\x01":              {`payload == "` + "\uFFFD" + `\u0001"`, `msg == payload`},
		"{\"a\":\"\xff\"}":          {`msg.a == "` + "\uFFFD" + `"`},
		`{"a\"b":nan}`:              {`msg["a\"b"] == nil`},
		`{} {}`:                     {`msg == "{} {}"`},
		`banana inf`:                {`msg == "banana inf"`},
		`online`:                    {`msg?.a?.b == nil`, `default(msg?.state, "none") == "none"`},
		"":                          {`payload == ""`, `msg == nil`},
		" \n":                       {`payload == ""`, `msg == nil`},
		`null`:                      {`msg == nil`, `payload == "null"`},
	} {
		for _, condition := range conditions {
			assert.True(t, holds(t, condition, decision.Message{Topic: "t", Payload: []byte(payload)}), "%q: %s", payload, condition)
		}
	}
}

func TestARuleThatNamesOnlyTheTopicTakesAnyPayload(t *testing.T) {
	for _, payload := range []string{"", "{", "\x00\xff", strings.Repeat("[", 20_000)} {
		assert.True(t, holds(t, `topic == "t"`, decision.Message{Topic: "t", Payload: []byte(payload)}))
	}
}

func TestRetainAndAgeAreThoseOfTheMessage(t *testing.T) {
	arrived := time.UnixMilli(1795322346039).Add(90 * time.Second)
	e := say("t", "fail", "A", "g1", "")
	e.Retain, e.ReceivedAt = true, arrived
	assert.True(t, holds(t, `retain && age == 90`, e))
	assert.True(t, holds(t, `age == 90 and event.type == "fail"`, e))
	e.ReceivedAt = arrived.Add(-time.Hour)
	assert.True(t, holds(t, `age == 0`, e), "its clock is ahead")
	other := decision.Message{Topic: "t", Payload: []byte(`{"timestamp":5}`), ReceivedAt: arrived}
	assert.True(t, holds(t, `not retain and age == 0`, other), "a message of another kind has no time that we know")
}

func TestFunctionsOnTexts(t *testing.T) {
	m := decision.Message{Topic: "t", Payload: []byte(`{"text":"{\"a\":{\"b\":12345678901234567890}}","n":7,"f":1.5,"o":{"x":1},"no":null,"yes":true,"number":" 1,5 "}`)}
	for _, condition := range []string{
		`fromJSON(msg.text).a.b == "12345678901234567890"`,
		`fromJSON("[1, 2.5]")[1] == 2.5`,
		`fromJSON("x") == nil and fromJSON("") == nil and fromJSON(msg.no) == nil and fromJSON(msg.n) == nil`,
		`fromJSON(msg.text)?.a?.c == nil`,
		`replace("a_b_c", "_", " ") == "a b c"`,
		`replace(topic, "", "x") == "t"`,
		`number(msg.number) == 1.5`,
		`number("21") == 21 and number("-3.25e2") == -325 and number(",5") == 0.5 and number("+5.") == 5`,
		`number(msg.n) == 7 and number(msg.f) == 1.5`,
		`number("5 °C") == nil and number("1.234,5") == nil and number("") == nil and number("nan") == nil and number("0x10") == nil`,
		`number(msg.o) == nil and number(msg.no) == nil and number(msg.yes) == nil and number("1e999") == nil`,
	} {
		assert.True(t, holds(t, condition, m), condition)
	}
}

func TestAReplacementMakesNoLongTextOfAShortOne(t *testing.T) {
	loaded := load(t, `
rules:
  - {name: r, when: 'replace(replace(msg, "a", "`+strings.Repeat("b", 40)+`"), "b", "`+strings.Repeat("c", 40)+`") == ""', accept: k}
`)
	d := loaded.Decide(decision.Message{Payload: []byte(strings.Repeat("a", 250))})
	require.Len(t, d.Failed, 1)
	assert.Contains(t, d.Failed[0].Reason, "replace: the result has 400000 bytes: want at most 262144")
}
