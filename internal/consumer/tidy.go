package consumer

import (
	"context"
	"log/slog"
	"time"

	"github.com/mps-events/mps-events/internal/store"
)

// tidyInterval is the time between two looks at whether the store holds what is too old.
const tidyInterval = 10 * time.Second

// tidy keeps the bounds of the store, and logs what was purged for them, until ctx ends.
func (c *Consumer) tidy(ctx context.Context) {
	ticker := time.NewTicker(tidyInterval)
	defer ticker.Stop()
	var logged store.Purged
	for ctx.Err() == nil {
		more, err := c.store.Tidy(ctx, time.Now())
		if err != nil && ctx.Err() == nil {
			c.lines.Warn("tidy", "what is too much for the store cannot be purged yet", slog.Any("error", err))
		}
		logged = c.logPurged(logged)
		if more {
			continue // others have their turn between two pages
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
	c.logPurged(logged)
}

// logPurged logs how much was purged to keep the bounds, if that is more than was logged, and
// returns it.
func (c *Consumer) logPurged(logged store.Purged) store.Purged {
	now := c.store.Overflow()
	if now != logged {
		c.lines.Warn("purged", "there are too many dead letters or events that wait, or they are too old: the oldest are purged",
			slog.Int64("dead_letters_since_start", now.Letters), slog.Int64("waiting_since_start", now.Waiting))
	}
	return now
}
