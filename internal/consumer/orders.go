package consumer

import (
	"context"
	"log/slog"
	"time"
)

// ordersInterval is the interval at which the consumer looks for silences and for alerts that
// somebody wants to close.
const ordersInterval = time.Second

// followOrders does what people ask for by the commands beside the daemon, until ctx ends.
func (c *Consumer) followOrders(ctx context.Context) {
	ticker := time.NewTicker(ordersInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		done, err := c.alerts.FollowOrders(ctx, time.Now())
		if err != nil {
			if ctx.Err() == nil {
				c.lines.Warn("orders", "silences and alerts to be closed cannot be read yet", slog.Any("error", err))
			}
			continue
		}
		for _, closed := range done.Closed {
			c.config.Logger.Info("an alert was closed by hand", slog.String("alert_key", closed.Alert.Folded),
				slog.Any("integration_key", closed.Alert.Integration), slog.String("by", closed.Creator))
		}
		if done.Silences {
			c.config.Logger.Info("the silences have changed", slog.Int("active", len(c.alerts.ActiveSilences())))
		}
		if done.Silences || len(done.Closed) > 0 {
			c.wakeDelivery()
		}
	}
}
