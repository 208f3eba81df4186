package consumer

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/ilert"
)

// failure is the reason why ilert has not taken the last event of an integration key.
type failure struct {
	err      *ilert.Error
	unproven bool // a message brought the key, and ilert has never taken it
}

// counts reports whether the failure makes the consumer not ready. A failure of an unproven key
// does not, because anybody can invent one, unless ilert does not answer at all.
func (f failure) counts() bool { return !f.unproven || f.err.NoConn }

// maxUnprovenFailures limits the unproven keys whose failures the consumer remembers and shows.
const maxUnprovenFailures = 100

// noteTaken notes that ilert takes the events of an integration key.
func (c *Consumer) noteTaken(key ilert.IntegrationKey) {
	c.mu.Lock()
	delete(c.refused, key)
	c.mu.Unlock()
	c.reportDelivery()
}

// noteNotTaken notes why ilert has not taken the event of a notice. It keeps the failures by key,
// because a key that works must not hide another that is refused.
func (c *Consumer) noteNotTaken(n alerting.Notice, err *ilert.Error) {
	if err.Class == ilert.Operator {
		c.secrets.refresh(n.IntegrationKey)
	}
	c.mu.Lock()
	unproven := 0
	for _, f := range c.refused {
		if f.unproven {
			unproven++
		}
	}
	if _, known := c.refused[n.IntegrationKey]; known || !n.Unproven || unproven < maxUnprovenFailures {
		c.refused[n.IntegrationKey] = failure{err, n.Unproven}
	}
	c.mu.Unlock()
	c.reportDelivery()
}

// forgetAllFailures forgets all failures, since no event waits for an answer.
func (c *Consumer) forgetAllFailures() {
	c.mu.Lock()
	keys := slices.Collect(maps.Keys(c.refused))
	clear(c.refused)
	c.mu.Unlock()
	c.pace.release(keys...)
	c.reportDelivery()
}

// forgetFailures forgets the failures of integration keys for which no event waits any more,
// because it was purged or has ended.
func (c *Consumer) forgetFailures(ctx context.Context) {
	c.mu.Lock()
	keys := slices.Collect(maps.Keys(c.refused))
	c.mu.Unlock()
	if len(keys) == 0 {
		return
	}
	idle, err := c.alerts.Idle(ctx, keys)
	if err != nil {
		if ctx.Err() == nil {
			c.config.Logger.Warn("whether anything waits for refused integration keys cannot be read yet", slog.Any("error", err))
		}
		return
	}
	c.mu.Lock()
	for _, key := range idle {
		delete(c.refused, key)
	}
	c.mu.Unlock()
	c.pace.release(idle...)
	if len(idle) > 0 {
		c.reportDelivery()
	}
}

// reportDelivery reports whether ilert takes our events.
func (c *Consumer) reportDelivery() {
	c.mu.Lock()
	var fault error
	n := 0
	for _, f := range c.refused {
		if !f.counts() {
			continue
		}
		n++
		if fault == nil || f.err.Error() < fault.Error() {
			fault = f.err
		}
	}
	if n > 1 {
		fault = fmt.Errorf("%w (and so for %d more integration keys)", fault, n-1)
	}
	c.mu.Unlock()
	c.reportFault(delivering, fault)
}

// failingKeys lists the integration keys whose last event ilert has not taken.
func (c *Consumer) failingKeys() []Key {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]Key, 0, len(c.refused))
	for key, f := range c.refused {
		all = append(all, Key{key.String(), f.unproven, brief(f.err)})
	}
	slices.SortFunc(all, func(a, b Key) int { return strings.Compare(a.Name, b.Name) })
	return all
}
