package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/internal/store/sqlite"
)

const dependentRules = `
topics: ["server/+", "device/+"]
rules:
  - name: server
    when: msg.gone == true
    raise: {key: "{topic}", summary: "{topic} is gone"}
    ends: {when: msg.gone == false}
  - name: device
    when: msg.broken == true
    unless_open: "server/{msg.of}"
    raise: {key: "{topic}", summary: "{topic} is broken"}
    ends: {when: msg.broken == false}
`

// silenceOf runs mps-ilert silence on a file and returns what it prints.
func silenceOf(t *testing.T, file string, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), append([]string{"-f", file, "silence"}, args...), environment(), &out, io.Discard), args)
	return out.String()
}

// plays is a daemon with rules beside which people run commands.
type plays struct {
	*testing.T
	daemon
	requests <-chan request
	client   *paho.Client
}

func playsRules(t *testing.T, rules string) *plays {
	t.Helper()
	b := brokertest.Start(t, "")
	ilert, requests := ilertStandIn(t)
	d := startDaemonOn(t, filepath.Join(t.TempDir(), "x.db"), environment("MPS_MQTT_ADDRESS", "mqtt://"+b.Addr(), "ILERT_INTEGRATION_KEY", secret),
		ilert, "--config", write(t, "rules.yaml", rules))
	return &plays{t, d, requests, brokertest.Connect(t, b.Addr(), nil)}
}

func (p *plays) publish(topic, payload string) {
	p.Helper()
	_, err := p.client.Publish(p.Context(), &paho.Publish{Topic: topic, QoS: 1, Payload: []byte(payload)})
	require.NoError(p, err)
}

// sent waits for the next event at ilert, which must have these words.
func (p *plays) sent(words ...string) {
	p.Helper()
	body := receive(p.T, p.requests).Body
	for _, word := range words {
		require.Contains(p, body, word)
	}
}

// shows waits until the list of the alerts has some words.
func (p *plays) shows(words ...string) {
	p.Helper()
	require.Eventually(p, func() bool {
		listed := storeOf(p.T, p.file, "alerts")
		for _, word := range words {
			if !strings.Contains(listed, word) {
				return false
			}
		}
		return true
	}, brokertest.Wait, 5*time.Millisecond, words)
}

func TestAlertsWaitWhileTheOneThatExplainsThemIsOpen(t *testing.T) {
	p := playsRules(t, dependentRules)
	p.publish("server/a", `{"gone":true,"broken":false}`)
	p.sent("ALERT", "server/a is gone")
	p.publish("device/1", `{"gone":null,"broken":true,"of":"a"}`)
	p.shows("waits while server/a is open")
	_, metrics := get(t, p.base+"/metrics")
	assert.Contains(t, metrics, `mps_ilert_alerts{state="held"}`)
	require.Eventually(t, func() bool { _, status := get(t, p.base+"/status"); return strings.Contains(status, `"held":1`) }, brokertest.Wait, 5*time.Millisecond)
	p.publish("server/a", `{"gone":false,"broken":null}`)
	var bodies string
	for range 2 {
		bodies += receive(t, p.requests).Body
	}
	assert.Contains(t, bodies, "RESOLVE")
	assert.Contains(t, bodies, "device/1 is broken")
	p.stop()
}

func TestSilencesAreAddedListedAndRemovedBesideTheDaemon(t *testing.T) {
	p := playsRules(t, dependentRules)
	id := strings.TrimSpace(silenceOf(t, p.file, "add", "--match", "Device/*", "--for", "2h", "--comment", "new\nswitches"))
	assert.Equal(t, "1", id)
	require.Eventually(t, func() bool {
		_, status := get(t, p.base+"/status")
		return strings.Contains(status, `"silences":[{"id":1,"until":`)
	}, brokertest.Wait, 5*time.Millisecond)
	p.publish("device/1", `{"gone":null,"broken":true,"of":"a"}`)
	p.shows("silenced until ", " by 1: new switches")
	me, err := user.Current()
	require.NoError(t, err)
	listed := silenceOf(t, p.file, "list")
	assert.Regexp(t, `(?m)^1 +"Device/\*" +until \d{4}-\S+ \S+ +`+me.Username+` +\d{4}-\S+ \S+ +new switches$`, listed)
	var alert alertJSON
	require.NoError(t, json.Unmarshal([]byte(storeOf(t, p.file, "alerts", "--json")), &alert))
	assert.Equal(t, alerting.StateSilenced, alert.State)
	assert.EqualValues(t, 1, alert.Silence)
	assert.WithinDuration(t, time.Now().Add(2*time.Hour), alert.WaitingUntil, time.Minute)

	p.publish("server/a", `{"gone":true,"broken":false}`)
	p.sent("server/a is gone")
	assert.Equal(t, "silence 1 has ended\n", silenceOf(t, p.file, "remove", "1"))
	p.publish("device/1", `{"gone":null,"broken":true,"of":"b"}`)
	p.sent("device/1 is broken")
	assert.Regexp(t, `(?m)^1 +"Device/\*" +ended `, silenceOf(t, p.file, "list"))
	var line silenceJSON
	require.NoError(t, json.Unmarshal([]byte(silenceOf(t, p.file, "list", "--json")), &line))
	assert.False(t, line.Active)
	assert.Equal(t, "new\nswitches", line.Comment)
	require.ErrorContains(t, run(t.Context(), []string{"-f", p.file, "silence", "remove", "1", "7"}, environment(), io.Discard, io.Discard), "no active silence has the ID 1 7")
	var said bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-f", p.file, "silence", "add", "--match", " SERVER/*", "--for", "1s"}, environment(), io.Discard, &said))
	assert.Contains(t, said.String(), "open alerts that match now: 1;")
	require.NoError(t, json.Unmarshal([]byte(silenceOf(t, p.file, "add", "--all", "--for", "1s", "--json")), &line))
	assert.Equal(t, "*", line.Match)
	p.stop()
}

func TestAnAlertIsClosedBesideTheDaemon(t *testing.T) {
	p := playsRules(t, dependentRules)
	p.publish("server/a", `{"gone":true,"broken":false}`)
	p.sent("ALERT", "server/a is gone")
	assert.Equal(t, "the daemon ends \"server/a\" of configured within two seconds or, if it does not run, when it starts\n", storeOf(t, p.file, "close", "SERVER/a"))
	p.sent("RESOLVE", "server/a")
	require.Eventually(t, func() bool { return storeOf(t, p.file, "alerts", "--json") == "" }, brokertest.Wait, 5*time.Millisecond)
	for want, args := range map[string][]string{
		`no alert with the key "server/a" is open`:                     {"server/a"},
		`no alert with the key "server/a" of the source env:X is open`: {"server/a", "--source", "env:X"},
		"which? Name the key of one alert":                             {},
	} {
		require.ErrorContains(t, run(t.Context(), append([]string{"-f", p.file, "store", "close"}, args...), environment(), io.Discard, io.Discard), want)
	}
	p.stop()
	assert.Contains(t, p.log.String(), "an alert was closed by hand")
}

func TestMistakesInSilencesAreNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.db")
	s, err := sqlite.Open(t.Context(), file)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	for want, args := range map[string][]string{
		"--match: want the key of an alert":             {"add", "--for", "1h"},
		`--match "**" matches all alerts`:               {"add", "--match", "**", "--for", "1h"},
		"--match and --all: want one of them":           {"add", "--match", "a", "--all", "--for", "1h"},
		"--match: 1001 bytes are too many":              {"add", "--match", strings.Repeat("a", 1001), "--for", "1h"},
		"--comment: 1001 bytes are too many":            {"add", "--match", "a", "--comment", strings.Repeat("a", 1001), "--for", "1h"},
		"--for: want how long":                          {"add", "--match", "a"},
		`--for "2": want a duration such as 90s, 10m`:   {"add", "--match", "a", "--for", "2"},
		`--for "-1h": want a duration`:                  {"add", "--match", "a", "--for", "-1h"},
		`--for "400d": want a year at most`:             {"add", "--match", "a", "--for", "400d"},
		"which? Name the IDs of silences":               {"remove"},
		`"x" is no ID of a silence`:                     {"remove", "x"},
		"no active silence has the ID 7":                {"remove", "7"},
		`there is no command "ad"; did you mean "add"?`: {"ad"},
	} {
		assert.ErrorContains(t, run(t.Context(), append([]string{"-f", file, "silence"}, args...), environment(), io.Discard, io.Discard), want)
	}
	assert.ErrorContains(t, run(t.Context(), []string{"-f", "/nowhere/x.db", "silence", "list"}, environment(), io.Discard, io.Discard), "store: there is no file /nowhere/x.db")
}

func TestRulesThatDependOnEachOtherArePlayed(t *testing.T) {
	rules := write(t, "rules.yaml", dependentRules+`
tests:
  - name: a device is not sent while its server is gone
    messages:
      - {at: 0, topic: server/a, msg: {gone: true, broken: false}}
      - {at: 1m, topic: device/1, msg: {gone: null, broken: true, of: a}}
      - {at: 2m, topic: device/2, msg: {gone: null, broken: true, of: b}}
      - {at: 3m, topic: device/3, msg: {gone: null, broken: true, of: a}}
      - {at: 4m, topic: device/3, msg: {gone: null, broken: false, of: a}}
      - {at: 5m, topic: server/a, msg: {gone: false, broken: null}}
    want:
      - {at: 0s, type: ALERT, key: server/a}
      - {at: 2m, type: ALERT, key: device/2}
      - {at: 5m, type: RESOLVE, key: server/a}
      - {at: 5m, type: ALERT, key: device/1}
`)
	out, err := check(t, "", "--config", rules)
	require.NoError(t, err, out)
	assert.Contains(t, out, "tests: 1 passed")
	messages := write(t, "capture", `{"topic":"server/a","payload":{"gone":true,"broken":false},"tst":"2026-01-02T03:04:05Z"}
{"topic":"device/1","payload":{"gone":null,"broken":true,"of":"a"},"tst":"2026-01-02T03:04:06Z"}`)
	out, err = check(t, "", "--config", rules, messages)
	require.NoError(t, err)
	assert.Contains(t, out, "* device: raises the alert device/1, not sent while server/a is open\n")
	assert.Contains(t, out, "still open: device/1, not sent while server/a is open\nstill open: server/a\n")
}
