package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker/brokertest"
)

const reasonRules = `
topics: log/+
rules:
  - name: fast
    topics: log/door
    when: msg.speed > 5
    raise: {key: fast, summary: it is fast}
    ends: {age: 1h}
  - name: maintenance
    topics: log/door
    when: msg.maintenance == true
    resolve: "door/{msg.n}"
  - name: door
    topics: log/door
    when: msg.open == true
    raise: {key: "door/{msg.n}", summary: it is open}
    ends: {when: msg.open == false}
  - name: server
    topics: log/server
    when: msg.gone
    raise: {key: Server/a, summary: it is gone}
    ends: {when: msg.gone == false}
  - name: device
    topics: log/device
    when: msg.gone
    raise: {key: "device/{msg.n}", summary: it is gone}
    unless_open: Server/a
    ends: {when: msg.gone == false}
  - name: link
    topics: log/link
    when: msg.up == false
    raise: {key: "link/{msg.n}", summary: it is down}
    ends: {when: msg.up, after: 2s}
  - name: hot
    topics: log/hot
    when: msg.celsius > 80
    raise: {key: hot, summary: it is hot}
    for: 1h
    cancel: msg.celsius < 70
    ends: {when: msg.celsius < 50}
  - name: all
    topics: log/all
    when: msg.off
    resolve: "door/*"
  - name: beat
    topics: log/beat
    when: msg.n != nil
    absent: 1s
    group: "site {msg.n}"
    forget: msg.off == true
    raise: {key: "beat/{msg.n}", summary: "{group} is silent"}
  - name: busy
    topics: log/busy
    when: msg.n != nil
    absent: 1s
    at_least: 3
    group: "{msg.n}"
    raise: {summary: "{group} is silent"}
  - name: shares
    topics: log/shares
    when: msg.bad
    window: 1h
    at_least: 2
    ratio: 0.5
    or: {window: 2h, at_least: 10, ratio: 0.3}
    of: msg.bad != nil
    raise: {key: shares, summary: "{percent}%"}
    ends: {ratio: 0.2, silence: 3h}
  - name: row
    topics: log/row
    when: msg.bad
    window: 1h
    in_a_row: 3
    raise: {key: row, summary: it is bad}
    ends: {when: msg.mended == true}
`

func TestTheDecisionLogTellsWhichRulesFailedOrWereOverruled(t *testing.T) {
	l := startLogging(t, reasonRules, accept)
	l.send(t, "log/door", `{"speed":"x","maintenance":true,"open":true,"n":1}`)
	decided := l.expect(t, logged{"what": "decided", "topic": "log/door"})
	assert.Equal(t, []any{map[string]any{"rule": "door", "by": "maintenance", "key": "door/1"}}, decided["overruled"])
	assert.Regexp(t, `^\[map\[reason:.*speed.* rule:fast\]\]$`, fmt.Sprint(decided["failed"]))

	l.send(t, "log/door", `{"speed":"x","maintenance":false,"open":null,"n":2}`)
	only := l.expect(t, logged{"what": "decided", "rules": nil})
	assert.Contains(t, fmt.Sprint(only["failed"]), "rule:fast")

	l.send(t, "log/row", `{"bad":true,"mended":false}`)
	window := l.expect(t, logged{"what": "counted", "rule": "row"})["window"]
	assert.Equal(t, map[string]any{"holds": false, "hits": 1.0, "row": 1.0, "inARow": 3.0, "length": "1h0m0s"}, window)
}

func TestTheDecisionLogTellsWhyAnAlertIsHeld(t *testing.T) {
	l := startLogging(t, reasonRules, accept)
	l.send(t, "log/server", `{"gone":true}`)
	l.send(t, "log/device", `{"gone":true,"n":1}`)
	l.expect(t, logged{"what": "held", "key": "device/1", "rule": "device", "heldBy": "server/a", "due": nil})
	l.send(t, "log/server", `{"gone":false}`)
	freed := l.expect(t, logged{"what": "freed", "key": "device/1", "heldBy": nil})
	assert.WithinDuration(t, time.Now(), freed.at(t, "time"), time.Minute)
	l.expect(t, logged{"what": "told", "key": "device/1", "event": "ALERT"})

	id := strings.TrimSpace(silenceOf(t, l.file, "add", "--match", "door/*", "--for", "2h"))
	assert.Equal(t, "1", id)
	require.Eventually(t, func() bool {
		_, status := get(t, l.url+"/status")
		return strings.Contains(status, `"silences":[{"id":1`)
	}, brokertest.Wait, 5*time.Millisecond)
	l.send(t, "log/door", `{"speed":1,"maintenance":false,"open":true,"n":3}`)
	held := l.expect(t, logged{"what": "held", "key": "door/3", "silence": 1.0, "heldBy": nil})
	assert.WithinDuration(t, time.Now().Add(2*time.Hour), held.at(t, "until"), time.Minute)
	silenceOf(t, l.file, "remove", id)
	l.expect(t, logged{"what": "freed", "key": "door/3"})
	l.expect(t, logged{"what": "told", "key": "door/3", "event": "ALERT"})
}

func TestTheDecisionLogTellsWhatEndsAnAlert(t *testing.T) {
	l := startLogging(t, reasonRules, accept)
	l.send(t, "log/link", `{"up":false,"n":1}`)
	l.send(t, "log/link", `{"up":true,"n":1}`)
	end := l.expect(t, logged{"what": "end held", "key": "link/1", "topic": "log/link"})
	assert.InDelta(t, 2*time.Second, end.at(t, "until").Sub(end.at(t, "time")), float64(time.Second))
	l.send(t, "log/link", `{"up":false,"n":1}`)
	l.expect(t, logged{"what": "reopened", "key": "link/1"})
	l.send(t, "log/link", `{"up":true,"n":1}`)
	l.expect(t, logged{"what": "ended", "key": "link/1", "by": "after", "topic": nil})

	l.send(t, "log/hot", `{"celsius":85}`)
	l.send(t, "log/hot", `{"celsius":65}`)
	l.expect(t, logged{"what": "ended", "key": "hot", "by": "cancel", "topic": "log/hot"})

	l.send(t, "log/shares", `{"bad":true}`)
	l.send(t, "log/shares", `{"bad":true}`)
	counted := l.expect(t, logged{"what": "counted", "key": "shares"})
	window, _ := counted["window"].(map[string]any)
	assert.Equal(t, map[string]any{"hits": 1.0, "atLeast": 10.0, "of": 1.0, "ratio": 0.3, "length": "2h0m0s"}, window["or"])
	for range 9 {
		l.send(t, "log/shares", `{"bad":false}`)
	}
	l.expect(t, logged{"what": "ended", "key": "shares", "by": "health", "topic": "log/shares"})

	l.send(t, "log/door", `{"speed":1,"maintenance":false,"open":true,"n":1}`)
	l.send(t, "log/door", `{"speed":1,"maintenance":false,"open":true,"n":2}`)
	l.send(t, "log/all", `{"off":true}`)
	for _, key := range []string{"door/1", "door/2"} {
		l.expect(t, logged{"what": "ended", "key": key, "by": "prefix", "topic": "log/all"})
	}

	l.send(t, "log/server", `{"gone":true}`)
	l.expect(t, logged{"what": "told", "key": "Server/a"})
	storeOf(t, l.file, "close", "server/a")
	l.expect(t, logged{"what": "ended", "key": "Server/a", "by": "person", "topic": nil})
}

func TestTheDecisionLogTellsWhatBecameOfAGroupThatIsWaitedFor(t *testing.T) {
	l := startLogging(t, reasonRules, accept)
	l.send(t, "log/beat", `{"n":1,"off":false}`)
	l.expect(t, logged{"what": "raised", "key": "beat/1", "rule": "beat", "group": "site 1", "topic": nil})
	l.send(t, "log/beat", `{"n":1,"off":true}`)
	l.expect(t, logged{"what": "ended", "key": "beat/1", "by": "message", "topic": "log/beat"})
	l.expect(t, logged{"what": "forgotten", "key": "beat/1", "rule": "beat", "group": "site 1", "topic": "log/beat"})
	l.send(t, "log/busy", `{"n":1}`)
	l.expect(t, logged{"what": "forgotten", "rule": "busy", "group": "1", "reason": "at_least is 3, and 1 had come", "topic": nil})
}
