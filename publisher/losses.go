package publisher

import (
	"context"
	"iter"
	"log/slog"
	"time"

	"github.com/mps-events/mps-events/internal/mqttconn"
)

// losses is the part of the queue that the reporter reads, beside the counters: details of lost
// events for the log.
type losses struct {
	refusal  mqttconn.Puback // the newest acknowledgement that was an error
	rejected error           // the newest reason why an event can never be published, if it is not logged yet
	culprits []string        // descriptions of the first events that ended connections and are not logged yet
	waker    waker           // of the reporter
}

// noteCulprit keeps the description of an event that ended connections for the log, unless
// there are already many.
func (l *losses) noteCulprit(event string) {
	const maxCulprits = 10
	if len(l.culprits) < maxCulprits {
		l.culprits = append(l.culprits, event)
	}
}

// countDropped counts accepted events that are dropped. The counter is one of stats.DroppedBy.
func (q *queue) countDropped(counter *uint64, events uint64) {
	*counter += events
	q.stats.Dropped += events
	q.losses.waker.wake()
}

// countRejected counts an event that Publish does not accept. The counter is one of
// stats.RejectedBy.
func (q *queue) countRejected(counter *uint64) {
	*counter++
	q.stats.Rejected++
	q.losses.waker.wake()
}

// countRejectedEvent counts an event that can never be published, and keeps the reason for the
// log.
func (q *queue) countRejectedEvent(counter *uint64, why error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.losses.rejected = why
	q.countRejected(counter)
}

// reporter is the goroutine that reports lost events to the hooks and the log, and logs that
// the broker acknowledges nothing.
type reporter struct {
	queue  *queue
	hooks  Hooks
	logger *slog.Logger

	dropped, loggedDrops       map[DropReason]uint64 // counts that are reported to the hooks, and to the log
	rejected, loggedRejections map[RejectReason]uint64

	stall stall
}

func newReporter(q *queue, config Config) *reporter {
	return &reporter{
		queue: q, hooks: config.Hooks, logger: config.Logger,
		dropped: map[DropReason]uint64{}, loggedDrops: map[DropReason]uint64{},
		rejected: map[RejectReason]uint64{}, loggedRejections: map[RejectReason]uint64{},
	}
}

// run calls the hooks within 10 ms, and logs at most once a minute, until ctx ends.
// It has a goroutine of its own, so that a hook or a log that hangs delays nothing else.
func (r *reporter) run(ctx context.Context) {
	const hookInterval = 10 * time.Millisecond // many losses come at once
	var quiet <-chan time.Time                 // nil: the next loss is logged at once
	log := func() {
		quiet = nil
		if r.log() {
			quiet = time.After(time.Minute)
		}
	}
	look := time.NewTicker(stallInterval / 4)
	defer look.Stop()
	for ctx.Err() == nil {
		select {
		case now := <-look.C:
			r.watch(now)
		case <-r.queue.losses.waker.signal:
			r.callHooks()
			if quiet == nil {
				log()
			}
			select {
			case <-time.After(hookInterval):
			case <-ctx.Done():
			}
		case <-quiet:
			log()
		case <-ctx.Done():
		}
	}
	r.callHooks()
	r.log()
}

// callHooks calls the hooks with the losses since its last call.
func (r *reporter) callHooks() {
	r.queue.mu.Lock()
	stats := r.queue.stats
	r.queue.losses.waker.idle = true
	r.queue.mu.Unlock()
	for reason, events := range since(r.dropped, stats.DroppedBy.All()) {
		if r.hooks.Dropped != nil {
			r.hooks.Dropped(reason, events)
		}
	}
	for reason, events := range since(r.rejected, stats.RejectedBy.All()) {
		if r.hooks.Rejected != nil {
			r.hooks.Rejected(reason, events)
		}
	}
}

// log logs the losses since its last call, and reports whether there were any.
func (r *reporter) log() bool {
	r.queue.mu.Lock()
	lost, stats := r.queue.losses, r.queue.stats
	r.queue.losses.rejected, r.queue.losses.culprits = nil, nil
	r.queue.mu.Unlock()
	var attrs, dropped, rejected []any
	for reason, events := range since(r.loggedDrops, stats.DroppedBy.All()) {
		dropped = append(dropped, slog.Uint64(string(reason), events))
		if reason == Refused {
			attrs = append(attrs, slog.String("broker_says", lost.refusal.Reason()))
		}
	}
	for reason, events := range since(r.loggedRejections, stats.RejectedBy.All()) {
		rejected = append(rejected, slog.Uint64(string(reason), events))
	}
	if lost.rejected != nil {
		attrs = append(attrs, slog.Any("rejected_event", lost.rejected))
	}
	if lost.culprits != nil {
		attrs = append(attrs, slog.Any("ended_connections", lost.culprits))
	}
	if len(dropped)+len(rejected) == 0 {
		return false
	}
	attrs = append(attrs, slog.Group("dropped", dropped...), slog.Group("rejected", rejected...),
		slog.Uint64("total_dropped", stats.Dropped), slog.Uint64("total_rejected", stats.Rejected))
	r.logger.Warn("events are lost", attrs...)
	return true
}

// stallInterval is the time after which the reporter logs that the broker acknowledges nothing.
const stallInterval = time.Minute

// stall is a period in which events were under way on a connection, and none was acknowledged
// or dropped.
type stall struct {
	link  *mqttconn.Link
	left  uint64 // number of events that were acknowledged or dropped before
	since time.Time
}

// watch logs once a minute that the broker is connected but acknowledges nothing.
func (r *reporter) watch(now time.Time) {
	stats := r.queue.snapshot()
	r.queue.mu.Lock()
	link, unacked := r.queue.link, r.queue.unacked
	r.queue.mu.Unlock()
	left := stats.Acknowledged + stats.Dropped
	if link == nil || unacked == 0 || link != r.stall.link || left != r.stall.left {
		r.stall = stall{link: link, left: left, since: now}
	}
	if now.Sub(r.stall.since) < stallInterval {
		return
	}
	r.stall.since = now
	r.logger.Warn("the MQTT broker is connected but acknowledges nothing: events wait", slog.Int("unacknowledged", unacked),
		slog.Uint64("pending", stats.Pending), slog.Duration("oldest_pending", stats.OldestPending.Round(time.Second)))
}

// since yields the growth of each count since the last call with the same map earlier, which it
// updates.
func since[R comparable](earlier map[R]uint64, counts iter.Seq2[R, uint64]) iter.Seq2[R, uint64] {
	return func(yield func(R, uint64) bool) {
		for reason, n := range counts {
			grown := n - earlier[reason]
			earlier[reason] = n
			if grown > 0 && !yield(reason, grown) {
				return
			}
		}
	}
}
