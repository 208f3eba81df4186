package publisher_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/publisher"
)

// BenchmarkPublish measures the cost for the caller, which does not depend on the broker: here
// the broker is away and the queue is full. e2e/bench measures the events that a broker gets.
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
