package alerting

import (
	"math"
	"time"
)

// countParts is the number of parts into which AwaitedCount divides a time. A message counts for up to one part less.
const countParts = 16

// AwaitedCount is the count of the messages of a group in each of the newest parts of a time.
type AwaitedCount struct {
	Newest int64 // number of the newest part since 1970
	N      [countParts]uint16
	Usual  *UsualHours `json:",omitempty"` // nil: the rule does not ask for them
}

// copy returns a copy, which may be changed, with the usual hours if the rule asks for them.
func (c *AwaitedCount) copy(usual bool) *AwaitedCount {
	all := AwaitedCount{}
	if c != nil {
		all = *c
	}
	switch {
	case !usual:
		all.Usual = nil
	case all.Usual == nil:
		all.Usual = new(UsualHours)
	default:
		hours := *all.Usual
		all.Usual = &hours
	}
	return &all
}

// add counts a message that happened at a time, unless that is too long ago.
func (c *AwaitedCount) add(at, arrived time.Time, after time.Duration) {
	const maxCount = math.MaxUint16
	length := max(int64(after)/countParts, 1)
	number := at.UnixNano() / length
	for c.Newest < number && c.Newest > number-countParts {
		c.Newest++
		c.N[c.Newest%countParts] = 0
	}
	if c.Newest < number || c.Newest > arrived.UnixNano()/length { // all others are too old, or the clock was put back
		c.Newest, c.N = number, [countParts]uint16{}
	}
	if number > c.Newest-countParts && c.N[number%countParts] < maxCount {
		c.N[number%countParts]++
	}
}

func (c *AwaitedCount) sum() (n int) {
	if c != nil {
		for _, part := range c.N {
			n += int(part)
		}
	}
	return n
}
