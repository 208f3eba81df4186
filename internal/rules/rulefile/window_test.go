package rulefile_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/mps-events/mps-events/internal/decision"
)

func TestMistakesInRulesWithTwoWindows(t *testing.T) {
	const half = `window: 10m, at_least: 5, ratio: 0.5, of: "true", `
	for keys, want := range map[string]string{
		`or: {window: 1h, at_least: 2}, raise: {summary: s}`:                                                                    `or goes with window`,
		`window: 1m, at_least: 2, or: {at_least: 2}, clear: 1m, raise: {summary: s}`:                                            `or wants window`,
		`window: 1m, at_least: 2, or: {window: 1h}, clear: 1m, raise: {summary: s}`:                                             `or wants at_least`,
		`window: 1m, at_least: 2, or: {window: 1h, at_least: 0}, clear: 1m, raise: {summary: s}`:                                `or.at_least: "0"`,
		`window: 1m, at_least: 2, or: {window: 1h, at_least: 2, clear: 1m}, clear: 1m, raise: {summary: s}`:                     `or has no key "clear"`,
		`window: 1m, at_least: 2, or: {window: 1h, distinct: 2}, clear: 1m, raise: {summary: s}`:                                `want member`,
		`window: 1m, at_least: 2, or: {window: 1h, at_least: 2, ratio: 0.5}, clear: 1m, raise: {summary: s}`:                    `or.ratio wants of beside or`,
		`window: 1m, at_least: 2, or: {window: 61m, at_least: 2}, clear: 1m, raise: {summary: s}`:                               `60 times as long as the other at most, have 1m0s and 1h1m0s`,
		`window: 1m, member: "{topic}", leave: msg, or: {window: 1h, at_least: 2}, raise: {summary: s}`:                         `with leave, want or.distinct`,
		`window: 1m, member: "{topic}", leave: msg, or: {window: 1h, distinct: 2}, raise: {summary: s}`:                         ``,
		`window: 1m, at_least: 2, of: "true", or: {window: 1h, at_least: 2, ratio: 0.5}, clear: 1m, raise: {summary: s}`:        ``,
		`window: 1m, at_least: 2, or: {window: 1h, in_a_row: 2}, of: "true", clear: 1m, raise: {summary: s}`:                    ``,
		`window: 1h, at_least: 2, or: {window: 1m, at_least: 2}, clear: 1m, raise: {summary: "{count} within {window}"}`:        ``,
		half + `ends: {ratio: 0.1}, raise: {summary: s}`:                                                                        ``,
		half + `ends: {ratio: 0.1, after: 5m}, raise: {summary: s}`:                                                             ``,
		half + `or: {window: 1h, at_least: 9, ratio: 0.2}, ends: {ratio: 0.1, silence: 3h}, raise: {summary: s}`:                ``,
		half + `or: {window: 1h, at_least: 9, ratio: 0.1}, ends: {ratio: 0.1}, raise: {summary: s}`:                             `ends.ratio has to be smaller than ratio`,
		half + `ends: {ratio: 0.5}, raise: {summary: s}`:                                                                        `ends.ratio has to be smaller than ratio`,
		half + `or: {window: 1h, at_least: 9}, ends: {ratio: 0.1}, raise: {summary: s}`:                                         `ends.ratio wants a ratio for each window`,
		half + `ends: {ratio: 10%}, raise: {summary: s}`:                                                                        `ends.ratio: "10%": want a share`,
		`ends: {ratio: 0.1}, raise: {key: k, summary: s}`:                                                                       `ends.ratio goes with window`,
		`window: 1m, at_least: 2, ends: {ratio: 0.1}, raise: {summary: s}`:                                                      `ends.ratio goes with ratio and of`,
		`window: 1m, distinct: 2, member: "{topic}", ratio: 0.5, of: fleet, ends: {ratio: 0.1}, raise: {summary: s}`:            `ends.ratio goes with ratio and of: CONDITION`,
		`window: 1m, member: "{topic}", leave: msg, ratio: 0.5, of: "true", ends: {ratio: 0.1}, raise: {summary: s}`:            `and not with leave`,
		`window: 1m, member: "{topic}", distinct: 2, of: "true", raise: {summary: s}, clear: 1m`:                                `of goes with ratio`,
		`window: 1m, at_least: 2, or: {window: 1h, at_least: 2}, raise: {summary: s}`:                                           `its alert can never end`,
		`when: "true", window: 1m, at_least: 2, or: {window: 1h, at_least: 2}, clear: 1m, raise: {key: "{window}", summary: s}`: `window`,
	} {
		text := "rules:\n  - {name: r, " + keys + "}\n"
		if want == "" {
			load(t, text)
			continue
		}
		if all := mistakes(t, text); assert.Contains(t, all, want, keys) {
			assert.True(t, strings.HasPrefix(all, "f:2:"), all)
		}
	}
}

func TestARuleWithTwoWindows(t *testing.T) {
	loaded := load(t, `
rules:
  - name: w
    when: msg == "bad"
    window: 10m
    at_least: 10
    distinct: 3
    ratio: 0.4
    or: {window: 1h, at_least: 20, distinct: 5, ratio: 0.15}
    of: msg in ["bad", "good"]
    member: "{topic}"
    raise: {summary: "{percent}% within {window}"}
    ends: {ratio: 0.1}
`)
	d := loaded.Decide(decision.Message{Topic: "t", Payload: []byte(`"bad"`)})
	assert.Equal(t, []string{"Count w", "Hit w: t"}, effects(d))
	hit := d.Effects[1].(decision.Hit)
	assert.Equal(t, decision.Window{
		Rule: "w", Condition: decision.Condition{Length: 10 * time.Minute, AtLeast: 10, Distinct: 3, Ratio: 0.4},
		Or: decision.Condition{Length: time.Hour, AtLeast: 20, Distinct: 5, Ratio: 0.15}, Healthy: 0.1,
	}, *hit.Window)
	for length, want := range map[time.Duration]string{
		10 * time.Minute: "10 minutes", time.Hour: "1 hour", 90 * time.Second: "1 minute 30 seconds",
		36 * time.Hour: "1 day 12 hours", time.Second: "1 second", 48 * time.Hour: "2 days",
	} {
		told := decision.Numbers{Part: 1, Of: 4, Window: length}.Fill([]byte(hit.Raise.Event.Summary))
		assert.Equal(t, "25% within "+want, string(told))
	}
}
