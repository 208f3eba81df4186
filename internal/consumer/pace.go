package consumer

import (
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/ilert"
)

const (
	// defaultRate is a little under ilert's 50 requests a minute for each alert source.
	defaultRate = 48
	// maxBurst limits the requests that are sent at once by an integration key.
	maxBurst = 10
	// maxReserved limits the requests of a burst that are reserved for ends of alerts and for
	// alerts that report many.
	maxReserved = 3
	// maxUnderWay limits the workers that one integration key occupies, so that a key whose
	// requests hang does not hold up the others.
	maxUnderWay = workers * 3 / 4

	// firstProbe is the wait before a key that ilert refuses is tried again. It doubles up to
	// maxProbe.
	firstProbe = time.Minute
	maxProbe   = 5 * time.Minute
	// maxDistrust replaces maxProbe for keys that ilert has never taken, because there may be
	// many.
	maxDistrust = time.Hour
	// maxBuckets is the number of keys beyond which the pace forgets keys that ilert has never
	// taken, although their wait is not over. There are at most twice as many.
	maxBuckets = 20_000
)

// pace limits the requests of each integration key in time. A key sends at most rate requests in
// any minute, and at most a burst at once.
type pace struct {
	rate  int           // requests a minute; 0: no limit
	probe time.Duration // see firstProbe

	mu   sync.Mutex
	keys map[ilert.IntegrationKey]*bucket
	full int // the number of keys at which bucketOf forgets buckets at rest
}

// bucket is the state of an integration key.
type bucket struct {
	tokens   float64
	filled   time.Time   // the time of the last fill
	spent    []time.Time // the times of the answers of the last minute, the oldest first
	underWay int
	hold     time.Time // the time before which no request is sent
	refused  int       // answers in a row that only an operator can mend
	slowed   int       // answers in a row that there are too many requests
	distrust bool      // a message brought the key, and ilert has never taken it
}

func newPace(rate int) *pace {
	return &pace{rate: max(rate, 0), probe: firstProbe, keys: map[ilert.IntegrationKey]*bucket{}}
}

// burst returns the number of requests that a key may send at once.
func (p *pace) burst() int { return min(maxBurst, p.rate) }

// reserved returns the number of reserved requests of a burst.
func (p *pace) reserved() int { return min(maxReserved, p.burst()/3) }

// bucketOf returns the bucket of a key, which is full at first.
func (p *pace) bucketOf(key ilert.IntegrationKey, now time.Time) *bucket {
	b := p.keys[key]
	if b == nil {
		if len(p.keys) >= p.full {
			maps.DeleteFunc(p.keys, func(_ ilert.IntegrationKey, b *bucket) bool { return p.atRest(b, now) })
			if len(p.keys) > maxBuckets { // messages bring keys faster than their probes end
				maps.DeleteFunc(p.keys, func(_ ilert.IntegrationKey, b *bucket) bool { return b.distrust && b.underWay == 0 })
			}
			p.full = 2*len(p.keys) + 1000
		}
		b = &bucket{tokens: float64(p.burst()), filled: now}
		p.keys[key] = b
	}
	return b
}

// atRest reports whether a bucket equals a new one.
func (p *pace) atRest(b *bucket, now time.Time) bool {
	p.fill(b, now)
	if b.refused > 0 { // the store sends a probe after the wait, so no notice waits
		now = now.Add(-maxProbe)
	}
	return b.underWay == 0 && now.After(b.hold) && len(b.spent) == 0
}

// fill adds the tokens that have come since the last call.
func (p *pace) fill(b *bucket, now time.Time) {
	if now.After(b.filled) {
		b.tokens = min(b.tokens+now.Sub(b.filled).Minutes()*float64(p.rate), float64(p.burst()))
		b.filled = now
	}
	for len(b.spent) > 0 && now.Sub(b.spent[0]) >= time.Minute {
		b.spent = b.spent[1:]
	}
}

// budget returns the limit of the notices that the store may hand out for a key now.
func (p *pace) budget(key ilert.IntegrationKey, now time.Time) alerting.Budget {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.bucketOf(key, now)
	free := maxUnderWay - b.underWay
	switch {
	case now.Before(b.hold):
		return alerting.Budget{Again: b.hold}
	case b.refused > 0 && b.underWay > 0: // the probe, or a request before it
		return alerting.Budget{}
	case p.rate == 0 && b.refused > 0:
		return alerting.Budget{Any: 1, Singles: 1}
	case p.rate == 0:
		return alerting.Budget{Any: free, Singles: free}
	}
	p.fill(b, now)
	// A request that is under way may reach ilert at any time until ilert answers.
	ofMinute := p.rate - len(b.spent) - b.underWay
	left := max(min(int(b.tokens), ofMinute), 0)
	if b.refused > 0 && left > 0 {
		return alerting.Budget{Any: 1, Singles: 1, Kept: true}
	}
	if free <= left { // an answer frees the next worker
		return alerting.Budget{Any: free, Singles: min(free, left-p.reserved()), Minute: p.rate, Kept: true}
	}
	next := now.Add(time.Duration((1 - b.tokens + float64(int(b.tokens))) * float64(time.Minute) / float64(p.rate)))
	if len(b.spent) > 0 && ofMinute <= int(b.tokens) {
		next = b.spent[0].Add(time.Minute)
	}
	// The store counts in milliseconds.
	return alerting.Budget{Any: left, Singles: left - p.reserved(), Again: next.Add(time.Millisecond), Minute: p.rate, Kept: true}
}

// explain adds the reason to a budget that budget has returned for a key.
func (p *pace) explain(key ilert.IntegrationKey, budget alerting.Budget, now time.Time) alerting.Budget {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch b := p.bucketOf(key, now); {
	case b.refused > 0:
		budget.Why = "ilert refuses the integration key, which is tried now and then"
	case now.Before(b.hold):
		budget.Why = "ilert asks to wait"
	case budget.Again.IsZero():
		budget.Why = "as many requests are under way as may be"
	default:
		budget.Why = "--rate"
	}
	return budget
}

// take notes that a request is sent.
func (p *pace) take(key ilert.IntegrationKey, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.bucketOf(key, now)
	b.underWay++
	if p.rate == 0 {
		return
	}
	p.fill(b, now)
	b.tokens--
}

// distrust notes that ilert has never taken a key of a message.
func (p *pace) distrust(key ilert.IntegrationKey, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bucketOf(key, now).distrust = true
}

// answered notes the answer to a request.
func (p *pace) answered(key ilert.IntegrationKey, err error, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.bucketOf(key, now)
	b.underWay--
	if p.rate > 0 {
		b.spent = append(b.spent, now)
	}
	var failed *ilert.Error
	switch {
	case err == nil || errors.As(err, &failed) && failed.Class == ilert.Invalid:
		b.refused, b.slowed, b.distrust = 0, 0, false // the key is good
		return
	case failed == nil: // stopping
		return
	case failed.Class == ilert.Operator || b.refused > 0:
		if b.refused == 0 || !now.Before(b.hold) { // else it was sent before the first was refused
			b.refused++
		}
		limit := maxProbe
		if b.distrust {
			limit = maxDistrust
		}
		wait := min(p.probe<<min(b.refused-1, 10), limit)
		b.hold = latest(b.hold, now.Add(wait))
	}
	switch {
	case failed.RetryAfter > 0:
		b.hold = latest(b.hold, now.Add(min(failed.RetryAfter, maxAsked)))
	case failed.TooMany:
		b.slowed++
		b.hold = latest(b.hold, now.Add(time.Second+backoff(b.slowed)))
	default:
		return
	}
	b.tokens = min(b.tokens, 1)
}

// release ends the wait of refused keys for which no event waits, so that the consumer sends the next
// event at once. Otherwise the operator would learn only after the wait that ilert still refuses the key.
func (p *pace) release(keys ...ilert.IntegrationKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, key := range keys {
		if b := p.keys[key]; b != nil && b.refused > 0 {
			b.hold = time.Time{}
		}
	}
}

// retry ends the wait of all refused keys, because an operator has mended something.
func (p *pace) retry() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.keys {
		if b.refused > 0 {
			b.hold = time.Time{}
		}
	}
}

// latest returns the later of two times.
func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
