package consumer

import (
	"context"
	"log/slog"
	"time"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

// ownRule is the rule name of the consumer's own alert.
const ownRule = "mps-ilert"

// maxBrokerAlertAge is the age at which the alert of a consumer ends that was never started again.
const maxBrokerAlertAge = 30 * 24 * time.Hour

// brokerAlertDelay is the time that the broker may be away before the alert is sent. Silence is the
// worst failure, because it looks like a quiet night. It is a variable because a test cannot wait
// for it.
var brokerAlertDelay = 2 * time.Minute

// watchBroker raises and ends the consumer's own alert, about an absent broker, until ctx ends.
func (c *Consumer) watchBroker(ctx context.Context) {
	if c.config.Address == "" || c.config.Mapping != nil {
		return // ilagent sends only the events of messages
	}
	if c.config.IntegrationKey == "" && !c.config.DryRun {
		return // the consumer only passes heartbeats on, whose absence ilert notices itself
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	var known, raised bool
	for {
		c.mu.Lock()
		fault := c.faults[subscription]
		c.mu.Unlock()
		if !known || raised != (fault != nil) {
			if err := c.alerts.Do(ctx, time.Now(), c.brokerAlert(fault)); err == nil {
				known, raised = true, fault != nil
				c.wakeDelivery()
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

// brokerAlert returns the effect that raises or ends the alert about an absent broker.
func (c *Consumer) brokerAlert(fault error) decision.Effect {
	key := decision.Key{Alert: "mps-ilert/" + c.config.ClientID}
	if fault == nil {
		return decision.End{Key: key}
	}
	return decision.Raise{
		Rule: ownRule, Key: key, For: brokerAlertDelay, Age: maxBrokerAlertAge,
		Event: ilert.Event{
			Summary:  "mps-ilert hears nothing: the MQTT broker is away",
			Details:  "Until it is back, mps-ilert raises no alerts about devices. " + fault.Error(),
			Priority: "HIGH",
		},
	}
}
