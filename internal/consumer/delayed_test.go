package consumer_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/internal/consumer"
)

const delayingRules = `
topics: door/+
rules:
  - name: open
    when: msg.open
    for: 1s
    raise: {key: "{topic}", summary: "{topic} is open"}
    ends: {when: not msg.open}
`

// delays waits until a consumer has a number of delayed alerts.
func (s started) delays(t *testing.T, alerts uint64) {
	t.Helper()
	require.Eventually(t, func() bool { return s.Status(t.Context()).Alerts.Delayed == alerts }, brokertest.Wait, time.Millisecond)
}

func TestADelayedAlertWaitsWhileTheBrokerIsAway(t *testing.T) {
	askOften(t)
	b, ilert := brokertest.Start(t, ""), record(t)
	c := start(t, byRules(t, b, ilert, delayingRules)).ready(t)
	publishTo(t, b.Addr(), "door/1", `{"open": true}`)
	c.delays(t, 1)
	require.NoError(t, b.Close())
	ilert.quiet(t)
	brokertest.Start(t, b.Addr())
	began := time.Now()
	c.ready(t)
	ilert.expect(t, "ALERT door/1")
	assert.Less(t, time.Since(began), brokertest.Wait)
}

// The broker keeps the message that ends the alert, and sends it after others.
func TestTheEndThatWaitsAtTheBrokerComesBeforeADelayedAlert(t *testing.T) {
	t.Cleanup(consumer.AskEvery(200 * time.Millisecond)) // so that many messages come between two answers
	s, ilert := withSession(t, true), record(t)
	c := start(t, byRules(t, s, ilert, strings.Replace(delayingRules, "for: 1s", "for: 3s", 1))).ready(t)
	conn := s.connection()
	s.door(conn, 1, `{"open": true}`, false)
	c.delays(t, 1)
	require.NoError(t, conn.Close())
	conn = s.connection()
	const piece = 100
	for began := time.Now(); time.Since(began) < 4*time.Second; {
		for id := range uint16(piece) {
			write(t, conn, &packets.Publish{QoS: 1, PacketID: 2 + id, Topic: "door/2", Properties: &packets.Properties{}, Payload: []byte(`{"open": false}`)})
		}
		for id := range uint16(piece) {
			s.expect(conn, packets.PUBACK, 2+id)
		}
	}
	s.door(conn, 1, `{"open": false}`, false)
	c.delays(t, 0)
	ilert.expect(t)
}

func TestTheNextProcessDelaysAnAlertAnew(t *testing.T) {
	askOften(t)
	b, ilert := brokertest.Start(t, ""), record(t)
	cfg := byRules(t, b, ilert, delayingRules)
	c := start(t, cfg).ready(t)
	publishTo(t, b.Addr(), "door/1", `{"open": true}`)
	c.delays(t, 1)
	c.stop()
	ilert.quiet(t)
	began := time.Now()
	start(t, cfg)
	ilert.expect(t, "ALERT door/1")
	assert.GreaterOrEqual(t, time.Since(began), time.Second)
}

func TestADelayedAlertIsSentSoonAfterItsTime(t *testing.T) {
	askOften(t)
	b, ilert := brokertest.Start(t, ""), record(t)
	start(t, byRules(t, b, ilert, delayingRules)).ready(t)
	began := time.Now()
	for n := range 3 {
		publishTo(t, b.Addr(), fmt.Sprint("door/", n), `{"open": true}`)
	}
	ilert.known(t, "ALERT door/0", "ALERT door/1", "ALERT door/2")
	assert.GreaterOrEqual(t, time.Since(began), time.Second)
}
