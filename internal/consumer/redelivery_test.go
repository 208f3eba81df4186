package consumer_test

import (
	"context"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/internal/consumer"
)

// sessions is a scripted broker that keeps a session, and answers pings unless it is mute.
type sessions struct {
	scripted
	mute  *atomic.Bool
	subs  chan *packets.Subscribe
	pongs chan uint16 // the last identifier that was acknowledged before
}

func withSession(t *testing.T, present bool) sessions {
	t.Helper()
	const plenty = 1000
	s := sessions{scripted{t, "", nil, make(chan net.Conn, plenty), make(chan answer, plenty)}, new(atomic.Bool), make(chan *packets.Subscribe, plenty), make(chan uint16, plenty)}
	var last atomic.Uint32
	s.addr = brokertest.Script{
		Connack: packets.Connack{SessionPresent: present},
		Received: func(conn net.Conn, p *packets.ControlPacket) {
			switch content := p.Content.(type) {
			case *packets.Subscribe:
				write(t, conn, &packets.Suback{PacketID: content.PacketID, Properties: &packets.Properties{}, Reasons: make([]byte, len(content.Subscriptions))})
				s.subs <- content
				s.subscribed <- conn
			case *packets.Puback:
				last.Store(uint32(content.PacketID))
				s.answers <- answer{conn, packets.PUBACK, content.PacketID}
			case *packets.Pingreq:
				if !s.mute.Load() {
					_, _ = packets.NewControlPacket(packets.PINGRESP).WriteTo(conn)
					select {
					case s.pongs <- uint16(last.Load()):
					default: // nobody waits for so many
					}
				}
			}
		},
	}.Serve(t)
	return s
}

// door sends the state of a door, and waits until the consumer has acknowledged it.
func (s sessions) door(conn net.Conn, id uint16, payload string, again bool) {
	s.t.Helper()
	write(s.t, conn, &packets.Publish{
		QoS: 1, PacketID: id, Duplicate: again, Topic: "door/1", Properties: &packets.Properties{}, Payload: []byte(payload),
	})
	s.expect(conn, packets.PUBACK, id)
}

// confirm waits until the consumer knows that the broker has read an acknowledgement.
func (s sessions) confirm(conn net.Conn, id uint16) {
	s.t.Helper()
	for {
		select {
		case last := <-s.pongs:
			if last == id {
				s.door(conn, id+1, opens, false) // behind the answer
				return
			}
		case <-time.After(brokertest.Wait):
			require.FailNow(s.t, "nobody has asked")
		}
	}
}

// reset breaks the connection and returns the next.
func (s sessions) reset(conn net.Conn) net.Conn {
	s.t.Helper()
	require.NoError(s.t, conn.Close())
	return s.connection()
}

func (s sessions) connection() net.Conn {
	s.t.Helper()
	select {
	case conn := <-s.subscribed:
		return conn
	case <-time.After(brokertest.Wait):
		require.FailNow(s.t, "nobody has connected")
		return nil
	}
}

const (
	opens  = `{"open":true}`
	closes = `{"open":false}`
)

// The connection breaks under the third message, so that it comes marked as a repeated one.
func TestAStateThatComesBackIsNoRedelivery(t *testing.T) {
	s, ilert := withSession(t, true), record(t)
	start(t, byRules(t, s, ilert, doorRules)).ready(t)
	conn := s.connection()
	s.door(conn, 1, opens, false)
	ilert.expect(t, "ALERT door/1")
	s.door(conn, 2, closes, false)
	ilert.expect(t, "ALERT door/1", "RESOLVE door/1")
	conn = s.reset(conn)
	s.door(conn, 3, opens, true)
	ilert.expect(t, "ALERT door/1", "RESOLVE door/1", "ALERT door/1")
}

// The broker has not read the acknowledgement, or the packet identifier is free again, or the
// session is another one.
func TestARedeliveryHasNoSecondEffect(t *testing.T) {
	for name, c := range map[string]struct {
		mute, present bool
		want          uint64
	}{
		"it is the same message":         {true, true, 1},
		"the broker had read the answer": {false, true, 0},
		"the session is another":         {true, false, 0},
	} {
		for where, restart := range map[string]bool{"in this process": false, "in the next process": true} {
			t.Run(name+", "+where, func(t *testing.T) {
				s, ilert := withSession(t, c.present), record(t)
				s.mute.Store(c.mute)
				cfg := byRules(t, s, ilert, doorRules)
				d := start(t, cfg).ready(t)
				conn := s.connection()
				s.door(conn, 1, opens, false)
				if !c.mute {
					s.confirm(conn, 1)
				}
				if restart {
					d.stop()
					d = start(t, cfg)
					conn = s.connection()
				} else {
					conn = s.reset(conn)
				}
				s.door(conn, 1, opens, true)
				received := uint64(2)
				if !c.mute {
					received++
				}
				require.Eventually(t, func() bool { return d.Status(t.Context()).Messages["door/+"].Received == received }, brokertest.Wait, 5*time.Millisecond)
				assert.Equal(t, c.want, d.Status(t.Context()).Messages["door/+"].Duplicate)
				ilert.expect(t, "ALERT door/1")
			})
		}
	}
}

const pressRules = `
topics: [h/+/alarm, h/press/+]
rules:
  - {name: press, when: msg.hot, window: 10m, at_least: 3, clear: 10m, raise: {summary: "{count} alarms"}}
`

// Filters that overlap, neither of which covers the other.
func TestOverlappingFiltersCountOnce(t *testing.T) {
	const hot = `{"hot":true}`
	copies := func(t *testing.T, s sessions, conn net.Conn, qos byte) func() {
		t.Helper()
		first, second := *(<-s.subs).Properties.SubscriptionIdentifier, *(<-s.subs).Properties.SubscriptionIdentifier
		require.NotEqual(t, first, second)
		id := uint16(0)
		return func() {
			for _, by := range []int{second, first} {
				id += uint16(qos)
				write(t, conn, &packets.Publish{
					QoS: qos, PacketID: id, Topic: "h/press/alarm", Properties: &packets.Properties{SubscriptionIdentifier: &by}, Payload: []byte(hot),
				})
			}
		}
	}
	for name, b := range map[string]func(t *testing.T) (addr interface{ Addr() string }, connected func() (publish func()), received uint64){
		"a broker that sends one copy": func(t *testing.T) (interface{ Addr() string }, func() func(), uint64) {
			t.Helper()
			b := brokertest.Start(t, "")
			return b, func() func() { return func() { publishTo(t, b.Addr(), "h/press/alarm", hot) } }, 3
		},
		"a broker that sends two copies": func(t *testing.T) (interface{ Addr() string }, func() func(), uint64) {
			t.Helper()
			s := withSession(t, true)
			return s, func() func() { return copies(t, s, s.connection(), 1) }, 6
		},
		"and at QoS 0": func(t *testing.T) (interface{ Addr() string }, func() func(), uint64) {
			t.Helper()
			s := withSession(t, true)
			return s, func() func() { return copies(t, s, s.connection(), 0) }, 6
		},
	} {
		t.Run(name, func(t *testing.T) {
			addr, connected, received := b(t)
			ilert := record(t)
			c := start(t, byRules(t, addr, ilert, pressRules)).ready(t)
			publish := connected()
			for n := range uint64(3) {
				ilert.expect(t)
				publish()
				require.EventuallyWithT(t, func(t *assert.CollectT) {
					tally := c.Status(context.Background()).Messages["h/+/alarm"]
					assert.Equal(t, received/3*(n+1), tally.Received)
					assert.Equal(t, (received/3-1)*(n+1), tally.Duplicate)
				}, brokertest.Wait, 5*time.Millisecond)
			}
			ilert.expect(t, "ALERT press")
		})
	}
}

// A reload that has nothing to do with a message gives its subscription no other identifier, by which
// a state that comes back would look like a copy of the message that said so before.
func TestAStateThatComesBackAfterAReloadIsNoCopy(t *testing.T) {
	s, ilert := withSession(t, true), record(t)
	s.mute.Store(true)
	cfg := byRules(t, s, ilert, doorRules)
	c := start(t, cfg).ready(t)
	conn := s.connection()
	by := func(id uint16, payload string) {
		for {
			subscribe := <-s.subs
			if slices.ContainsFunc(subscribe.Subscriptions, func(o packets.SubOptions) bool { return o.Topic == "door/+" }) {
				write(t, conn, &packets.Publish{
					QoS: 1, PacketID: id, Topic: "door/1", Properties: &packets.Properties{SubscriptionIdentifier: subscribe.Properties.SubscriptionIdentifier}, Payload: []byte(payload),
				})
				s.subs <- subscribe
				s.expect(conn, packets.PUBACK, id)
				return
			}
		}
	}
	by(1, opens)
	ilert.expect(t, "ALERT door/1")
	by(2, closes)
	ilert.expect(t, "ALERT door/1", "RESOLVE door/1")
	<-s.subs // that of the start
	require.NoError(t, os.WriteFile(cfg.RulesFiles[0], []byte(strings.Replace(doorRules, "topics: door/+", "topics: [door/+, window/+]", 1)), 0o600))
	require.NoError(t, c.Reload(t.Context()))
	by(3, opens)
	ilert.expect(t, "ALERT door/1", "RESOLVE door/1", "ALERT door/1")
}

// The second copy comes to the next process.
func TestACopyHasNoEffectAfterARestart(t *testing.T) {
	s, ilert := withSession(t, true), record(t)
	s.mute.Store(true)
	cfg := byRules(t, s, ilert, pressRules)
	by := func(conn net.Conn, id uint16, subscription *int) {
		write(t, conn, &packets.Publish{
			QoS: 1, PacketID: id, Topic: "h/press/alarm", Properties: &packets.Properties{SubscriptionIdentifier: subscription}, Payload: []byte(`{"hot":true}`),
		})
		s.expect(conn, packets.PUBACK, id)
	}
	c := start(t, cfg).ready(t)
	first, second := (<-s.subs).Properties.SubscriptionIdentifier, (<-s.subs).Properties.SubscriptionIdentifier
	by(s.connection(), 1, first)
	c.stop()
	<-s.subscribed // of the second packet
	c = start(t, cfg)
	by(s.connection(), 2, second)
	require.Eventually(t, func() bool { return c.Status(t.Context()).Messages["h/+/alarm"].Duplicate == 1 }, brokertest.Wait, 5*time.Millisecond)
}

// The broker announces that it does not support subscription identifiers.
func TestABrokerWithoutSubscriptionIdentifiersIsAskedForNone(t *testing.T) {
	subscribes := make(chan *packets.Subscribe, 10)
	none := byte(0)
	addr := brokertest.Script{
		Connack: packets.Connack{Properties: &packets.Properties{SubIDAvailable: &none}},
		Received: func(conn net.Conn, p *packets.ControlPacket) {
			if s, ok := p.Content.(*packets.Subscribe); ok {
				write(t, conn, &packets.Suback{PacketID: s.PacketID, Properties: &packets.Properties{}, Reasons: make([]byte, len(s.Subscriptions))})
				subscribes <- s
			}
		},
	}.Serve(t)
	start(t, byRules(t, scripted{addr: addr}, record(t), pressRules)).ready(t)
	s := <-subscribes
	assert.Len(t, s.Subscriptions, 2)
	assert.Nil(t, s.Properties.SubscriptionIdentifier)
}

// A filter of the command line that another one covers would bring its messages twice.
func TestCoveredFiltersAreNotSubscribedTo(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	for _, c := range []struct {
		topics    []string
		group     string
		heartbeat string
		want      []string
	}{
		{[]string{"ilert/+", "#"}, "", "", []string{"#"}},
		{[]string{"ilert/+", "#", "#"}, "", "beat/+", []string{"#"}},
		{[]string{"b", "a/+", "b", "a/x"}, "", "", []string{"b", "a/+"}},
		{[]string{"a/#", "a/b"}, "g", "a/c", []string{"$share/g/a/#", "a/c"}},
		{[]string{"$share/g/a/b", "$share/g/a/#", "$share/h/a/b", "a/b"}, "", "", []string{"$share/g/a/#", "$share/h/a/b", "a/b"}},
	} {
		cfg := config(t, b, ilert)
		cfg.Presets, cfg.Mapping = nil, &consumer.Mapping{}
		cfg.Topics, cfg.SharedGroup, cfg.HeartbeatTopic = c.topics, c.group, c.heartbeat
		assert.Equal(t, c.want, start(t, cfg).Status(t.Context()).Topics)
	}
}
