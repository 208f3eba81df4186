package alerting

import "time"

const (
	// repeatMemory is the time for which the engine recognises a message that comes again.
	repeatMemory = time.Hour
	// maxPrints is the number of messages that the engine recognises: twice as many as a publisher may have
	// under way.
	maxPrints = 1 << 17
)

// repeats holds the fingerprints of recent messages, so that a message which its publisher sends again has no second
// effect. It is a copy of rows of the store.
type repeats struct {
	known   map[uint64]struct{}
	batches []Arrival // the oldest first
	size    int       // fingerprints in batches
}

// arrivals holds the fingerprints that a transaction adds to repeats.
type arrivals struct {
	at     time.Time // of the newest message
	prints []uint64
	known  map[uint64]struct{} // the fingerprints in prints and in added
	added  *Arrival
	gone   int // number of the oldest batches that the transaction deletes
}

// keepFingerprint keeps the fingerprint of a message, and reports whether the message has come before.
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

// saveArrivals collects the fingerprints of the transaction in one row, and the old rows to be deleted.
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

// addTo adds the fingerprints of a transaction that was committed, and removes those that it has deleted.
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

// recall sets the rows that the store has kept.
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
