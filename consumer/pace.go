package consumer

import (
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/store"
)

const (
	// defaultRate is a little under ilert's 50 requests a minute for each alert source.
	defaultRate = 48
	// mostBurst is how many requests an integration key may get at once.
	mostBurst = 10
	// mostKept is how many of these are only for what ends alerts or speaks for many.
	mostKept = 3
	// mostUnderWay is how many of the workers one integration key may occupy, so that one
	// whose requests hang does not hold up the others.
	mostUnderWay = workers * 3 / 4

	// firstProbe is how long a key that ilert refuses waits before it is tried again. The
	// wait doubles up to mostProbe.
	firstProbe = time.Minute
	mostProbe  = 5 * time.Minute
	// mostDistrust is mostProbe for one that ilert has never taken: there may be many of these.
	mostDistrust = time.Hour
	// maxBuckets is the number of keys beyond which those that ilert has never taken are
	// forgotten, though their wait is not over. There are twice as many at most.
	maxBuckets = 20_000
)

// pace says how much ilert may be told of each integration key, and when. No minute sees
// more than rate requests of a key, and no moment more than a burst.
type pace struct {
	rate  int           // requests a minute; 0 is any number
	probe time.Duration // see firstProbe

	mu   sync.Mutex
	keys map[ilert.IntegrationKey]*bucket
	most int // at so many keys those that are at rest are forgotten
}

// bucket is what is known of an integration key.
type bucket struct {
	tokens   float64
	filled   time.Time   // when they were counted
	spent    []time.Time // when those of the last minute were taken, the oldest first
	underWay int
	hold     time.Time // before then nothing goes out
	refused  int       // how often, one after the other, an operator's mistake was the answer
	slowed   int       // likewise, that there are too many requests
	distrust bool      // a message brought the key, and ilert has never taken it
}

func newPace(rate int) *pace {
	return &pace{rate: max(rate, 0), probe: firstProbe, keys: map[ilert.IntegrationKey]*bucket{}}
}

func (p *pace) burst() int { return min(mostBurst, p.rate) }

func (p *pace) kept() int { return min(mostKept, p.burst()/3) }

// of returns the bucket of a key, which is full at first.
func (p *pace) of(key ilert.IntegrationKey, now time.Time) *bucket {
	b := p.keys[key]
	if b == nil {
		if len(p.keys) >= p.most {
			maps.DeleteFunc(p.keys, func(_ ilert.IntegrationKey, b *bucket) bool { return p.atRest(b, now) })
			if len(p.keys) > maxBuckets { // messages bring keys faster than their probes end
				maps.DeleteFunc(p.keys, func(_ ilert.IntegrationKey, b *bucket) bool { return b.distrust && b.underWay == 0 })
			}
			p.most = 2*len(p.keys) + 1000
		}
		b = &bucket{tokens: float64(p.burst()), filled: now}
		p.keys[key] = b
	}
	return b
}

// atRest says whether a bucket is as good as a new one.
func (p *pace) atRest(b *bucket, now time.Time) bool {
	p.fill(b, now)
	if b.refused > 0 { // what waits is probed then, so nothing does
		now = now.Add(-mostProbe)
	}
	return b.underWay == 0 && now.After(b.hold) && len(b.spent) == 0
}

// fill adds the tokens that have come since.
func (p *pace) fill(b *bucket, now time.Time) {
	if now.After(b.filled) {
		b.tokens = min(b.tokens+now.Sub(b.filled).Minutes()*float64(p.rate), float64(p.burst()))
		b.filled = now
	}
	for len(b.spent) > 0 && now.Sub(b.spent[0]) >= time.Minute {
		b.spent = b.spent[1:]
	}
}

// budget is how much ilert may be told of a key at a time.
func (p *pace) budget(key ilert.IntegrationKey, now time.Time) store.Budget {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.of(key, now)
	free := mostUnderWay - b.underWay
	switch {
	case now.Before(b.hold):
		return store.Budget{Again: b.hold}
	case b.refused > 0 && b.underWay > 0: // the probe, or what went out before
		return store.Budget{}
	case p.rate == 0 && b.refused > 0:
		return store.Budget{Any: 1, Singles: 1}
	case p.rate == 0:
		return store.Budget{Any: free, Singles: free}
	}
	p.fill(b, now)
	left := min(int(b.tokens), p.rate-len(b.spent))
	if b.refused > 0 && left > 0 {
		return store.Budget{Any: 1, Singles: 1, Kept: true}
	}
	if free <= left { // the next one comes with an answer
		return store.Budget{Any: free, Singles: min(free, left-p.kept()), Minute: p.rate, Kept: true}
	}
	next := now.Add(time.Duration((1 - b.tokens + float64(int(b.tokens))) * float64(time.Minute) / float64(p.rate)))
	if len(b.spent) > 0 && p.rate-len(b.spent) <= int(b.tokens) {
		next = b.spent[0].Add(time.Minute)
	}
	// The store counts in milliseconds.
	return store.Budget{Any: left, Singles: left - p.kept(), Again: next.Add(time.Millisecond), Minute: p.rate, Kept: true}
}

// take notes that a request goes out.
func (p *pace) take(key ilert.IntegrationKey, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.of(key, now)
	b.underWay++
	if p.rate == 0 {
		return
	}
	p.fill(b, now)
	b.tokens--
	b.spent = append(b.spent, now)
}

// distrust notes that ilert has never taken a key, which a message brought.
func (p *pace) distrust(key ilert.IntegrationKey, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.of(key, now).distrust = true
}

// answered notes what came of a request.
func (p *pace) answered(key ilert.IntegrationKey, err error, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.of(key, now)
	b.underWay--
	var failed *ilert.Error
	switch {
	case err == nil || errors.As(err, &failed) && failed.Class == ilert.Invalid:
		b.refused, b.slowed, b.distrust = 0, 0, false // the key is good
		return
	case failed == nil: // stopping
		return
	case failed.Class == ilert.Operator || b.refused > 0:
		if b.refused == 0 || !now.Before(b.hold) { // else it was out when the first was refused
			b.refused++
		}
		longest := mostProbe
		if b.distrust {
			longest = mostDistrust
		}
		wait := min(p.probe<<min(b.refused-1, 10), longest)
		b.hold = latest(b.hold, now.Add(wait))
	}
	switch {
	case failed.RetryAfter > 0:
		b.hold = latest(b.hold, now.Add(min(failed.RetryAfter, mostAsked)))
	case failed.TooMany:
		b.slowed++
		b.hold = latest(b.hold, now.Add(time.Second+backoff(b.slowed)))
	default:
		return
	}
	b.tokens = min(b.tokens, 1)
}

// release lets keys for which nothing waits be tried at once when something does: a pause of
// which nobody hears would be silence.
func (p *pace) release(keys ...ilert.IntegrationKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, key := range keys {
		if b := p.keys[key]; b != nil && b.refused > 0 {
			b.hold = time.Time{}
		}
	}
}

// retry lets all keys that wait for something be tried at once: an operator says that
// something has been mended.
func (p *pace) retry() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.keys {
		if b.refused > 0 {
			b.hold = time.Time{}
		}
	}
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
