package publisher_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/eclipse/paho.golang/packets"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/publisher"
)

func TestARefusedEventIsDroppedAndTheRestGoesOn(t *testing.T) {
	const notAuthorized = 0x87
	fake := brokertest.Script{Received: brokertest.OnPublish(func(conn net.Conn, p *packets.Publish) {
		reason := byte(0)
		if strings.Contains(string(p.Payload), `"message":"1"`) {
			reason = notAuthorized
		}
		brokertest.Puback(conn, p.PacketID, reason)
	})}
	var log bytes.Buffer
	pub := start(t, publisher.Config{Address: fake.Serve(t), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for n := range 3 {
		require.NoError(t, pub.Publish(numbered(n)))
	}
	flush(t, pub)
	assert.Equal(t, publisher.Stats{Accepted: 3, Acknowledged: 2, Dropped: 1, DroppedBy: publisher.Drops{Refused: 1}}, pub.Stats())
	require.NoError(t, pub.Shutdown(context.Background()))
	assert.Contains(t, log.String(), `msg="events are lost" broker_says=`)
	assert.Contains(t, log.String(), `dropped.refused=1`)
	assert.Contains(t, log.String(), "0x87")
}

func TestAFullQueueDropsTheOldest(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := listener.Addr().String()
	require.NoError(t, listener.Close()) // there is no broker any more
	var log bytes.Buffer
	var hooked atomic.Uint64
	pub := start(t, publisher.Config{
		Address: addr, Capacity: 10, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Hooks: publisher.Hooks{Dropped: func(reason publisher.DropReason, n uint64) {
			assert.Equal(t, publisher.Overflow, reason)
			hooked.Add(n)
		}},
	})
	for n := range 1000 {
		require.NoError(t, pub.Publish(numbered(n)))
	}
	assert.Equal(t, publisher.Stats{Accepted: 1000, Dropped: 990, DroppedBy: publisher.Drops{Overflow: 990}, Pending: 10}, counted(pub))
	require.Error(t, pub.Shutdown(canceled()))
	assert.EqualValues(t, 990, hooked.Load())
	lines := strings.Count(log.String(), "events are lost")
	assert.Contains(t, []int{1, 2}, lines, "one a minute, and one for the rest at the end")
}

func TestAQueueThatIsAllUnderWayIsFull(t *testing.T) {
	received := make(chan struct{}, 10)
	pub := start(t, publisher.Config{Address: brokertest.Script{Received: brokertest.OnPublish(func(net.Conn, *packets.Publish) { received <- struct{}{} })}.Serve(t), Capacity: 1})
	require.NoError(t, pub.Publish(numbered(0)))
	<-received
	require.ErrorIs(t, pub.Publish(numbered(1)), publisher.ErrFull)
	assert.Equal(t, publisher.Stats{Accepted: 1, Pending: 1, Rejected: 1, RejectedBy: publisher.Rejections{Full: 1}}, counted(pub))
}

// large returns an event that is nearly as large as Publish accepts.
func large(n int) event.Event {
	e := numbered(n)
	e.GUID = strings.Repeat("x", 60_000)
	return e
}

// heap returns the bytes of the heap that are in use.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestMemoryIsBoundedInBytes(t *testing.T) {
	const events, bound = 3000, 64 << 20 // of 180 MB
	pub := start(t, publisher.Config{Address: "127.0.0.1:1"})
	before := heap()
	for n := range events {
		require.NoError(t, pub.Publish(large(n)))
	}
	assert.Less(t, heap(), before+bound*5/4)
	s := pub.Stats()
	checkIdentity(t, s)
	assert.Equal(t, s.Dropped, s.DroppedBy.Overflow)
	assert.InDelta(t, bound/64_000, s.Pending, 100)
}

func TestAFullQueueOfFewLargeEventsRefusesOrDrops(t *testing.T) {
	const bound = 512 << 10
	pub := start(t, publisher.Config{Address: "127.0.0.1:1", MaxBufferedBytes: bound, DropNewest: true})
	var accepted uint64
	var err error
	for err == nil {
		if err = pub.Publish(large(0)); err == nil {
			accepted++
		}
	}
	require.ErrorIs(t, err, publisher.ErrFull)
	require.NoError(t, pub.Publish(numbered(0)), "a small one has room")
	assert.Equal(t, publisher.Stats{
		Accepted: accepted + 1, Pending: accepted + 1, Rejected: 1, RejectedBy: publisher.Rejections{Full: 1},
	}, counted(pub))

	// A large event drops as many small ones as it needs room.
	pub = start(t, publisher.Config{Address: "127.0.0.1:1", MaxBufferedBytes: bound})
	for n := range 10_000 {
		require.NoError(t, pub.Publish(numbered(n)))
	}
	full := pub.Stats().Pending
	require.NoError(t, pub.Publish(large(0)))
	assert.Less(t, pub.Stats().Pending, full-50)
	checkIdentity(t, pub.Stats())

	_, err = publisher.New(publisher.Config{MaxBufferedBytes: bound - 1})
	assert.ErrorContains(t, err, "MaxBufferedBytes 524287: want 524288 bytes or more")
}
