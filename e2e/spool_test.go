package e2e

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/publisher"
)

// An acceptance is one event that a child's publisher has accepted.
type acceptance struct {
	Number int
	At     int64 // ms
}

// publishNumbers publishes, in a child, numbered events with the name of the child. It ends after
// E2E_EVENTS events, if that is set, or when the child is killed.
func publishNumbers() error {
	pub, err := openFromEnv(func(*publisher.Config) {})
	if err != nil {
		return err
	}
	events, err := strconv.Atoi(os.Getenv("E2E_EVENTS"))
	untilKilled := err != nil
	pace := time.NewTicker(time.Millisecond)
	defer pace.Stop()
	for n := 0; untilKilled || n < events; n++ {
		message := fmt.Sprintf("%s/%d", os.Getenv("E2E_NAME"), n)
		if err := pub.Publish(event.Event{Type: event.Success, Message: message, Methods: []string{}}); err != nil {
			return err
		}
		report("accepted", acceptance{Number: n, At: time.Now().UnixMilli()})
		<-pace.C
	}
	return shutDown(pub)
}

// arrivals is the record of events of several children at one subscriber.
type arrivals struct {
	t       *testing.T
	broker  *mosquitto
	client  *mqttClient
	ids     map[string]bool
	repeats int
	inOrder []string // messages of the events, each once
}

func (a *arrivals) connect() {
	a.t.Helper()
	a.client = connect(a.t, a.broker.HostPort(), "subscriber")
}

// stopBroker stops the broker and takes the messages that have arrived; the broker sends others
// again.
func (a *arrivals) stopBroker() {
	a.t.Helper()
	a.broker.Stop()
	for len(a.client.received) > 0 {
		a.next()
	}
}

func (a *arrivals) startBroker() {
	a.t.Helper()
	a.broker.Start()
	a.connect()
}

// next takes the next event and returns its message, or "" if it has come before.
func (a *arrivals) next() string {
	a.t.Helper()
	m := a.client.Next()
	id := m.Properties.User.Get("id")
	require.NotEmpty(a.t, id)
	e, err := event.Parse(m.Payload)
	require.NoError(a.t, err)
	if a.ids[id] {
		a.repeats++
		return ""
	}
	a.ids[id] = true
	a.inOrder = append(a.inOrder, e.Message)
	return e.Message
}

// Processes use the same spool one after the other, and each is killed: while the broker is away, or
// while it delivers the events that earlier processes have left.
func TestAKilledPublisherLosesTheLastMomentAtMost(t *testing.T) {
	t.Parallel()
	// The broker takes few events at a time, so that a kill comes in the middle.
	broker := startMosquitto(t, "max_inflight_messages 20")
	a := &arrivals{t: t, broker: broker, ids: map[string]bool{}}
	a.connect()
	a.client.Subscribe("mps/events")
	spoolDir := t.TempDir()
	var processes [][]acceptance
	start := func(env ...string) *command {
		return startChild(t, "publish", append(env,
			"E2E_NAME="+strconv.Itoa(len(processes)), "MPS_MQTT_ADDRESS="+broker.Address(), "MPS_MQTT_SPOOL_DIR="+spoolDir,
			"MPS_MQTT_CLIENT_ID=publisher")...)
	}
	kill := func(child *command) {
		child.Kill()
		processes = append(processes, reported[acceptance](t, child, "accepted"))
	}

	for range 2 {
		a.stopBroker()
		for range 2 {
			child := start()
			require.Eventually(t, func() bool { return strings.Count(child.Output(), "accepted ") >= 1500 }, patience, time.Millisecond)
			kill(child)
		}
		a.startBroker()
		child := start()
		for before := len(a.inOrder); len(a.inOrder) < before+500; {
			a.next()
		}
		kill(child)
	}
	last := start("E2E_EVENTS=1")
	for a.next() != fmt.Sprintf("%d/0", len(processes)) {
	}
	s := finalStats(t, last)
	assert.Zero(t, s.Dropped)

	rest := a.inOrder
	var lost []time.Duration
	for process, accepted := range processes {
		n := 0
		for ; len(rest) > 0 && rest[0] == fmt.Sprintf("%d/%d", process, n); n++ {
			rest = rest[1:]
		}
		var moment time.Duration
		if n < len(accepted) {
			moment = time.Duration(accepted[len(accepted)-1].At-accepted[n].At) * time.Millisecond
		}
		lost = append(lost, moment)
		// The sum of SpoolInterval and two writes, on a machine that may be busy.
		assert.Less(t, moment, 500*time.Millisecond, "process %d: %d of %d arrived", process, n, len(accepted))
	}
	assert.Equal(t, []string{fmt.Sprintf("%d/0", len(processes))}, rest, "in order, with gaps only at the ends of processes")
	t.Logf("lost the last %v of the processes; %d events, %d repeats", lost, len(a.inOrder), a.repeats)
}
