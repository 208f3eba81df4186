package main

import (
	"bytes"
	"errors"
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

// canaries are secrets, one of each kind. No output may contain any of them.
var canaries = map[string]string{
	"integration key": "canary-integration-key", "key of a rule": "canary-rule-key", "key in a message": "canary-message-key",
	"heartbeat key": "canary-heartbeat-key", "heartbeat key in a message": "canary-other-heartbeat",
	"password": "canary-mqtt-password", "token": "canary-http-token", "key in a file": "canary-key-in-a-file",
	"API key": "canary-api-key",
}

// sings fails if an output contains a secret.
func sings(t *testing.T, where, text string) {
	t.Helper()
	for name, secret := range canaries {
		assert.NotContains(t, text, secret, "%s: the %s", where, name)
	}
}

const canaryRules = `
topics: [mps/events, keyed/#]
rules:
  - name: keyed
    topics: keyed/rule
    integration_key: {env: CANARY_RULE_KEY}
    when: msg.fails
    raise: {key: k, summary: it fails}
    ends: {age: 1h}
`

// parrot starts an ilert that repeats the whole request in its answer.
func parrot(t *testing.T) *httptest.Server {
	t.Helper()
	statuses := []int{403, 500, 429, 400, 202}
	n := make(chan int, 1)
	n <- 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		i := <-n
		n <- i + 1
		w.WriteHeader(statuses[i%len(statuses)])
		_, _ = io.WriteString(w, r.URL.String()+" "+r.Header.Get("Authorization")+" "+string(body))
	}))
	t.Cleanup(server.Close)
	return server
}

func TestNoSecretIsEverSeen(t *testing.T) {
	t.Setenv("CANARY_RULE_KEY", canaries["key of a rule"])
	b, ilert := brokertest.Start(t, ""), parrot(t)
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	config, keyFile := file("rules.yaml", canaryRules), file("key", canaries["key in a file"])
	decisions := filepath.Join(dir, "decisions.jsonl")
	common := []string{
		"-vvv", "--decision_log", decisions, "-f", filepath.Join(dir, "x.db"), "--ilert_url", ilert.URL, "--heartbeat_url", ilert.URL,
		"-b", canaries["heartbeat key"], "--http_token", canaries["token"], "--mqtt_password", canaries["password"],
		"--ilert_api_key", canaries["API key"], "--ilert_poll", "1s",
	}
	host, port, _ := strings.Cut(b.Addr(), ":")
	for name, flags := range map[string][]string{
		"rules":   {"-m", host, "-q", port, "--config", config, "-r", "beat", "-e", "mps/events", "-e", "keyed/#", "-e", "beat", "--event_key", canaries["integration key"]},
		"mapping": {"-m", host, "-q", port, "-n", "mapping", "--preset", "ilagent", "-e", "keyed/#"},
		"dry run": {"-m", host, "-q", port, "--config", config, "--dry-run"},
	} {
		t.Run(name, func(t *testing.T) {
			d := start(t, b.Addr(), append(append([]string{}, common...), flags...)...)
			client := brokertest.Connect(t, b.Addr(), nil)
			for topic, payload := range map[string]string{
				"mps/events":  `{"type":"fail","message":"x","methods":["AMT_PowerState"],"guid":"1","timestamp":1}`,
				"keyed/rule":  `{"fails":true,"integrationKey":"` + canaries["key in a message"] + `"}`,
				"keyed/event": `{"integrationKey":"` + canaries["key in a message"] + `","summary":"s","alertKey":"a"}`,
				"keyed/bad":   `{"integrationKey":"` + canaries["key in a message"] + `","eventType":"NONSENSE"}`,
				"keyed/junk":  `"` + canaries["key in a message"] + ``,
				"beat":        `{"integrationKey":"` + canaries["heartbeat key in a message"] + `"}`,
			} {
				_, err := client.Publish(t.Context(), &paho.Publish{Topic: topic, QoS: 1, Payload: []byte(payload)})
				require.NoError(t, err)
			}
			auth := []string{"Authorization", "Bearer " + canaries["token"]}
			var seen bytes.Buffer
			for _, body := range []string{
				`{"integrationKey":"` + canaries["key in a message"] + `","eventType":"ALERT","summary":"s"}`,
				`{"integrationKey":"` + canaries["key in a message"] + `","eventType":"NONSENSE"}`,
				`"` + canaries["key in a message"],
			} {
				if _, answer := post(t, d.url+"/api/events", body, auth...); !strings.HasPrefix(answer, `{"integrationKey":`) { // which shows the caller his own event
					seen.WriteString(answer)
				}
			}
			for _, path := range []string{"/", "/health", "/ready", "/status", "/metrics", "/api/heartbeats/" + canaries["heartbeat key in a message"]} {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.url+path, nil)
				require.NoError(t, err)
				request.Header.Set(auth[0], auth[1])
				client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
				response, err := client.Do(request)
				require.NoError(t, err)
				_, err = io.Copy(&seen, response.Body)
				require.NoError(t, errors.Join(err, response.Body.Close()))
			}
			if name == "dry run" {
				require.Eventually(t, func() bool { return strings.Contains(d.log.String(), "ilert would be sent") }, brokertest.Wait, 5*time.Millisecond)
			} else {
				require.Eventually(t, func() bool {
					return strings.Contains(d.log.String(), "403") || strings.Contains(d.log.String(), "500")
				}, brokertest.Wait, 5*time.Millisecond)
			}
			d.cancel()
			require.NoError(t, <-d.done)
			sings(t, "the log", d.log.String())
			sings(t, "HTTP", seen.String())
			written, err := os.ReadFile(decisions)
			require.NoError(t, err)
			assert.Contains(t, string(written), `"what":"told"`)
			sings(t, "the decision log", string(written))
		})
	}

	env := environment(
		"ILERT_INTEGRATION_KEY_FILE", keyFile, "MPS_MQTT_ADDRESS", "mqtt://u:"+canaries["password"]+"@127.0.0.1:1",
		"MPS_ILERT_HEARTBEAT", canaries["heartbeat key"], "MPS_ILERT_HTTP_TOKEN", canaries["token"],
	)
	bad := file("bad.yaml", "settings: {mqtt_password: "+canaries["password"]+", mqtt_port: x, event_key: "+canaries["integration key"]+"}\n"+canaryRules)
	keyInFile := file("key.yaml", strings.Replace(canaryRules, "{env: CANARY_RULE_KEY}", canaries["key of a rule"], 1))
	for _, args := range [][]string{
		{"--help"},
		{"daemon", "--help"},
		{"event", "--help"},
		{"version"},
		{"event", "-k", canaries["integration key"], "-t", "ALERT", "-s", "s", "--ilert_url", ilert.URL},
		{"event", "-t", "ALERT", "-s", "s", "--ilert_url", ilert.URL},
		{"event", "-t", "ALERT", "-s", "s", "--ilert_url", "http://127.0.0.1:1"},
		{"heartbeat", "-k", canaries["heartbeat key"], "--heartbeat_url", ilert.URL},
		{"heartbeat", "-k", canaries["heartbeat key"], "--heartbeat_url", "http://127.0.0.1:1"},
		{"daemon", "--config", bad},
		{"check", "--config", bad},
		{"check", "--config", keyInFile},
		{"daemon", "--config", keyInFile, "-f", filepath.Join(dir, "y.db")},
		{"daemon", "-m", "u:" + canaries["password"] + "@h"},
		{"daemon", "--mqtt_qos", "7"},
		{"daemon", "--ilert_api_key", canaries["API key"] + " "},
		{"check", "--config", config},
	} {
		var out, log bytes.Buffer
		err := run(t.Context(), args, env, &out, &log)
		sings(t, strings.Join(args[:1], " "), out.String()+log.String())
		if err != nil {
			sings(t, "an error of "+strings.Join(args[:1], " "), err.Error())
		}
	}
}
