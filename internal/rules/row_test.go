package rules_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/decision"
)

func TestAMessageThatDoesNotFulfilTheConditionBreaksARow(t *testing.T) {
	loaded := load(t, `
rules:
  - name: all
    topics: a/#
    when: msg.ok == false
    window: 5m
    group: "{split(topic, '/')[1]}"
    in_a_row: 3
    raise: {summary: s}
    ends: {age: 1h}
  - name: some
    topics: b
    when: msg.celsius > 80
    of: msg.kind == "reading"
    window: 5m
    in_a_row: 3
    raise: {summary: s}
    ends: {age: 1h}
  - name: events
    topics: c
    when: event.type == "fail" && event.method == "A"
    window: 5m
    group: "{event.guid}"
    in_a_row: 3
    raise: {summary: s}
    ends: {age: 1h}
`)
	plain := func(topic, payload string) decision.Message {
		return decision.Message{Topic: topic, Payload: []byte(payload)}
	}
	for name, c := range map[string]struct {
		message decision.Message
		want    []string
	}{
		"fulfilled":                {plain("a/1", `{"ok":false}`), []string{"Hit all of 1"}},
		"not fulfilled":            {plain("a/1", `{"ok":true}`), []string{"Break all of 1"}},
		"something else":           {plain("a/1", `{}`), []string{"Break all of 1"}},
		"another topic":            {say("d", "success", "A", "G1", ""), nil},
		"without a group":          {plain("a", `{"ok":true}`), nil},
		"without payload":          {plain("b", ``), nil},
		"among those of of":        {plain("b", `{"kind":"reading","celsius":20}`), []string{"Count some", "Break some of "}},
		"not among those of of":    {plain("b", `{"kind":"status","celsius":20}`), nil},
		"without the value":        {plain("b", `{"kind":"reading"}`), []string{"Count some"}},
		"an event":                 {say("c", "fail", "A", "G1", ""), []string{"Hit events of g1"}},
		"an event of another type": {say("c", "success", "A", "G1", ""), []string{"Break events of g1"}},
		"an event of any method":   {say("c", "fail", "B", "G1", ""), []string{"Break events of g1"}},
	} {
		assert.Equal(t, c.want, effects(loaded.Decide(c.message)), name)
	}
	verdicts, err := loaded.Explain(plain("a/1", `{"ok":true}`))
	require.NoError(t, err)
	assert.Equal(t, []string{"not true: msg.ok == false, which breaks the row in the window of 1"}, verdicts[0].Reasons)
	assert.False(t, verdicts[0].Matched)
}
