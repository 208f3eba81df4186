package publisher

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/internal/mqttconn"
)

const nobody = "127.0.0.1:1" // no broker is there

// nth returns an event whose message is n.
func nth(n int) event.Event {
	return event.Event{Type: event.Success, Message: strconv.Itoa(n), Methods: []string{"AMT_PowerState"}, GUID: "123"}
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// shutdown shuts down at once, and fails the test if that hangs.
func shutdown(t *testing.T, p *Publisher) error {
	t.Helper()
	result := make(chan error, 1)
	go func() { result <- p.Shutdown(canceled()) }()
	select {
	case err := <-result:
		return err
	case <-time.After(brokertest.Wait):
		require.FailNow(t, "Shutdown hangs")
		return nil
	}
}

// leave lets an earlier process leave events on disk.
func leave(t *testing.T, disk *memorySpool, events int) {
	t.Helper()
	p, err := New(Config{Address: nobody, Spool: spoolOf(disk)})
	require.NoError(t, err)
	for n := range events {
		require.NoError(t, p.Publish(nth(n)))
	}
	require.NoError(t, p.Shutdown(canceled()))
}

// The last write drops events when the reporter may be about to end and may not have received
// the signal for earlier losses.
func TestShutdownEndsWhileTheSpoolDropsARecordForEachNewOne(t *testing.T) {
	for range 20 {
		p, err := New(Config{Address: nobody, Capacity: minCapacityWithSpool, Spool: spoolOf(newMemorySpool(50))})
		require.NoError(t, err)
		var publishing sync.WaitGroup
		publishing.Go(func() {
			for n := 0; p.Publish(nth(n)) == nil; n++ {
			}
		})
		require.Eventually(t, func() bool { return p.Stats().Dropped > 1000 }, brokertest.Wait, time.Millisecond)
		require.NoError(t, shutdown(t, p))
		publishing.Wait()
	}
}

func TestLossesOfTheLastWriteReachHookAndLog(t *testing.T) {
	const onDisk, more = 100, 3
	disk := newMemorySpool(onDisk)
	leave(t, disk, onDisk)
	var broken atomic.Bool // until the last write
	broken.Store(true)
	disk.commitFails = broken.Load
	var hooked atomic.Uint64
	var log bytes.Buffer
	p, err := New(Config{
		Address: nobody, Capacity: minCapacityWithSpool, Spool: spoolOf(disk), Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Hooks: Hooks{Dropped: func(reason DropReason, n uint64) {
			assert.Equal(t, SpoolLost, reason)
			hooked.Add(n)
		}},
	})
	require.NoError(t, err)
	for n := range more {
		require.NoError(t, p.Publish(nth(n)))
	}
	require.Eventually(t, func() bool { return p.Stats().SpoolErrors > 0 }, brokertest.Wait, time.Millisecond)
	broken.Store(false)
	require.NoError(t, shutdown(t, p))
	assert.EqualValues(t, more, p.Stats().Dropped)
	assert.EqualValues(t, more, hooked.Load())
	assert.Contains(t, log.String(), "dropped.spool=3")
}

func TestWhatIsOnDiskIsNotUndeliveredHoweverLongClosingTakes(t *testing.T) {
	disk := spoolOf(newMemorySpool(math.MaxInt))
	disk.released = make(chan struct{})
	defer close(disk.released)
	p, err := New(Config{Address: nobody, Spool: disk})
	require.NoError(t, err)
	for n := range 10 {
		require.NoError(t, p.Publish(nth(n)))
	}
	require.NoError(t, shutdown(t, p))
	assert.EqualValues(t, 10, p.Stats().Pending)
}

func TestASpoolThatCannotBeReadIsGivenUpAndTheRestGoesOn(t *testing.T) {
	const onDisk = 40
	disk := newMemorySpool(math.MaxInt)
	leave(t, disk, onDisk)
	disk.loadFails = func() bool { return true }
	q := newQueue(minCapacityWithSpool, math.MaxInt, false)
	q.restore(disk.Range())
	q.connected(new(mqttconn.Link), mqttconn.Limits{ReceiveMaximum: 10, MaximumQoS: 2}, 1)
	k := newKeeper(q, disk, slog.New(slog.DiscardHandler))
	for range 3 {
		require.False(t, k.load())
	}
	assert.Equal(t, Stats{Accepted: onDisk, Pending: onDisk, SpoolErrors: 3}, q.snapshot(), "patience")

	k.giveUpAfter = 10 * time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() { k.run(ctx) })
	require.Eventually(t, func() bool { return q.snapshot().Dropped > 0 }, brokertest.Wait, time.Millisecond)
	topic, err := parseTopic("t")
	require.NoError(t, err)
	s := newEncoder(Config{Source: "s"}, topic)
	p, e := new(packet), nth(onDisk)
	s.encode(p, &e)
	require.NoError(t, q.add(p))
	written, _, n := q.takeBatch(nil)
	require.Equal(t, 1, n)
	assert.Equal(t, onDisk, eventIn(written))
	stats := q.snapshot()
	assert.Greater(t, stats.SpoolErrors, uint64(3))
	stats.SpoolErrors = 0
	assert.Equal(t, Stats{Accepted: onDisk + 1, Dropped: onDisk, DroppedBy: Drops{SpoolLost: onDisk}, Pending: 1}, stats)
}

// The server publishes as fast as it can, so that memory is always full of events for which the
// disk has no room.
func TestADiskThatTakesNothingMoreDoesNotStallDelivery(t *testing.T) {
	for name, dropNewest := range map[string]bool{"a full spool that refuses": true, "a full disk": false} {
		t.Run(name, func(t *testing.T) {
			const capacity, onDisk = 16, 200 // far more than are loaded at a time
			disk := newMemorySpool(onDisk)
			leave(t, disk, onDisk)
			if !dropNewest {
				disk.commitFails = func() bool { return true }
			}
			last := -1
			delivered, comeUp := make(chan struct{}), make(chan struct{})
			broker := brokertest.Script{
				Connected: func(*packets.Connect) { <-comeUp },
				Received: brokertest.OnPublish(func(conn net.Conn, p *packets.Publish) {
					n := eventIn(p.Payload)
					assert.Greater(t, n, last)
					if last < onDisk && n >= onDisk {
						close(delivered) // the events that were on disk, and more
					}
					last = n
					brokertest.Puback(conn, p.PacketID, 0)
				}),
			}
			p, err := New(Config{Address: broker.Serve(t), Capacity: capacity, DropNewest: dropNewest, Spool: spoolOf(disk)})
			require.NoError(t, err)
			full := make(chan struct{})
			var publishing sync.WaitGroup
			publishing.Go(func() {
				for n := 0; !errors.Is(p.Publish(nth(onDisk+n)), ErrClosed); n++ {
					if n == 1000 {
						close(full)
					}
				}
			})
			<-full
			close(comeUp)
			select {
			case <-delivered:
			case <-time.After(brokertest.Wait):
				assert.Fail(t, "stalled", "%+v", p.Stats())
			}
			_ = shutdown(t, p)
			publishing.Wait()
		})
	}
}

func TestWithASpoolThereIsMemoryForEachPartOfTheQueue(t *testing.T) {
	_, err := New(Config{Address: nobody, Capacity: minCapacityWithSpool - 1, Spool: spoolOf(newMemorySpool(math.MaxInt))})
	require.ErrorContains(t, err, "Capacity 15: with a Spool want 16 or more")
	topic, err := parseTopic("t")
	require.NoError(t, err)
	s := newEncoder(Config{Source: "s"}, topic)
	for capacity := minCapacityWithSpool; capacity < 2*minCapacityWithSpool; capacity++ {
		q := newQueue(capacity, math.MaxInt, false)
		q.restore(0, 0, 0)
		k := newKeeper(q, newMemorySpool(math.MaxInt), slog.New(slog.DiscardHandler))
		q.connected(new(mqttconn.Link), mqttconn.Limits{ReceiveMaximum: 100, MaximumQoS: 2}, 1)
		for n := range 3 * capacity { // the broker answers none
			p, e := new(packet), nth(n)
			s.encode(p, &e)
			require.NoError(t, q.add(p), "capacity %d", capacity)
			q.takeBatch(nil)
			require.True(t, k.load())
			require.NoError(t, k.write(q.newestNumber()), "the disk keeps up with each event")
		}
		assert.Zero(t, q.snapshot().Dropped, "capacity %d", capacity)
	}
}
