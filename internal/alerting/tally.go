package alerting

import (
	"context"
	"time"
)

// Tally is the count of messages by their fates:
// Received = Ignored + Duplicate + Merged + Delivered + Dead + Purged + Pending.
type Tally struct {
	Received  uint64 `json:"received"`
	Ignored   uint64 `json:"ignored"`   // had no effect on an alert
	Duplicate uint64 `json:"duplicate"` // has come before
	Merged    uint64 `json:"merged"`    // changed nothing of what was sent or waited, or was overtaken before it was sent
	Delivered uint64 `json:"delivered"` // ilert took its notice
	Dead      uint64 `json:"dead"`      // is a dead letter
	Purged    uint64 `json:"purged"`    // was a dead letter, or waited, and was purged
	Pending   uint64 `json:"pending"`   // waits to be sent
}

// FilterRules stands for the topic filter of dead letters with which no message is counted, such as that of an alert's
// end by time, or of a message's second alert. Their payload is the event that ilert refused. A broker knows no topic
// filter that begins with "#r".
const FilterRules = "#rules"

// nobody stands for the topic filter of what waits without a message that is counted with it.
const nobody = ""

// tallies holds the counts that a transaction adds, by topic filter.
type tallies map[string]*Tally

// of returns the counters of a filter. Nobody reads the counters of the filter nobody.
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

// changed returns the counts that the store has to add, or nil if there are none.
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
	s, err := e.store.Status(ctx, time.Unix(0, 0)) // the tallies do not depend on the time
	return s.Tallies, err
}

// Matches returns the number of matches of each rule.
func (e *Engine) Matches(ctx context.Context) (map[string]uint64, error) {
	s, err := e.store.Status(ctx, time.Unix(0, 0))
	return s.Matches, err
}
