package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sentBy returns the lines of check about what ilert would be sent.
func sentBy(t *testing.T, rules string, lines ...string) (sent []string) {
	t.Helper()
	out, err := check(t, "", "--config", write(t, "rules.yaml", rules), write(t, "capture", strings.Join(lines, "\n")))
	require.NoError(t, err)
	for line := range strings.Lines(out) {
		if strings.Contains(line, "ilert is sent") {
			sent = append(sent, strings.TrimSpace(line))
		}
	}
	return sent
}

func TestACaptureSaysThatTheConnectionWasLost(t *testing.T) {
	const (
		opened = `{"topic":"door/1","payload":{"open":true},"tst":"2026-01-02T03:00:00Z"}`
		lost   = `{"connection":"lost","tst":"2026-01-02T03:00:01Z"}`
		back   = `{"connection":"restored","tst":"2026-01-02T04:00:00Z"}`
		closed = `{"topic":"door/1","payload":{"open":false},"tst":"2026-01-02T04:00:01Z"}`
	)
	assert.Equal(t, []string{"2026-01-02 04:05:02  ilert is sent ALERT LOW door/1: door/1 is open"}, sentBy(t, doorRules, opened, lost, back))
	assert.Empty(t, sentBy(t, doorRules, opened, lost, back, closed))
	assert.Empty(t, sentBy(t, doorRules, opened, lost), "it waits for the connection")

	out, err := check(t, "", "--config", write(t, "rules.yaml", doorRules), write(t, "capture", opened+lost+back))
	require.NoError(t, err)
	assert.Contains(t, out, "\n2026-01-02 03:00:01  the connection to the broker is lost\n\n2026-01-02 04:00:00  the connection to the broker is restored\n")
	_, err = check(t, "", "--config", write(t, "rules.yaml", doorRules), write(t, "capture", strings.Replace(lost, "lost", "gone", 1)))
	assert.ErrorContains(t, err, `value 1: connection "gone": want lost or restored`)
}

func TestADoubleByItsIDHasNoEffect(t *testing.T) {
	const opened = `{"topic":"door/1","payload":{"open":true},"tst":"2026-01-02T03:00:00Z","properties":{"source":"a","id":"7"}}`
	rules := write(t, "rules.yaml", `
topics: door/+
rules:
  - {name: often, window: 1h, at_least: 2, raise: {summary: s}, ends: {silence: 1d}}
`)
	out, err := check(t, "", "--config", rules, write(t, "capture", opened+opened))
	require.NoError(t, err)
	assert.NotContains(t, out, "ilert is sent")
	assert.Contains(t, out, "it has no effect: a message of its source had the same id within the last hour")
	out, err = check(t, "", "--config", rules, write(t, "capture", opened+strings.Replace(opened, `"7"`, `"8"`, 1)))
	require.NoError(t, err)
	assert.Contains(t, out, "ilert is sent ALERT")
}

// Two servers report calls that fail, one a minute each: within any minute there are two.
func TestAClockThatIsBehindIsCorrected(t *testing.T) {
	const rules = `
rules:
  - {name: often, when: event.type == "fail", window: 90s, at_least: 3, raise: {summary: s}, ends: {silence: 1d}}
`
	at := time.Date(2026, 3, 4, 10, 0, 0, 0, time.UTC)
	var lines []string
	for n := range 60 {
		for server, behind := range map[string]time.Duration{"right": 0, "slow": 10 * time.Minute} {
			lines = append(lines, fmt.Sprintf(
				`{"topic":"mps/events","tst":%q,"payload":{"type":"fail","message":"m","methods":["x"],"guid":"g","timestamp":%d},"properties":{"source":%q}}`,
				at.Format(time.RFC3339), at.Add(-behind).UnixMilli(), server))
		}
		if n < 59 {
			at = at.Add(time.Minute)
		}
	}
	sent := sentBy(t, rules, lines...)
	require.NotEmpty(t, sent)
	first, err := time.Parse(time.DateTime, sent[0][:len(time.DateTime)])
	require.NoError(t, err)
	assert.WithinRange(t, first, at.Add(-50*time.Minute), at.Add(-30*time.Minute), "once 20 of its messages have come")
}
