package consumer

import (
	"context"
	"log/slog"
	"net/url"
	"slices"
)

// recallSession notes the topic filters to which the session is about to be subscribed, and
// returns those to which it may still be subscribed although they are not wanted. It also notes
// whether there was a session before this process. If the store fails it returns none: the
// consumer works without.
func (c *Consumer) recallSession(ctx context.Context, wanted []string) (unwanted []string) {
	already, err := c.alerts.Subscribing(ctx, c.config.ClientID, wanted)
	if err != nil {
		c.config.Logger.Warn("it is not known which topics the session at the broker is subscribed to", slog.Any("error", err))
		return nil
	}
	if len(already) > 0 {
		c.connected.Store(true)
	}
	return without(already, wanted)
}

// without returns the texts of all that are not among some.
func without(all, some []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(some, s) })
}

// noteSession stores the subscriptions of the session each time that they have changed, until ctx
// ends.
func (c *Consumer) noteSession(ctx context.Context) {
	for {
		select {
		case <-c.subscribed:
			if err := c.alerts.Subscribed(ctx, c.config.ClientID, c.rules.Load().topics); err != nil && ctx.Err() == nil {
				c.config.Logger.Warn("the topics that the session is subscribed to cannot be stored", slog.Any("error", err))
			}
		case <-ctx.Done():
			return
		}
	}
}

// session returns the name of the session at the broker.
func (c checked) session() string {
	hosts := url.Values{}
	for _, server := range c.servers {
		hosts.Add("at", server.URL.Host)
	}
	return c.ClientID + "?" + hosts.Encode()
}
