package consumer_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/internal/consumer"
)

// counter is an ilert that counts the requests of each integration key.
type counter struct {
	*httptest.Server
	mu       sync.Mutex
	requests map[string]int
}

func count(t *testing.T, answer func(w http.ResponseWriter, key string)) *counter {
	t.Helper()
	c := &counter{requests: map[string]int{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var e struct{ IntegrationKey string }
		assert.NoError(t, json.NewDecoder(r.Body).Decode(&e))
		c.mu.Lock()
		c.requests[e.IntegrationKey]++
		c.mu.Unlock()
		answer(w, e.IntegrationKey)
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *counter) of(key string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.requests[key]
}

// looked waits until a consumer has sent the newest event, so it has claimed once since.
func (c *counter) looked(t *testing.T, s started, key string) {
	t.Helper()
	post(t, s, key, 0)
	require.Eventually(t, func() bool { return c.of(key) > 0 }, brokertest.Wait, time.Millisecond)
}

func post(t *testing.T, s started, key string, n int) {
	t.Helper()
	_, err := s.Post(t.Context(), fmt.Appendf(nil, `{"integrationKey":%q,"eventType":"ALERT","summary":"s","alertKey":"%d"}`, key, n))
	require.NoError(t, err)
}

func TestARestartIsNoReasonToSendMore(t *testing.T) {
	ilert := count(t, func(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusAccepted) })
	cfg := consumer.Config{OpenStore: storeAt(newStorePath(t)), IlertURL: ilert.URL}
	began := time.Now()
	c := start(t, cfg)
	for n := range 40 {
		post(t, c, "busy", n)
	}
	for n := range 6 {
		ilert.looked(t, c, fmt.Sprint("another ", n))
		c.stop()
		c = start(t, cfg)
	}
	c.stop()
	const burst, aSecond = 10, 48.0 / 60
	assert.GreaterOrEqual(t, ilert.of("busy"), 7)
	assert.LessOrEqual(t, ilert.of("busy"), burst+int(aSecond*time.Since(began).Seconds()))
}

func TestIlertsWishToBeLeftAloneOutlivesTheProcess(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		tried  bool
	}{
		"too many requests": {http.StatusTooManyRequests, false},
		"out of order":      {http.StatusServiceUnavailable, false},
		"a wrong key, which may have been mended": {http.StatusForbidden, true},
	} {
		t.Run(name, func(t *testing.T) {
			ilert := count(t, func(w http.ResponseWriter, key string) {
				if key != secret {
					w.WriteHeader(http.StatusAccepted)
					return
				}
				if c.status != http.StatusForbidden {
					w.Header().Set("Retry-After", "300")
				}
				w.WriteHeader(c.status)
			})
			b := brokertest.Start(t, "")
			cfg := config(t, b, record(t))
			cfg.IlertURL, cfg.Rate = ilert.URL, 0
			client := brokertest.Connect(t, b.Addr(), nil)
			d := start(t, cfg).ready(t)
			publish(t, client, call(event.Fail, "1"))
			d.failing(t, fmt.Sprint("ilert answered ", c.status))
			d.stop()
			require.Equal(t, 1, ilert.of(secret))
			d = start(t, cfg)
			publish(t, client, call(event.Fail, "2"))
			require.Eventually(t, func() bool { return d.Status(t.Context()).Alerts.Waiting == 2 || ilert.of(secret) > 1 }, brokertest.Wait, time.Millisecond)
			ilert.looked(t, d, "another")
			d.stop()
			if c.tried {
				assert.Greater(t, ilert.of(secret), 1)
			} else {
				assert.Equal(t, 1, ilert.of(secret))
			}
		})
	}
}
