package journal

import "time"

// WasSet reports whether t can be a time by a clock that had been set. A machine without a
// battery for its clock starts in 1970, or when its system was built, until NTP sets the
// clock; this module is of 2026.
func WasSet(t time.Time) bool {
	return !t.Before(time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC))
}

// Clock tells the time by which ages are judged. It reads the machine's clock once, and
// again only while that has not been set: then it counts what passes, so that a clock which
// is set ahead makes nothing old.
type Clock struct{ start time.Time }

// Now returns the time.
func (c *Clock) Now() time.Time {
	if !WasSet(c.start) {
		c.start = time.Now()
	}
	return c.start.Add(time.Since(c.start))
}
