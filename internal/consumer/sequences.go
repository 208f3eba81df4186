package consumer

import (
	"cmp"
	"container/list"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/mqtttopic"
	"github.com/mps-events/mps-events/internal/sources"
)

// NumberedSource is a server that numbers its events, so that it can be seen which of them never came.
type NumberedSource struct {
	Name string `json:"name"` // from its messages
	// Lost counts the events that have not come a minute after later ones had. It goes on over a restart.
	Lost       uint64    `json:"lost"`
	LastLostAt time.Time `json:"lastLostAt,omitzero"` // when the last of them was noticed, since the start
	// Watched is false if a number that does not come proves nothing, because only a part of the topics of
	// the server may be subscribed to.
	Watched bool      `json:"watched"`
	HeardAt time.Time `json:"heardAt"` // the time of its last event
}

const (
	// maxSequences limits the processes of publishers whose numbers are watched; the ones that have been silent for
	// longest are forgotten.
	maxSequences = 1000
	// maxMissingInAll limits the ranges of missing numbers of all of them.
	maxMissingInAll = 1 << 16
)

// lostAfter is the time after which a number counts as lost if later ones have come. It is a variable because
// a test cannot wait for it.
var lostAfter = time.Minute

// lossSilence is the time after which an alert about lost events ends if no more are lost.
const lossSilence = time.Hour

// sequences finds the events that never came. Package publisher gives the events of a process numbers without a gap,
// see there. A number that has not come a minute after later ones is lost, unless there is another reason why it may not come:
//
//   - only a part of the topics is subscribed to: see coverageOf and denseAtFirst;
//   - the broker need not keep messages while we are away, at QoS 0 or after the end of the session;
//   - the topic filters, or the session, have changed.
//
// In the last two cases the numbers begin anew with the next that comes.
type sequences struct {
	session string        // at the broker
	keeps   time.Duration // the session keeps messages of QoS 1 while we are away for so long

	mu           sync.Mutex
	filters      []string // that are subscribed to
	subscription uint64   // a hash of filters and session
	all          map[sequenceKey]*list.Element
	heard        list.List                // of *sequence, the most recently heard at the front
	missing      map[*sequence]struct{}   // the sequences with missing numbers
	ranges       int                      // of missing numbers
	sources      map[string]*sourceLoss   // of all
	unsaved      map[sequenceKey]struct{} // the sequences that have changed since they were stored, or are forgotten
}

type sequenceKey struct{ source, process string }

// sourceLoss counts the lost events of a source.
type sourceLoss struct {
	sequences int    // the number of its processes
	lost      uint64 // in all
	since     time.Time
	episode   uint64    // lost since then, with pauses shorter than lossSilence
	at        time.Time // when the last loss was noticed
	unsaid    bool      // the alert does not know the last loss
	saidAt    time.Time
}

// loss is the order to tell of the lost events of a source.
type loss struct {
	source string
	events uint64
	since  time.Time // when the first of them was noticed
}

func newSequences(session string, keeps time.Duration) *sequences {
	return &sequences{
		session: session, keeps: keeps, all: map[sequenceKey]*list.Element{}, missing: map[*sequence]struct{}{},
		sources: map[string]*sourceLoss{}, unsaved: map[sequenceKey]struct{}{},
	}
}

// subscribe sets the topic filters of the session. If they are others than before, all numbers begin anew.
func (s *sequences) subscribe(filters []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.subscription != 0 && slices.Equal(s.filters, filters) {
		return
	}
	before := s.subscription
	s.filters, s.subscription = filters, sources.Print(append([]string{s.session}, slices.Sorted(slices.Values(filters))...)...)
	if s.subscription == before {
		return
	}
	for e := s.heard.Front(); e != nil; e = e.Next() {
		one := e.Value.(*sequence)
		one.beginAnew()
		one.Coverage, one.Looks, one.Dense, one.Sparse = coverageUnknown, 0, false, false
	}
	clear(s.missing)
	s.ranges = 0
}

// restore loads the sequences that an earlier process has kept. It does not need those of another subscription.
func (s *sequences) restore(rows []alerting.Sequence, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, row := range rows {
		var kept sequence
		key := sequenceKey{row.Source, row.Process}
		if json.Unmarshal(row.State, &kept) != nil || kept.Subscription != s.subscription {
			s.unsaved[key] = struct{}{} // forgets it
			continue
		}
		one := s.touch(key)
		kept.source, kept.process, kept.heard, kept.came = one.source, one.process, row.HeardAt, 2
		*one = kept
		s.sources[key.source].lost += one.Lost
		for i := range one.Missing {
			one.Missing[i].since = now
		}
		if len(one.Missing) > 0 {
			s.missing[one] = struct{}{}
			s.ranges += len(one.Missing)
		}
	}
}

// numbered is a message that may have a number.
type numbered struct {
	source, id string
	filter     string // by which it came
	topic      string
	payload    []byte
	link       uint64 // the connection on which it came
	atMostOnce bool   // it came at QoS 0
}

// note notes the number of a message.
func (s *sequences) note(m numbered, now time.Time) {
	process, number, ours := numberOf(m.id)
	if !ours || m.source == "" || len(m.source) > sources.MaxName || mqtttopic.IsShared(m.filter) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.touch(sequenceKey{m.source, process})
	before := len(one.Missing)
	if one.link != m.link && (m.atMostOnce || now.Sub(one.heard) > s.keeps) {
		one.beginAnew()
	}
	one.link, one.heard = m.link, now
	one.look(m.topic, m.payload, s.filters)
	lost := one.take(number, min(maxMissing, before+maxMissingInAll-s.ranges), now)
	s.ranges += len(one.Missing) - before
	s.add(one, lost, now)
	if one.came > 1 { // of a process that was heard once nothing is kept
		s.unsaved[sequenceKey{one.source, one.process}] = struct{}{}
	}
}

// add adds lost events to those of a source, and notes whether numbers are missing.
func (s *sequences) add(one *sequence, lost uint64, now time.Time) {
	if len(one.Missing) > 0 {
		s.missing[one] = struct{}{}
	} else {
		delete(s.missing, one)
	}
	if lost == 0 {
		return
	}
	of := s.sources[one.source]
	if now.Sub(of.at) > lossSilence {
		of.episode, of.since = 0, now
	}
	of.lost, of.episode, of.at, of.unsaid = of.lost+lost, of.episode+lost, now, true
}

// touch returns the sequence of a process and makes it the most recently heard.
func (s *sequences) touch(key sequenceKey) *sequence {
	if e, known := s.all[key]; known {
		s.heard.MoveToFront(e)
		return e.Value.(*sequence)
	}
	if s.heard.Len() == maxSequences {
		s.forget()
	}
	key = sequenceKey{strings.Clone(key.source), strings.Clone(key.process)} // they may be parts of a message
	one := &sequence{source: key.source, process: key.process}
	s.all[key] = s.heard.PushFront(one)
	if s.sources[key.source] == nil {
		s.sources[key.source] = &sourceLoss{}
	}
	s.sources[key.source].sequences++
	return one
}

// forget forgets the process that has been silent for longest, and its source if that has no other.
func (s *sequences) forget() {
	one := s.heard.Remove(s.heard.Back()).(*sequence)
	key := sequenceKey{one.source, one.process}
	delete(s.all, key)
	delete(s.missing, one)
	s.ranges -= len(one.Missing)
	if one.came > 1 {
		s.unsaved[key] = struct{}{}
	}
	if of := s.sources[one.source]; of.sequences > 1 {
		of.sequences--
	} else {
		delete(s.sources, one.source)
	}
}

// waits reports whether settle may have something to do.
func (s *sequences) waits() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, of := range s.sources {
		if of.unsaid {
			return true
		}
	}
	return len(s.missing) > 0
}

// settle gives up the numbers that are late, and returns the losses to tell of: of each source once in a minute.
func (s *sequences) settle(now time.Time) (losses []loss) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for one := range s.missing {
		before := len(one.Missing)
		s.add(one, one.giveUpLate(now, lostAfter), now)
		if given := before - len(one.Missing); given > 0 {
			s.ranges -= given
			s.unsaved[sequenceKey{one.source, one.process}] = struct{}{}
		}
	}
	for name, of := range s.sources {
		if of.unsaid && now.Sub(of.saidAt) >= ruleAlertInterval {
			losses = append(losses, loss{name, of.episode, of.since})
		}
	}
	slices.SortFunc(losses, func(a, b loss) int { return strings.Compare(a.source, b.source) })
	return losses
}

// said notes that the alert about a source knows its losses.
func (s *sequences) said(l loss, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if of := s.sources[l.source]; of != nil {
		of.saidAt, of.unsaid = now, of.episode != l.events
	}
}

// takeUnsaved returns the sequences that the store does not know as they are, and marks them as stored.
func (s *sequences) takeUnsaved() (rows []alerting.Sequence) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.unsaved {
		row := alerting.Sequence{Source: key.source, Process: key.process}
		if e, known := s.all[key]; known {
			one := e.Value.(*sequence)
			one.Subscription = s.subscription
			row.HeardAt = one.heard
			row.State, _ = json.Marshal(one) // it holds numbers alone, so this does not fail
		}
		rows = append(rows, row)
	}
	clear(s.unsaved)
	return rows
}

// putBack marks the sequences of takeUnsaved as not stored, because the store has failed.
func (s *sequences) putBack(rows []alerting.Sequence) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, row := range rows {
		s.unsaved[sequenceKey{row.Source, row.Process}] = struct{}{}
	}
}

// read returns the sources, those that have lost most first.
func (s *sequences) read() []NumberedSource {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]*NumberedSource{}
	for e := s.heard.Front(); e != nil; e = e.Next() {
		one := e.Value.(*sequence)
		to := all[one.source]
		if to == nil { // this is the process that was heard last
			of := s.sources[one.source]
			to = &NumberedSource{Name: one.source, Lost: of.lost, LastLostAt: of.at, HeardAt: one.heard}
			all[one.source] = to
		}
		to.Watched = to.Watched || one.watched()
	}
	sources := make([]NumberedSource, 0, len(all))
	for _, one := range all {
		sources = append(sources, *one)
	}
	slices.SortFunc(sources, func(a, b NumberedSource) int {
		return cmp.Or(cmp.Compare(b.Lost, a.Lost), strings.Compare(a.Name, b.Name))
	})
	return sources
}
