package alerting

import "time"

const (
	// repeatMemory is the time for which a message is known again.
	repeatMemory = time.Hour
	// maxPrints is the number of the newest messages that are known again: twice as many as a
	// publisher may have under way.
	maxPrints = 1 << 17
)

// repeats holds the fingerprints of the messages that have come lately, so that a message which its
// publisher sends again has no second effect. The store has the same.
type repeats struct {
	known   map[uint64]struct{}
	batches []Arrival // the oldest first
	size    int       // fingerprints in batches
}

// arrivals holds what a transaction adds to repeats.
type arrivals struct {
	at     time.Time // of the newest message
	prints []uint64
	known  map[uint64]struct{} // prints, and those of added
	added  *Arrival
	gone   int // of the oldest batches
}

// keepFingerprint reports whether a message has come before, and remembers it.
func (w *work) keepFingerprint(m *Message) bool {
	if m.Fingerprint == 0 {
		return false
	}
	a := &w.arrivals
	w.engine.memory.Lock()
	_, before := w.engine.repeats.known[m.Fingerprint]
	w.engine.memory.Unlock()
	if _, now := a.known[m.Fingerprint]; now || before {
		return true
	}
	if a.known == nil {
		a.known = map[uint64]struct{}{}
	}
	a.known[m.Fingerprint] = struct{}{}
	a.prints = append(a.prints, m.Fingerprint)
	if a.at.Before(m.ReceivedAt) {
		a.at = m.ReceivedAt
	}
	return false
}

// saveArrivals saves the fingerprints of the transaction, and takes back those that are too old or
// too many.
func (w *work) saveArrivals() {
	a := &w.arrivals
	if len(a.prints) == 0 {
		return
	}
	a.added = &Arrival{At: a.at, Prints: a.prints}
	a.prints = nil
	w.changes.Arrival = a.added
	w.engine.memory.Lock()
	defer w.engine.memory.Unlock()
	r := &w.engine.repeats
	size := r.size + len(a.added.Prints)
	for _, batch := range r.batches {
		if size <= maxPrints && a.at.Sub(batch.At) <= repeatMemory {
			break
		}
		size -= len(batch.Prints)
		w.changes.NoArrivals = batch.ID
		a.gone++
	}
}

// addTo takes over what the store has now.
func (a *arrivals) addTo(r *repeats) {
	if a.added == nil {
		return
	}
	for _, batch := range r.batches[:a.gone] {
		r.size -= len(batch.Prints)
		for _, print := range batch.Prints {
			delete(r.known, print)
		}
	}
	r.batches = r.batches[a.gone:]
	r.add(*a.added)
}

// recall takes over what the store has kept for the engine.
func (r *repeats) recall(batches []Arrival) {
	for _, batch := range batches {
		r.add(batch)
	}
}

func (r *repeats) add(batch Arrival) {
	if r.known == nil {
		r.known = map[uint64]struct{}{}
	}
	for _, print := range batch.Prints {
		r.known[print] = struct{}{}
	}
	r.batches = append(r.batches, batch)
	r.size += len(batch.Prints)
}
