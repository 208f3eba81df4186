package consumer_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/internal/consumer"
)

// Every client that may publish can send messages that the rules cannot understand, as often as it likes.
func TestAFloodOfDeadLettersFillsNeitherStoreNorLog(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	cfg := config(t, b, ilert)
	cfg.MaxDeadLetters = 100
	var log bytes.Buffer
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	c := start(t, cfg).ready(t)
	client := brokertest.Connect(t, b.Addr(), nil)
	for range 500 {
		publish(t, client, "\xff")
	}
	tally := func() consumer.Tally { return c.Status(t.Context()).Messages["mps/events"] }
	require.Eventually(t, func() bool { return tally().Received == 500 }, brokertest.Wait, 50*time.Millisecond)
	assert.Equal(t, consumer.Tally{Received: 500, Dead: 100, Purged: 400}, tally())
	assert.EqualValues(t, 100*len("mps/events\xff"), c.Status(t.Context()).DeadLetterBytes)
	c.stop()
	assert.Equal(t, 2, strings.Count(log.String(), "cannot be understood"), "at once, and what came since")
	assert.Contains(t, log.String(), "times=499")
	purged := strings.LastIndex(log.String(), "the oldest are purged")
	assert.Contains(t, log.String()[max(purged, 0):], "dead_letters_since_start=400")
}

// Messages that arrive while one transaction reaches the disk share the next one.
func TestPostsAreStoredTogether(t *testing.T) {
	ilert := record(t)
	var log bytes.Buffer
	cfg := consumer.Config{
		OpenStore: storeAt(newStorePath(t)), IlertURL: ilert.URL, Mapping: &consumer.Mapping{},
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	c := start(t, cfg).ready(t)
	const posts, callers = 1000, 50
	var next atomic.Int64
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for n := next.Add(1); n <= posts; n = next.Add(1) {
				_, err := c.Post(t.Context(), fmt.Appendf(nil, `{"integrationKey":"k%d","eventType":"ALERT","summary":"x"}`, n%7))
				assert.NoError(t, err)
			}
		})
	}
	all.Wait()
	tally := c.Status(t.Context()).Messages[consumer.HTTPFilter]
	assert.EqualValues(t, posts, tally.Received)
	c.stop()
	assert.Less(t, strings.Count(log.String(), "msg=stored"), posts/4)
}

func TestNothingIsPostedToAConsumerThatHasStopped(t *testing.T) {
	c := start(t, consumer.Config{OpenStore: storeAt(newStorePath(t))}).ready(t)
	c.stop()
	_, err := c.Post(t.Context(), postable("ALERT"))
	assert.EqualError(t, err, "consumer: stopping")
}
