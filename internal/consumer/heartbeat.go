package consumer

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"time"
)

const (
	// pingInterval is the interval of pings of HeartbeatKey while all is well. ilert's shortest
	// heartbeat wants one a minute.
	pingInterval = 30 * time.Second
	// minPingInterval is the shortest time between two pings of one key: ilert takes five a minute.
	minPingInterval = 12 * time.Second
	// maxPings limits the pings that wait for the one under way.
	maxPings = 100
	// pingTimeout ends a ping that hangs, because a late one is worth nothing.
	pingTimeout = 10 * time.Second
)

// pingHeartbeats pings HeartbeatKey while the consumer is ready, and passes on the pings that messages ask
// for, until ctx ends. It does not repeat a ping that fails: the next one says the same.
func (c *Consumer) pingHeartbeats(ctx context.Context) {
	first, ticks := time.NewTicker(time.Second), time.NewTicker(pingInterval)
	defer first.Stop()
	defer ticks.Stop()
	if c.config.HeartbeatKey == "" {
		first.Stop()
		ticks.Stop()
	}
	last := map[string]time.Time{}
	for {
		select {
		case <-first.C: // as soon as the consumer is ready
			if c.Ready() == nil {
				first.Stop()
				c.pingIfReady(ctx)
			}
		case <-ticks.C:
			c.pingIfReady(ctx)
		case key := <-c.pings:
			maps.DeleteFunc(last, func(_ string, at time.Time) bool { return time.Since(at) >= minPingInterval })
			if _, lately := last[key]; !lately {
				last[key] = time.Now()
				_ = c.Ping(ctx, key)
			}
		case <-ctx.Done():
			return
		}
	}
}

// pingIfReady pings unless the consumer is not ready, so that ilert then raises the alert that
// the consumer cannot.
func (c *Consumer) pingIfReady(ctx context.Context) {
	if err := c.Ready(); err != nil {
		c.lines.Warn("no heartbeat", "no heartbeat: not ready", slog.Any("error", err))
		return
	}
	_ = c.Ping(ctx, c.config.HeartbeatKey)
}

// Ping passes one heartbeat on to ilert. It blocks until ilert has answered, at most ten seconds.
func (c *Consumer) Ping(ctx context.Context, key string) error {
	if c.config.DryRun {
		c.config.Logger.Info("dry run: a heartbeat would be pinged")
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	err := c.config.ilert.Ping(ctx, key)
	if err != nil {
		c.lines.Warn("heartbeat", "a heartbeat has failed", slog.Any("error", err))
	}
	return err
}

// heartbeatOf reads a message of HeartbeatTopic.
func heartbeatOf(payload []byte) (key string, err error) {
	var m struct {
		IntegrationKey string `json:"integrationKey"`
		APIKey         string `json:"apiKey"` // its old name
	}
	if err := json.Unmarshal(payload, &m); err != nil {
		return "", err
	}
	if m.IntegrationKey == "" {
		m.IntegrationKey = m.APIKey
	}
	if m.IntegrationKey == "" {
		return "", errors.New("integrationKey is missing")
	}
	return m.IntegrationKey, nil
}
