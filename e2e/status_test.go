package e2e

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// statusDelay is the time after which the broker publishes that a server has gone away.
const statusDelay = 30 * time.Second

// A status is the payload on mps/status/{client id} without its timestamp.
type status struct {
	Status  string `json:"status"`
	Planned bool   `json:"planned"`
}

var (
	online         = status{Status: "online"}
	plannedOffline = status{Status: "offline", Planned: true}
	goneAway       = status{Status: "offline"}
)

func statusOf(t *testing.T, m *paho.Publish) status {
	t.Helper()
	var s status
	require.NoError(t, json.Unmarshal(m.Payload, &s))
	return s
}

// Three servers share one wait: if a Last Will followed the stop or the restart, it would come before
// that of the server that is killed last.
func TestTheStatusTellsACrashFromAStopAndFromARestart(t *testing.T) {
	t.Parallel()
	broker := startMosquitto(t)
	subscriber := connect(t, broker.HostPort(), "subscriber")
	subscriber.Subscribe("mps/status/#")
	start := func(id string) simulator {
		return startSimulatorWith(t, broker, []string{"MPS_MQTT_STATUS=true", "MPS_MQTT_CLIENT_ID=" + id}, "--rate=0", "--consumer=false", "--sites=here")
	}
	expect := func(id string, want status, within time.Duration) {
		t.Helper()
		m := subscriber.NextWithin(within)
		require.Equal(t, "mps/status/"+id+"-mps-here", m.Topic, "%s", m.Payload)
		require.Equal(t, want, statusOf(t, m))
	}

	stopped := start("stopped")
	expect("stopped", online, patience)
	stopped.Interrupt()
	expect("stopped", plannedOffline, patience)

	restarted := start("restarted")
	expect("restarted", online, patience)
	restarted.Kill()
	start("restarted")
	expect("restarted", online, patience)

	killed := start("killed")
	expect("killed", online, patience)
	killed.Kill()
	at := time.Now()
	expect("killed", goneAway, statusDelay+patience)
	assert.Greater(t, time.Since(at), statusDelay-2*time.Second, "too soon for a server that restarts; brokers count whole seconds")

	late := connect(t, broker.HostPort(), "late subscriber")
	late.Subscribe("mps/status/#")
	retained := map[string]status{}
	for range 3 {
		m := late.Next()
		assert.True(t, m.Retain)
		retained[m.Topic] = statusOf(t, m)
	}
	assert.Equal(t, map[string]status{
		"mps/status/stopped-mps-here": plannedOffline, "mps/status/restarted-mps-here": online, "mps/status/killed-mps-here": goneAway,
	}, retained)
}
