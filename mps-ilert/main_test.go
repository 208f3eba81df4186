package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

func TestDaemonFromEventToIlert(t *testing.T) {
	b := brokertest.Start(t, "")
	host, port, err := net.SplitHostPort(b.Addr())
	require.NoError(t, err)
	told := make(chan map[string]any, 10)
	ilert := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var e map[string]any
		assert.NoError(t, json.NewDecoder(r.Body).Decode(&e))
		told <- e
		w.WriteHeader(http.StatusAccepted)
	}))
	defer ilert.Close()

	for name, flags := range map[string][]string{
		"short flags": {"-m", host, "-q", port, "-n", "a", "-e", "mps/#", "-f", filepath.Join(t.TempDir(), "a.db"), "-v"},
		"long flags":  {"--mqtt_host=" + host, "--mqtt_port=" + port, "--mqtt_name=b", "--event_topic=mps/events", "--file=" + filepath.Join(t.TempDir(), "b.db"), "--mqtt_qos=0", "--preset=calls"},
		"environment": {"-n", "c", "-f", filepath.Join(t.TempDir(), "c.db")},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var log buffer
			done := make(chan error, 1)
			env := environment("ILERT_INTEGRATION_KEY", secret, "MPS_MQTT_ADDRESS", "mqtt://u:p4ss@"+b.Addr())
			go func() {
				args := append([]string{"daemon", "--ilert_url", ilert.URL, "-p", "0"}, flags...)
				done <- run(ctx, args, env, io.Discard, &log)
			}()
			var base string
			require.Eventually(t, func() bool {
				_, after, found := strings.Cut(log.String(), `msg="listening for HTTP" address=[::]:`)
				port, _, whole := strings.Cut(after, "\n")
				base = "http://127.0.0.1:" + port
				return found && whole
			}, brokertest.Wait, 5*time.Millisecond)
			require.Eventually(t, func() bool { return status(t, base+"/ready") == http.StatusNoContent }, brokertest.Wait, 5*time.Millisecond)
			assert.Equal(t, http.StatusNoContent, status(t, base+"/health"))
			assert.Equal(t, http.StatusOK, status(t, base+"/"))
			assert.Equal(t, http.StatusNotFound, status(t, base+"/nowhere"))

			failed := event.Event{Type: event.Fail, Message: "Power State request failed", Methods: []string{"AMT_PowerState"}, GUID: "123"}
			_, err := brokertest.Connect(t, b.Addr(), nil).Publish(ctx, &paho.Publish{Topic: "mps/events", QoS: 1, Payload: failed.AppendJSON(nil)})
			require.NoError(t, err)
			assert.Equal(t, map[string]any{
				"integrationKey": secret, "eventType": "ALERT", "alertKey": "123/AMT_PowerState", "priority": "LOW",
				"summary": "AMT_PowerState failed on 123: Power State request failed",
			}, <-told)
			cancel()
			require.NoError(t, <-done)
			assert.NotContains(t, log.String(), secret)
			assert.NotContains(t, log.String(), "p4ss")
		})
	}
}

func status(t *testing.T, url string) int {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	require.NoError(t, err)
	defer response.Body.Close()
	return response.StatusCode
}

func TestReadySaysWhatIsInTheWay(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- serveHTTP(ctx, listener, blind{}) }()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + listener.Addr().String() + "/ready")
	require.NoError(t, err)
	defer response.Body.Close()
	assert.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	assert.JSONEq(t, `{"error":"subscription: not connected to the broker"}`, string(body))
	cancel()
	require.NoError(t, <-done)
}

// blind is a worker whose broker is away.
type blind struct{}

func (blind) Ready() error { return errors.New("subscription: not connected to the broker") }

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
		"set ILERT_INTEGRATION_KEY or --event_key":   {environment(), []string{"-m", "h"}},
		"set --mqtt_host or MPS_MQTT_ADDRESS":        {key, nil},
		"--mqtt_port goes with --mqtt_host":          {key, []string{"-q", "1"}},
		"--mqtt_host: want a host alone":             {key, []string{"-m", "u:" + secret + "@h:1"}},
		"--mqtt_qos 2: want 0 or 1":                  {key, []string{"-m", "h", "--mqtt_qos", "2"}},
		"invalid argument \"x\" for \"-q, --mqtt_p":  {key, []string{"-m", "h", "-q", "x"}},
		"unknown flag: --nonsense":                   {key, []string{"--nonsense"}},
		"unknown command \"extra\"":                  {key, []string{"extra"}},
		"unknown preset \"x\": want calls":           {key, []string{"-m", "h", "-f", file, "--preset", "x"}},
		"--port " + port + ": listen":                {key, []string{"-m", "h", "-f", file, "-p", port}},
		"MPS_MQTT_PASSWORD_FILE: open /nowhere":      {environment("ILERT_INTEGRATION_KEY", secret, "MPS_MQTT_PASSWORD_FILE", "/nowhere"), nil},
		"store: /nowhere/x.db":                       {key, []string{"-m", "h", "-f", "/nowhere/x.db"}},
		"Address: \"mqtt://h:0\" has the port \"0\"": {key, []string{"-m", "h", "-q", "0", "-f", file}},
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
	} {
		assert.Contains(t, out.String(), flag)
	}
}
