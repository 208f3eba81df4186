package consumer_test

import (
	"net"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
)

// failedAt returns an event with this time.
func failedAt(guid string, at time.Time) []byte {
	return event.Event{Type: event.Fail, Message: "x", Methods: []string{"AMT_PowerState"}, GUID: guid, Timestamp: at.UnixMilli()}.AppendJSON(nil)
}

// backlog sends messages that came one after the other in two hours, as fast as they are read.
func (s sessions) backlog(conn net.Conn, n int, change func(*packets.Publish)) {
	s.t.Helper()
	apart := 2 * time.Hour / time.Duration(n)
	for i := range n {
		p := &packets.Publish{
			QoS: 1, PacketID: uint16(1 + i%1000), Topic: "mps/events", Properties: &packets.Properties{},
			Payload: failedAt("1", time.Now().Add(-2*time.Hour+time.Duration(i)*apart)),
		}
		change(p)
		write(s.t, conn, p)
		s.expect(conn, packets.PUBACK, p.PacketID)
	}
}

// Reading takes many times MaxSkew, here, and each minute had a few messages only.
func TestABacklogThatIsReadForLongIsNoStorm(t *testing.T) {
	s, ilert := withSession(t, true), record(t)
	cfg := byRules(t, s, ilert, `
rules:
  - {name: many, when: event.type == "fail", window: 1m, at_least: 100, clear: 1m, raise: {summary: "{count} calls"}}`)
	cfg.MaxSkew = 20 * time.Millisecond
	c := start(t, cfg).ready(t)
	began := time.Now()
	s.backlog(s.connection(), 1000, func(*packets.Publish) {})
	require.Greater(t, time.Since(began), 10*cfg.MaxSkew)
	assert.Empty(t, behind(t, c))
	assert.Equal(t, uint64(1000), c.Status(t.Context()).Messages["mps/events"].Ignored)
	ilert.expect(t)
}

// Messages that the broker has retained, or sends again, may have waited there.
func TestWhatHasWaitedAccusesNoClock(t *testing.T) {
	for name, change := range map[string]func(*packets.Publish){
		"retained": func(p *packets.Publish) { p.Retain = true },
		"repeated": func(p *packets.Publish) { p.Duplicate = true },
	} {
		t.Run(name, func(t *testing.T) {
			s := withSession(t, true)
			cfg := config(t, s, record(t))
			cfg.MaxSkew = time.Millisecond
			c := start(t, cfg).ready(t)
			conn := s.connection()
			late := func(p *packets.Publish) { p.Payload = failedAt("1", time.Now().Add(-time.Hour)) }
			s.backlog(conn, 100, func(p *packets.Publish) { late(p); change(p) })
			assert.Empty(t, behind(t, c))
			until(t, func() bool { return len(behind(t, c)) == 1 }, func() { s.backlog(conn, 100, late) })
		})
	}
}

// A success from a server whose clock is behind ends the alert that another server has raised, at once.
func TestTheNextProcessKnowsWhichClocksAreBehind(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	cfg := config(t, b, ilert)
	cfg.MaxSkew = time.Second
	c := start(t, cfg).ready(t)
	client := brokertest.Connect(t, b.Addr(), nil)
	until(t, func() bool { return len(behind(t, c)) == 1 }, func() { say(t, client, "slow", time.Hour) })
	c.stop()
	c = start(t, cfg).ready(t)
	assert.Equal(t, []string{"slow"}, behind(t, c))
	tell(t, client, "right", failedAt("1", time.Now()))
	ilert.expect(t, "ALERT 1/AMT_PowerState")
	success := event.Event{Type: event.Success, Message: "x", Methods: []string{"AMT_PowerState"}, GUID: "1", Timestamp: time.Now().Add(-time.Hour).UnixMilli()}
	tell(t, client, "slow", success.AppendJSON(nil))
	ilert.expect(t, "ALERT 1/AMT_PowerState", "RESOLVE 1/AMT_PowerState")

	until(t, func() bool { return len(behind(t, c)) == 0 }, func() { say(t, client, "slow", 0) })
	c.stop()
	assert.Empty(t, behind(t, start(t, cfg)), "that it is right is kept, too")
}
