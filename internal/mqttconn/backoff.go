package mqttconn

import (
	"math/rand/v2"
	"time"
)

const (
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 30 * time.Second
	maxUpBackoff = 2 * time.Second  // after a connection that came up and did not prove itself
	proven       = 10 * time.Second // a connection that lived so long starts the backoff anew
)

// backoff is the wait before the attempts to connect: with full jitter, and longer from
// one to the next until a connection has proven itself.
type backoff struct {
	attempts int       // since then
	tried    bool      // at least once
	upSince  time.Time // when the connection came up; zero while there is none
}

// next ends the connection, if there was one, and returns the wait before an attempt at
// another. A connection on which the broker has acknowledged something was useful, and
// starts the backoff anew however short it was.
func (b *backoff) next(useful bool) time.Duration {
	highest := maxBackoff
	if b.isUp() {
		highest = maxUpBackoff
		if useful || time.Since(b.upSince) > proven {
			b.attempts = 0
		}
	}
	b.upSince = time.Time{}
	if !b.tried {
		b.tried = true
		return 0
	}
	longest := min(firstBackoff<<min(b.attempts, 20), highest)
	b.attempts++
	return rand.N(longest)
}

// connected notes that a connection came up.
func (b *backoff) connected() { b.upSince = time.Now() }

func (b *backoff) isUp() bool { return !b.upSince.IsZero() }
