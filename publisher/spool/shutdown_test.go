package spool_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/publisher"
	"github.com/mps-events/mps-events/publisher/spool"
)

// shutdownTakes returns the duration of a Shutdown that has more than enough time.
func shutdownTakes(t *testing.T, pub *publisher.Publisher) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*brokertest.Wait)
	defer cancel()
	begin := time.Now()
	require.NoError(t, pub.Shutdown(ctx))
	return time.Since(begin)
}

// All events are on disk, and there is no broker to wait for.
func TestShutdownDoesNotWaitForABrokerThatIsAwayWhenAllIsOnDisk(t *testing.T) {
	const events = 3000
	silent, err := net.Listen("tcp", "127.0.0.1:0") // it takes connections and never answers
	require.NoError(t, err)
	defer silent.Close()
	addr := nobody(t)
	for name, address := range map[string]string{"nobody is there": addr, "nobody answers": silent.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			pub := start(t, publisher.Config{Address: address, Capacity: 1000, Spool: open(t, dir)})
			for n := range events {
				require.NoError(t, pub.Publish(numbered(n)))
			}
			kept := pub.Stats().Pending
			assert.Less(t, shutdownTakes(t, pub), brokertest.Wait/2)
			next := start(t, publisher.Config{Address: address, Spool: open(t, dir)})
			assert.Equal(t, publisher.Stats{Accepted: kept, Pending: kept}, next.Stats())
		})
	}
}

func TestShutdownDeliversWhereThereIsABroker(t *testing.T) {
	const events = 5
	answer := func(after time.Duration) brokertest.Script {
		return brokertest.Script{Received: brokertest.OnPublish(func(conn net.Conn, p *packets.Publish) {
			time.AfterFunc(after, func() { brokertest.Puback(conn, p.PacketID, 0) })
		})}
	}
	for name, broker := range map[string]brokertest.Script{
		"that has not answered yet": answer(0),
		"that is slow":              answer(2 * time.Second),
	} {
		t.Run(name, func(t *testing.T) {
			pub := start(t, publisher.Config{Address: broker.Serve(t), Spool: open(t, "")})
			for n := range events {
				require.NoError(t, pub.Publish(numbered(n)))
			}
			shutdownTakes(t, pub)
			assert.Equal(t, publisher.Stats{Accepted: events, Acknowledged: events}, pub.Stats())
		})
	}
}

// Events that are in memory alone would be lost.
func TestShutdownWaitsForABrokerThatIsAwayWhenTheSpoolHasNoRoom(t *testing.T) {
	addr := nobody(t)
	pub := start(t, publisher.Config{Address: addr, DropNewest: true, Spool: open(t, "", spool.WithMaxBytes(1000))})
	const events = 20
	for n := range events {
		require.NoError(t, pub.Publish(numbered(n)))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	var undelivered *publisher.UndeliveredError
	require.ErrorAs(t, pub.Shutdown(ctx), &undelivered)
	assert.Error(t, ctx.Err(), "it did not wait")
	assert.ErrorIs(t, undelivered, context.DeadlineExceeded)
	assert.Positive(t, undelivered.Count)
	assert.Less(t, undelivered.Count, uint64(events), "some are on disk")
}
