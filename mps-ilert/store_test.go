package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
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

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
)

// storeOf runs mps-ilert store on a file and returns what it prints.
func storeOf(t *testing.T, file string, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), append([]string{"-f", file, "store"}, args...), environment(), &out, io.Discard), args)
	return out.String()
}

func TestDeadLettersAreLookedAtMendedAndPurged(t *testing.T) {
	b := brokertest.Start(t, "")
	host, port, err := net.SplitHostPort(b.Addr())
	require.NoError(t, err)
	ilert, requests := ilertStandIn(t)
	d := startDaemon(t, environment(), ilert, "-m", host, "-q", port, "-e", "t/#")
	client := brokertest.Connect(t, b.Addr(), nil)
	for topic, payload := range map[string]string{"t/1": `{"summary":"without a key"}`, "t/2": "junk \xff"} {
		_, err := client.Publish(t.Context(), &paho.Publish{Topic: topic, QoS: 1, Payload: []byte(payload)})
		require.NoError(t, err)
	}
	stats := func() map[string]map[string]int {
		var all struct{ Messages map[string]map[string]int }
		require.NoError(t, json.Unmarshal([]byte(storeOf(t, d.file, "stats", "--json")), &all))
		return all.Messages
	}
	require.Eventually(t, func() bool { return stats()["t/#"]["dead"] == 2 }, brokertest.Wait, 5*time.Millisecond, "while the daemon runs")
	assert.Regexp(t, `(?m)^t/#\s+2\s+0\s+0\s+0\s+0\s+2\s+0\s+0$`, storeOf(t, d.file, "stats"))

	var letter letterJSON
	require.NoError(t, json.Unmarshal([]byte(storeOf(t, d.file, "list", "--json", "--reason", "INTEGRATIONKEY")), &letter))
	assert.Equal(t, "t/1", letter.Topic)
	assert.Equal(t, `{"summary":"without a key"}`, letter.Payload)
	assert.WithinDuration(t, time.Now(), letter.DiedAt, time.Minute)
	assert.Equal(t, 2, strings.Count(storeOf(t, d.file, "list", "--filter", "t/#"), `"t/`))
	assert.Empty(t, storeOf(t, d.file, "list", "--json", "--older_than", "1h"))
	shown := storeOf(t, d.file, "show", "1", "2")
	assert.Contains(t, shown, `"junk \xff"`)
	assert.Contains(t, storeOf(t, d.file, "list", "--topic", "t/2", "--json"), `"payloadBase64"`)

	assert.Contains(t, storeOf(t, d.file, "purge", "--topic", "t/2"), "1 dead letters purged")
	assert.Equal(t, map[string]int{"received": 2, "ignored": 0, "merged": 0, "delivered": 0, "dead": 1, "duplicate": 0, "purged": 1, "pending": 0}, stats()["t/#"])

	d.stop()
	mended := startDaemonOn(t, d.file, environment(), ilert, "-m", host, "-q", port, "-e", "t/#", "--event_key", "k")
	assert.Contains(t, storeOf(t, d.file, "retry", "--all"), "1 dead letters will be decided anew")
	assert.Contains(t, receive(t, requests).Body, "without a key")
	require.Eventually(t, func() bool { return stats()["t/#"]["delivered"] == 1 }, brokertest.Wait, 5*time.Millisecond)
	assert.Equal(t, map[string]int{"received": 2, "ignored": 0, "merged": 0, "delivered": 1, "dead": 0, "duplicate": 0, "purged": 1, "pending": 0}, stats()["t/#"])
	mended.stop()
}

func TestWhatWaitsForAKeyThatIlertHasNeverTakenIsListedAndPurged(t *testing.T) {
	ilert := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	t.Cleanup(ilert.Close)
	d := startDaemon(t, environment(), ilert.URL)
	for range 3 {
		code, _ := post(t, d.base+"/api/events", `{"integrationKey":"il1api-b0gus","eventType":"ALERT","summary":"x"}`)
		require.Equal(t, http.StatusOK, code)
	}
	name := "message:" + fmt.Sprintf("%x", sha256.Sum256([]byte("il1api-b0gus")))[:8]
	require.Eventually(t, func() bool {
		_, body := get(t, d.base+"/status")
		return strings.Contains(body, `"failingKeys":[{"name":"`+name+`","unproven":true,"error":"ilert answered 403 Forbidden: check `)
	}, brokertest.Wait, 5*time.Millisecond)
	expectAnswer(t, d.base+"/ready", http.StatusNoContent, "")
	listed := storeOf(t, d.file, "list")
	assert.Regexp(t, `(?m)^`+name+` +waits +"/api/events" +\d +3 events wait since \d{4}-\S+ \S+: ilert has never taken this integration key$`, listed)
	var key keyJSON
	require.NoError(t, json.Unmarshal([]byte(storeOf(t, d.file, "list", "--json", name)), &key))
	assert.Equal(t, name, key.Key)
	assert.Equal(t, 3, key.Waiting)
	assert.True(t, key.Unproven)
	assert.NotContains(t, listed, "b0gus")
	assert.Empty(t, storeOf(t, d.file, "list", "--json", "message:00000000"))
	assert.Equal(t, "0 dead letters purged\n3 waiting events purged\n", storeOf(t, d.file, "purge", name))
	assert.Empty(t, storeOf(t, d.file, "list", "--json"))
	require.Eventually(t, func() bool { _, body := get(t, d.base+"/status"); return strings.Contains(body, `"failingKeys":[]`) }, brokertest.Wait, 5*time.Millisecond)
	d.stop()
	assert.NotContains(t, d.log.String(), "b0gus")
}

func TestAlertsAreListedBesideTheDaemon(t *testing.T) {
	t.Setenv("DOORS_KEY", secret)
	b := brokertest.Start(t, "")
	ilert, requests := ilertStandIn(t)
	rules := write(t, "rules.yaml", strings.Replace(doorRules, "raise:", "integration_key: {env: DOORS_KEY}\n    raise:", 1)+`
  - {name: fire, when: msg.fire == true, raise: {key: "fire {topic}", summary: fire, priority: HIGH}, ends: {age: 1h}}
  - {name: link, when: msg.link == false, raise: {key: "link {topic}", summary: link}, ends: {when: msg.link == true, after: 1h}}
`)
	file := filepath.Join(t.TempDir(), "x.db")
	d := startDaemonOn(t, file, environment("MPS_MQTT_ADDRESS", "mqtt://"+b.Addr(), "ILERT_INTEGRATION_KEY", secret), ilert, "--config", rules)
	client := brokertest.Connect(t, b.Addr(), nil)
	for topic, payload := range map[string]string{"door/1": `{"open":true,"fire":false}`, "door/2": `{"open":null,"fire":true}`} {
		_, err := client.Publish(t.Context(), &paho.Publish{Topic: topic, QoS: 1, Payload: []byte(payload)})
		require.NoError(t, err)
	}
	assert.Contains(t, receive(t, requests).Body, "fire door/2")
	for _, payload := range []string{`{"open":null,"fire":false,"link":false}`, `{"open":null,"fire":false,"link":true}`} {
		_, err := client.Publish(t.Context(), &paho.Publish{Topic: "door/3", QoS: 1, Payload: []byte(payload)})
		require.NoError(t, err)
	}
	var listed string
	require.Eventually(t, func() bool {
		listed = storeOf(t, d.file, "alerts")
		return strings.Contains(listed, "HIGH      open") && strings.Contains(listed, "door/1") && strings.Contains(listed, "held")
	}, brokertest.Wait, 5*time.Millisecond)
	assert.Regexp(t, `(?m)^"link door/3"\s+link\s+-\s+[a-z ]+, its end is held until \d{4}-\S+ \S+\s`, listed)
	var held alertJSON
	require.NoError(t, json.Unmarshal([]byte(storeOf(t, d.file, "alerts", "--json", "--rule", "link")), &held))
	assert.WithinDuration(t, time.Now().Add(time.Hour), held.EndHeldUntil, time.Minute)
	assert.Regexp(t, `(?m)^"fire door/2"\s+fire\s+HIGH\s+open\s+\d{4}-\S+ \S+\s+-\s+configured\s+-$`, listed)
	assert.Regexp(t, `(?m)^"door/1"\s+open\s+LOW\s+waits for its time until \d{4}-\S+ \S+\s+\d{4}-\S+ \S+\s+-\s+env:DOORS_KEY\s+-$`, listed)

	var alert alertJSON
	require.NoError(t, json.Unmarshal([]byte(storeOf(t, d.file, "alerts", "--json", "--rule", "open")), &alert))
	assert.Equal(t, "door/1", alert.Key)
	assert.Equal(t, alerting.StateDelayed, alert.State)
	assert.WithinDuration(t, time.Now().Add(5*time.Minute), alert.WaitingUntil, time.Minute)
	assert.Zero(t, alert.ToldAt)

	var out, told bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-f", d.file, "store", "alerts", "--json", "--limit", "1"}, environment(), &out, &told))
	assert.Equal(t, 1, strings.Count(out.String(), "\n"))
	assert.Equal(t, "there are more than these 1: --limit 0 lists all\n", told.String())
	assert.NotContains(t, listed+out.String(), secret)
	d.stop()
}

func TestMistakesAtTheStoreAreNamed(t *testing.T) {
	other := filepath.Join(t.TempDir(), "other.db")
	require.NoError(t, os.WriteFile(other, nil, 0o600))
	for want, args := range map[string][]string{
		"store: there is no file /nowhere/x.db": {"-f", "/nowhere/x.db", "store", "stats"},
		"it is no store of mps-ilert":           {"-f", other, "store", "list"},
		`"x" is no ID`:                          {"-f", other, "store", "show", "x"},
		"message:0 is an integration":           {"-f", other, "store", "retry", "message:0"},
		"which? Name IDs":                       {"-f", other, "store", "purge"},
		"--older_than \"x\": want":              {"-f", other, "store", "purge", "--older_than", "x"},
	} {
		assert.ErrorContains(t, run(t.Context(), args, environment(), io.Discard, io.Discard), want)
	}
}
