package rules_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/rules"
)

func TestEachRuleDecidesOnEachMessage(t *testing.T) {
	loaded := load(t, `
rules:
  - {name: battery, when: msg.battery_low, raise: {key: "battery/{topic}", summary: s}, ends: {when: msg.battery_low == false}}
  - {name: leak, when: msg.water_leak, raise: {key: "leak/{topic}", summary: s}, ends: {when: msg.water_leak == false}}
  - {name: seen, window: 5m, at_least: 2, clear: 5m, raise: {summary: s}}
  - {name: accepted, when: msg.ack, accept: "battery/{topic}"}
`)
	for payload, want := range map[string][]string{
		`{"battery_low":true,"water_leak":true}`:  {"Hit seen", "Raise battery/x", "Raise leak/x"},
		`{"battery_low":false,"water_leak":true}`: {"End battery/x", "Hit seen", "Raise leak/x"},
		`{"water_leak":true,"ack":true}`:          {"Hit seen", "Raise leak/x", "Accept battery/x"},
	} {
		d := loaded.Decide(decision.Message{Topic: "x", Payload: []byte(payload)})
		assert.Equal(t, want, effects(d), payload)
		assert.Empty(t, d.Overruled)
	}
}

// A rule that ignores a message keeps it from all that raises below it; alerts end all the same.
func TestAnIgnoredMessageOnlyEndsAlertsBelow(t *testing.T) {
	loaded := load(t, `
rules:
  - {name: above, raise: {key: above, summary: s}, ends: {age: 1h}}
  - {name: ignored, when: topic == "i", ignore: true}
  - {name: ignored-too, when: topic == "i", ignore: true}
  - {name: raised, raise: {key: raised, summary: s}, ends: {when: topic == "i"}}
  - {name: counted, window: 5m, at_least: 2, ratio: 0.5, of: "true", clear: 5m, raise: {summary: s}, ends: {when: topic == "i"}}
  - {name: left, window: 5m, member: "{topic}", leave: topic == "i", raise: {summary: s}}
  - {name: accepted, accept: accepted}
  - {name: resolved, resolve: resolved}
`)
	d := loaded.Decide(decision.Message{Topic: "i", Payload: []byte("1")})
	assert.Equal(t, []string{"End raised", "Reset counted of ", "Leave left of : i", "End resolved", "Raise above"}, effects(d))
	assert.Equal(t, []string{"resolved", "ignored", "above"}, d.Matched)
	verdicts, err := loaded.Explain(decision.Message{Topic: "i", Payload: []byte("1")})
	require.NoError(t, err)
	assert.Equal(t, rules.Verdict{Rule: "raised", Matched: true, Reasons: []string{"ends the alert raised", "it matches, but rule ignored above it ignores the message"}}, verdicts[3])
	d = loaded.Decide(decision.Message{Topic: "x", Payload: []byte("1")})
	assert.Equal(t, []string{"End resolved", "Count counted", "Hit counted", "Hit left: x", "Raise above", "Raise raised", "Accept accepted"}, effects(d))
}

func TestTheFirstRuleDecidesAboutAnAlert(t *testing.T) {
	loaded := load(t, `
rules:
  - {name: raised, when: 'topic == "a" || topic == "c"', raise: {key: "{topic}", summary: first}, ends: {when: topic == "c"}}
  - {name: resolved, when: 'topic in ["a", "b"]', resolve: "{topic}"}
  - {name: raised-too, raise: {key: " {upper(topic)} ", summary: second}, ends: {when: topic == "b"}}
  - {name: elsewhere, integration_key: {env: OTHER}, when: topic == "a", resolve: a}
  - {name: hit, window: 5m, at_least: 1, clear: 5m, raise: {key: a, summary: third}}
  - {name: accepted, when: topic == "a", accept: a}
`)
	overruled := func(rule, by, key string) decision.Overruled {
		return decision.Overruled{Rule: rule, By: by, Key: decision.Key{Alert: key}}
	}
	for topic, want := range map[string]struct {
		effects   []string
		overruled []decision.Overruled
	}{
		"a": {[]string{"End a", "Hit hit", "Raise a"}, []decision.Overruled{overruled("resolved", "raised", "a"), overruled("raised-too", "raised", "a"), overruled("accepted", "raised", "a")}},
		"b": {[]string{"End b", "Hit hit"}, []decision.Overruled{overruled("raised-too", "resolved", "b")}},
		"c": {[]string{"End c", "Hit hit", "Raise c"}, []decision.Overruled{overruled("raised-too", "raised", "c")}},
		"d": {[]string{"Hit hit", "Raise  D "}, nil},
	} {
		d := loaded.Decide(decision.Message{Topic: topic, Payload: []byte("1")})
		assert.Equal(t, want.effects, effects(d), topic)
		assert.Equal(t, want.overruled, d.Overruled, topic)
	}

	verdicts, err := loaded.Explain(decision.Message{Topic: "b", Payload: []byte("1")})
	require.NoError(t, err)
	assert.Equal(t, rules.Verdict{Rule: "raised-too", Matched: true, Reasons: []string{
		"ends the alert  B ; that has no effect, because rule resolved above it decides about this alert",
		"raises the alert  B ; that has no effect, because rule resolved above it decides about this alert",
	}}, verdicts[2])
}

// Two rules that want the same are no contradiction.
func TestTwoRulesMayEndOneAlert(t *testing.T) {
	loaded := load(t, `
rules:
  - {name: a, when: msg.status == "gone", raise: {key: k, summary: s}, ends: {when: msg.status == "online"}}
  - {name: b, when: msg.status == "stopped", raise: {key: k, summary: s}, ends: {when: msg.status == "online"}}
`)
	d := loaded.Decide(decision.Message{Payload: []byte(`{"status":"online"}`)})
	assert.Equal(t, decision.Decision{Effects: []decision.Effect{decision.End{Key: decision.Key{Alert: "k"}}}, Looked: []string{"a", "b"}}, d)
}

// What cancel ends is no decision about an alert that ilert knows.
func TestCancelKeepsNoOtherRuleFromItsAlert(t *testing.T) {
	loaded := load(t, `
rules:
  - {name: raised, when: msg.on, raise: {key: a, summary: s}, for: 5m, cancel: msg.on == false}
  - {name: resolved, when: msg.on == false, resolve: a}
`)
	d := loaded.Decide(decision.Message{Topic: "t", Payload: []byte(`{"on": false}`)})
	assert.Len(t, d.Effects, 2)
	assert.Empty(t, d.Overruled)
}
