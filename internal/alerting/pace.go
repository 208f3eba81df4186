package alerting

import (
	"maps"
	"slices"
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
)

// Pace holds the requests of an integration key that the next process must know to stay below the limits of ilert.
type Pace struct {
	Requests []time.Time // of the last minute, the oldest first
	Hold     time.Time   // until then ilert has asked for no request; zero if it has not asked
}

// requests holds a copy of the rows about requests of the last minute, and of the holds that have not ended.
type requests struct {
	sent  []Requests // the oldest first
	holds map[ilert.IntegrationKey]time.Time
}

// paced holds the rows that a transaction adds to requests.
type paced struct {
	sent  []Requests
	holds []Hold
	at    time.Time // of the newest hold
}

// recall sets the rows that the store has kept.
func (r *requests) recall(sent []Requests, holds []Hold) {
	r.sent = sent
	r.addHolds(holds)
}

func (r *requests) addHolds(holds []Hold) {
	if r.holds == nil {
		r.holds = map[ilert.IntegrationKey]time.Time{}
	}
	for _, hold := range holds {
		if r.holds[hold.Key].Before(hold.Until) {
			r.holds[hold.Key] = hold.Until
		}
	}
}

// addTo adds the rows of a transaction that was committed, and removes requests older than a minute and holds that
// have ended.
func (p *paced) addTo(r *requests) {
	if len(p.sent) > 0 {
		over := p.sent[len(p.sent)-1].At.Add(-time.Minute)
		r.sent = slices.DeleteFunc(r.sent, func(one Requests) bool { return !one.At.After(over) })
		r.sent = append(r.sent, p.sent...)
	}
	r.addHolds(p.holds)
	maps.DeleteFunc(r.holds, func(_ ilert.IntegrationKey, until time.Time) bool { return !until.After(p.at) })
}

// Paces returns the Pace of each integration key that has made requests in the minute before a time, or has a hold
// then.
func (e *Engine) Paces(now time.Time) map[ilert.IntegrationKey]Pace {
	e.memory.Lock()
	defer e.memory.Unlock()
	paces := map[ilert.IntegrationKey]Pace{}
	for _, one := range e.requests.sent {
		if one.At.After(now.Add(-time.Minute)) && !one.At.After(now) {
			p := paces[one.Key]
			p.Requests = append(p.Requests, slices.Repeat([]time.Time{one.At}, one.N)...)
			paces[one.Key] = p
		}
	}
	for key, until := range e.requests.holds {
		if until.After(now) {
			p := paces[key]
			p.Hold = until
			paces[key] = p
		}
	}
	return paces
}

// keepRequests keeps for the next process that n requests go out now, and deletes those older than a minute.
func (w *work) keepRequests(key ilert.IntegrationKey, now time.Time, n int) {
	one := Requests{key, now.Truncate(time.Millisecond), n} // as the rows hold it
	w.paced.sent = append(w.paced.sent, one)
	w.changes.Requests = append(w.changes.Requests, one)
	w.changes.NoRequests = now.Add(-time.Minute)
}

// keepHold keeps for the next process the time until which an answer asks for no request, if it does.
func (w *work) keepHold(answer *Answer) {
	if answer.Hold.IsZero() {
		return
	}
	hold := Hold{answer.Notice.IntegrationKey, answer.Hold.Truncate(time.Millisecond)}
	w.paced.holds = append(w.paced.holds, hold)
	w.changes.Holds = append(w.changes.Holds, hold)
	w.paced.at, w.changes.NoHolds = answer.At, answer.At
}
