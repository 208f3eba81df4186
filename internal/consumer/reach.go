package consumer

import (
	"context"
	"log/slog"
	"time"
)

// reach asks ilert until it has answered once, or ctx ends, so that a wrong address shows before
// the first alert. It raises nothing, so it does not show whether ilert accepts the integration
// key.
func (c *Consumer) reach(ctx context.Context) {
	if !c.config.LookForIlert || c.config.DryRun {
		return
	}
	address := slog.String("address", c.config.ilert.Address())
	for tries := 0; ; tries++ {
		err := c.config.ilert.Reach(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			c.setFault(reaching, nil)
			c.config.Logger.Info("ilert is there; whether it takes the integration key shows only with an event", address)
			return
		}
		if tries == 0 {
			c.config.Logger.Warn("ilert cannot be reached", address, slog.Any("error", err),
				slog.String("mend", "check --ilert_url, and the way there: DNS, firewall, HTTPS_PROXY"))
		}
		c.setFault(reaching, err)
		select {
		case <-time.After(backoff(tries)):
		case <-ctx.Done():
			return
		}
	}
}
