package journal

import "time"

// WasSet reports whether a clock that showed t had been set. A machine without a battery for its
// clock starts in 1970, or at the time when its system was built, until NTP sets the clock; this
// module is of 2026.
func WasSet(t time.Time) bool {
	return !t.Before(time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC))
}

// Clock is a clock for the ages of records. It reads the machine's clock once, and again only
// while that has not been set. From then on it adds the time that has passed, so that setting
// the machine's clock ahead makes no record old.
type Clock struct{ start time.Time }

// Now returns the current time.
func (c *Clock) Now() time.Time {
	if !WasSet(c.start) {
		c.start = time.Now()
	}
	return c.start.Add(time.Since(c.start))
}
