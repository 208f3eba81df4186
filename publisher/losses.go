package publisher

import (
	"context"
	"log/slog"
	"time"

	"github.com/mps-events/mps-events/internal/mqttconn"
)

// DropReason says why an accepted event was dropped.
type DropReason string

// The reasons.
const (
	Overflow  DropReason = "overflow"  // Config.Capacity was reached, and newer events came
	Expired   DropReason = "expired"   // it waited longer than Config.MessageExpiry
	TooLarge  DropReason = "too_large" // it is longer than the broker's Maximum Packet Size
	Refused   DropReason = "refused"   // the broker acknowledged it with an error
	SpoolLost DropReason = "spool"     // the spool's bounds of bytes or age were reached, or it could not be read back
)

// Places of the reasons in a count.
const (
	overflow = iota
	expired
	tooLarge
	refused
	spoolLost
	reasons
)

var reasonAt = [reasons]DropReason{Overflow, Expired, TooLarge, Refused, SpoolLost}

// losses is what has been lost and is not reported yet, part of the queue.
type losses struct {
	count   [reasons]uint64 // since it was last taken
	refusal mqttconn.Puback // the newest
	bell    bell
}

// takeLosses adds to unlogged what has been lost since the last call, and tells
// Hooks.Dropped of it.
func (p *Publisher) takeLosses(unlogged *[reasons]uint64) {
	q := p.queue
	q.mu.Lock()
	lost := q.losses.count
	q.losses.count = [reasons]uint64{}
	q.losses.bell.idle = true
	q.mu.Unlock()
	for i, n := range lost {
		unlogged[i] += n
		if n > 0 && p.config.Hooks.Dropped != nil {
			p.config.Hooks.Dropped(reasonAt[i], n)
		}
	}
}

// logLosses logs and forgets what was lost and what was rejected since it last did,
// and reports whether there was anything.
func (p *Publisher) logLosses(unlogged *[reasons]uint64, rejected *uint64) bool {
	q := p.queue
	q.mu.Lock()
	refusal, stats := q.losses.refusal, q.stats
	q.mu.Unlock()
	var attrs []any
	for i, n := range unlogged {
		if n > 0 {
			attrs = append(attrs, slog.Uint64(string(reasonAt[i]), n))
		}
	}
	if unlogged[refused] > 0 {
		attrs = append(attrs, slog.String("broker_says", refusal.Reason()))
	}
	if n := stats.Rejected - *rejected; n > 0 {
		attrs = append(attrs, slog.Uint64("rejected", n))
	}
	if len(attrs) == 0 {
		return false
	}
	*unlogged = [reasons]uint64{}
	*rejected = stats.Rejected
	attrs = append(attrs, slog.Uint64("total_dropped", stats.Dropped), slog.Uint64("total_rejected", stats.Rejected))
	p.config.Logger.Warn("events are lost", attrs...)
	return true
}

// reportLosses tells Hooks.Dropped within moments, and the log once a minute at most,
// that events are lost. It is a goroutine of its own, so that a hook or a log that
// hangs holds up nobody.
func (p *Publisher) reportLosses(ctx context.Context) {
	const moment = 10 * time.Millisecond // losses come in floods
	var (
		unlogged [reasons]uint64
		rejected uint64
		quiet    <-chan time.Time // nil: the next loss is logged at once
	)
	log := func() {
		quiet = nil
		if p.logLosses(&unlogged, &rejected) {
			quiet = time.After(time.Minute)
		}
	}
	for ctx.Err() == nil {
		select {
		case <-p.queue.losses.bell.rung:
			p.takeLosses(&unlogged)
			if quiet == nil {
				log()
			}
			select {
			case <-time.After(moment):
			case <-ctx.Done():
			}
		case <-quiet:
			log()
		case <-ctx.Done():
		}
	}
	p.takeLosses(&unlogged)
	log()
}
