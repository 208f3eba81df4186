package consumer_test

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/broker"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/internal/consumer"
)

// journal is a log that is read while it is written.
type journal struct {
	mu    sync.Mutex
	lines strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lines.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lines.String()
}

func (j *journal) count(text string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.lines.String(), text)
}

// say publishes an event of a server whose timestamp, by its own clock, is some time ago.
func say(t *testing.T, client *paho.Client, source string, ago time.Duration) {
	t.Helper()
	e := event.Event{Type: event.Request, Message: "x", Methods: []string{"AMT_PowerState"}, GUID: "1", Timestamp: time.Now().Add(-ago).UnixMilli()}
	tell(t, client, source, e.AppendJSON(nil))
}

// tell publishes a payload of a server.
func tell(t *testing.T, client *paho.Client, source string, payload []byte) {
	t.Helper()
	p := &paho.Publish{Topic: "mps/events", QoS: 1, Payload: payload}
	if source != "" {
		p.Properties = &paho.PublishProperties{User: paho.UserProperties{{Key: "source", Value: source}}}
	}
	_, err := client.Publish(t.Context(), p)
	require.NoError(t, err)
}

// until does something again and again.
func until(t *testing.T, done func() bool, do func()) {
	t.Helper()
	for began := time.Now(); !done(); do() {
		require.Less(t, time.Since(began), brokertest.Wait)
	}
}

func behind(t *testing.T, c started) (names []string) {
	t.Helper()
	for _, s := range c.Status(t.Context()).Behind {
		names = append(names, s.Name)
	}
	return names
}

func received(t *testing.T, c started, n uint64) {
	t.Helper()
	require.Eventually(t, func() bool { return c.Status(t.Context()).Messages["mps/events"].Received >= n }, brokertest.Wait, 5*time.Millisecond)
}

func TestAServerWhoseClockIsBehindIsNamedUntilItIsRight(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	cfg := config(t, b, ilert)
	var log journal
	cfg.Logger, cfg.MaxSkew = slog.New(slog.NewTextHandler(&log, nil)), 500*time.Millisecond
	c := start(t, cfg).ready(t)
	client := brokertest.Connect(t, b.Addr(), nil)
	until(t, func() bool { return len(behind(t, c)) == 3 }, func() {
		say(t, client, "slow", time.Hour)
		say(t, client, "slower", 2*time.Hour)
		say(t, client, "", time.Minute) // who does not say who it is
		say(t, client, "right", 0)
		say(t, client, "fast", -time.Hour)
	})
	status := c.Status(t.Context())
	assert.Equal(t, []string{"slower", "slow", "mps/events"}, behind(t, c))
	assert.InDelta(t, 7200, status.Behind[0].Seconds, 20)
	assert.WithinDuration(t, time.Now(), status.Behind[0].HeardAt, time.Minute)
	assert.True(t, status.Ready, "it is not our fault")
	const begins, ends = `msg="a server's clock is behind ours`, `msg="a server's clock is right again" source=slow`
	for range 100 {
		say(t, client, "slow", time.Hour)
	}
	assert.Equal(t, 3, log.count(begins), "once each")
	assert.Zero(t, log.count(ends))
	until(t, func() bool { return len(behind(t, c)) == 2 }, func() { say(t, client, "slow", 0) })
	say(t, client, "slow", 0)
	c.stop()
	assert.Equal(t, 1, log.count(ends))
}

func TestABacklogIsNoSlowClock(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	cfg := config(t, b, ilert)
	start(t, cfg).ready(t).stop()
	client := brokertest.Connect(t, b.Addr(), nil)
	for range 200 {
		say(t, client, "s", time.Hour)
	}
	c := start(t, cfg)
	received(t, c, 200)
	assert.Empty(t, behind(t, c))
	for range 200 { // as of brokers that do not mark what they send again
		say(t, client, "s", time.Hour)
	}
	received(t, c, 400)
	assert.Empty(t, behind(t, c))
}

func TestOnlySoManyServersAreWatched(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	cfg := config(t, b, ilert)
	cfg.MaxSkew = time.Millisecond
	c := start(t, cfg).ready(t)
	client := brokertest.Connect(t, b.Addr(), nil)
	sent := uint64(0)
	until(t, func() bool { return len(behind(t, c)) == 1 }, func() {
		say(t, client, "slow", time.Hour)
		sent++
	})
	for n := range 1010 {
		say(t, client, fmt.Sprint("another ", n), 0)
		sent++
	}
	received(t, c, sent)
	assert.Empty(t, behind(t, c), "it was not heard of for longest")
	say(t, client, strings.Repeat("x", 200), time.Hour) // counts as nobody's
	received(t, c, sent+1)
}

func TestStatusSaysSinceWhenTheBrokerIsThere(t *testing.T) {
	b, err := broker.Start("127.0.0.1:0", "")
	require.NoError(t, err)
	cfg := config(t, b, record(t))
	cfg.Username, cfg.Password = "u", "p4ss"
	c := start(t, cfg).ready(t)
	status := c.Status(t.Context())
	assert.Equal(t, "mqtt://"+b.Addr(), status.Broker.Address)
	assert.WithinDuration(t, time.Now(), status.Broker.ConnectedSince, time.Minute)
	require.NoError(t, b.Close())
	require.Eventually(t, func() bool { return c.Status(t.Context()).Broker.ConnectedSince.IsZero() }, brokertest.Wait, 5*time.Millisecond)
	status = c.Status(t.Context())
	assert.False(t, status.Ready)
	assert.Equal(t, "subscription", status.Parts[0].Name)
	assert.NotEmpty(t, status.Parts[0].Error)
	assert.True(t, status.Parts[1].Ready)
}

func TestStatusSaysThatTheStoreCannotBeRead(t *testing.T) {
	c := start(t, config(t, brokertest.Start(t, ""), record(t))).ready(t)
	c.stop()
	status := c.Status(t.Context())
	assert.False(t, status.Ready)
	assert.Nil(t, status.Messages)
	assert.Contains(t, status.Parts[1].Error, "closed")
	assert.NotEmpty(t, status.Rules)
}

func TestADryRunHasAStatusToo(t *testing.T) {
	b := brokertest.Start(t, "")
	cfg := config(t, b, record(t))
	cfg.DryRun = true
	c := start(t, cfg).ready(t)
	publish(t, brokertest.Connect(t, b.Addr(), nil), call(event.Fail, "1"))
	require.Eventually(t, func() bool { return c.Status(t.Context()).Alerts.Open == 1 }, brokertest.Wait, 5*time.Millisecond)
	status := c.Status(t.Context())
	assert.Equal(t, uint64(1), status.Messages["mps/events"].Delivered)
	assert.Equal(t, consumer.Requests{}, status.Requests, "nobody was asked")
}
