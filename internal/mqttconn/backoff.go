package mqttconn

import (
	"math/rand/v2"
	"time"
)

const (
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 30 * time.Second
	maxUpBackoff = 2 * time.Second  // after a connection that came up but was short and useless
	provenAfter  = 10 * time.Second // a connection that lived so long starts the backoff anew
)

// backoff computes the waits before attempts to connect. They have full jitter and grow until a
// connection has been useful or long.
type backoff struct {
	attempts int       // attempts since the last such connection
	tried    bool      // there was an attempt
	upSince  time.Time // time at which the connection came up; zero while there is none
}

// endAttempt notes the end of the connection, if there was one, and returns the wait before the
// next attempt. A connection on which the broker has acknowledged something was useful: it starts
// the backoff anew, even if it was short.
func (b *backoff) endAttempt(useful bool) time.Duration {
	limit := maxBackoff
	if b.isUp() {
		limit = maxUpBackoff
		if useful || time.Since(b.upSince) > provenAfter {
			b.attempts = 0
		}
	}
	b.upSince = time.Time{}
	if !b.tried {
		b.tried = true
		return 0
	}
	maxWait := min(firstBackoff<<min(b.attempts, 20), limit)
	b.attempts++
	return rand.N(maxWait)
}

// connected notes that a connection came up.
func (b *backoff) connected() { b.upSince = time.Now() }

func (b *backoff) isUp() bool { return !b.upSince.IsZero() }
