package consumer

import (
	"time"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/ilert"
)

// restore loads the paces of an earlier process, so that a restart sends no more requests.
func (p *pace) restore(paces map[ilert.IntegrationKey]alerting.Pace, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, kept := range paces {
		began := now
		if len(kept.Requests) > 0 {
			began = kept.Requests[0]
		}
		b := p.bucketOf(key, began)
		for _, at := range kept.Requests {
			p.fill(b, at)
			b.tokens = max(b.tokens-1, 0)
			b.spent = append(b.spent, at)
		}
		b.hold = latest(b.hold, kept.Hold)
		if limit := now.Add(maxAsked); b.hold.After(limit) { // our clock was set back
			b.hold = limit
		}
	}
}

// askedHold returns the time before which ilert wants no request of a key, and zero if it has not
// asked. For a key that ilert refuses it returns zero: the next process tries it at once.
func (p *pace) askedHold(key ilert.IntegrationKey, now time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b := p.bucketOf(key, now); b.refused == 0 && b.hold.After(now) {
		return b.hold
	}
	return time.Time{}
}
