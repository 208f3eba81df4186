package main

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
)

// With --topic-tree MQTT Explorer shows the topics as a tree of site, device and method.
func TestTheTopicsAreATree(t *testing.T) {
	r := start(t, noEnv, "--rate=0", "--topic-tree", "--sites=Köln,Lyon")
	messages := brokertest.Subscribe(t, r.mqtt, "mps/events/#")
	next := r.feed()
	about := next().About
	assert.Equal(t, "mps/events/#", about.Topic)
	guid := r.devices()[0].GUID
	r.call("GET", "/api/v1/amt/power/state/"+guid, "")
	for _, want := range []string{"none/getAllDevices", "none/getAllDevices", guid + "/AMT_PowerState", guid + "/AMT_PowerState"} {
		assert.Equal(t, "mps/events/Köln/"+want, brokertest.Receive(t, messages).Topic)
	}
	require.Eventually(t, func() bool { return r.numbers().Read == 4 }, brokertest.Wait, 5e6, "the rules read the tree")

	statuses := brokertest.Subscribe(t, r.mqtt, "mps/status/+")
	names := map[string]bool{}
	for range 2 {
		m := brokertest.Receive(t, statuses)
		names[m.Topic] = m.Retain && strings.Contains(string(m.Payload), `"online"`)
	}
	assert.Equal(t, map[string]bool{"mps/status/mps-köln": true, "mps/status/mps-lyon": true}, names)
}

// The same seed makes the same events except for their times, so a run can serve as a fixture. The
// number in the id counts the events of a server.
func TestTheSameSeedMakesTheSameEvents(t *testing.T) {
	const from, to = 200, 800
	eventsOf := func(seed string) map[int64]string {
		r := start(t, noEnv, "--rate=200", "--speed=6000", "--seed="+seed, "--sites=Hamburg")
		defer r.stop()
		messages := brokertest.Subscribe(t, r.mqtt, "mps/events")
		events := map[int64]string{}
		for {
			m := brokertest.Receive(t, messages)
			e, err := event.Parse(m.Payload)
			require.NoError(t, err)
			id := m.Properties.User.Get("id")
			n, err := strconv.ParseInt(id[strings.LastIndex(id, "-")+1:], 10, 64)
			require.NoError(t, err)
			if n >= to {
				return events
			}
			if n >= from {
				events[n] = fmt.Sprint(e.Type, e.Message, e.Methods, e.GUID)
			}
		}
	}
	once := eventsOf("7")
	assert.Equal(t, to-from, len(once)) //nolint:testifylint // nobody wants to read 600 events
	assert.True(t, maps.Equal(once, eventsOf("7")))
	assert.False(t, maps.Equal(once, eventsOf("8")))
}
