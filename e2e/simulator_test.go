package e2e

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// A simulator is a process of mps-sim that publishes to the broker of a test.
type simulator struct {
	*command
	url string
}

func startSimulator(t *testing.T, broker *mosquitto, flags ...string) simulator {
	t.Helper()
	return startSimulatorWith(t, broker, nil, flags...)
}

// startSimulatorWith starts a simulator with additional environment variables.
func startSimulatorWith(t *testing.T, broker *mosquitto, env []string, flags ...string) simulator {
	t.Helper()
	addr := "127.0.0.1:" + strconv.Itoa(freePort(t))
	s := simulator{url: "http://" + addr}
	s.command = startCommand(t, "mps-sim", append(env, "MPS_MQTT_ADDRESS="+broker.Address()), append([]string{"--http=" + addr}, flags...)...)
	s.AwaitHTTP(s.url+"/sim/alerts", http.StatusOK)
	return s
}

// alerts returns the alerts of the stand-in for ilert, oldest first.
func (s simulator) alerts(t require.TestingT) []alert {
	var alerts []alert
	getJSON(t, s.url+"/sim/alerts", &alerts)
	return alerts
}

func getJSON(t require.TestingT, url string, into any) {
	response, err := http.Get(url)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode, url)
	require.NoError(t, json.NewDecoder(response.Body).Decode(into))
}

func quoteMeta(s string) string { return regexp.QuoteMeta(s) }
