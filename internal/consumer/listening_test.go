package consumer_test

import (
	"os"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/internal/consumer"
)

const waitingRules = `
topics: door/+
rules:
  - name: silent
    absent: 1s
    group: "{topic}"
    forget: msg.off == true
    raise: {key: "{topic}", summary: "{group} is silent"}
`

// absent is the time after which the rules above raise an alert.
const absent = time.Second

// quiet asserts that ilert is sent nothing for twice the time after which silence is an alert.
func (r *recorder) quiet(t *testing.T) {
	t.Helper()
	assert.Never(t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.sent) > 0
	}, 2*absent, 5*time.Millisecond)
	r.expect(t)
}

func askOften(t *testing.T) {
	t.Helper()
	t.Cleanup(consumer.AskEvery(10 * time.Millisecond))
}

// awaits waits until the consumer waits for a number of groups.
func (s started) awaits(t *testing.T, groups uint64) {
	t.Helper()
	require.Eventually(t, func() bool { return s.Status(t.Context()).AwaitedGroups == groups }, brokertest.Wait, time.Millisecond)
}

func TestASilentGroupIsAnAlertUntilItSpeaks(t *testing.T) {
	askOften(t)
	b, ilert := brokertest.Start(t, ""), record(t)
	c := start(t, byRules(t, b, ilert, waitingRules)).ready(t)
	began := time.Now()
	publishTo(t, b.Addr(), "door/1", `{}`)
	publishTo(t, b.Addr(), "door/2", `{}`)
	publishTo(t, b.Addr(), "door/2", `{"off": true}`)
	ilert.expect(t, "ALERT door/1")
	assert.GreaterOrEqual(t, time.Since(began), absent)
	publishTo(t, b.Addr(), "door/1", `{}`)
	ilert.expect(t, "ALERT door/1", "RESOLVE door/1")
	c.awaits(t, 1)
	ilert.expect(t, "ALERT door/1", "RESOLVE door/1", "ALERT door/1")
}

func TestAnAbsentBrokerIsNoSilence(t *testing.T) {
	askOften(t)
	b, ilert := brokertest.Start(t, ""), record(t)
	c := start(t, byRules(t, b, ilert, waitingRules)).ready(t)
	publishTo(t, b.Addr(), "door/1", `{}`)
	c.awaits(t, 1)
	require.NoError(t, b.Close())
	ilert.quiet(t)
	brokertest.Start(t, b.Addr())
	c.ready(t)
	ilert.expect(t, "ALERT door/1")
}

func TestABrokerThatHangsIsNoSilence(t *testing.T) {
	askOften(t)
	s, ilert := withSession(t, true), record(t)
	c := start(t, byRules(t, s, ilert, waitingRules)).ready(t)
	conn := s.connection()
	s.door(conn, 1, `{}`, false)
	c.awaits(t, 1)
	s.mute.Store(true)
	ilert.quiet(t)
}

// A backlog comes in pieces, because the broker waits for acknowledgements.
func TestSilenceCountsOnceTheBacklogIsRead(t *testing.T) {
	t.Cleanup(consumer.AskEvery(100 * time.Millisecond))
	s, ilert := withSession(t, true), record(t)
	start(t, byRules(t, s, ilert, waitingRules)).ready(t)
	conn := s.connection()
	s.door(conn, 1, `{}`, false)
	const piece = 100
	for began := time.Now(); time.Since(began) < 2*absent; {
		for id := range uint16(piece) {
			write(t, conn, &packets.Publish{QoS: 1, PacketID: 2 + id, Topic: "door/2", Properties: &packets.Properties{}, Payload: []byte(`{}`)})
		}
		for id := range uint16(piece) {
			s.expect(conn, packets.PUBACK, 2+id)
		}
	}
	ilert.expect(t)
	ilert.known(t, "ALERT door/1", "ALERT door/2")
}

func TestTheTimeBetweenTwoProcessesIsNoSilence(t *testing.T) {
	askOften(t)
	b, ilert := brokertest.Start(t, ""), record(t)
	cfg := byRules(t, b, ilert, waitingRules)
	c := start(t, cfg).ready(t)
	publishTo(t, b.Addr(), "door/1", `{}`)
	c.awaits(t, 1)
	c.stop()
	ilert.quiet(t)
	start(t, cfg).awaits(t, 1)
	ilert.expect(t, "ALERT door/1")
	publishTo(t, b.Addr(), "door/1", `{}`)
	ilert.expect(t, "ALERT door/1", "RESOLVE door/1", "ALERT door/1")
}

func TestAStoreThatFailsIsNoSilence(t *testing.T) {
	askOften(t)
	b, ilert := brokertest.Start(t, ""), record(t)
	c := start(t, byRules(t, b, ilert, waitingRules)).ready(t)
	publishTo(t, b.Addr(), "door/1", `{}`)
	c.awaits(t, 1)
	db := openStore(t)
	db.SetMaxOpenConns(1)
	_, err := db.ExecContext(t.Context(), `BEGIN IMMEDIATE`)
	require.NoError(t, err)
	client := brokertest.Connect(t, b.Addr(), nil)
	var last time.Time
	for began := time.Now(); last.Sub(began) < 2*absent; <-time.After(50 * time.Millisecond) {
		last = time.Now()
		_, err := client.Publish(t.Context(), &paho.Publish{Topic: "door/1", QoS: 1, Payload: []byte(`{}`)})
		require.NoError(t, err)
	}
	_, err = db.ExecContext(t.Context(), `ROLLBACK`)
	require.NoError(t, err)
	ilert.expect(t, "ALERT door/1")
	assert.GreaterOrEqual(t, time.Since(last), absent)
}

func TestGroupsThatRulesNameAreReadAgain(t *testing.T) {
	askOften(t)
	b, ilert := brokertest.Start(t, ""), record(t)
	cfg := byRules(t, b, ilert, `
topics: door/+
rules:
  - {name: named, absent: 1s, group: "{topic}", expect: [door/1, door/2], raise: {key: "{group}", summary: s}}
  - {name: all, absent: 1s, when: msg.never, raise: {summary: s}}
`)
	c := start(t, cfg).ready(t)
	ilert.known(t, "ALERT door/1", "ALERT door/2", "ALERT all")
	require.NoError(t, os.WriteFile(cfg.RulesFiles[0], []byte(`
topics: door/+
rules:
  - {name: named, absent: 1s, group: "{topic}", expect: [door/1, door/3], raise: {key: "{group}", summary: s}}
`), 0o600))
	require.NoError(t, c.Reload(t.Context()))
	ilert.known(t, "RESOLVE door/2", "RESOLVE all", "ALERT door/3")
	c.awaits(t, 2)
}
