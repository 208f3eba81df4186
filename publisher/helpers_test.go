package publisher_test

import (
	"context"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/publisher"
)

// numbered returns an event whose message is n.
func numbered(n int) event.Event {
	return event.Event{Type: event.Success, Message: strconv.Itoa(n), Methods: []string{"AMT_PowerState"}, GUID: "123"}
}

func start(t *testing.T, config publisher.Config) *publisher.Publisher {
	t.Helper()
	pub, err := publisher.New(config)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = pub.Shutdown(ctx)
	})
	return pub
}

func flush(t *testing.T, pub *publisher.Publisher) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), brokertest.Wait)
	defer cancel()
	require.NoError(t, pub.Flush(ctx))
}

// counted returns the Stats without the age of the oldest event, which changes all the time.
func counted(pub *publisher.Publisher) publisher.Stats {
	s := pub.Stats()
	s.OldestPending = 0
	return s
}

func checkIdentity(t *testing.T, s publisher.Stats) {
	t.Helper()
	require.Equal(t, s.Accepted, s.Acknowledged+s.Dropped+s.Pending, "%+v", s)
}

// logLines is a log whose lines a test can wait for.
type logLines chan string

func (l logLines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}
