package consumer

import (
	"log/slog"
	"sync"

	"github.com/mps-events/mps-events/internal/ilert"
)

// omissions counts the optional fields that were left out of events since the start, by field.
type omissions struct {
	mu     sync.Mutex
	counts map[string]uint64
}

// omitted counts and logs the fields that are left out of the events of a message.
func (c *Consumer) omitted(topic string, all []ilert.Omission) {
	if len(all) == 0 {
		return
	}
	o := &c.omissions
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.counts == nil {
		o.counts = map[string]uint64{}
	}
	for _, one := range all {
		o.counts[one.Field]++
		c.lines.Warn("left out: "+one.Field, "an optional field is left out: ilert would not take it",
			slog.String("field", one.Field), slog.String("topic", topic), slog.String("reason", one.Reason))
	}
}

// read returns the counts of all optional fields.
func (o *omissions) read() map[string]uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	counts := make(map[string]uint64, len(ilert.OptionalFields))
	for _, field := range ilert.OptionalFields {
		counts[field] = o.counts[field]
	}
	return counts
}
