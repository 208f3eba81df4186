package alerting

import (
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
)

// An integration key that a message brought is unproven until ilert has taken an event by it: anybody who reaches
// the port or the broker can make one up. The outbox items that wait for such keys have bounds of their own, so that
// they push out no others.
const (
	maxUnproven      = 10_000
	maxUnprovenBytes = 64 << 20
	maxUnprovenAge   = 24 * time.Hour
	// maxProven is the number of proven keys that the store keeps.
	maxProven = 10_000
)

// isUnproven reports whether a message brought the key and ilert has never taken it.
func (w *work) isUnproven(k ilert.IntegrationKey) bool {
	if _, literal := k.Literal(); !literal {
		return false
	}
	proven, read := w.rows.Proven[k]
	if !read {
		panic(missing{Keys{Proven: []ilert.IntegrationKey{k}}})
	}
	return !proven
}

// prove notes that ilert has taken an event by a key.
func (w *work) prove(k ilert.IntegrationKey, at time.Time) {
	if w.isUnproven(k) {
		w.rows.Proven[k] = true
		w.changes.Proven[k] = at
	}
}

// pruneUnproven purges the outbox items of unproven keys that are too old.
func (w *work) pruneUnproven(now time.Time) error {
	const justAfter = time.Millisecond // an item of exactly that age is too old
	items, err := w.tx.FindOutbox(w.ctx, OutboxQuery{Unproven: true, Before: now.Add(justAfter - maxUnprovenAge), Limit: maxUnproven})
	w.overflow.Waiting += w.purgeItems(items)
	return err
}
