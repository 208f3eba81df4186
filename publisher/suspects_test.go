package publisher_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/publisher"
)

// choosyBroker is a broker that ends the connection for some events, and remembers the order in
// which it has acknowledged others.
type choosyBroker struct {
	mu           sync.Mutex
	connections  int
	acknowledged []int // without repeats
}

// serve starts the broker. At each PUBLISH it calls refuses, which returns nil for an event to
// acknowledge, or a function that ends the connection.
func (b *choosyBroker) serve(t *testing.T, connack packets.Connack, refuses func(connection int, p *packets.Publish) (end func(net.Conn))) string {
	t.Helper()
	return brokertest.Script{
		Connack: connack,
		Connected: func(*packets.Connect) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.connections++
		},
		Received: brokertest.OnPublish(func(conn net.Conn, p *packets.Publish) {
			b.mu.Lock()
			defer b.mu.Unlock()
			if end := refuses(b.connections, p); end != nil {
				end(conn)
				return
			}
			e, err := event.Parse(p.Payload)
			assert.NoError(t, err)
			n, err := strconv.Atoi(e.Message)
			assert.NoError(t, err)
			if !slices.Contains(b.acknowledged, n) {
				b.acknowledged = append(b.acknowledged, n)
			}
			brokertest.Puback(conn, p.PacketID, 0)
		}),
	}.Serve(t)
}

// taken returns the events that the broker has acknowledged, in the order in which it first did.
func (b *choosyBroker) taken() []int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.acknowledged)
}

// closed ends a connection without a DISCONNECT.
func closed(conn net.Conn) { _ = conn.Close() }

// reset ends a connection so that acknowledgements which were sent before are lost, too.
func reset(conn net.Conn) {
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
}

// disconnected ends a connection with a reason.
func disconnected(reason byte) func(net.Conn) {
	return func(conn net.Conn) {
		p := packets.NewControlPacket(packets.DISCONNECT)
		p.Content.(*packets.Disconnect).ReasonCode = reason
		_, _ = p.WriteTo(conn)
		_ = conn.Close()
	}
}

// culprit is the text in every event for which a broker of these tests ends the connection.
const culprit = "culprit"

// The broker of this test announces no limits, and ends the connection for some events. The
// others arrive in order, whatever their number and wherever the culprits are among them.
func TestAnEventThatEndsConnectionsStopsNoOther(t *testing.T) {
	one := uint16(1)
	for name, c := range map[string]struct {
		end      func(net.Conn)
		connack  packets.Connack
		culprits []int
		capacity int
	}{
		"the first, closed":          {end: closed, culprits: []int{0}},
		"one in the middle, reset":   {end: reset, culprits: []int{10}},
		"the last, packet too large": {end: disconnected(packets.DisconnectPacketTooLarge), culprits: []int{20}},
		"several, not authorized":    {end: disconnected(packets.DisconnectNotAuthorized), culprits: []int{3, 4, 9}},
		"one at a time":              {end: closed, connack: packets.Connack{Properties: &packets.Properties{ReceiveMaximum: &one}}, culprits: []int{0, 1}},
		"few under way":              {end: closed, culprits: []int{0}, capacity: 21},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it waits, mostly
			var b choosyBroker
			var log bytes.Buffer
			addr := b.serve(t, c.connack, func(_ int, p *packets.Publish) func(net.Conn) {
				if bytes.Contains(p.Payload, []byte(culprit)) {
					return c.end
				}
				return nil
			})
			pub := start(t, publisher.Config{Address: addr, Capacity: c.capacity, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			const events = 21
			var want []int
			for n := range events {
				e := numbered(n)
				if slices.Contains(c.culprits, n) {
					e.GUID = culprit + strings.Repeat("x", 20_000)
				} else {
					want = append(want, n)
				}
				require.NoError(t, pub.Publish(e))
			}
			flush(t, pub)
			require.NoError(t, pub.Shutdown(t.Context()))
			dropped := uint64(len(c.culprits))
			assert.Equal(t, publisher.Stats{
				Accepted: events, Acknowledged: events - dropped,
				Dropped: dropped, DroppedBy: publisher.Drops{EndsConnection: dropped},
			}, pub.Stats())
			assert.Equal(t, want, b.taken(), "in their order")
			assert.Contains(t, log.String(), "dropped.ends_connection=")
			assert.Regexp(t, `ended_connections="[^"]*topic \\"mps/events\\", 20[0-9]{3} bytes`, log.String())
		})
	}
}

// The others come through even if culprits fill most of a small memory.
func TestCulpritsLeaveRoomInASmallQueue(t *testing.T) {
	for capacity, culprits := range map[int]int{2: 1, 3: 1, 4: 1, 5: 2, 20: 10} {
		t.Run(fmt.Sprint("capacity ", capacity), func(t *testing.T) {
			t.Parallel() // it waits, mostly
			var b choosyBroker
			pub := start(t, publisher.Config{Capacity: capacity, Address: b.serve(t, packets.Connack{}, func(_ int, p *packets.Publish) func(net.Conn) {
				if bytes.Contains(p.Payload, []byte(culprit)) {
					return closed
				}
				return nil
			})})
			e := numbered(0)
			e.GUID = culprit
			for range culprits {
				require.NoError(t, pub.Publish(e))
			}
			require.Eventually(t, func() bool { // so that they are under way, and cannot be dropped to make room
				b.mu.Lock()
				defer b.mu.Unlock()
				return b.connections > 1
			}, brokertest.Wait, time.Millisecond)
			for n := 1; pub.Stats().DroppedBy.EndsConnection < uint64(culprits); n++ {
				require.Less(t, n, 60_000, "%+v", pub.Stats())
				_ = pub.Publish(numbered(n)) // which finds the queue full, at times
				<-time.After(time.Millisecond)
			}
			flush(t, pub)
			assert.NotEmpty(t, b.taken())
		})
	}
}

// Events that are under way when a broker goes away, again and again, are never dropped for that.
func TestABrokerThatGoesAwayMakesNoEventACulprit(t *testing.T) {
	var received, latest int
	for name, goesAway := range map[string]func(connection int, p *packets.Publish) func(net.Conn){
		"at the first event of each connection": func(connection int, _ *packets.Publish) func(net.Conn) {
			if connection <= 6 {
				return closed
			}
			return nil
		},
		"after each first event": func(connection int, _ *packets.Publish) func(net.Conn) {
			if connection == latest {
				return closed
			}
			latest = connection
			return nil
		},
		"for it is busy": func(connection int, _ *packets.Publish) func(net.Conn) {
			if connection <= 4 || connection <= 12 && connection%2 == 0 {
				return disconnected(packets.DisconnectServerBusy)
			}
			return nil
		},
		"at every third event": func(int, *packets.Publish) func(net.Conn) {
			if received++; received%3 == 0 {
				return reset
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it waits, mostly
			var b choosyBroker
			pub := start(t, publisher.Config{Address: b.serve(t, packets.Connack{}, goesAway)})
			const events = 21
			var want []int
			for n := range events {
				want = append(want, n)
				require.NoError(t, pub.Publish(numbered(n)))
			}
			flush(t, pub)
			assert.Equal(t, publisher.Stats{Accepted: events, Acknowledged: events}, pub.Stats())
			assert.ElementsMatch(t, want, b.taken())
		})
	}
}
