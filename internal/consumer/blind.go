package consumer

import (
	"context"
	"log/slog"
	"time"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

// ownRule is the name of the consumer's own alert among those of rules.
const ownRule = "mps-ilert"

// blindMost ends the alert of a consumer that was never started again.
const blindMost = 30 * 24 * time.Hour

// blindAfter is how long the broker may be away before ilert is told. Silence is the worst
// failure: it looks like a quiet night. A test cannot wait for it.
var blindAfter = 2 * time.Minute

// watch keeps the consumer's own alert: that it hears nothing, until ctx ends.
func (c *Consumer) watch(ctx context.Context) {
	if c.config.Address == "" || c.config.Mapping != nil {
		return // ilagent's way: ilert is told what messages say, and no more
	}
	if c.config.IntegrationKey == "" && !c.config.DryRun {
		return // only heartbeats are passed on, and ilert misses these by itself
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	var known, blind bool
	for {
		c.mu.Lock()
		fault := c.faults[subscription]
		c.mu.Unlock()
		if !known || blind != (fault != nil) {
			if err := c.store.Do(ctx, time.Now(), c.sight(fault)); err == nil {
				known, blind = true, fault != nil
				c.rouse()
			} else if ctx.Err() == nil {
				c.config.Logger.Warn("the alert about the broker cannot be stored yet", slog.Any("error", err))
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// sight is what ilert should know of our sight.
func (c *Consumer) sight(fault error) decision.Effect {
	key := decision.Key{Alert: "mps-ilert/" + c.config.ClientID}
	if fault == nil {
		return decision.End{Key: key}
	}
	return decision.Raise{
		Rule: ownRule, Key: key, For: blindAfter, Age: blindMost,
		Event: ilert.Event{
			Summary:  "mps-ilert hears nothing: the MQTT broker is away",
			Details:  "Until it is back no alert will tell of the devices. " + fault.Error(),
			Priority: "HIGH",
		},
	}
}
