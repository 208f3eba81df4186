package consumer

import (
	"context"
	"log/slog"
	"time"

	"github.com/mps-events/mps-events/internal/alerting"
)

// tidyInterval is the interval at which the consumer purges what exceeds the bounds of the store.
const tidyInterval = 10 * time.Second

// tidy keeps the bounds of the store and logs what was purged, until ctx ends.
func (c *Consumer) tidy(ctx context.Context) {
	ticker := time.NewTicker(tidyInterval)
	defer ticker.Stop()
	var logged alerting.Purged
	var tooMany int64
	for ctx.Err() == nil {
		more, err := c.alerts.Tidy(ctx, time.Now())
		if err != nil && ctx.Err() == nil {
			c.lines.Warn("tidy", "what is too much for the store cannot be purged yet", slog.Any("error", err))
		}
		logged, tooMany = c.logPurged(logged), c.logTooMany(tooMany)
		if more {
			continue // other transactions run between two pages
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
	c.logPurged(logged)
}

// logPurged logs the purged letters and events if there are more than were logged, and returns
// their number.
func (c *Consumer) logPurged(logged alerting.Purged) alerting.Purged {
	now := c.alerts.Overflow()
	if now != logged {
		c.lines.Warn("purged", "there are too many dead letters or events that wait, or they are too old: the oldest are purged",
			slog.Int64("dead_letters_since_start", now.Letters), slog.Int64("waiting_since_start", now.Waiting))
	}
	return now
}
