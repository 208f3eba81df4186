package consumer

import (
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/store"
)

// restore takes in what an earlier process has kept: a restart is no reason to send more.
func (p *pace) restore(paces map[ilert.IntegrationKey]store.Pace, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, kept := range paces {
		began := now
		if len(kept.Requests) > 0 {
			began = kept.Requests[0]
		}
		b := p.of(key, began)
		for _, at := range kept.Requests {
			p.fill(b, at)
			b.tokens = max(b.tokens-1, 0)
			b.spent = append(b.spent, at)
		}
		b.hold = latest(b.hold, kept.Hold)
		if most := now.Add(mostAsked); b.hold.After(most) { // our clock was put back
			b.hold = most
		}
	}
}

// asked returns until when ilert has asked for no request of a key; zero if it has not. A key
// that ilert refuses is another matter: the next process tries it at once.
func (p *pace) asked(key ilert.IntegrationKey, now time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b := p.of(key, now); b.refused == 0 && b.hold.After(now) {
		return b.hold
	}
	return time.Time{}
}
