package publisher_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/publisher"
)

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func TestShutdownIsFinalAndIdempotent(t *testing.T) {
	pub := start(t, publisher.Config{Address: brokertest.Start(t, "").Addr()})
	require.NoError(t, pub.Publish(numbered(1)))
	require.NoError(t, pub.Shutdown(context.Background()))
	require.NoError(t, pub.Shutdown(canceled()), "the first result")
	require.ErrorIs(t, pub.Publish(numbered(2)), publisher.ErrClosed)
	assert.Equal(t, publisher.Stats{Accepted: 1, Acknowledged: 1, Rejected: 1, RejectedBy: publisher.Rejections{Closed: 1}}, pub.Stats())
}

// stuckLog is a log that does not return before it is released.
type stuckLog struct{ released chan struct{} }

func (stuckLog) Enabled(context.Context, slog.Level) bool    { return true }
func (l stuckLog) Handle(context.Context, slog.Record) error { <-l.released; return nil }
func (l stuckLog) WithAttrs([]slog.Attr) slog.Handler        { return l }
func (l stuckLog) WithGroup(string) slog.Handler             { return l }

func TestALogThatHangsBlocksNobody(t *testing.T) {
	log := stuckLog{make(chan struct{})}
	pub := start(t, publisher.Config{Address: "127.0.0.1:1", Capacity: 1, Logger: slog.New(log)})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := range 10 {
			_ = pub.Publish(numbered(n))
		}
	}()
	select {
	case <-done:
	case <-time.After(brokertest.Wait):
		require.Fail(t, "Publish blocked")
	}
	stopped := make(chan error, 1)
	go func() { stopped <- pub.Shutdown(canceled()) }()
	select {
	case err := <-stopped:
		assert.ErrorContains(t, err, "undelivered")
	case <-time.After(brokertest.Wait):
		require.Fail(t, "Shutdown blocked")
	}
	close(log.released)
}

func TestASecondShutdownHasATimeOfItsOwn(t *testing.T) {
	pub := start(t, publisher.Config{Address: "127.0.0.1:1"})
	require.NoError(t, pub.Publish(numbered(1)))
	ctx, cancel := context.WithCancel(context.Background())
	first := make(chan error)
	go func() { first <- pub.Shutdown(ctx) }()
	require.Eventually(t, func() bool { return errors.Is(pub.Publish(numbered(2)), publisher.ErrClosed) }, brokertest.Wait, time.Millisecond)
	require.ErrorIs(t, pub.Shutdown(canceled()), context.Canceled)
	cancel()
	var undelivered *publisher.UndeliveredError
	require.ErrorAs(t, <-first, &undelivered)
	assert.Equal(t, error(undelivered), pub.Shutdown(context.Background()), "the first result")
}

// Flush returns nil each time, although its context has ended as well.
func TestFlushOfNothingIsDoneAlsoInAnEndedContext(t *testing.T) {
	for _, address := range []string{"", "127.0.0.1:1"} {
		pub := start(t, publisher.Config{Address: address})
		for range 50 {
			require.NoError(t, pub.Flush(canceled()))
		}
	}
}
