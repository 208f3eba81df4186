package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eclipse/paho.golang/paho"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/internal/ilertsim"
)

// An administrator asks whether what ilert shows is true, and how the daemon knows.
func TestStatusSaysWhetherWhatIlertShowsIsTrue(t *testing.T) {
	sim := ilertsim.New(ilertsim.Config{
		Sources: []ilertsim.Source{{Name: "Devices", IntegrationKey: secret}}, APIKeys: map[string]bool{"user-key": true}, ListLimit: 1 << 20,
	})
	server := httptest.NewServer(sim)
	defer server.Close()
	b := brokertest.Start(t, "")
	keyFile := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(keyFile, []byte("user-key\n"), 0o600))
	env := environment("MPS_MQTT_ADDRESS", "mqtt://"+b.Addr(), "ILERT_INTEGRATION_KEY", secret, "ILERT_API_KEY_FILE", keyFile)
	d := startDaemonOn(t, filepath.Join(t.TempDir(), "x.db"), env, server.URL, "--preset", "calls", "--ilert_poll", "1s", "--repeat", "30m")
	w := watched{daemon: d}
	status := func() (s statusAnswer) {
		require.NoError(t, json.Unmarshal([]byte(w.read(t, "/status")), &s))
		return s
	}
	until := func(what string, is func(s statusAnswer) bool) {
		t.Helper()
		require.Eventually(t, func() bool { return is(status()) }, brokertest.Wait, brokertest.Wait/1000, what)
	}
	until("true", func(s statusAnswer) bool { return s.Ilert.True == "yes" })
	sim.SetState(ilertsim.Maintenance)
	client := brokertest.Connect(t, b.Addr(), nil)
	_, err := client.Publish(t.Context(), &paho.Publish{Topic: "mps/events", QoS: 1, Payload: []byte(`{"type":"fail","message":"x","methods":["AMT_PowerState"],"guid":"1","timestamp":1}`)})
	require.NoError(t, err)
	until("in maintenance", func(s statusAnswer) bool { return s.Ilert.True == "no" && s.Ilert.Desired == 1 })
	s := status().Ilert
	assert.Contains(t, s.Why, "nobody will be paged")
	assert.True(t, s.NextLook.After(s.LookedAt))
	require.Len(t, s.Sources, 1)
	assert.Equal(t, "Devices", s.Sources[0].Name)
	m := samples(t, w.read(t, "/metrics"))
	assert.Zero(t, m["mps_ilert_ilert_true"])
	assert.Zero(t, m[`mps_ilert_source_well{source="configured"}`])
	assert.InDelta(t, 1, m[`mps_ilert_source_alerts{source="configured",state="desired"}`], 0)
	assert.Positive(t, m["mps_ilert_looked_timestamp_seconds"])
	for _, kind := range []string{"told_again", "resolved", "accepted", "repeated"} {
		assert.Contains(t, m, `mps_ilert_repairs_total{kind="`+kind+`"}`)
	}
	assert.NotContains(t, d.log.String()+w.read(t, "/status"), "user-key")
}

func TestFlagsOfLooksAreChecked(t *testing.T) {
	for want, args := range map[string][]string{
		"--ilert_poll 0s: want a second at least":    {"--ilert_poll", "0s"},
		"--ilert_poll 10ms: want a second at least":  {"--ilert_poll", "10ms"},
		"--repeat -1h0m0s: want 0, or a second":      {"--repeat", "-1h"},
		"--repeat 1ms: want 0, or a second at least": {"--repeat", "1ms"},
		"--repeat \"soon\": want a duration such as": {"--repeat", "soon"},
		"--ilert_api_key: a key holds no blanks":     {"--ilert_api_key", "a b"},
	} {
		err := run(t.Context(), append([]string{"daemon", "-m", "localhost"}, args...), environment("ILERT_INTEGRATION_KEY", secret), io.Discard, new(bytes.Buffer))
		require.Error(t, err)
		assert.True(t, strings.HasPrefix(err.Error(), want), "%v", err)
	}
}
