package main

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker/brokertest"
)

func (r running) scenario(id string) (a scenarioState) {
	r.t.Helper()
	_, answer := r.call("GET", "/sim/scenarios", "")
	var all []scenarioState
	require.NoError(r.t, json.Unmarshal([]byte(answer), &all))
	for _, a := range all {
		if a.ID == id {
			return a
		}
	}
	require.Fail(r.t, "no scenario "+id)
	return a
}

// play presses a scenario and returns its state when it has ended.
func (r running) play(id string) (a scenarioState) {
	r.t.Helper()
	status, answer := r.call("POST", "/sim/scenarios/"+id, "")
	require.Equal(r.t, http.StatusNoContent, status, answer)
	require.Eventually(r.t, func() bool { a = r.scenario(id); return a.State == "ended" }, 2*brokertest.Wait, 50*time.Millisecond)
	return a
}

// Each scenario ends with the right number of pages. In the end the rules have read all its events, and
// every alert has ended. (How long this takes depends on the machine and the race detector; the browser
// tests check the time.)
func TestScenariosEndAsTheySay(t *testing.T) {
	for _, c := range []struct {
		id            string
		pages, bridge uint64 // the bridge sends at least that many
		endedBy       string
	}{
		{"site", 1, 40, "four fifths are connected again"},
		{"server", 1, 1, "the server is online again"},
		{"deactivate", 1, 1, "RPS has activated all of them again"},
		{"reconnect", 0, 10_000, ""},
	} {
		t.Run(c.id, func(t *testing.T) {
			t.Parallel()
			r := start(t, noEnv, "--rate=20", "--speed=1")
			a := r.play(c.id)
			assert.Equal(t, c.pages, a.Pages)
			assert.GreaterOrEqual(t, a.Bridge, c.bridge)
			assert.Positive(t, a.Events)
			assert.Eventually(t, func() bool {
				n := r.numbers()
				return n.Acknowledged == n.Accepted && n.Read == n.Accepted && n.Open == 0 && n.Devices == n.Connected
			}, 3*brokertest.Wait, 50*time.Millisecond)
			assert.Equal(t, c.pages, r.numbers().Pages)
			for _, alert := range r.alerts() {
				assert.Equal(t, c.endedBy, alert.EndedBy)
			}
		})
	}
}

func TestAScenarioStopsWhenItIsPressedAgain(t *testing.T) {
	r := start(t, noEnv, "--rate=0", "--scenario=site")
	require.Eventually(t, func() bool { return r.numbers().Connected == 20 }, brokertest.Wait, 10*time.Millisecond)
	r.call("POST", "/sim/scenarios/laptop", "")
	require.Eventually(t, func() bool { return r.scenario("laptop").State == "running" }, brokertest.Wait, 10*time.Millisecond)
	assert.Equal(t, "stopped for another", r.scenario("site").Reason)
	r.call("POST", "/sim/scenarios/laptop", "")
	require.Eventually(t, func() bool { return r.scenario("laptop").State == "stopped" }, brokertest.Wait, 10*time.Millisecond)
	assert.Equal(t, "stopped by you", r.scenario("laptop").Reason)
	assert.Equal(t, 60, r.numbers().Connected, "every device is connected again")
}

func TestTheEndMayComeInTheMiddleOfAScenario(t *testing.T) {
	r := start(t, noEnv, "--rate=50", "--scenario=server")
	require.Eventually(t, func() bool { return r.numbers().ServersUp == 2 }, brokertest.Wait, 10*time.Millisecond)
	began := time.Now()
	r.stop() // asserts that there is no error
	assert.Less(t, time.Since(began), brokertest.Wait)
}

// The page offers a broker that stops for 6 seconds, the flag --scenario also one that stops for a minute.
func TestTheBrokerStopsForAsLongAsItsNameSays(t *testing.T) {
	const log = "the MQTT broker" // which the publishers lose
	var all []scenarioState
	r := start(t, noEnv, "--rate=0")
	r.expectLog(log)
	_, answer := r.call("GET", "/sim/scenarios", "")
	require.NoError(t, json.Unmarshal([]byte(answer), &all))
	assert.Len(t, all, 10)
	assert.Equal(t, "The broker stops for 6 s", r.scenario("broker").Title)
	began := time.Now()
	r.call("POST", "/sim/scenarios/broker", "")
	require.Eventually(t, func() bool { return !r.numbers().BrokerUp }, brokertest.Wait, 10*time.Millisecond)
	require.Eventually(t, func() bool { return r.numbers().BrokerUp }, brokertest.Wait, 10*time.Millisecond)
	assert.GreaterOrEqual(t, time.Since(began), 5*time.Second) // a busy machine may take longer than the 6 s

	r = start(t, noEnv, "--rate=10", "--scenario=broker-minute")
	r.expectLog(log)
	assert.Equal(t, "The broker stops for a minute", r.scenario("broker-minute").Title)
	assert.Equal(t, 62, r.scenario("broker-minute").Seconds)
	require.Eventually(t, func() bool { return r.numbers().Waiting > 150 }, brokertest.Wait, 100*time.Millisecond)
	assert.Equal(t, "running", r.scenario("broker-minute").State)
	r.call("POST", "/sim/scenarios/broker-minute", "") // a visitor may stop it
	require.Eventually(t, func() bool { n := r.numbers(); return n.BrokerUp && n.Waiting < 10 }, brokertest.Wait, 10*time.Millisecond)
}

// Each rule of the demo that raises alerts has an ending, which the page shows.
func TestEachRuleHasAnEnding(t *testing.T) {
	keys := regexp.MustCompile(`(?m)^      key: ([^{\n]+)`).FindAllStringSubmatch(demoRules, -1)
	assert.Len(t, endings, len(keys))
	for _, key := range keys {
		assert.True(t, slices.ContainsFunc(endings, func(e ending) bool { return e.key == key[1] }), key[1])
	}
	assert.Contains(t, demoRules, "age: 60s", "the age of the rule devices-deactivated")
}
