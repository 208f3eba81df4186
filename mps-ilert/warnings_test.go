package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTwoRulesThatDecideAboutOneAlertAreAWarning(t *testing.T) {
	rules := write(t, "rules.yaml", `
rules:
  - {name: open, when: msg.open, raise: {key: "{topic}", summary: open}, ends: {when: msg.open == false}}
  - {name: closed, when: msg.locked, resolve: "{topic}"}
tests:
  - name: both
    messages: [{topic: door, msg: {open: true, locked: true}}]
    want: [{type: ALERT, key: door}]
`)
	const warning = "warning: rule closed has no effect on the alert door, because rule open above it decides about the same alert (in 1 message)\n"
	out, err := check(t, "", "--config", rules)
	require.NoError(t, err)
	assert.Contains(t, out, warning)

	capture := `{"topic":"door","payload":"{\"open\":true,\"locked\":true}"} {"topic":"door","payload":"{\"open\":false,\"locked\":true}"}`
	out, err = check(t, capture, "--config", rules, "-")
	require.NoError(t, err)
	assert.Contains(t, out, "* closed: ends the alert door; that has no effect, because rule open above it decides about this alert\n")
	assert.Equal(t, 2, strings.Count(out, warning), "the tests and the capture each have one; that both end the alert is no contradiction")
	out, err = check(t, capture, "--config", rules, "--brief", "-")
	require.NoError(t, err)
	assert.Equal(t, 2, strings.Count(out, warning))
}

func TestARuleThatFailsIsAWarning(t *testing.T) {
	rules := write(t, "rules.yaml", `
rules:
  - {name: hot, when: msg.temperature > 60, raise: {key: hot, summary: hot}, ends: {age: 1h}}
  - {name: leak, when: msg.water_leak, raise: {key: leak, summary: leak}, ends: {age: 2h}}
tests:
  - name: leak
    messages: [{msg: {water_leak: true}}]
    want: [{type: ALERT, key: leak}]
`)
	const warning = "warning: rule hot fails: msg.temperature > 60: msg.temperature is missing; write msg.temperature != nil && ... where it may be, or default(msg.temperature, ...) "
	out, err := check(t, `{"water_leak":true} {"x":1}`, "--config", rules, "-")
	require.NoError(t, err)
	assert.Contains(t, out, warning+"(in 1 message)\ntests: 1 passed")
	assert.Contains(t, out, warning+"(in 2 messages)\n")
	assert.Contains(t, out, "    hot: fails: msg.temperature > 60: ")
	assert.Contains(t, out, "  * leak: raises the alert leak\n")
	assert.Contains(t, out, "    dead, no rule has an effect: rule hot: msg.temperature > 60: ")
	assert.Contains(t, out, "    leak: not true: msg.water_leak\n")
}
