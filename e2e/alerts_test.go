package e2e

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An alert is an entry in the list of the stand-in for ilert, or in testdata.
type alert struct {
	AlertKey string `json:"alertKey"`
	Status   string `json:"status"`
}

// The test sends the events that MPS itself published through Mosquitto to mps-ilert, which it
// kills twice. In the end ilert has the alerts that a person has worked out.
func TestIlertEndsWithTheTruthThoughTheConsumerIsKilled(t *testing.T) {
	t.Parallel()
	broker := startMosquitto(t)
	sim := startSimulator(t, broker, "--consumer=false", "--rate=0")
	store := filepath.Join(t.TempDir(), "mps-ilert.db")
	health := "127.0.0.1:" + strconv.Itoa(freePort(t))
	startConsumer := func() *command {
		_, port, err := net.SplitHostPort(health)
		require.NoError(t, err)
		return startCommand(t, "mps-ilert", []string{"ILERT_INTEGRATION_KEY=stand-in"},
			"daemon", "-m", "127.0.0.1", "-q", broker.Port(), "-n", "mps-ilert", "-e", "mps/events", "--preset", "calls",
			"-f", store, "-p", port, "--ilert_url", sim.url)
	}
	consumer := startConsumer()
	consumer.AwaitHTTP("http://"+health+"/ready", http.StatusNoContent)

	publisher := connect(t, broker.HostPort(), "mps")
	all := captured(t)
	publish := func(from, to int) {
		for _, m := range all[from:to] {
			publisher.Publish(m.Topic, []byte(m.Payload))
		}
	}
	publish(0, 25) // up to the last failure of AMT_AddAlarm, which succeeds later
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		assert.Equal(c, map[string]string{"4c4c4544-004b-4210-8033-b6c04f504633/AMT_AddAlarm": "PENDING"}, newest(sim.alerts(c)))
	}, patience, 20*time.Millisecond)

	publish(25, 60)
	consumer.Kill()
	publish(60, 80)
	consumer = startConsumer()
	publish(80, 120)
	consumer.Kill()
	publish(120, len(all))
	consumer = startConsumer()

	file, err := os.ReadFile("../testdata/expected-alerts.json")
	require.NoError(t, err)
	var expected []alert
	require.NoError(t, json.Unmarshal(file, &expected))
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		assert.Equal(c, newest(expected), newest(sim.alerts(c)))
	}, patience, 20*time.Millisecond)
	consumer.Interrupt()
}

// newest returns the status of the last alert of each key.
func newest(alerts []alert) map[string]string {
	status := map[string]string{}
	for _, a := range alerts {
		status[a.AlertKey] = a.Status
	}
	return status
}

// A call of the simulated MPS arrives at Mosquitto in MPS's bytes.
func TestARestCallIsSeenOnMosquitto(t *testing.T) {
	t.Parallel()
	broker := startMosquitto(t)
	subscriber := connect(t, broker.HostPort(), "subscriber")
	subscriber.Subscribe("mps/events")
	sim := startSimulator(t, broker, "--rate=0")
	var devices []struct{ GUID string }
	getJSON(t, sim.url+"/api/v1/devices", &devices)
	require.NotEmpty(t, devices)
	getJSON(t, sim.url+"/api/v1/amt/power/state/"+devices[0].GUID, new(any))

	// Two servers may have answered, each on a connection of its own: only the events of a call are in order.
	arrived := map[string][]string{} // by method
	for range 4 {
		payload := subscriber.Next().Payload
		var e struct{ Methods []string }
		require.NoError(t, json.Unmarshal(payload, &e))
		require.Len(t, e.Methods, 1)
		arrived[e.Methods[0]] = append(arrived[e.Methods[0]], string(payload))
	}
	const head, tail = `{"type":"`, `,"timestamp":`
	for method, events := range map[string][]string{
		"getAllDevices": {
			`request","message":"Devices requested","methods":["getAllDevices"]`,
			`success","message":"Devices received","methods":["getAllDevices"]`,
		},
		"AMT_PowerState": {
			`request","message":"Power State requested","methods":["AMT_PowerState"],"guid":"` + devices[0].GUID + `"`,
			`success","message":"Power State received","methods":["AMT_PowerState"],"guid":"` + devices[0].GUID + `"`,
		},
	} {
		require.Len(t, arrived[method], len(events))
		for i, want := range events {
			assert.Regexp(t, "^"+quoteMeta(head+want+tail)+"[0-9]{13}}$", arrived[method][i])
		}
	}
	sim.Interrupt()
}
