package consumer_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/internal/consumer"
)

const doorRules = `
topics: door/+
rules:
  - name: open
    when: msg.open
    raise: {key: "{topic}", summary: "{topic} is open"}
    ends: {when: not msg.open}
`

func rulesFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rules.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// byRules returns a configuration with rules in a file.
func byRules(t *testing.T, b interface{ Addr() string }, ilert *recorder, text string) consumer.Config {
	t.Helper()
	cfg := config(t, b, ilert)
	cfg.Presets, cfg.RulesFiles = nil, []string{rulesFile(t, text)}
	return cfg
}

func TestRulesOfAFileDecideWithThoseOfPresets(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	cfg := byRules(t, b, ilert, doorRules)
	cfg.Presets = []string{"calls"}
	start(t, cfg).ready(t)
	publishTo(t, b.Addr(), "door/1", `{"open":true}`)
	ilert.expect(t, "ALERT door/1")
	publishTo(t, b.Addr(), "mps/events", call(event.Fail, "1"))
	ilert.expect(t, "ALERT door/1", "ALERT 1/AMT_PowerState")
	publishTo(t, b.Addr(), "door/1", `{"open":false}`)
	ilert.expect(t, "ALERT door/1", "ALERT 1/AMT_PowerState", "RESOLVE door/1")
}

func TestRulesAreReadAgain(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	cfg := byRules(t, b, ilert, doorRules)
	c := start(t, cfg).ready(t)
	publishTo(t, b.Addr(), "door/1", `{"open":true}`)
	ilert.expect(t, "ALERT door/1")
	read := c.Status(t.Context()).RulesReadAt
	assert.WithinDuration(t, time.Now(), read, time.Minute)

	broken := strings.Replace(doorRules, "when: msg.open", "when: mgs.open", 1)
	require.NoError(t, os.WriteFile(cfg.RulesFiles[0], []byte(broken), 0o600))
	require.ErrorContains(t, c.Reload(t.Context()), `:5:11: when: at character 1: there is no mgs, did you mean "msg"?`)
	s := c.Status(t.Context())
	assert.Equal(t, read, s.RulesReadAt, "those in force")
	assert.Contains(t, s.RulesError, "there is no mgs")
	publishTo(t, b.Addr(), "door/1", `{"open":false}`)
	ilert.expect(t, "ALERT door/1", "RESOLVE door/1")
	publishTo(t, b.Addr(), "door/2", `{"open":true}`)
	ilert.expect(t, "ALERT door/1", "RESOLVE door/1", "ALERT door/2")

	// A file that is just being written ends no alerts.
	for text, want := range map[string]string{"": "is empty", "topics: door/+": "there are no rules"} {
		require.NoError(t, os.WriteFile(cfg.RulesFiles[0], []byte(text), 0o600))
		require.ErrorContains(t, c.Reload(t.Context()), want)
	}

	// Another topic, and another name: without a RESOLVE the alert of the old rule could never end.
	other := strings.NewReplacer("topics: door/+", "topics: [window/+]", "name: open", "name: window").Replace(doorRules)
	require.NoError(t, os.WriteFile(cfg.RulesFiles[0], []byte(other), 0o600))
	require.NoError(t, c.Reload(t.Context()))
	s = c.Status(t.Context())
	assert.True(t, s.RulesReadAt.After(read))
	assert.Empty(t, s.RulesError)
	ilert.expect(t, "ALERT door/1", "RESOLVE door/1", "ALERT door/2", "RESOLVE door/2")
	require.Eventually(t, func() bool { // once the broker has taken the subscription
		publishTo(t, b.Addr(), "window/1", `{"open":true}`)
		ilert.mu.Lock()
		defer ilert.mu.Unlock()
		return len(ilert.sent) == 5
	}, brokertest.Wait, 10*time.Millisecond)
	ilert.expect(t, "ALERT door/1", "RESOLVE door/1", "ALERT door/2", "RESOLVE door/2", "ALERT window/1")
}

func TestRulesSeeWhatTheBrokerKeptAndAnyBytes(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	client := brokertest.Connect(t, b.Addr(), nil)
	_, err := client.Publish(t.Context(), &paho.Publish{Topic: "tele/plug/LWT", QoS: 1, Retain: true, Payload: []byte("Offline\n")})
	require.NoError(t, err)
	start(t, byRules(t, b, ilert, `
topics: tele/#
rules:
  - {name: kept, when: retain and msg == "Offline", raise: {key: "kept/{topic}", summary: "{payload}"}, ends: {age: 1h}}
  - {name: bytes, topics: tele/+/RAW, raise: {key: "{topic}", summary: s}, ends: {age: 1h}}
`)).ready(t)
	ilert.expect(t, "ALERT kept/tele/plug/LWT")
	publishTo(t, b.Addr(), "tele/plug/LWT", "Offline")
	publishTo(t, b.Addr(), "tele/plug/RAW", "\xff\x00\xfe{")
	ilert.expect(t, "ALERT kept/tele/plug/LWT", "ALERT tele/plug/RAW")
}

func TestRulesMayStandInSeveralFiles(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	cfg := byRules(t, b, ilert, doorRules)
	windows := rulesFile(t, strings.NewReplacer("door", "window", "name: open", "name: window").Replace(doorRules))
	cfg.RulesFiles = append(cfg.RulesFiles, windows)
	c := start(t, cfg).ready(t)
	publishTo(t, b.Addr(), "door/1", `{"open":true}`)
	ilert.expect(t, "ALERT door/1")
	publishTo(t, b.Addr(), "window/1", `{"open":true}`)
	ilert.expect(t, "ALERT door/1", "ALERT window/1")

	require.NoError(t, os.WriteFile(windows, []byte("rules: {}"), 0o600))
	require.ErrorContains(t, c.Reload(t.Context()), windows+":1:")
}

func TestRulesListenBesideHeartbeats(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	cfg := byRules(t, b, ilert, doorRules)
	cfg.HeartbeatTopic = "beat/+"
	start(t, cfg).ready(t)
	publishTo(t, b.Addr(), "door/1", `{"open":true}`)
	ilert.expect(t, "ALERT door/1")
}

// Of two consumers in a group one would get the message that a door was opened, and the other that it
// was closed. They may share a subscription only if each message is an event for ilert.
func TestRulesTakeNoPartInASharedGroup(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	for name, change := range map[string]func(*consumer.Config){
		"a group":         func(c *consumer.Config) { c.SharedGroup = "g" },
		"with heartbeats": func(c *consumer.Config) { c.HeartbeatTopic, c.SharedGroup = "beat/+", "g" },
		"a filter":        func(c *consumer.Config) { c.Topics = []string{"a", "$share/g/door/+"} },
		"a rule's filter": func(c *consumer.Config) {
			c.RulesFiles = []string{filepath.Join(t.TempDir(), "shared.yaml")}
			text := strings.Replace(doorRules, "door/+", "$share/g/door/+", 1)
			require.NoError(t, os.WriteFile(c.RulesFiles[0], []byte(text), 0o600))
		},
		"the built-in rules": func(c *consumer.Config) { c.RulesFiles, c.Presets, c.SharedGroup = nil, []string{"mps"}, "g" },
	} {
		cfg := byRules(t, b, ilert, doorRules)
		change(&cfg)
		_, err := consumer.New(cfg)
		assert.ErrorContains(t, err, "another may get the message that ends an alert", name)
	}
	cfg := config(t, b, ilert)
	cfg.Presets, cfg.Mapping, cfg.Topics, cfg.SharedGroup = nil, &consumer.Mapping{}, []string{"t"}, "g"
	c := start(t, cfg).ready(t)
	assert.Equal(t, []string{"$share/g/t"}, c.Status(t.Context()).Topics)
	publishTo(t, b.Addr(), "t", `{"summary":"x","alertKey":"a"}`)
	ilert.expect(t, "ALERT a")
	cfg = config(t, b, ilert) // only heartbeats
	cfg.Presets, cfg.HeartbeatTopic, cfg.SharedGroup = nil, "beat/+", "g"
	start(t, cfg).ready(t)
}

// A dry run runs beside the consumer that does the work, and takes no message from it.
func TestADryRunTakesNoMessagesFromASharedGroup(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	cfg := config(t, b, ilert)
	cfg.Presets, cfg.Mapping, cfg.Topics, cfg.SharedGroup, cfg.DryRun = nil, &consumer.Mapping{}, []string{"t", "$share/h/u"}, "g", true
	c := start(t, cfg).ready(t)
	assert.Equal(t, []string{"t", "u"}, c.Status(t.Context()).Topics)
}

func TestASharedGroupHasAName(t *testing.T) {
	_, err := consumer.New(consumer.Config{OpenStore: storeAt("x"), SharedGroup: "a/b"})
	assert.ErrorContains(t, err, `SharedGroup "a/b": want a name without / + and #`)
}

func TestHeartbeatsOfOthersAloneNeedNoRulesNorKey(t *testing.T) {
	b := brokertest.Start(t, "")
	c := start(t, consumer.Config{Address: b.Addr(), ClientID: "test", OpenStore: storeAt(newStorePath(t)), HeartbeatTopic: "beat/+"}).ready(t)
	status := c.Status(t.Context())
	assert.Equal(t, []string{"beat/+"}, status.Topics)
	assert.Empty(t, status.Rules)

	publishTo(t, b.Addr(), "beat/1", "") // by which a retained message is cleared
	publishTo(t, b.Addr(), "beat/1", `{"integrationKey":5}`)
	require.Eventually(t, func() bool { return c.Status(t.Context()).Messages["beat/+"].Received == 2 }, brokertest.Wait, 5*time.Millisecond)
	beats := c.Status(t.Context()).Messages["beat/+"]
	assert.EqualValues(t, 1, beats.Ignored)
	assert.EqualValues(t, 1, beats.Dead)
}

func TestAlertsOfRulesThatAreGoneEndAtTheStart(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	cfg := byRules(t, b, ilert, doorRules)
	var log journal
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	c := start(t, cfg).ready(t)
	publishTo(t, b.Addr(), "door/1", `{"open":true}`)
	ilert.expect(t, "ALERT door/1")
	c.stop()
	assert.NotContains(t, log.String(), "no more")
	cfg.RulesFiles, cfg.Presets = nil, []string{"calls"}
	start(t, cfg)
	ilert.expect(t, "ALERT door/1", "RESOLVE door/1")
	assert.Contains(t, log.String(), `level=WARN msg="rules are no more, their alerts are resolved" rules=[open] alerts=1`)
}

func TestARuleMayHaveAnAlertSourceOfItsOwn(t *testing.T) {
	t.Setenv("DOORS_KEY", "doors")
	b, ilert := brokertest.Start(t, ""), record(t)
	windowsKey := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(windowsKey, []byte("windows\n"), 0o600))
	cfg := byRules(t, b, ilert, doorRules+`
  - {name: window, topics: window/+, integration_key: {file: "`+windowsKey+`"}, raise: {key: "{topic}", summary: s}, ends: {age: 1h}}
  - {name: other, topics: other, raise: {key: "{topic}", summary: s}, ends: {age: 1h}}`)
	text, err := os.ReadFile(cfg.RulesFiles[0])
	require.NoError(t, err)
	doors := strings.Replace(string(text), "    when: msg.open", "    integration_key: {env: DOORS_KEY}\n    when: msg.open", 1)
	require.NoError(t, os.WriteFile(cfg.RulesFiles[0], []byte(doors), 0o600))
	start(t, cfg).ready(t)
	publishTo(t, b.Addr(), "door/1", `{"open":true}`)
	ilert.expect(t, "ALERT door/1 by doors")
	publishTo(t, b.Addr(), "window/1", `{}`)
	ilert.expect(t, "ALERT door/1 by doors", "ALERT window/1 by windows")
	publishTo(t, b.Addr(), "other", `{}`)
	ilert.expect(t, "ALERT door/1 by doors", "ALERT window/1 by windows", "ALERT other")

	t.Setenv("DOORS_KEY", "")
	_, err = consumer.New(cfg)
	assert.ErrorContains(t, err, "rules: integration key env:DOORS_KEY: is empty")
}

// held is a log that holds up the consumer at the first dead letter, and at the first field that is left out.
type held struct {
	slog.Handler
	at, goOn chan struct{}
}

func (h held) Enabled(context.Context, slog.Level) bool { return true }

func (h held) Handle(_ context.Context, r slog.Record) error {
	if strings.HasPrefix(r.Message, "a message cannot be understood") || strings.HasPrefix(r.Message, "an optional field is left out") {
		h.at <- struct{}{}
		<-h.goOn
	}
	return nil
}

func TestWhatIsBeingDecidedWhileRulesChangeLeavesNoAlertOfTheOldOnes(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	cfg := byRules(t, b, ilert, strings.Replace(doorRules, "is open\"}", "is open\", priority: \"{default(msg.priority, 'HIGH')}\"}", 1))
	log := held{slog.DiscardHandler, make(chan struct{}), make(chan struct{})}
	cfg.Logger = slog.New(log)
	c := start(t, cfg).ready(t)
	publishTo(t, b.Addr(), "door/1", `junk`)
	<-log.at
	publishTo(t, b.Addr(), "door/2", `{"open":true}`) // is decided together with the next
	publishTo(t, b.Addr(), "door/3", `{"open":true,"priority":"no such"}`)
	log.goOn <- struct{}{}
	<-log.at
	require.NoError(t, os.WriteFile(cfg.RulesFiles[0], []byte(strings.Replace(doorRules, "name: open", "name: other", 1)), 0o600))
	require.NoError(t, c.Reload(t.Context()))
	log.goOn <- struct{}{}
	require.Eventually(t, func() bool {
		status := c.Status(t.Context())
		return status.Messages["door/+"].Received == 3 && status.Alerts == consumer.Alerts{}
	}, 15*time.Second, 10*time.Millisecond)
}

func TestADryRunTellsNobodyAndTakesNothingAway(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	cfg := byRules(t, b, ilert, doorRules)
	start(t, cfg).ready(t).stop() // there is a session now, for which the broker keeps what comes
	dry := cfg
	var log journal
	dry.DryRun, dry.IntegrationKey, dry.Logger = true, "", slog.New(slog.NewTextHandler(&log, nil))
	d := start(t, dry).ready(t)
	publishTo(t, b.Addr(), "door/1", `{"open":true}`)
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "dry run: ilert would be sent") }, brokertest.Wait, 5*time.Millisecond)
	assert.Contains(t, log.String(), `\"alertKey\":\"door/1\"`)
	publishTo(t, b.Addr(), "door/1", `junk`)
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "would be kept as a dead letter") }, brokertest.Wait, 5*time.Millisecond)
	assert.NotContains(t, log.String(), "is kept")
	require.NoError(t, d.Ping(t.Context(), "il1hbt-another's"))
	assert.NotContains(t, log.String(), "another's")
	d.stop()
	ilert.expect(t)

	start(t, cfg)
	ilert.expect(t, "ALERT door/1")
}

func TestAMessageThatComesAgainHasNoSecondEffect(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	cfg := config(t, b, ilert)
	cfg.Presets, cfg.Mapping, cfg.Topics = nil, &consumer.Mapping{}, []string{"t"}
	start(t, cfg).ready(t)
	client := brokertest.Connect(t, b.Addr(), nil)
	send := func(key string, user ...string) {
		properties := &paho.PublishProperties{}
		for i := 0; i < len(user); i += 2 {
			properties.User.Add(user[i], user[i+1])
		}
		_, err := client.Publish(t.Context(), &paho.Publish{
			Topic: "t", QoS: 1, Payload: []byte(`{"summary":"s","alertKey":"` + key + `"}`), Properties: properties,
		})
		require.NoError(t, err)
	}
	send("a", "id", "1", "source", "mps-1")
	send("a", "id", "1", "source", "mps-1")
	send("b", "id", "1", "source", "mps-2")
	send("c", "id", "1") // is unique within nothing
	send("c", "id", "1")
	send("d")
	send("d")
	ilert.expect(t, "ALERT a", "ALERT b", "ALERT c", "ALERT c", "ALERT d", "ALERT d")
}

func TestAClockThatIsWrongSilencesNobody(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	start(t, byRules(t, b, ilert, `
rules:
  - {name: r, when: event.type == "fail", raise: {key: "{event.guid}", summary: s}, ends: {age: 24h}}`)).ready(t)
	client := brokertest.Connect(t, b.Addr(), nil)
	for _, at := range []time.Time{time.UnixMilli(1000), time.Now().Add(-25 * time.Hour), time.Now().Add(time.Hour)} {
		guid := at.UTC().Format("2006-01")
		publish(t, client, string(event.Event{Type: event.Fail, Message: "x", Methods: []string{"M"}, GUID: guid + fmt.Sprint(at.Hour()), Timestamp: at.UnixMilli()}.AppendJSON(nil)))
	}
	require.Eventually(t, func() bool {
		ilert.mu.Lock()
		defer ilert.mu.Unlock()
		return len(ilert.sent) == 3 && !strings.Contains(strings.Join(ilert.sent, " "), "RESOLVE")
	}, brokertest.Wait, 5*time.Millisecond)
}

func TestAnEventThatTheBrokerHasKeptIsOldNews(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	client := brokertest.Connect(t, b.Addr(), nil)
	old := event.Event{Type: event.Fail, Message: "x", Methods: []string{"M"}, GUID: "old", Timestamp: time.Now().Add(-48 * time.Hour).UnixMilli()}
	_, err := client.Publish(t.Context(), &paho.Publish{Topic: "mps/events", QoS: 1, Retain: true, Payload: old.AppendJSON(nil)})
	require.NoError(t, err)
	start(t, byRules(t, b, ilert, `
rules:
  - {name: r, when: event.type == "fail", raise: {key: "{event.guid}", summary: s}, ends: {age: 24h}}`)).ready(t)
	publish(t, client, string(event.Event{Type: event.Fail, Message: "x", Methods: []string{"M"}, GUID: "new", Timestamp: time.Now().UnixMilli()}.AppendJSON(nil)))
	ilert.expect(t, "ALERT new")
}

func TestAServerThatIsKnownToBeBehindIsHeardAsOfNow(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	cfg := byRules(t, b, ilert, `
rules:
  - {name: r, when: event.type == "fail", raise: {key: "{event.guid}", summary: s}, ends: {silence: 5m}}`)
	cfg.MaxSkew = time.Millisecond
	c := start(t, cfg).ready(t)
	client := brokertest.Connect(t, b.Addr(), nil)
	until(t, func() bool { return len(behind(t, c)) == 1 }, func() { say(t, client, "", time.Hour) })
	hourAgo := time.Now().Add(-time.Hour)
	publish(t, client, string(event.Event{Type: event.Fail, Message: "x", Methods: []string{"M"}, GUID: "1", Timestamp: hourAgo.UnixMilli()}.AppendJSON(nil)))
	ilert.expect(t, "ALERT 1")
}

func TestTheTraceOfAnEventGoesOnToIlert(t *testing.T) {
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	b, ilert := brokertest.Start(t, ""), record(t)
	headers := make(chan string, 10)
	ilert.answer = func(r *http.Request, _ []string) int {
		headers <- r.Header.Get("traceparent")
		return http.StatusAccepted
	}
	start(t, config(t, b, ilert)).ready(t)
	client := brokertest.Connect(t, b.Addr(), nil)
	_, err := client.Publish(t.Context(), &paho.Publish{
		Topic: "mps/events", QoS: 1, Payload: []byte(call(event.Fail, "1")),
		Properties: &paho.PublishProperties{User: paho.UserProperties{{Key: "traceparent", Value: trace}}},
	})
	require.NoError(t, err)
	assert.Equal(t, trace, <-headers)
	publish(t, client, call(event.Fail, "2"))
	assert.Empty(t, <-headers, "nobody has traced that one")
}
