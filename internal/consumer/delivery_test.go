package consumer

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/internal/ilert"
)

func TestTheNextTryIsWhenIlertAsksForItWithinReason(t *testing.T) {
	var status int
	var retryAfter string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", retryAfter)
		w.WriteHeader(status)
	}))
	defer server.Close()
	c, err := New(Config{
		Address: "localhost", ClientID: "test", OpenStore: sqliteAt(filepath.Join(t.TempDir(), "store.db")),
		IlertURL: server.URL, IntegrationKey: "k",
	})
	require.NoError(t, err)
	defer c.alerts.Close()
	notice := alerting.Notice{Path: ilert.EventsPath, Event: ilert.Event{EventType: ilert.Alert, Summary: "s", AlertKey: "a"}}
	for _, status = range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusForbidden} {
		for after, want := range map[string]time.Duration{
			"120": 2 * time.Minute, "600": 10 * time.Minute, "601": 10 * time.Minute, "31536000": 10 * time.Minute,
		} {
			retryAfter = after
			answer := c.sendNotice(t.Context(), notice)
			assert.Equal(t, want, answer.Retry.Sub(answer.At), "%d, Retry-After: %s", status, after)
		}
	}
	retryAfter = ""
	answer := c.sendNotice(t.Context(), notice)
	assert.Less(t, answer.Retry.Sub(answer.At), firstBackoff, "ilert asks for nothing")
}

// Full jitter, so that requests that failed together are not tried again together.
func TestBackoffGrowsToItsLimit(t *testing.T) {
	for tries, limit := range map[int]time.Duration{
		0: time.Second, 1: 2 * time.Second, 5: 32 * time.Second, 6: time.Minute, 7: time.Minute, math.MaxInt: time.Minute,
	} {
		var least, longest time.Duration = limit, 0
		for range 1000 {
			wait := backoff(tries)
			least, longest = min(least, wait), max(longest, wait)
		}
		assert.GreaterOrEqual(t, least, time.Duration(0), "%d tries", tries)
		assert.Less(t, least, limit/10, "%d tries", tries)
		assert.Greater(t, longest, limit*9/10, "%d tries", tries)
		assert.Less(t, longest, limit, "%d tries", tries)
	}
}

func TestTheHeartbeatStopsWhileSomethingIsInTheWay(t *testing.T) {
	pings := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pings <- r.URL.Path
		w.WriteHeader(http.StatusAccepted)
	}))
	defer server.Close()
	c, err := New(Config{
		Address: "localhost", ClientID: "test", OpenStore: sqliteAt(filepath.Join(t.TempDir(), "store.db")),
		HeartbeatURL: server.URL, HeartbeatKey: "beat", IntegrationKey: "k",
	})
	require.NoError(t, err)
	defer c.alerts.Close()
	for _, p := range []part{subscription, storing, claiming, settling, delivering} {
		c.faults = map[part]error{p: errors.New("does not work")}
		c.pingIfReady(t.Context())
		assert.Empty(t, pings, p)
	}
	clear(c.faults)
	c.pingIfReady(t.Context())
	assert.Equal(t, "/api/pings/beat", <-pings)
}

func TestIlertIsToldThatTheBrokerIsAway(t *testing.T) {
	was := brokerAlertDelay
	brokerAlertDelay = 10 * time.Millisecond
	defer func() { brokerAlertDelay = was }()
	sent := make(chan ilert.Event, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var e ilert.Event
		assert.NoError(t, json.NewDecoder(r.Body).Decode(&e))
		sent <- e
		w.WriteHeader(http.StatusAccepted)
	}))
	defer server.Close()
	b := brokertest.Start(t, "")
	require.NoError(t, b.Close())
	c, err := New(Config{
		Address: "mqtt://" + b.Addr(), ClientID: "test", OpenStore: sqliteAt(filepath.Join(t.TempDir(), "store.db")), IlertURL: server.URL, IntegrationKey: "k",
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	raised := <-sent
	assert.Equal(t, ilert.Alert, raised.EventType)
	assert.Equal(t, "mps-ilert/test", raised.AlertKey)
	assert.Equal(t, "HIGH", raised.Priority)
	require.NoError(t, c.Reload(ctx)) // which is no reason to end it
	require.Eventually(t, func() bool {
		status, err := c.alerts.Status(ctx, time.Now())
		return assert.NoError(t, err) && status.Open == 1 && status.Waiting == 0 && status.Claimed == 0
	}, brokertest.Wait, time.Millisecond)
	brokertest.Start(t, b.Addr())
	ended := <-sent
	assert.Equal(t, ilert.Resolve, ended.EventType)
	assert.Equal(t, raised.AlertKey, ended.AlertKey)
	cancel()
	require.NoError(t, <-done)
}
