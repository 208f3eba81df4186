package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/internal/consumer"
	"github.com/mps-events/mps-events/publisher"
)

// watched is a daemon with secrets, and the token for its state.
type watched struct {
	daemon
	token string
}

func (w watched) read(t *testing.T, path string) string {
	t.Helper()
	code, body := get(t, w.base+path, "Authorization", "Bearer "+w.token)
	require.Equal(t, http.StatusOK, code, body)
	return body
}

// metrics returns the daemon's metrics by name and labels. It checks that each message that was
// received has one fate.
func (w watched) metrics(t *testing.T) map[string]float64 {
	t.Helper()
	m := samples(t, w.read(t, "/metrics"))
	for _, filter := range filters {
		label := `{filter="` + filter + `"}`
		sum := m["mps_ilert_messages_pending"+label] + m["mps_ilert_dead_letters"+label]
		for _, fate := range lastFates {
			sum += m[`mps_ilert_messages_total{fate="`+fate+`",filter="`+filter+`"}`]
		}
		require.Equal(t, m["mps_ilert_messages_received_total"+label], sum, filter)
	}
	return m
}

var (
	filters   = []string{"mps/events", "http"}
	lastFates = []string{"ignored", "merged", "delivered", "purged"}
)

func samples(t *testing.T, text string) map[string]float64 {
	t.Helper()
	all := map[string]float64{}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		line = strings.TrimSpace(line)
		end := strings.LastIndexByte(line, ' ')
		require.Positive(t, end, line)
		value, err := strconv.ParseFloat(line[end+1:], 64)
		require.NoError(t, err, line)
		all[line[:end]] = value
	}
	return all
}

// statusAnswer is the answer of /status.
type statusAnswer struct {
	Version string
	consumer.Status
}

func (w watched) status(t *testing.T) (s statusAnswer) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(w.read(t, "/status")), &s))
	return s
}

// expect waits until the metrics have these values.
func (w watched) expect(t *testing.T, want map[string]float64) {
	t.Helper()
	for began := time.Now(); ; {
		got := map[string]float64{}
		for name, value := range w.metrics(t) {
			if _, asked := want[name]; asked {
				got[name] = value
			}
		}
		if assert.ObjectsAreEqual(want, got) {
			return
		}
		if time.Since(began) > brokertest.Wait {
			require.Equal(t, want, got)
		}
	}
}

// accountsFor checks that metrics, status and store stats say the same.
func (w watched) accountsFor(t *testing.T) {
	t.Helper()
	m, s := w.metrics(t), w.status(t)
	var stats statsJSON
	require.NoError(t, json.Unmarshal([]byte(storeOf(t, w.file, "stats", "--json")), &stats))
	assert.Len(t, s.Messages, len(filters))
	for filter, tally := range s.Messages {
		assert.Equal(t, tally.Received, tally.Ignored+tally.Duplicate+tally.Merged+tally.Delivered+tally.Dead+tally.Purged+tally.Pending, filter)
		assert.Equal(t, stats.Messages[filter], tally, filter)
		assert.Equal(t, float64(tally.Received), m[`mps_ilert_messages_received_total{filter="`+filter+`"}`], filter)
		assert.Equal(t, float64(tally.Pending), m[`mps_ilert_messages_pending{filter="`+filter+`"}`], filter)
		assert.Equal(t, float64(tally.Delivered), m[`mps_ilert_messages_total{fate="delivered",filter="`+filter+`"}`], filter)
	}
	for _, r := range s.Rules {
		assert.Equal(t, stats.Rules[r.Name], r.Matched, r.Name)
		assert.Equal(t, float64(r.Matched), m[`mps_ilert_rule_matches_total{rule="`+r.Name+`"}`], r.Name)
		assert.Equal(t, float64(r.Failed), m[`mps_ilert_rule_failures_total{rule="`+r.Name+`"}`], r.Name)
	}
}

// moody starts an ilert that refuses the events of some devices, and quotes them.
func moody(t *testing.T) (url string, better *atomic.Bool) {
	t.Helper()
	better = new(atomic.Bool)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		status := http.StatusAccepted
		switch text := string(body); {
		case strings.Contains(text, "bad-device"):
			status = http.StatusBadRequest
		case strings.Contains(text, "late-device") && !better.Load():
			status = http.StatusForbidden
		case strings.Contains(text, "0ther") && !better.Load():
			status = http.StatusServiceUnavailable
		}
		w.WriteHeader(status)
		_, _ = w.Write(body)
	}))
	t.Cleanup(server.Close)
	return server.URL, better
}

func TestMetricsStatusAndStatsTellOneTruthOverRestarts(t *testing.T) {
	b := brokertest.Start(t, "")
	ilert, better := moody(t)
	env := environment("ILERT_INTEGRATION_KEY", secret, "MPS_MQTT_ADDRESS", "mqtt://us3r:p4ss@"+b.Addr(), "MPS_ILERT_HTTP_TOKEN", "t0ken")
	file := filepath.Join(t.TempDir(), "x.db")
	begin := func() watched {
		return watched{startDaemonOn(t, file, env, ilert, "--preset", "calls"), "t0ken"}
	}
	d := begin()

	// Before the first message: all series are there.
	zero := map[string]float64{}
	for _, filter := range filters {
		for _, name := range []string{"messages_received_total", "messages_pending", "dead_letters"} {
			zero["mps_ilert_"+name+`{filter="`+filter+`"}`] = 0
		}
		for _, fate := range lastFates {
			zero[`mps_ilert_messages_total{fate="`+fate+`",filter="`+filter+`"}`] = 0
		}
	}
	for _, state := range []string{"open", "waiting", "delayed", "under_way"} {
		zero[`mps_ilert_alerts{state="`+state+`"}`] = 0
	}
	for _, outcome := range []string{"delivered", "refused", "failed"} {
		zero[`mps_ilert_requests_total{outcome="`+outcome+`"}`] = 0
	}
	for _, part := range []string{"subscription", "store", "ilert"} {
		zero[`mps_ilert_ready{part="`+part+`"}`] = 1
	}
	zero["mps_ilert_oldest_waiting_seconds"] = 0
	zero["mps_ilert_request_duration_seconds_count"] = 0
	zero["mps_ilert_sources_behind"] = 0
	zero["mps_ilert_awaited_groups"] = 0
	zero["mps_ilert_unproven_keys"] = 0
	zero["mps_ilert_messages_unproven"] = 0
	zero["mps_ilert_rules_last_reload_successful"] = 1
	d.expect(t, zero)
	s := d.status(t)
	assert.True(t, s.Ready)
	assert.Equal(t, version(), s.Version)
	assert.Equal(t, []string{"mps/events"}, s.Topics)
	assert.WithinDuration(t, time.Now(), s.RulesReadAt, time.Minute)
	assert.InDelta(t, float64(s.RulesReadAt.Unix()), d.metrics(t)["mps_ilert_rules_last_reload_success_timestamp_seconds"], 1)
	assert.Equal(t, "mqtt://"+b.Addr(), s.Broker.Address)
	assert.WithinDuration(t, time.Now(), s.Broker.ConnectedSince, time.Minute)
	require.NotEmpty(t, s.Rules)
	for _, r := range s.Rules {
		assert.Zero(t, r.Matched)
		assert.Contains(t, d.metrics(t), `mps_ilert_rule_matches_total{rule="`+r.Name+`"}`)
	}

	client := brokertest.Connect(t, b.Addr(), nil)
	publish := func(payload []byte) {
		_, err := client.Publish(t.Context(), &paho.Publish{Topic: "mps/events", QoS: 1, Payload: payload})
		require.NoError(t, err)
	}
	call := func(typ event.Type, guid string) {
		publish(event.Event{Type: typ, Message: "x", Methods: []string{"AMT_PowerState"}, GUID: guid}.AppendJSON(nil))
	}
	pub, err := publisher.New(publisher.Config{Address: "mqtt://" + b.Addr(), Source: "mps-1"})
	require.NoError(t, err)
	require.NoError(t, pub.Publish(event.Event{Type: event.Request, Message: "x", Methods: []string{"AMT_PowerState"}, GUID: "good-device"}))
	require.NoError(t, pub.Shutdown(t.Context()))
	d.expect(t, map[string]float64{`mps_ilert_events_lost_total{source="mps-1"}`: 0})
	call(event.Fail, "good-device")
	call(event.Fail, "good-device")
	call(event.Fail, "bad-device")
	publish([]byte("j0nk"))
	d.expect(t, map[string]float64{ // before the key is refused, and waits
		`mps_ilert_messages_total{fate="delivered",filter="mps/events"}`: 1, `mps_ilert_dead_letters{filter="mps/events"}`: 2,
	})
	call(event.Fail, "late-device")
	code, _ := post(t, d.base+"/api/events", `{"integrationKey":"il1api-0ther","eventType":"ALERT","summary":"late"}`, "Authorization", "Bearer t0ken")
	require.Equal(t, http.StatusOK, code)
	settled := map[string]float64{
		`mps_ilert_messages_received_total{filter="mps/events"}`:         6,
		`mps_ilert_messages_total{fate="ignored",filter="mps/events"}`:   1,
		`mps_ilert_messages_total{fate="merged",filter="mps/events"}`:    1,
		`mps_ilert_messages_total{fate="delivered",filter="mps/events"}`: 1,
		`mps_ilert_messages_pending{filter="mps/events"}`:                1,
		`mps_ilert_messages_pending{filter="http"}`:                      1,
		`mps_ilert_dead_letters{filter="mps/events"}`:                    2,
		`mps_ilert_alerts{state="open"}`:                                 1,
		`mps_ilert_unproven_keys`:                                        1,
		`mps_ilert_messages_unproven`:                                    1,
		`mps_ilert_rule_matches_total{rule="` + s.Rules[0].Name + `"}`:   4,
	}
	d.expect(t, settled)
	d.expect(t, map[string]float64{
		`mps_ilert_requests_total{outcome="delivered"}`: 1, `mps_ilert_requests_total{outcome="refused"}`: 1,
		`mps_ilert_ready{part="ilert"}`: 0, `mps_ilert_ready{part="subscription"}`: 1,
	})
	require.Eventually(t, func() bool { return len(d.status(t).Keys) == 2 }, brokertest.Wait, 10*time.Millisecond)
	d.accountsFor(t)
	s = d.status(t)
	assert.False(t, s.Ready)
	assert.Equal(t, []consumer.Key{
		{Name: "configured", Error: "ilert answered 403 Forbidden: check ILERT_INTEGRATION_KEY, or the key that the rule or the message names instead"}, {Name: "message:ee455f85", Unproven: true, Error: "ilert answered 503 Service Unavailable"},
	}, s.Keys)
	assert.Regexp(t, `^ilert answered \d+ [A-Z a-z]+(: check ILERT_INTEGRATION_KEY.*)?$`, s.Requests.LastError)
	assert.WithinDuration(t, time.Now(), s.Requests.LastErrorAt, time.Minute)
	assert.WithinDuration(t, time.Now(), s.Alerts.OldestWaiting, time.Minute)
	m := d.metrics(t)
	assert.Positive(t, m["mps_ilert_oldest_waiting_seconds"])
	assert.GreaterOrEqual(t, m["mps_ilert_request_duration_seconds_count"], 4.0)
	assert.Contains(t, m, "process_start_time_seconds")
	assert.Contains(t, m, "go_goroutines")

	text := d.read(t, "/metrics")
	problems, err := promlint.New(strings.NewReader(text + "\n")).Lint()
	require.NoError(t, err)
	assert.Empty(t, problems)
	for _, body := range []string{text, d.read(t, "/status")} {
		for _, hidden := range []string{secret, "0ther", "us3r", "p4ss", "t0ken", "-device", "j0nk"} {
			assert.NotContains(t, body, hidden)
		}
	}
	assert.Regexp(t, `(?m)^RULE +MATCHED\n`+s.Rules[0].Name+` +4$`, storeOf(t, file, "stats"))

	d.stop()
	better.Store(true)
	d = begin()
	settled[`mps_ilert_messages_total{fate="delivered",filter="mps/events"}`] = 2
	settled[`mps_ilert_messages_total{fate="delivered",filter="http"}`] = 1
	settled[`mps_ilert_messages_pending{filter="mps/events"}`] = 0
	settled[`mps_ilert_messages_pending{filter="http"}`] = 0
	settled[`mps_ilert_alerts{state="open"}`] = 2
	settled[`mps_ilert_requests_total{outcome="delivered"}`] = 2 // since the start
	settled["mps_ilert_oldest_waiting_seconds"] = 0
	settled["mps_ilert_unproven_keys"] = 0
	settled["mps_ilert_messages_unproven"] = 0
	d.expect(t, settled)
	storeOf(t, file, "purge", "--all")
	settled[`mps_ilert_messages_total{fate="purged",filter="mps/events"}`] = 2
	settled[`mps_ilert_dead_letters{filter="mps/events"}`] = 0
	d.expect(t, settled)
	d.accountsFor(t)
	assert.True(t, d.status(t).Ready)
	assert.Empty(t, d.status(t).Keys)
}
