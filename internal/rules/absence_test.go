package rules_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

func reading(topic, payload string) decision.Message {
	return decision.Message{Topic: topic, Payload: []byte(payload)}
}

func TestARuleWaitsForTheMessagesOfAGroup(t *testing.T) {
	loaded := load(t, `
topics: building/#
rules:
  - name: silent
    when: msg.celsius != nil
    absent: 20m
    at_least: 3
    group: "{topic}"
    forget: msg.state == "shutdown"
    raise: {summary: "{group} is silent since {msg.celsius} degrees", priority: HIGH}
    ends: {age: 7d}
`)
	d := loaded.Decide(reading("building/1", `{"celsius": 20}`))
	assert.Equal(t, decision.Decision{
		Matched: []string{"silent"}, Looked: []string{"silent"},
		Effects: []decision.Effect{decision.Heard{
			Absence: &decision.Absence{Rule: "silent", After: 20 * time.Minute, AtLeast: 3}, Group: "building/1",
			Raise: decision.Raise{
				Rule: "silent", Key: decision.Key{Alert: "silent/building/1"}, Age: 7 * 24 * time.Hour,
				Event: ilert.Event{Summary: "building/1 is silent since 20 degrees", Priority: "HIGH"},
			},
		}},
	}, d)
	assert.Empty(t, loaded.Decide(reading("building/1", `{"humidity": 20}`)).Effects)
	assert.Equal(t, []string{"Dismiss silent of building/1"}, effects(loaded.Decide(reading("building/1", `{"state": "shutdown"}`))))
	assert.Equal(t, []string{"Heard silent of building/1: silent/building/1", "Dismiss silent of building/1"},
		effects(loaded.Decide(reading("building/1", `{"celsius": 20, "state": "shutdown"}`))), "the end comes last")
	expected, err := loaded.Expected()
	require.NoError(t, err)
	assert.Empty(t, expected)
	assert.Equal(t, map[string]ilert.IntegrationKey{"silent": {}}, loaded.Awaiting())
}

func TestARuleNamesTheGroupsThatItWaitsForFromTheStart(t *testing.T) {
	loaded := load(t, `
options: {site: Berlin}
rules:
  - {name: named, absent: 1h, group: "{topic}", expect: [a, b], raise: {summary: "{option.site}: {group} is silent"}}
  - {name: whole, absent: 2h, integration_key: {env: TEAM}, raise: {summary: "{rule}: nothing comes"}}
  - {name: busy, absent: 2h, at_least: 9, raise: {summary: "the last one was {topic}"}}
  - {name: other, raise: {key: k, summary: s}, ends: {age: 1h}}
`)
	expected, err := loaded.Expected()
	require.NoError(t, err)
	var all []string
	for _, h := range expected {
		all = append(all, h.Absence.Rule+" of "+h.Group+" as "+h.Raise.Key.Integration.String()+" "+h.Raise.Key.Alert+": "+h.Raise.Event.Summary)
	}
	assert.Equal(t, []string{
		"named of a as configured named/a: Berlin: a is silent",
		"named of b as configured named/b: Berlin: b is silent",
		"whole of  as env:TEAM whole: whole: nothing comes",
	}, all)
	assert.Equal(t, map[string]ilert.IntegrationKey{"named": {}, "whole": ilert.EnvKey("TEAM"), "busy": {}}, loaded.Awaiting())
	assert.Equal(t, []string{"Heard named of a: named/a", "Heard whole of : whole", "Heard busy of : busy", "Raise k"}, effects(loaded.Decide(reading("a", "1"))))
}
