package sources

import (
	"cmp"
	"container/list"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/mps-events/mps-events/internal/alerting"
)

// Source is a server whose clock is behind ours.
type Source struct {
	Name    string    `json:"name"`          // from its messages; else their topic filter
	Seconds float64   `json:"behindSeconds"` // the lag is at least this
	HeardAt time.Time `json:"heardAt"`       // the time of its last message
}

const (
	// maxSources limits the servers that are watched; the ones that have been silent for longest
	// are forgotten.
	maxSources = 1000
	// sourceMemory is the time after which a silent server is forgotten.
	sourceMemory = 24 * time.Hour
	// minLags is the number of messages in a stretch. The clock is to blame when two stretches
	// are equally late.
	minLags = 10
	// keepInterval is the interval at which the store gets the time of a source's last message.
	keepInterval = time.Hour
)

// Clocks finds the servers whose clocks are behind. A message does not say how long it waited at
// the broker, so a late one proves nothing. But the lateness of a backlog shrinks while the
// consumer reads it, or grows if the backlog arose at once, and the lag of a clock stays. So it
// divides the messages of a source into stretches, each as long as half of max, and blames the
// clock if the least late messages of two stretches are equally late. A message that is not late
// proves that the clock is right.
type Clocks struct {
	max    time.Duration // a message is late beyond it
	oldest time.Duration // an event that is older counts from its arrival
	log    *slog.Logger

	mu      sync.Mutex
	sources map[string]*list.Element
	heard   list.List                 // of *source, the most recently heard at the front
	unkept  map[string]alerting.Clock // changes that the store does not know
}

// source is the state of a server's clock.
type source struct {
	name   string
	began  time.Time     // the beginning of the stretch
	lags   int           // the messages in the stretch; 0 before it begins
	least  time.Duration // the least lateness in the stretch
	before time.Duration // the least lateness in the stretch before; 0 if there is none
	judged time.Duration // the lag of the clock when it was found to be behind
	behind time.Duration // the lag of the clock; 0 if it is right
	heard  time.Time
	kept   alerting.Clock // the state in the store
}

// NewClocks returns Clocks that know no server yet. A message is late if its own time is earlier than its arrival by more
// than maxSkew. An event that is older than maxAge, or than a day if that is longer, counts from its arrival: no broker
// would have kept it.
func NewClocks(maxSkew, maxAge time.Duration, log *slog.Logger) *Clocks {
	const day = 24 * time.Hour
	return &Clocks{max: maxSkew, oldest: max(maxAge, day), log: log, sources: map[string]*list.Element{}, unkept: map[string]alerting.Clock{}}
}

// ForgetLags forgets how late messages were, but not which clocks are behind, because messages that
// come by a new connection may have waited.
func (s *Clocks) ForgetLags() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for e := s.heard.Front(); e != nil; e = e.Next() {
		e.Value.(*source).restart()
	}
}

// restart begins the stretches anew.
func (from *source) restart() { from.lags, from.before = 0, 0 }

// note compares the event's own time with that of its arrival.
func (s *Clocks) note(name string, own, arrived time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := s.touchSource(name)
	from.heard = arrived
	s.judge(from, arrived.Sub(own), arrived)
	if from.behind != from.kept.Behind || from.behind > 0 && arrived.Sub(from.kept.HeardAt) > keepInterval {
		from.kept = alerting.Clock{Source: name, Behind: from.behind, HeardAt: arrived}
		s.unkept[name] = from.kept
	}
}

// judge decides by the lateness of a message whether the clock of its source is behind.
func (s *Clocks) judge(from *source, lag time.Duration, arrived time.Time) {
	if lag <= s.max || from.behind > 0 && lag < from.judged-s.max {
		from.restart()
		if from.behind > 0 {
			from.behind = 0
			text := "a server's clock is right again"
			if lag > s.max {
				text = "a server's clock is not as far behind as it was, and is judged anew"
			}
			s.log.Info(text, slog.String("source", from.name))
		}
		return
	}
	if from.behind > 0 { // the lag is at most this
		from.behind = min(from.behind, lag)
	}
	if from.lags == 0 {
		from.began, from.least = arrived, lag
	}
	from.lags++
	from.least = min(from.least, lag)
	if from.lags < minLags || arrived.Sub(from.began) < s.max/2 {
		return
	}
	before := from.before
	from.before, from.lags = from.least, 0
	const part = 20 // two stretches may differ by this part of max
	if before == 0 || (from.least-before).Abs() > s.max/part {
		return
	}
	if from.behind == 0 {
		s.log.Warn("a server's clock is behind ours: the times of its events are corrected by that", slog.String("source", from.name), slog.Duration("behind", from.least))
	}
	from.behind, from.judged = min(before, from.least), min(before, from.least)
}

// Restore loads the clocks that an earlier process has found.
func (s *Clocks) Restore(clocks []alerting.Clock) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range clocks {
		from := s.touchSource(c.Source)
		from.behind, from.judged, from.heard, from.kept = c.Behind, c.Behind, c.HeardAt, c
	}
}

// TakeUnkept returns the clocks that the store does not know yet, and marks them as stored.
func (s *Clocks) TakeUnkept() (clocks []alerting.Clock) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.unkept {
		clocks = append(clocks, c)
	}
	clear(s.unkept)
	return clocks
}

// PutBack marks the clocks of TakeUnkept as not stored, because the store has failed.
func (s *Clocks) PutBack(clocks []alerting.Clock) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range clocks {
		if _, newer := s.unkept[c.Source]; !newer {
			s.unkept[c.Source] = c
		}
	}
}

// behindBy returns the known lag of a server's clock.
func (s *Clocks) behindBy(name string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, known := s.sources[name]; known {
		return e.Value.(*source).behind
	}
	return 0
}

// touchSource returns the state of a server and makes it the most recently heard.
func (s *Clocks) touchSource(name string) *source {
	if e, known := s.sources[name]; known {
		s.heard.MoveToFront(e)
		return e.Value.(*source)
	}
	if s.heard.Len() == maxSources {
		s.forget()
	}
	from := &source{name: name}
	s.sources[name] = s.heard.PushFront(from)
	return from
}

// forget forgets the source that has been silent for longest.
func (s *Clocks) forget() {
	from := s.heard.Remove(s.heard.Back()).(*source)
	delete(s.sources, from.name)
	if from.kept.Behind > 0 {
		s.unkept[from.name] = alerting.Clock{Source: from.name}
	}
}

// Behind returns the sources whose clocks are behind, the farthest first.
func (s *Clocks) Behind(now time.Time) []Source {
	s.mu.Lock()
	defer s.mu.Unlock()
	for last := s.heard.Back(); last != nil && now.Sub(last.Value.(*source).heard) > sourceMemory; last = s.heard.Back() {
		s.forget()
	}
	all := []Source{}
	for e := s.heard.Front(); e != nil; e = e.Next() {
		if from := e.Value.(*source); from.behind > 0 {
			all = append(all, Source{from.name, from.behind.Seconds(), from.heard})
		}
	}
	slices.SortFunc(all, func(a, b Source) int { return cmp.Or(cmp.Compare(b.Seconds, a.Seconds), cmp.Compare(a.Name, b.Name)) })
	return all
}
