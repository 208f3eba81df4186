package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker/brokertest"
)

// request is a request that ilert received.
type request struct{ Method, Path, Body string }

// ilertStandIn starts an ilert that accepts every request and records it.
func ilertStandIn(t *testing.T) (url string, requests <-chan request) {
	t.Helper()
	seen := make(chan request, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isProbe(r) {
			return
		}
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		seen <- request{r.Method, r.URL.EscapedPath(), string(body)}
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(server.Close)
	return server.URL, seen
}

func receive(t *testing.T, requests <-chan request) request {
	t.Helper()
	select {
	case r := <-requests:
		return r
	case <-time.After(brokertest.Wait):
		require.FailNow(t, "ilert was not asked")
		return request{}
	}
}

// daemon runs mps-ilert daemon with HTTP on a free port until stop is called.
type daemon struct {
	base string // of HTTP
	file string // the store
	log  *buffer
	stop func()
}

func startDaemon(t *testing.T, env func(string) string, ilert string, args ...string) daemon {
	t.Helper()
	return startDaemonOn(t, filepath.Join(t.TempDir(), "mps-ilert.db"), env, ilert, args...)
}

func startDaemonOn(t *testing.T, file string, env func(string) string, ilert string, args ...string) daemon {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	d := daemon{file: file, log: &buffer{}}
	done := make(chan error, 1)
	go func() {
		// The flags of all commands stand before the command, as ilagent allows.
		all := append([]string{"-v", "-v", "-f", d.file, "daemon", "--http", "127.0.0.1:0", "--ilert_url", ilert, "--heartbeat_url", ilert}, args...)
		done <- run(ctx, all, env, io.Discard, d.log)
	}()
	d.stop = sync.OnceFunc(func() {
		cancel()
		assert.NoError(t, <-done)
	})
	t.Cleanup(d.stop)
	listening := regexp.MustCompile(`msg="listening for HTTP" address=(\S+)\n`)
	require.Eventually(t, func() bool {
		found := listening.FindStringSubmatch(d.log.String())
		if found != nil {
			d.base = "http://" + found[1]
		}
		return found != nil
	}, brokertest.Wait, time.Millisecond, "%s", d.log)
	require.Eventually(t, func() bool { code, _ := get(t, d.base+"/ready"); return code == http.StatusNoContent }, brokertest.Wait, 5*time.Millisecond)
	return d
}

// The table has the requests of ilagent 0.9 for each message. ilagent drops messages that it cannot
// understand; mps-ilert keeps these, with the reason.
func TestACommandLineOfIlagentMakesTheSameRequests(t *testing.T) {
	file, err := os.ReadFile("../testdata/ilagent.json")
	require.NoError(t, err)
	var cases []struct {
		Name    string
		Args    []string
		Topic   string
		Payload json.RawMessage
		Raw     string
		Path    string
		Body    json.RawMessage
		Dead    string
	}
	require.NoError(t, json.Unmarshal(file, &cases))
	require.NotEmpty(t, cases)
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			b := brokertest.Start(t, "")
			host, port, err := net.SplitHostPort(b.Addr())
			require.NoError(t, err)
			ilert, requests := ilertStandIn(t)
			d := startDaemon(t, environment(), ilert, append([]string{"-m", host, "-q", port, "-n", "ilagentsub"}, c.Args...)...)
			client := brokertest.Connect(t, b.Addr(), nil)
			payload := []byte(c.Raw)
			if c.Raw == "" {
				payload = c.Payload
			}
			for _, p := range [][]byte{payload, []byte(`{"apiKey": "k", "type": "ALARM", "summary": "the next one"}`)} {
				_, err := client.Publish(t.Context(), &paho.Publish{Topic: c.Topic, QoS: 1, Payload: p})
				require.NoError(t, err)
			}
			got := []request{receive(t, requests)}
			if c.Path != "" { // they may have different keys, which wait for each other no more than for others
				got = append(got, receive(t, requests))
			}
			d.stop()
			assert.Empty(t, requests)
			i := slices.IndexFunc(got, func(r request) bool { return strings.Contains(r.Body, "the next one") })
			require.GreaterOrEqual(t, i, 0)
			if c.Path != "" {
				assert.Equal(t, http.MethodPost+" "+c.Path, got[1-i].Method+" "+got[1-i].Path)
				assert.JSONEq(t, string(c.Body), got[1-i].Body)
			}
			assert.Equal(t, c.Dead != "", len(letters(t, d.file)) > 0)
			for _, reason := range letters(t, d.file) {
				assert.Contains(t, reason, c.Dead)
			}
		})
	}
}

// letters returns the reasons of the dead letters.
func letters(t *testing.T, file string) (reasons []string) {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	require.NoError(t, err)
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), `SELECT reason FROM dead_letter`)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var reason string
		require.NoError(t, rows.Scan(&reason))
		reasons = append(reasons, reason)
	}
	require.NoError(t, rows.Err())
	return reasons
}

func TestHeartbeatsArePassedOn(t *testing.T) {
	b := brokertest.Start(t, "")
	host, port, err := net.SplitHostPort(b.Addr())
	require.NoError(t, err)
	ilert, requests := ilertStandIn(t)
	d := startDaemon(t, environment("MPS_ILERT_HEARTBEAT", "il1hbt1"), ilert, "-m", host, "-q", port, "-e", "ilert/e", "-r", "ilert/h")
	assert.Equal(t, request{http.MethodGet, "/api/heartbeats/il1hbt1", ""}, receive(t, requests), "its own, once it is ready")

	client := brokertest.Connect(t, b.Addr(), nil)
	for _, payload := range []string{`{"apiKey":"of/another"}`, `{"apiKey":"of/another"}`, `junk`, `{"integrationKey":"third"}`} {
		_, err := client.Publish(t.Context(), &paho.Publish{Topic: "ilert/h", QoS: 1, Payload: []byte(payload)})
		require.NoError(t, err)
	}
	assert.Equal(t, request{http.MethodHead, "/api/pings/of%2Fanother", ""}, receive(t, requests))
	assert.Equal(t, request{http.MethodHead, "/api/pings/third", ""}, receive(t, requests), "one key is not pinged twice at once")
	expectAnswer(t, d.base+"/api/heartbeats/fourth", http.StatusAccepted, "{}")
	assert.Equal(t, request{http.MethodHead, "/api/pings/fourth", ""}, receive(t, requests))
	assert.Eventually(t, func() bool { return len(letters(t, d.file)) == 1 }, brokertest.Wait, 5*time.Millisecond)
	d.stop()
	assert.NotContains(t, d.log.String(), "il1hbt1")
	assert.NotContains(t, d.log.String(), "another")
}

func TestEventsAreTakenByHTTPWithoutABroker(t *testing.T) {
	ilert, requests := ilertStandIn(t)
	d := startDaemon(t, environment(), ilert)
	assert.Contains(t, d.log.String(), `msg="no MQTT broker is named: only what is posted to /api/events is taken" mend="set --mqtt_host or MPS_MQTT_ADDRESS"`)
	_, shown := get(t, d.base+"/status")
	assert.Contains(t, shown, `"topics":[]`, "nothing is listened to")
	status, answer := post(t, d.base+"/api/events", `{"apiKey":"`+secret+`","eventType":"ALERT","summary":"x","alertKey":"a"}`)
	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, `{"integrationKey":"`+secret+`","eventType":"ALERT","summary":"x","alertKey":"a"}`, answer)
	assert.Equal(t, request{http.MethodPost, "/api/events", answer}, receive(t, requests))
	for body, want := range map[string]string{
		`{"apiKey":"k","eventType":"BOOM","summary":"x"}`: "Unsupported value for field 'eventType'.",
		`{"eventType":"ALERT","summary":"x"}`:             "integrationKey is missing",
		`junk`:                                            "not the JSON of an event",
		`{"apiKey":"k","eventType":"ALERT","summary":5}`:  "summary: want a text, have a number",
		`["x"]`: "the body is not the JSON of an event: it is a list",
		"{\"apiKey\":\"k\",\"summary\":\"\xff\"}":                                               "not valid UTF-8",
		`{"apiKey":"k","eventType":"ALERT","summary":"x"} {"apiKey":"k","eventType":"RESOLVE"}`: "not the JSON of an event",
	} {
		status, answer := post(t, d.base+"/api/events", body)
		assert.Equal(t, http.StatusBadRequest, status, body)
		assert.Contains(t, answer, want)
	}
	status, answer = post(t, d.base+"/api/events", `{"summary":"`+strings.Repeat("x", 16_000)+`"}`)
	assert.Equal(t, http.StatusRequestEntityTooLarge, status)
	assert.Equal(t, `{"error":"the body is longer than 16000 bytes"}`, answer)
	code, body := get(t, d.base+"/")
	assert.Equal(t, http.StatusOK, code)
	assert.Regexp(t, `^mps-ilert/`, body)
	assert.NotContains(t, d.log.String(), secret)
	d.stop()
	assert.Empty(t, requests)
}

func TestHeartbeatsAloneNeedNoIntegrationKey(t *testing.T) {
	b := brokertest.Start(t, "")
	host, port, err := net.SplitHostPort(b.Addr())
	require.NoError(t, err)
	ilert, requests := ilertStandIn(t)
	startDaemon(t, environment(), ilert, "-m", host, "-q", port, "-r", "ilert/h")
	_, err = brokertest.Connect(t, b.Addr(), nil).Publish(t.Context(), &paho.Publish{Topic: "ilert/h", QoS: 1, Payload: []byte(`{"apiKey":"k"}`)})
	require.NoError(t, err)
	assert.Equal(t, "/api/pings/k", receive(t, requests).Path)
}

func TestABearerTokenIsAskedFor(t *testing.T) {
	ilert, requests := ilertStandIn(t)
	d := startDaemon(t, environment("MPS_ILERT_HTTP_TOKEN", secret), ilert)
	const event = `{"apiKey":"k","eventType":"ALERT","summary":"x"}`
	for _, header := range [][]string{nil, {"Authorization", "Bearer wrong"}, {"Authorization", secret}} {
		status, answer := post(t, d.base+"/api/events", event, header...)
		assert.Equal(t, http.StatusUnauthorized, status)
		assert.Equal(t, `{"error":"want the bearer token"}`, answer)
	}
	for _, path := range []string{"/api/heartbeats/k", "/status", "/metrics"} {
		code, _ := get(t, d.base+path)
		assert.Equal(t, http.StatusUnauthorized, code, path)
	}
	status, _ := post(t, d.base+"/api/events", event, "Authorization", "Bearer "+secret)
	assert.Equal(t, http.StatusOK, status)
	receive(t, requests)
	assert.NotContains(t, d.log.String(), secret)
}

func TestOneEventAndOneHeartbeat(t *testing.T) {
	ilert, requests := ilertStandIn(t)
	env := environment("ILERT_INTEGRATION_KEY", secret)
	var out, log bytes.Buffer
	require.NoError(t, run(t.Context(), []string{
		"event", "-v", "-v", "--ilert_url", ilert,
		"-k", "il1insada", "-t", "ALERT", "-s", "a summary from the shell", "-i", "bla123", "-o", "LOW", "-d", "some details on the alert",
		"-g", "https://a/b.png", "-l", "https://docs.ilert.com/alertsource-throttle",
	}, env, &out, &log))
	got := receive(t, requests)
	assert.Equal(t, "/api/events", got.Path)
	assert.JSONEq(t, `{"integrationKey":"il1insada","eventType":"ALERT","summary":"a summary from the shell","alertKey":"bla123","priority":"LOW",
		"details":"some details on the alert","images":[{"src":"https://a/b.png"}],"links":[{"href":"https://docs.ilert.com/alertsource-throttle"}]}`, got.Body)
	assert.Empty(t, log.String()+out.String(), "all is well")

	require.NoError(t, run(t.Context(), []string{"event", "--ilert_url", ilert, "-t", "RESOLVE", "-s", "x"}, env, io.Discard, io.Discard))
	assert.JSONEq(t, `{"integrationKey":"`+secret+`","eventType":"RESOLVE","summary":"x"}`, receive(t, requests).Body)
	require.NoError(t, run(t.Context(), []string{"heartbeat", "-k", "il1hbt123", "--ilert_url", ilert}, env, io.Discard, io.Discard))
	assert.Equal(t, "/api/heartbeats/il1hbt123", receive(t, requests).Path)

	for want, args := range map[string][]string{
		`--event_type "BOOM"`:    {"event", "-t", "BOOM", "-s", "x"},
		`--summary is required`:  {"event", "-t", "ALERT"},
		`--event_type is requir`: {"event", "-s", "x"},
		"connection refused":     {"event", "-t", "ALERT", "-s", "x", "--ilert_url", "http://127.0.0.1:1"},
		"--ilert_url: URL \"x\"": {"heartbeat", "--ilert_url", "x"},
		"connect: connection re": {"heartbeat", "--heartbeat_url", "http://127.0.0.1:1"},
	} {
		err := run(t.Context(), args, env, io.Discard, io.Discard)
		require.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), secret)
	}
	assert.ErrorContains(t, run(t.Context(), []string{"heartbeat"}, environment(), io.Discard, io.Discard), "no integration key")
}

func TestWhatIlagentCanAndWeCannotYetIsSaid(t *testing.T) {
	for _, flag := range append([]string{"edge_mode", "edge_http_url", "edge-http-method", "edge_anything"}, notSupported...) {
		err := run(t.Context(), []string{"daemon", "-m", "h", "-e", "t", "--" + flag, "x"}, environment(), io.Discard, io.Discard)
		assert.Regexp(t, "^--"+flag+".*: not supported: mps-ilert listens", err.Error())
		assert.Equal(t, 2, exitCode(err))
	}
}

// The first line of the log shows what a command line without --preset means.
func TestTheTopicTellsWhatTheMessagesAre(t *testing.T) {
	for preset, all := range map[string][][]string{
		"mps":     {nil, {"-e", "mps/events"}, {"-e", "rps/#"}, {"-e", "x", "--preset", "calls"}, {"-e", "x", "--config", "rules.yaml"}, {"-e", "$share/g/mps/events"}},
		"ilagent": {{"-e", "#"}, {"-e", "ilert/e"}, {"--map_key_summary", "x"}, {"-e", "mps/x", "--filter_key", "x"}, {"--preset", "ilagent"}, {"-e", "$share/g/ilert/e"}},
	} {
		for _, args := range all {
			f := &daemonFlags{globals: &globals{env: environment("ILERT_INTEGRATION_KEY", secret)}}
			cmd := &cobra.Command{}
			f.brokerFlags(cmd.Flags())
			f.mappingFlags(cmd.Flags())
			f.otherFlags(cmd.Flags())
			require.NoError(t, cmd.ParseFlags(append([]string{"-m", "h"}, args...)))
			config, err := f.config(cmd)
			require.NoError(t, err)
			assert.Equal(t, preset == "ilagent", config.Mapping != nil, args)
		}
	}
}
