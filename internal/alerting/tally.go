package alerting

import (
	"context"
	"time"
)

// FilterRules is the topic filter of dead letters that no message caused, such as those of the end
// of an alert by time, or of a message's second alert. Their payload is the event that ilert
// refused. No topic filter begins so.
const FilterRules = "#rules"

// nobody is the topic filter of what waits and is no message's.
const nobody = ""

// tallies counts by topic filter what has become of messages.
type tallies map[string]*Tally

// of returns the counters of a filter. Those of nobody are thrown away.
func (t tallies) of(filter string) *Tally {
	one := t[filter]
	if one == nil {
		one = new(Tally)
		if filter != nobody {
			t[filter] = one
		}
	}
	return one
}

// changed returns the counts that a store has to add, or nil if there are none.
func (t tallies) changed() map[string]Tally {
	var all map[string]Tally
	for filter, one := range t {
		if *one == (Tally{}) {
			continue
		}
		if all == nil {
			all = make(map[string]Tally, len(t))
		}
		all[filter] = *one
	}
	return all
}

// Tallies returns the counters of each topic filter.
func (e *Engine) Tallies(ctx context.Context) (map[string]Tally, error) {
	s, err := e.store.Status(ctx, time.Unix(0, 0)) // of which these counters do not depend on the time
	return s.Tallies, err
}

// Matches returns how often each rule matched.
func (e *Engine) Matches(ctx context.Context) (map[string]uint64, error) {
	s, err := e.store.Status(ctx, time.Unix(0, 0))
	return s.Matches, err
}
