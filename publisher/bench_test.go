package publisher_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/publisher"
)

// BenchmarkPublish is what a caller pays, whether the broker is there or not:
// here it is away and the queue is full.
func BenchmarkPublish(b *testing.B) {
	pub, err := publisher.New(publisher.Config{Address: "127.0.0.1:1", Capacity: 1024})
	require.NoError(b, err)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	defer func() { _ = pub.Shutdown(ctx) }()
	ev := event.Connected("4c4c4544-004b-4210-8033-b6c04f504633")
	b.ReportAllocs()
	for b.Loop() {
		_ = pub.Publish(ev)
	}
}

// BenchmarkDelivery is the rate from Publish to the broker's acknowledgement.
// MQTT_ADDRESS names a broker; without it the embedded one is used.
func BenchmarkDelivery(b *testing.B) {
	for _, atMostOnce := range []bool{true, false} {
		b.Run(fmt.Sprintf("AtMostOnce=%v", atMostOnce), func(b *testing.B) {
			address := os.Getenv("MQTT_ADDRESS")
			if address == "" {
				address = brokertest.Start(b, "").Addr()
			}
			pub, err := publisher.New(publisher.Config{Address: address, AtMostOnce: atMostOnce, DropNewest: true})
			require.NoError(b, err)
			defer func() { require.NoError(b, pub.Shutdown(context.Background())) }()
			ev := event.Connected("4c4c4544-004b-4210-8033-b6c04f504633")
			require.NoError(b, pub.Publish(ev))
			require.NoError(b, pub.Flush(context.Background()))
			b.ResetTimer()
			for range b.N {
				for errors.Is(pub.Publish(ev), publisher.ErrFull) {
					runtime.Gosched()
				}
			}
			require.NoError(b, pub.Flush(context.Background()))
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
