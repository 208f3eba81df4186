package publisher

import (
	"context"
	"log/slog"
	"time"
)

// DropReason says why an accepted event was dropped.
type DropReason string

// The reasons.
const (
	Overflow  DropReason = "overflow"  // Config.Capacity was reached, and newer events came
	Expired   DropReason = "expired"   // it waited longer than Config.MessageExpiry
	TooLarge  DropReason = "too_large" // it is longer than the broker's Maximum Packet Size
	Refused   DropReason = "refused"   // the broker acknowledged it with an error
	SpoolFull DropReason = "spool"     // the spool's bounds of bytes or age were reached, or it could not be read back
)

// losses is what has been lost and is not reported yet, part of the queue.
type losses struct {
	count   map[DropReason]uint64 // since it was last taken
	refusal string                // the broker's newest reason
	rung    chan struct{}         // holds one
}

func newLosses() losses { return losses{count: map[DropReason]uint64{}, rung: make(chan struct{}, 1)} }

func (l *losses) ring() {
	select {
	case l.rung <- struct{}{}:
	default:
	}
}

// takeLosses adds to unlogged what has been lost since the last call, and tells
// Hooks.Dropped of it.
func (p *Publisher) takeLosses(unlogged map[DropReason]uint64) {
	q := p.queue
	q.mu.Lock()
	lost := q.losses.count
	q.losses.count = map[DropReason]uint64{}
	q.mu.Unlock()
	for reason, n := range lost {
		unlogged[reason] += n
		if p.config.Hooks.Dropped != nil {
			p.config.Hooks.Dropped(reason, n)
		}
	}
}

// logLosses logs and forgets what was lost and what was rejected since it last did,
// and reports whether there was anything.
func (p *Publisher) logLosses(unlogged map[DropReason]uint64, rejected *uint64) bool {
	q := p.queue
	q.mu.Lock()
	refusal, stats := q.losses.refusal, q.stats
	q.mu.Unlock()
	var attrs []any
	for _, reason := range []DropReason{Overflow, Expired, TooLarge, Refused, SpoolFull} {
		if n := unlogged[reason]; n > 0 {
			attrs = append(attrs, slog.Uint64(string(reason), n))
		}
	}
	if unlogged[Refused] > 0 {
		attrs = append(attrs, slog.String("broker_says", refusal))
	}
	if n := stats.Rejected - *rejected; n > 0 {
		attrs = append(attrs, slog.Uint64("rejected", n))
	}
	if len(attrs) == 0 {
		return false
	}
	clear(unlogged)
	*rejected = stats.Rejected
	attrs = append(attrs, slog.Uint64("total_dropped", stats.Dropped), slog.Uint64("total_rejected", stats.Rejected))
	p.config.Logger.Warn("events are lost", attrs...)
	return true
}

// reportLosses tells Hooks.Dropped at once, and the log once a minute at most, that
// events are lost. It is a goroutine of its own, so that a hook or a log that hangs
// holds up nobody.
func (p *Publisher) reportLosses(ctx context.Context) {
	unlogged, rejected := map[DropReason]uint64{}, uint64(0)
	var quiet <-chan time.Time // nil: the next loss is logged at once
	log := func() {
		quiet = nil
		if p.logLosses(unlogged, &rejected) {
			quiet = time.After(time.Minute)
		}
	}
	for ctx.Err() == nil {
		select {
		case <-p.queue.losses.rung:
			p.takeLosses(unlogged)
			if quiet == nil {
				log()
			}
		case <-quiet:
			log()
		case <-ctx.Done():
		}
	}
	p.takeLosses(unlogged)
	log()
}
