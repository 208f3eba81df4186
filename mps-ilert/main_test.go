package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
)

// A test may start this binary as the command itself.
func TestMain(m *testing.M) {
	if os.Getenv("TEST_AS_COMMAND") != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

const secret = "il1api-s3cret"

// buffer is a log that is read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func environment(pairs ...string) func(string) string {
	values := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		values[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return values[name] }
}

// running is a daemon that is ready.
type running struct {
	url    string
	log    *buffer
	cancel context.CancelFunc
	done   <-chan error
}

// start runs the daemon with HTTP on a free port until the test ends or cancels it.
func start(t *testing.T, broker string, flags ...string) running {
	t.Helper()
	return startAt(t, "mqtt://u:p4ss@"+broker, flags...)
}

// startAt does the same with the address of a broker.
func startAt(t *testing.T, address string, flags ...string) running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	var log buffer
	done := make(chan error, 1)
	env := environment("ILERT_INTEGRATION_KEY", secret, "MPS_MQTT_ADDRESS", address)
	go func() { done <- run(ctx, append([]string{"daemon", "-p", "0"}, flags...), env, io.Discard, &log) }()
	var url string
	require.Eventually(t, func() bool {
		_, after, found := strings.Cut(log.String(), `msg="listening for HTTP" address=[::]:`)
		port, _, whole := strings.Cut(after, "\n")
		url = "http://127.0.0.1:" + port
		return found && whole
	}, brokertest.Wait, 5*time.Millisecond)
	require.Eventually(t, func() bool { return status(t, url+"/ready") == http.StatusNoContent }, brokertest.Wait, 5*time.Millisecond)
	return running{url, &log, cancel, done}
}

func TestDaemonFromEventToIlert(t *testing.T) {
	b := brokertest.Start(t, "")
	host, port, err := net.SplitHostPort(b.Addr())
	require.NoError(t, err)
	told := make(chan map[string]any, 10)
	ilert := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isProbe(r) {
			return
		}
		var e map[string]any
		assert.NoError(t, json.NewDecoder(r.Body).Decode(&e))
		told <- e
		w.WriteHeader(http.StatusAccepted)
	}))
	defer ilert.Close()

	for name, flags := range map[string][]string{
		"short flags": {"-m", host, "-q", port, "-n", "a", "-e", "mps/#", "-f", filepath.Join(t.TempDir(), "a.db"), "-v", "--preset", "calls"},
		"long flags":  {"--mqtt_host=" + host, "--mqtt_port=" + port, "--mqtt_name=b", "--event_topic=mps/events", "--file=" + filepath.Join(t.TempDir(), "b.db"), "--mqtt_qos=0", "--preset=calls"},
		"environment": {"-n", "c", "-f", filepath.Join(t.TempDir(), "c.db"), "--preset", "calls"},
	} {
		t.Run(name, func(t *testing.T) {
			d := start(t, b.Addr(), append(flags, "--ilert_url", ilert.URL)...)
			assert.Equal(t, http.StatusNoContent, status(t, d.url+"/health"))
			assert.Equal(t, http.StatusOK, status(t, d.url+"/"))
			assert.Equal(t, http.StatusNotFound, status(t, d.url+"/nowhere"))

			fail(t, b.Addr())
			alert := <-told
			assert.Regexp(t, `^Since 20\d\d-\d\d-\d\d \d\d:\d\d UTC, by mps/events\.$`, alert["details"])
			delete(alert, "details")
			links := []any{map[string]any{
				"href": "https://github.com/mps-events/mps-events/blob/main/docs/presets.md#call-failed", "text": "What it means and what to look at first",
			}}
			assert.Equal(t, map[string]any{
				"integrationKey": secret, "eventType": "ALERT", "alertKey": "123/AMT_PowerState", "priority": "LOW",
				"summary": "AMT_PowerState failed on 123: Power State request failed", "links": links,
			}, alert)
			publish(t, b.Addr(), event.Event{Type: event.Success, Message: "Power State received", Methods: []string{"AMT_PowerState"}, GUID: "123"})
			over := <-told
			assert.Equal(t, "RESOLVE", over["eventType"])
			assert.Equal(t, "AMT_PowerState failed on 123: Power State request failed: over after less than a minute", over["summary"])
			assert.Regexp(t, `^From 20.* UTC to 20.* UTC\. A message has ended it\.$`, over["details"])
			d.cancel()
			require.NoError(t, <-d.done)
			assert.NotContains(t, d.log.String(), secret)
			assert.NotContains(t, d.log.String(), "p4ss")
		})
	}
}

// fail publishes the event of a failed call.
func fail(t *testing.T, broker string) {
	t.Helper()
	publish(t, broker, event.Event{Type: event.Fail, Message: "Power State request failed", Methods: []string{"AMT_PowerState"}, GUID: "123"})
}

// publish publishes an event.
func publish(t *testing.T, broker string, e event.Event) {
	t.Helper()
	_, err := brokertest.Connect(t, broker, nil).Publish(t.Context(), &paho.Publish{Topic: "mps/events", QoS: 1, Payload: e.AppendJSON(nil)})
	require.NoError(t, err)
}

func TestHealthSaysThatTheDaemonStopsUntilItHas(t *testing.T) {
	b := brokertest.Start(t, "")
	asked, answered := make(chan struct{}), make(chan struct{})
	ilert := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if isProbe(r) {
			return
		}
		close(asked)
		<-answered
	}))
	defer ilert.Close()
	answer := sync.OnceFunc(func() { close(answered) })
	defer answer()
	d := start(t, b.Addr(), "--preset", "calls", "-f", filepath.Join(t.TempDir(), "x.db"), "--ilert_url", ilert.URL)
	fail(t, b.Addr())
	<-asked
	d.cancel() // the request to ilert is waited for
	expectAnswer(t, d.url+"/health", http.StatusServiceUnavailable, `{"error":"stopping"}`)
	expectAnswer(t, d.url+"/ready", http.StatusServiceUnavailable, `{"error":"stopping"}`)
	answer()
	require.NoError(t, <-d.done)
	_, err := http.Get(d.url + "/health") //nolint:bodyclose // there is none
	assert.ErrorContains(t, err, "connection refused")
}

func status(t *testing.T, url string) int {
	t.Helper()
	code, _ := get(t, url)
	return code
}

func get(t *testing.T, url string, header ...string) (code int, body string) {
	t.Helper()
	return ask(t, http.MethodGet, url, http.NoBody, header...)
}

func ask(t *testing.T, method, url string, asked io.Reader, header ...string) (code int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, asked)
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, strings.TrimSpace(string(read))
}

func expectAnswer(t *testing.T, url string, code int, body string) {
	t.Helper()
	gotCode, gotBody := get(t, url)
	assert.Equal(t, code, gotCode, url)
	assert.Equal(t, body, gotBody, url)
}

func post(t *testing.T, url, body string, header ...string) (int, string) {
	t.Helper()
	return ask(t, http.MethodPost, url, strings.NewReader(body), header...)
}

func TestMistakesAreNamed(t *testing.T) {
	taken, err := net.Listen("tcp", ":0")
	require.NoError(t, err)
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "x.db")
	key := environment("ILERT_INTEGRATION_KEY", secret)
	for want, c := range map[string]struct {
		env  func(string) string
		args []string
	}{
		"set ILERT_INTEGRATION_KEY or --event_key":       {environment(), []string{"-m", "h"}},
		"nothing to do: set --mqtt_host, MPS_MQTT_A":     {key, nil},
		"set --mqtt_host, MPS_MQTT_ADDRESS or --port":    {key, []string{"-b", "il1hbt1"}},
		"--preset needs a broker: set --mqtt_host or ":   {key, []string{"-p", "0", "--preset", "mps"}},
		"--event_topic needs a broker: set --mqtt_hos":   {key, []string{"-p", "0", "-e", "t"}},
		"--heartbeat_topic needs a broker: set --mqtt":   {key, []string{"-p", "0", "-r", "t"}},
		"--filter_key needs a broker: set --mqtt_host":   {key, []string{"-p", "0", "--filter_key", "t"}},
		"--mqtt_port goes with --mqtt_host":              {key, []string{"-q", "1"}},
		"--mqtt_host: want a host alone":                 {key, []string{"-m", "u:" + secret + "@h:1"}},
		"--mqtt_qos 3: want 0, 1 or 2":                   {key, []string{"-m", "h", "--mqtt_qos", "3"}},
		"--mqtt_port \"x\": want a number from 0 to 6":   {key, []string{"-m", "h", "-q", "x"}},
		"--port \"99999\": want a number from 0 to 65":   {key, []string{"-m", "h", "--port", "99999"}},
		"--max_skew \"x\": want a duration such as":      {key, []string{"-m", "h", "--max_skew", "x"}},
		"unknown flag: --nonsense":                       {key, []string{"--nonsense"}},
		"1 argument belongs to no flag":                  {key, []string{"extra"}},
		"there is no preset \"x\"":                       {key, []string{"-m", "h", "-f", file, "--preset", "x"}},
		"--map_key_summary goes with --preset il":        {key, []string{"-m", "h", "-f", file, "--preset", "calls", "--map_key_summary", "x"}},
		"--max_dead_letters 0: want a number above":      {key, []string{"-m", "h", "--max_dead_letters", "0"}},
		"--max_dead_letters \"x\": want a number from":   {key, []string{"-m", "h", "--max_dead_letters", "x"}},
		"--max_dead_letter_mib 0: want a number abo":     {key, []string{"-m", "h", "--max_dead_letter_mib", "0"}},
		"--max_dead_letter_age 0s: want a positive":      {key, []string{"-m", "h", "--max_dead_letter_age", "0s"}},
		"--max_connections 0: want a number above z":     {key, []string{"-m", "h", "--max_connections", "0"}},
		"--decision_log: open /nowhere/x: no such":       {key, []string{"-m", "h", "-f", file, "--decision_log", "/nowhere/x"}},
		"--decision_log_size 99kB: want at least 1":      {key, []string{"-m", "h", "--decision_log_size", "99kB"}},
		"--decision_log_size \"7\": want a whole numb":   {key, []string{"-m", "h", "--decision_log_size", "7"}},
		"--decision_log_keep \"x\": want a number fro":   {key, []string{"-m", "h", "--decision_log_keep", "x"}},
		"--max_skew 0s: want a positive duration":        {key, []string{"-m", "h", "--max_skew", "0s"}},
		"--mqtt_name: want a client id":                  {key, []string{"-m", "h", "-n", ""}},
		"--http and --port: want one":                    {key, []string{"-m", "h", "-p", "0", "--http", "127.0.0.1:0"}},
		"--http \"x\": want a host and a port":           {key, []string{"-m", "h", "--http", "x"}},
		"MPS_ILERT_MQTT_PORT \"x\": want a":              {environment("MPS_ILERT_MQTT_PORT", "x"), []string{"-m", "h"}},
		"MPS_ILERT_EVENT_KEY and MPS_ILERT_EVENT_KE":     {environment("MPS_ILERT_EVENT_KEY", secret, "MPS_ILERT_EVENT_KEY_FILE", "x"), nil},
		"--port " + port + ": listen":                    {key, []string{"-m", "h", "-f", file, "-p", port}},
		"MPS_MQTT_PASSWORD_FILE: open /nowhere":          {environment("ILERT_INTEGRATION_KEY", secret, "MPS_MQTT_PASSWORD_FILE", "/nowhere"), nil},
		"store: /nowhere/x.db":                           {key, []string{"-m", "h", "-f", "/nowhere/x.db"}},
		"--mqtt_port: \"mqtt://h:0\" has the port \"0\"": {key, []string{"-m", "h", "-q", "0", "-f", file}},
	} {
		err := run(t.Context(), append([]string{"daemon"}, c.args...), c.env, io.Discard, io.Discard)
		require.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), secret)
	}
}

func TestHelpNamesEveryFlag(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"daemon", "--help"}, environment(), &out, io.Discard))
	for _, flag := range []string{
		"-m, --mqtt_host", "-q, --mqtt_port", "-n, --mqtt_name", "-e, --event_topic", "-p, --port",
		"-f, --file", "--event_key", "--mqtt_qos", "-v, --verbose", "--ilert_url", "--preset", "ILERT_INTEGRATION_KEY",
		"--max_skew", "--max_dead_letters", "--max_dead_letter_mib", "--max_dead_letter_age", "--max_connections", "--decision_log ", "--decision_log_size size", "--decision_log_keep", "/metrics and /status too",
	} {
		assert.Contains(t, out.String(), flag)
	}
}

func helpOf(t *testing.T, command ...string) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), append(command, "--help"), environment(), &out, io.Discard))
	return out.String()
}

func TestHelpNamesFirstWhatMostNeedAndNothingThatDoesNothing(t *testing.T) {
	daemon, last := helpOf(t, "daemon"), -1
	for _, flag := range []string{
		"--config", "--preset", "--option", "--dry_run", "--rate", "-m, --mqtt_host", "-e, --event_topic",
		"-p, --port", "-b, --heartbeat", "--map_key_etype", "--mqtt_buffer", "-f, --file", "-v, --verbose",
	} {
		at := strings.Index(daemon, "  "+flag+" ")
		assert.Greater(t, at, last, flag)
		last = at
	}
	for command, want := range map[string][2]bool{
		"": {true, true}, "daemon": {true, true}, "store": {true, false}, "store alerts": {true, false}, "check": {false, true},
		"event": {}, "heartbeat": {}, "rules": {}, "rules print": {}, "version": {},
	} {
		help := helpOf(t, strings.Fields(command)...)
		assert.Equal(t, want[0], strings.Contains(help, "--file"), "--file of %q", command)
		assert.Equal(t, want[1], strings.Contains(help, "--verbose"), "--verbose of %q", command)
	}
	assert.Contains(t, helpOf(t, "check"), "mosquitto_sub -V 5 -h localhost -t 'mps/#' -F %j\n")
}

func TestAShellCompletesWhatFlagsTake(t *testing.T) {
	rules := write(t, "rules.yaml", "options: {name: door}\ninclude: [mps]\n"+doorRules)
	for line, want := range map[string]string{
		"daemon --preset ": "mps rps calls ilagent",
		"check --preset ":  "mps rps calls",
		"event -t ":        "ALERT ACCEPT RESOLVE COMMENT",
		"event -o ":        "HIGH LOW",
		"daemon --config ": "yaml yml",
		"rules print ":     "mps rps calls",
		"check --config " + rules + " --option na": "critical= device_calls= name=",
	} {
		var out bytes.Buffer
		args := append([]string{"__complete"}, strings.Split(line, " ")...)
		require.NoError(t, run(t.Context(), args, environment(), &out, io.Discard), line)
		completions, _, _ := strings.Cut(out.String(), ":")
		got := strings.Join(strings.Fields(completions), " ")
		if strings.Contains(line, "--option") {
			for name := range strings.FieldsSeq(want) {
				assert.Contains(t, got, name, line)
			}
			continue
		}
		assert.Equal(t, want, got, line)
	}
}

// startProcess runs the daemon as a process of its own, which is subscribed when it
// returns, until the test ends it.
func startProcess(t *testing.T, broker string, flags ...string) (*exec.Cmd, *buffer) {
	t.Helper()
	command := exec.Command(os.Args[0], append([]string{"daemon", "-f", filepath.Join(t.TempDir(), "x.db")}, flags...)...)
	command.Env = []string{"TEST_AS_COMMAND=1", "MPS_MQTT_ADDRESS=mqtt://" + broker, "ILERT_INTEGRATION_KEY=k"}
	log := new(buffer)
	command.Stderr = log
	require.NoError(t, command.Start())
	t.Cleanup(func() { _ = command.Process.Kill() }) // it has ended, unless the test has failed
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "msg=subscribed") }, brokertest.Wait, 5*time.Millisecond)
	return command, log
}

// The first signal stops the command, which waits a few seconds for an ilert that
// hangs; whoever does not want to wait sends another.
func TestASecondSignalKills(t *testing.T) {
	b := brokertest.Start(t, "")
	asked := make(chan struct{}, 1)
	ilert := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if isProbe(r) {
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		asked <- struct{}{}
		<-r.Context().Done() // until its client is gone
	}))
	defer ilert.Close()
	command, _ := startProcess(t, b.Addr(), "--preset", "calls", "--ilert_url", ilert.URL)
	fail(t, b.Addr())
	<-asked

	done := make(chan error, 1)
	go func() { done <- command.Wait() }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			assert.EqualError(t, err, "signal: terminated")
			return
		case <-tick.C:
			_ = command.Process.Signal(syscall.SIGTERM) // it may have ended just now
		}
	}
}
