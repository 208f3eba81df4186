package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker/brokertest"
)

const loggedRules = `
topics: log/+
rules:
  - name: call
    topics: log/call
    when: msg.fails
    raise: {key: "call/{msg.n}", summary: "call {msg.n} failed", priority: LOW}
    ends: {when: msg.fails == false, age: 1h}
  - name: door
    topics: log/door
    when: msg.open
    raise: {key: door, summary: it is open}
    for: 5m
    ends: {when: msg.open == false}
  - name: many
    topics: log/many
    when: msg.fails
    window: 10m
    group: "site {msg.site}"
    at_least: 3
    clear: 10m
    raise: {key: "many/{msg.site}", summary: many fail}
  - name: quiet
    topics: log/quiet
    when: msg.fails
    raise: {key: quiet, summary: it fails}
    ends: {silence: 1s}
  - name: acknowledged
    topics: log/acknowledged
    accept: "call/{msg.n}"
  - name: known
    topics: log/known
    when: msg.fails
    ignore: true
`

// logged is a line of a decision log.
type logged map[string]any

// loggedIn returns the lines of a decision log.
func loggedIn(t *testing.T, path string) (all []logged) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		var one logged
		require.NoError(t, json.Unmarshal([]byte(line), &one), line)
		all = append(all, one)
	}
	return all
}

// logging is a daemon with a decision log.
type logging struct {
	running
	path   string
	file   string // the store
	client *paho.Client
}

// send publishes a message with user properties.
func (l logging) send(t *testing.T, topic, payload string, properties ...paho.UserProperty) {
	t.Helper()
	_, err := l.client.Publish(t.Context(), &paho.Publish{
		Topic: topic, QoS: 1, Payload: []byte(payload), Properties: &paho.PublishProperties{User: properties},
	})
	require.NoError(t, err)
}

// expect waits for a line with these values, and returns it.
func (l logging) expect(t *testing.T, want logged) (found logged) {
	t.Helper()
	require.Eventually(t, func() bool {
		for _, line := range loggedIn(t, l.path) {
			has := true
			for name, value := range want {
				has = has && assert.ObjectsAreEqual(value, line[name])
			}
			if has {
				found = line
				return true
			}
		}
		return false
	}, brokertest.Wait, 5*time.Millisecond, "%v", want)
	return found
}

// at returns a time in a line.
func (l logged) at(t *testing.T, name string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(l[name]))
	require.NoError(t, err, "%s of %v", name, l)
	return at
}

// startLogging starts a daemon with rules and a decision log, and an ilert that gives the answer that the function returns for
// an alert key.
func startLogging(t *testing.T, rules string, answer func(w http.ResponseWriter, key string), flags ...string) logging {
	t.Helper()
	b := brokertest.Start(t, "")
	ilert := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isProbe(r) {
			return
		}
		var e struct{ AlertKey string }
		assert.NoError(t, json.NewDecoder(r.Body).Decode(&e))
		answer(w, e.AlertKey)
	}))
	t.Cleanup(ilert.Close)
	path, file := filepath.Join(t.TempDir(), "decisions.jsonl"), filepath.Join(t.TempDir(), "x.db")
	d := start(t, b.Addr(), append([]string{
		"--config", write(t, "rules.yaml", rules), "-f", file, "--ilert_url", ilert.URL, "--decision_log", path,
	}, flags...)...)
	t.Cleanup(func() {
		d.cancel()
		assert.NoError(t, <-d.done)
	})
	return logging{d, path, file, brokertest.Connect(t, b.Addr(), nil)}
}

func accept(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusAccepted) }

func TestTheDecisionLogTellsWhyAPersonWasPagedOrNot(t *testing.T) {
	l := startLogging(t, loggedRules, func(w http.ResponseWriter, key string) {
		if key == "call/bad" {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, "no such priority")
			return
		}
		accept(w, key)
	})
	id := func(id string) []paho.UserProperty {
		return []paho.UserProperty{{Key: "id", Value: id}, {Key: "source", Value: "mps-1"}}
	}

	t.Run("paged", func(t *testing.T) {
		l.send(t, "log/call", `{"fails":true,"n":1}`, id("a-1")...)
		l.expect(t, logged{"what": "decided", "topic": "log/call", "source": "mps-1", "id": "a-1", "rules": []any{"call"}, "fate": "pending"})
		l.expect(t, logged{"what": "raised", "key": "call/1", "rule": "call", "id": "a-1", "integrationKey": "configured"})
		told := l.expect(t, logged{"what": "told", "key": "call/1", "rule": "call", "event": "ALERT", "priority": "LOW", "summary": "call 1 failed", "answer": "taken", "try": 1.0})
		assert.WithinDuration(t, time.Now(), told.at(t, "since"), time.Minute)
	})
	t.Run("a duplicate", func(t *testing.T) {
		l.send(t, "log/call", `{"fails":true,"n":1}`, id("a-1")...)
		l.expect(t, logged{"what": "decided", "id": "a-1", "fate": "duplicate"})
	})
	t.Run("merged into an open alert", func(t *testing.T) {
		l.send(t, "log/call", `{"fails":true,"n":1}`, id("a-2")...)
		l.expect(t, logged{"what": "decided", "id": "a-2", "fate": "merged"})
		merged := l.expect(t, logged{"what": "merged", "key": "call/1", "id": "a-2", "told": "ALERT"})
		assert.Equal(t, time.Hour, merged.at(t, "againFrom").Sub(merged.at(t, "toldAt")))
	})
	t.Run("accepted", func(t *testing.T) {
		l.send(t, "log/acknowledged", `{"n":1}`, id("a-4")...)
		l.expect(t, logged{"what": "accepted", "key": "call/1", "id": "a-4"})
		l.expect(t, logged{"what": "told", "key": "call/1", "event": "ACCEPT", "answer": "taken"})
		l.send(t, "log/call", `{"fails":true,"n":1}`, id("a-5")...)
		l.expect(t, logged{"what": "merged", "key": "call/1", "id": "a-5", "told": "ACCEPT"})
	})
	t.Run("ended by a message", func(t *testing.T) {
		l.send(t, "log/call", `{"fails":false,"n":1}`, id("a-3")...)
		l.expect(t, logged{"what": "ended", "key": "call/1", "by": "message", "id": "a-3", "told": "ACCEPT"})
		l.expect(t, logged{"what": "told", "key": "call/1", "event": "RESOLVE", "answer": "taken"})
	})
	t.Run("ended before it was sent", func(t *testing.T) {
		l.send(t, "log/door", `{"open":true}`)
		raised := l.expect(t, logged{"what": "raised", "key": "door"})
		assert.InDelta(t, 5*time.Minute, raised.at(t, "due").Sub(raised.at(t, "time")), float64(time.Second))
		l.send(t, "log/door", `{"open":false}`)
		ended := l.expect(t, logged{"what": "ended", "key": "door", "by": "message", "told": nil})
		assert.Equal(t, raised["due"], ended["due"])
	})
	t.Run("a window that is not full", func(t *testing.T) {
		l.send(t, "log/many", `{"fails":true,"site":7}`)
		l.expect(t, logged{"what": "counted", "rule": "many", "group": "site 7", "key": "many/7", "window": map[string]any{
			"holds": false, "hits": 1.0, "atLeast": 3.0, "length": "10m0s",
		}})
	})
	t.Run("refused", func(t *testing.T) {
		l.send(t, "log/call", `{"fails":true,"n":"bad"}`)
		told := l.expect(t, logged{"what": "told", "key": "call/bad", "answer": "refused", "status": 400.0})
		assert.Contains(t, told["reason"], "no such priority")
	})
	t.Run("ended by silence", func(t *testing.T) {
		l.send(t, "log/quiet", `{"fails":true}`)
		l.expect(t, logged{"what": "ended", "key": "quiet", "by": "silence", "topic": nil})
	})
	t.Run("ignored by a rule", func(t *testing.T) {
		l.send(t, "log/known", `{"fails":true}`)
		l.expect(t, logged{"what": "decided", "topic": "log/known", "rules": []any{"known"}, "fate": "ignored"})
	})
	t.Run("a dead letter", func(t *testing.T) {
		l.send(t, "log/call", `junk`)
		dead := l.expect(t, logged{"what": "decided", "topic": "log/call", "fate": "dead"})
		assert.Contains(t, dead["reason"], "msg is a text and has no fails")
	})
	t.Run("nothing matches", func(t *testing.T) {
		l.send(t, "log/nobody", `{"fails":true}`)
		l.send(t, "log/call", `{"fails":false,"n":"never raised"}`)
		l.send(t, "log/call", `{"fails":true,"n":"last"}`, id("z")...)
		l.expect(t, logged{"what": "told", "key": "call/last"})
		var last []any
		for _, line := range loggedIn(t, l.path) {
			assert.NotEqual(t, "log/nobody", line["topic"])
			assert.NotEqual(t, "call/never raised", line["key"])
			if line["id"] == "z" {
				last = append(last, line["what"])
			}
		}
		assert.Equal(t, []any{"decided", "raised"}, last, "a message stands before what it changes")
	})
	assert.Contains(t, metricsOf(t, l.url), `mps_ilert_decision_log_lines_total{result="lost"} 0`)
}

func metricsOf(t *testing.T, url string) string {
	t.Helper()
	_, text := get(t, url+"/metrics")
	return text
}

func TestTheDecisionLogTellsWhatHoldsUpAnAlert(t *testing.T) {
	for name, c := range map[string]struct {
		answer       func(http.ResponseWriter, string)
		flags        []string
		told, paused logged
	}{
		"ilert asks to wait": {
			answer: func(w http.ResponseWriter, _ string) {
				w.Header().Set("Retry-After", "100")
				w.WriteHeader(http.StatusTooManyRequests)
			},
			told:   logged{"answer": "not taken", "status": 429.0},
			paused: logged{"reason": "ilert asks to wait"},
		},
		"ilert refuses the key": {
			answer: func(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusForbidden) },
			told:   logged{"answer": "not taken", "status": 403.0},
			paused: logged{"reason": "ilert refuses the integration key, which is tried now and then"},
		},
		"the rate": {
			answer: accept, flags: []string{"--rate", "1"},
			told:   logged{"answer": "taken"},
			paused: logged{"reason": "--rate"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := startLogging(t, loggedRules, c.answer, c.flags...)
			l.send(t, "log/call", `{"fails":true,"n":1}`)
			c.told["what"], c.told["key"] = "told", "call/1"
			l.expect(t, c.told)
			l.send(t, "log/call", `{"fails":true,"n":2}`)
			c.paused["what"], c.paused["integrationKey"] = "paused", "configured"
			paused := l.expect(t, c.paused)
			assert.Greater(t, paused.at(t, "until"), paused.at(t, "time"))
		})
	}
}

func TestTheDecisionLogTellsWhichAlertsAStormReports(t *testing.T) {
	l := startLogging(t, loggedRules, accept, "--rate", "3")
	for n := range 10 {
		l.send(t, "log/call", fmt.Sprintf(`{"fails":true,"n":%d}`, n))
	}
	joined := l.expect(t, logged{"what": "storm", "key": "storm/call", "rule": "call"})
	assert.GreaterOrEqual(t, joined["number"], 2.0)
	told := l.expect(t, logged{"what": "told", "key": "storm/call", "rule": "call", "answer": "taken"})
	assert.Contains(t, told["members"], "call/9")
	l.send(t, "log/call", `{"fails":true,"n":9}`)
	l.expect(t, logged{"what": "merged", "key": "call/9", "inStorm": true})
	l.send(t, "log/call", `{"fails":false,"n":9}`)
	l.expect(t, logged{"what": "ended", "key": "call/9", "inStorm": true, "by": "message"})
}

func TestTheDecisionLogIsRotatedBySize(t *testing.T) {
	l := startLogging(t, loggedRules, accept, "--decision_log_size", "100kB", "--decision_log_keep", "1", "--rate", "0")
	for began, n := time.Now(), 0; ; n++ {
		require.Less(t, time.Since(began), brokertest.Wait)
		l.send(t, "log/call", fmt.Sprintf(`{"fails":true,"n":"%s-%d"}`, strings.Repeat("x", 3000), n))
		if info, err := os.Stat(l.path + ".1"); err == nil {
			assert.LessOrEqual(t, info.Size(), int64(100e3))
			break
		}
	}
	assert.NotEmpty(t, loggedIn(t, l.path+".1"))
	assert.NoFileExists(t, l.path+".2")
}

func TestADecisionLogThatCannotBeWrittenStopsNoAlert(t *testing.T) {
	told := make(chan string, 10)
	dir := filepath.Join(t.TempDir(), "logs")
	require.NoError(t, os.Mkdir(dir, 0o700))
	l := startLogging(t, loggedRules, func(w http.ResponseWriter, key string) { accept(w, key); told <- key }, "--decision_log", filepath.Join(dir, "x"))
	require.NoError(t, os.RemoveAll(dir))
	l.send(t, "log/call", `{"fails":true,"n":1}`)
	assert.Equal(t, "call/1", <-told)
	require.Eventually(t, func() bool {
		return strings.Contains(l.log.String(), "lines of the decision log are lost") && !strings.Contains(metricsOf(t, l.url), `decision_log_lines_total{result="lost"} 0`)
	}, brokertest.Wait, 5*time.Millisecond)
	assert.Equal(t, http.StatusNoContent, status(t, l.url+"/ready"))
}

func TestADryRunNamesItselfInTheDecisionLog(t *testing.T) {
	l := startLogging(t, loggedRules, accept, "--dry_run")
	l.send(t, "log/call", `{"fails":true,"n":1}`)
	l.expect(t, logged{"what": "told", "key": "call/1", "answer": "dry run"})
}
