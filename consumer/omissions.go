package consumer

import (
	"log/slog"
	"sync"
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
)

// omissionsLogged is how often the log names a field that is left out, at most.
const omissionsLogged = time.Minute

// omissions counts the optional fields that events go out without, by field, since the start.
type omissions struct {
	mu     sync.Mutex
	counts map[string]uint64
	logged map[string]logged
}

// logged is the last line about a field, and how many times it was counted then.
type logged struct {
	at    time.Time
	count uint64
}

// omitted counts fields that are left out of what a message on a topic means, and logs one of
// a kind a minute.
func (c *Consumer) omitted(topic string, all []ilert.Omission) {
	if len(all) == 0 {
		return
	}
	o := &c.omissions
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.counts == nil {
		o.counts, o.logged = map[string]uint64{}, map[string]logged{}
	}
	for _, one := range all {
		o.counts[one.Field]++
		last, now := o.logged[one.Field], time.Now()
		if now.Sub(last.at) < omissionsLogged {
			continue
		}
		c.config.Logger.Warn("an optional field is left out: ilert would not take it",
			slog.String("field", one.Field), slog.String("topic", topic), slog.String("reason", one.Reason),
			slog.Uint64("times", o.counts[one.Field]-last.count))
		o.logged[one.Field] = logged{now, o.counts[one.Field]}
	}
}

// read returns the counts, of the fields that were never left out too.
func (o *omissions) read() map[string]uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	counts := make(map[string]uint64, len(ilert.OptionalFields))
	for _, field := range ilert.OptionalFields {
		counts[field] = o.counts[field]
	}
	return counts
}
