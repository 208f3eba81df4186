package publisher_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/publisher"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func Example() {
	pub, err := publisher.FromEnv() // MPS_MQTT_ADDRESS; empty: a working no-op
	if err != nil {
		fmt.Println(err)
		return
	}
	err = pub.Publish(event.Connected("4c4c4544-004b-4210-8033-b6c04f504633"))
	fmt.Println("published:", err)

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var undelivered *publisher.UndeliveredError
	if err := pub.Shutdown(ctx); errors.As(err, &undelivered) {
		fmt.Println("left behind:", undelivered.Count)
	}
	// Output: published: <nil>
}

func TestAnEventArrivesByteForByteWithItsProperties(t *testing.T) {
	addr := brokertest.Start(t, "").Addr()
	messages := brokertest.Subscribe(t, addr, "mps/#")
	pub := start(t, publisher.Config{Address: "mqtt://" + addr, Source: "console-1"})
	ev := event.Event{
		Type: event.Fail, Message: "Internal Service Error", Methods: []string{"AMT_PowerState"}, GUID: "<\"\x00€>", Timestamp: 1795322346077,
		Outcome: event.OutcomeServer, HTTPStatus: 500, TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		Actor: "Zoë <zoe@example.com>",
	}
	require.NoError(t, pub.Publish(ev))
	require.NoError(t, pub.Publish(event.Connected("123")))

	m := brokertest.Receive(t, messages)
	assert.Equal(t, "mps/events", m.Topic)
	assert.Equal(t, byte(1), m.QoS)
	assert.Equal(t, `{"type":"fail","message":"Internal Service Error","methods":["AMT_PowerState"],"guid":"<\"\u0000€>","timestamp":1795322346077}`, string(m.Payload))
	assert.Equal(t, "application/json", m.Properties.ContentType)
	assert.Equal(t, "console-1", m.Properties.User.Get("source"))
	assert.Equal(t, "server", m.Properties.User.Get("outcome"))
	assert.Equal(t, "500", m.Properties.User.Get("httpstatus"))
	assert.Equal(t, ev.TraceParent, m.Properties.User.Get("traceparent"))
	assert.Equal(t, ev.Actor, m.Properties.User.Get("actor"))

	next := brokertest.Receive(t, messages)
	assert.NotEqual(t, m.Properties.User.Get("id"), next.Properties.User.Get("id"))
	assert.Empty(t, next.Properties.User.Get("httpstatus"), "sent only where there is one")
	assert.Empty(t, next.Properties.User.Get("traceparent"), "sent only where there is one")
	assert.Empty(t, next.Properties.User.Get("actor"), "sent only where there is one")
}

func TestNothingIsLostWhileTheBrokerIsRestarted(t *testing.T) {
	for _, qos := range []publisher.QoS{publisher.AtLeastOnce, publisher.AtMostOnce} {
		t.Run("QoS "+string(qos), func(t *testing.T) {
			first := brokertest.Start(t, "")
			addr := first.Addr()
			pub := start(t, publisher.Config{Address: "mqtt://" + addr, QoS: qos})
			const before, away = 500, 500
			for n := range before {
				require.NoError(t, pub.Publish(numbered(n)))
				checkIdentity(t, pub.Stats())
			}
			flush(t, pub)
			assert.Equal(t, publisher.Stats{Accepted: before, Acknowledged: before}, pub.Stats())

			require.NoError(t, first.Close())
			if qos == publisher.AtMostOnce {
				// At QoS 0 an event that is written just before a break is lost without an
				// error, as documented; wait until the break has been noticed.
				require.Eventually(t, func() bool {
					require.NoError(t, pub.Publish(numbered(-1)))
					return pub.Stats().Pending > 0
				}, brokertest.Wait, 10*time.Millisecond)
			}
			for n := range away {
				require.NoError(t, pub.Publish(numbered(n)))
				checkIdentity(t, pub.Stats())
			}
			second := brokertest.Start(t, addr)
			messages := brokertest.Subscribe(t, second.Addr(), "mps/events")
			// The publisher may have been faster than the subscriber, so these
			// prove the connection, and the counters what came before.
			require.NoError(t, pub.Publish(numbered(away)))
			for {
				e, err := event.Parse(brokertest.Receive(t, messages).Payload)
				require.NoError(t, err)
				if e.Message == strconv.Itoa(away) {
					break
				}
			}
			flush(t, pub)
			s := pub.Stats()
			checkIdentity(t, s)
			assert.Zero(t, s.Dropped)
			assert.Zero(t, s.Pending)
		})
	}
}

func TestUnacknowledgedEventsAreSentAgainInOrder(t *testing.T) {
	const events = 200
	var mu sync.Mutex
	var seen []string
	onConn := map[net.Conn]int{}
	fake := brokertest.Script{Received: brokertest.OnPublish(func(conn net.Conn, p *packets.Publish) {
		mu.Lock()
		defer mu.Unlock()
		e, err := event.Parse(p.Payload)
		assert.NoError(t, err)
		seen = append(seen, e.Message)
		onConn[conn]++
		// The first three connections are cut after 15 events, 10 acknowledged.
		switch {
		case len(onConn) > 3 || onConn[conn] <= 10:
			brokertest.Puback(conn, p.PacketID, 0)
		case onConn[conn] == 15:
			_ = conn.Close()
		}
	})}
	pub := start(t, publisher.Config{Address: fake.Serve(t)})
	for n := range events {
		require.NoError(t, pub.Publish(numbered(n)))
	}
	flush(t, pub)
	assert.Equal(t, publisher.Stats{Accepted: events, Acknowledged: events}, pub.Stats())

	mu.Lock()
	defer mu.Unlock()
	var firsts []string
	have := map[string]bool{}
	for _, message := range seen {
		if !have[message] {
			have[message] = true
			firsts = append(firsts, message)
		}
	}
	var want []string
	for n := range events {
		want = append(want, strconv.Itoa(n))
	}
	assert.Equal(t, want, firsts, "in order but for repeats")
	assert.GreaterOrEqual(t, len(seen), events+3*5, "what was not acknowledged came again")
}

// The broker of this test answers only when nothing more has come for a while.
func TestReceiveMaximumIsRespected(t *testing.T) {
	const maxOpen, rounds = 3, 10
	const while = 100 * time.Millisecond
	var mu sync.Mutex
	var open []uint16
	var came []int // before each answer
	answer := func(conn net.Conn) {
		mu.Lock()
		defer mu.Unlock()
		came = append(came, len(open))
		// The newest first, twice, and one for a packet that is not under way: none does harm.
		brokertest.Puback(conn, open[len(open)-1], 0)
		brokertest.Puback(conn, open[len(open)-1], 0)
		brokertest.Puback(conn, 9999, 0)
		for _, id := range open[:len(open)-1] {
			brokertest.Puback(conn, id, 0)
		}
		open = nil
	}
	receiveMaximum := uint16(maxOpen)
	published := make(chan struct{})
	var quiet *time.Timer
	fake := brokertest.Script{
		Connected: func(*packets.Connect) { <-published },
		Connack:   packets.Connack{Properties: &packets.Properties{ReceiveMaximum: &receiveMaximum}},
		Received: brokertest.OnPublish(func(conn net.Conn, p *packets.Publish) {
			mu.Lock()
			defer mu.Unlock()
			open = append(open, p.PacketID)
			if quiet != nil {
				quiet.Stop()
			}
			quiet = time.AfterFunc(while, func() { answer(conn) })
		}),
	}
	pub := start(t, publisher.Config{Address: fake.Serve(t)})
	var want []int
	for n := range rounds * maxOpen {
		require.NoError(t, pub.Publish(numbered(n)))
		if n%maxOpen == 0 {
			want = append(want, maxOpen)
		}
	}
	close(published)
	flush(t, pub)
	mu.Lock()
	defer mu.Unlock()
	assert.Equal(t, want, came)
	assert.Equal(t, publisher.Stats{Accepted: rounds * maxOpen, Acknowledged: rounds * maxOpen}, pub.Stats())
}

func TestABrokerThatHangsBlocksNobody(t *testing.T) {
	pub := start(t, publisher.Config{Address: brokertest.Script{}.Serve(t), Capacity: 100_000, MaxBufferedBytes: 1 << 30})
	long := numbered(0)
	long.Message = strings.Repeat("x", 1000)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 50_000 { // 50 MB: more than any socket buffer takes
			_ = pub.Publish(long)
		}
	}()
	select {
	case <-done:
	case <-time.After(brokertest.Wait):
		require.Fail(t, "Publish blocked")
	}
	s := pub.Stats()
	checkIdentity(t, s)
	assert.EqualValues(t, 50_000, s.Pending)

	var undelivered *publisher.UndeliveredError
	require.ErrorAs(t, pub.Shutdown(canceled()), &undelivered)
	assert.EqualValues(t, 50_000, undelivered.Count)
	assert.ErrorIs(t, undelivered, context.Canceled)
}

func TestHooksAreToldOfConnections(t *testing.T) {
	first := brokertest.Start(t, "")
	told := make(chan string, 10)
	pub := start(t, publisher.Config{Address: first.Addr(), Hooks: publisher.Hooks{
		Connected:    func(address string) { told <- "connected to " + address },
		Disconnected: func() { told <- "disconnected" },
	}})
	assert.Equal(t, "connected to "+first.Addr(), <-told)
	require.NoError(t, first.Close())
	assert.Equal(t, "disconnected", <-told)
	brokertest.Start(t, first.Addr())
	assert.Equal(t, "connected to "+first.Addr(), <-told)
	require.NoError(t, pub.Shutdown(context.Background()))
	assert.Equal(t, "disconnected", <-told)
	assert.Empty(t, told)
}

func TestAHookMayPublish(t *testing.T) {
	addr := brokertest.Start(t, "").Addr()
	messages := brokertest.Subscribe(t, addr, "mps/events")
	var pub *publisher.Publisher
	made := make(chan struct{})
	pub = start(t, publisher.Config{Address: addr, Hooks: publisher.Hooks{Connected: func(string) {
		<-made
		assert.NoError(t, pub.Publish(numbered(2)))
	}}})
	require.NoError(t, pub.Publish(numbered(1)))
	close(made)
	for _, want := range []string{"1", "2"} {
		e, err := event.Parse(brokertest.Receive(t, messages).Payload)
		require.NoError(t, err)
		assert.Equal(t, want, e.Message)
	}
}

// A repeat is marked as one only in the session in which it was sent before.
func TestARepeatIsMarkedWithinItsSession(t *testing.T) {
	for _, sessionPresent := range []bool{true, false} {
		seen := make(chan *packets.Publish, 10)
		fake := brokertest.Script{
			Connack: packets.Connack{SessionPresent: sessionPresent},
			Received: brokertest.OnPublish(func(conn net.Conn, p *packets.Publish) {
				seen <- p
				if len(seen) == 1 {
					_ = conn.Close()
				} else {
					brokertest.Puback(conn, p.PacketID, 0)
				}
			}),
		}
		pub := start(t, publisher.Config{Address: fake.Serve(t)})
		require.NoError(t, pub.Publish(numbered(1)))
		flush(t, pub)
		first, second := <-seen, <-seen
		assert.False(t, first.Duplicate)
		assert.Equal(t, sessionPresent, second.Duplicate)
		assert.Equal(t, first.PacketID, second.PacketID)
		assert.Equal(t, first.Properties.User, second.Properties.User, "the same id")
	}
}

func TestManyGoroutinesEachInOrder(t *testing.T) {
	addr := brokertest.Start(t, "").Addr()
	messages := brokertest.Subscribe(t, addr, "mps/events")
	pub := start(t, publisher.Config{Address: addr})
	const goroutines, each = 8, 300
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			for n := range each {
				ev := numbered(n)
				ev.GUID = strconv.Itoa(g)
				assert.NoError(t, pub.Publish(ev))
			}
		})
	}
	all.Wait()
	next := map[string]int{}
	for range goroutines * each {
		e, err := event.Parse(brokertest.Receive(t, messages).Payload)
		require.NoError(t, err)
		require.Equal(t, strconv.Itoa(next[e.GUID]), e.Message)
		next[e.GUID]++
	}
	require.NoError(t, pub.Shutdown(context.Background()))
	assert.Equal(t, publisher.Stats{Accepted: goroutines * each, Acknowledged: goroutines * each}, pub.Stats())
}

func TestAnAuthenticationThatNobodyAskedForHarmsNobody(t *testing.T) {
	fake := brokertest.Script{
		Connack:  packets.Connack{Properties: &packets.Properties{AuthMethod: "x"}},
		Received: brokertest.OnPublish(func(conn net.Conn, p *packets.Publish) { brokertest.Puback(conn, p.PacketID, 0) }),
	}
	pub := start(t, publisher.Config{Address: fake.Serve(t)})
	require.NoError(t, pub.Publish(numbered(1)))
	flush(t, pub)
}

func TestABrokerOfMQTT311IsNamedAsSuch(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = packets.ReadPacket(conn)
			_ = conn.Close() // as an old Mosquitto does
		}
	}()
	log := make(logLines, 1000)
	start(t, publisher.Config{Address: listener.Addr().String(), Logger: slog.New(slog.NewTextHandler(log, nil))})
	for line := range log {
		if strings.Contains(line, "the broker may speak only MQTT 3.1.1") {
			return
		}
	}
}

func TestBadEventsAreRefusedBeforeIntake(t *testing.T) {
	for _, address := range []string{"127.0.0.1:1", ""} {
		hooked := make(chan publisher.RejectReason, 10)
		log := make(logLines, 100)
		pub := start(t, publisher.Config{
			Address: address, Logger: slog.New(slog.NewTextHandler(log, nil)),
			Hooks: publisher.Hooks{Rejected: func(reason publisher.RejectReason, events uint64) {
				assert.EqualValues(t, 1, events)
				hooked <- reason
			}},
		})
		require.ErrorContains(t, pub.Publish(event.Event{Type: "boom"}), `type "boom"`)
		assert.Equal(t, publisher.RejectedInvalid, <-hooked)
		for line := range log {
			if strings.Contains(line, "events are lost") {
				assert.Contains(t, line, `type \"boom\": want request, success or fail`)
				assert.Contains(t, line, "rejected.invalid=1")
				break
			}
		}
		want := publisher.Stats{Rejected: 1, RejectedBy: publisher.Rejections{Invalid: 1}}
		assert.Equal(t, want, pub.Stats())
		if address == "" {
			continue // an event that is not published is not measured
		}
		huge := numbered(0)
		huge.Message = strings.Repeat("x", publisher.MaxEventBytes)
		require.ErrorContains(t, pub.Publish(huge), "more than 65536")
		assert.Equal(t, publisher.RejectedTooLarge, <-hooked)
		want.Rejected, want.RejectedBy.TooLarge = 2, 1
		assert.Equal(t, want, pub.Stats())
	}
}
