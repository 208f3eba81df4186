package consumer

import (
	"cmp"
	"container/list"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/packets"

	"github.com/mps-events/mps-events/internal/store"
)

// Source is a server whose clock is behind ours.
type Source struct {
	Name    string    `json:"name"`          // as its messages say; else their topic filter
	Seconds float64   `json:"behindSeconds"` // at least
	HeardAt time.Time `json:"heardAt"`       // the last time
}

const (
	// mostSources is how many servers are watched: those that were heard of last.
	mostSources = 1000
	// sourceMemory is how long one that is silent counts.
	sourceMemory = 24 * time.Hour
	// longestName is how long a source's name may be, in bytes.
	longestName = 128
	// minLags is the number of messages of a stretch, of which two must be late alike before
	// the clock is to blame.
	minLags = 10
	// keepInterval is the interval at which the store is told that a source is still heard.
	keepInterval = time.Hour
)

// skew finds the servers whose clocks are behind. No message says how long it waited at the
// broker, so one that is late proves nothing; but the lateness of a backlog shrinks while it is
// read, or grows if it arose at once, and that of a clock stays. So messages are looked at in
// stretches, each as long as half of most, and the clock is to blame if the least late messages
// of two stretches are late alike. One that is not late proves that the clock is right.
type skew struct {
	most time.Duration
	log  *slog.Logger

	mu      sync.Mutex
	sources map[string]*list.Element
	heard   list.List // of *source, who was heard of last at the front
	unkept  map[string]store.Clock
}

// source is a server, and how late its messages were since some time.
type source struct {
	name   string
	began  time.Time     // the stretch
	lags   int           // of it; 0 before it begins
	least  time.Duration // of them
	before time.Duration // the least of the stretch before; 0 if there is none
	judged time.Duration // how far the clock was behind when it was last found to be
	behind time.Duration // as far as its clock is behind; 0 if it is not
	heard  time.Time
	kept   store.Clock // as the store knows it
}

func newSkew(most time.Duration, log *slog.Logger) *skew {
	return &skew{most: most, log: log, sources: map[string]*list.Element{}, unkept: map[string]store.Clock{}}
}

// anew forgets how late messages were, but not which clocks are behind: what comes by a new
// connection may have waited.
func (s *skew) anew() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for e := s.heard.Front(); e != nil; e = e.Next() {
		e.Value.(*source).anew()
	}
}

func (from *source) anew() { from.lags, from.before = 0, 0 }

// note takes in the time of a message, by its own account and on its arrival.
func (s *skew) note(name string, own, arrived time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := s.source(name)
	from.heard = arrived
	s.judge(from, arrived.Sub(own), arrived)
	if from.behind != from.kept.Behind || from.behind > 0 && arrived.Sub(from.kept.HeardAt) > keepInterval {
		from.kept = store.Clock{Source: name, Behind: from.behind, HeardAt: arrived}
		s.unkept[name] = from.kept
	}
}

func (s *skew) judge(from *source, lag time.Duration, arrived time.Time) {
	if lag <= s.most || from.behind > 0 && lag < from.judged-s.most {
		from.anew()
		if from.behind > 0 {
			from.behind = 0
			text := "a server's clock is right again"
			if lag > s.most {
				text = "a server's clock is not as far behind as it was, and is judged anew"
			}
			s.log.Info(text, slog.String("source", from.name))
		}
		return
	}
	if from.behind > 0 { // by no more than this
		from.behind = min(from.behind, lag)
	}
	if from.lags == 0 {
		from.began, from.least = arrived, lag
	}
	from.lags++
	from.least = min(from.least, lag)
	if from.lags < minLags || arrived.Sub(from.began) < s.most/2 {
		return
	}
	before := from.before
	from.before, from.lags = from.least, 0
	const part = 20 // of most, by which two stretches may differ
	if before == 0 || (from.least-before).Abs() > s.most/part {
		return
	}
	if from.behind == 0 {
		s.log.Warn("a server's clock is behind ours: what it says counts so much later", slog.String("source", from.name), slog.Duration("behind", from.least))
	}
	from.behind, from.judged = min(before, from.least), min(before, from.least)
}

// restore takes in the clocks that an earlier process has found.
func (s *skew) restore(clocks []store.Clock) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range clocks {
		from := s.source(c.Source)
		from.behind, from.judged, from.heard, from.kept = c.Behind, c.Behind, c.HeardAt, c
	}
}

// toKeep returns what the store does not know yet of the clocks, and takes it for known.
func (s *skew) toKeep() (clocks []store.Clock) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.unkept {
		clocks = append(clocks, c)
	}
	clear(s.unkept)
	return clocks
}

// notKept takes back what toKeep has returned.
func (s *skew) notKept(clocks []store.Clock) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range clocks {
		if _, newer := s.unkept[c.Source]; !newer {
			s.unkept[c.Source] = c
		}
	}
}

// keepClocks stores which clocks are behind, if that has changed. If it fails it is tried
// again with the next messages.
func (c *Consumer) keepClocks(ctx context.Context) {
	clocks := c.skew.toKeep()
	if len(clocks) == 0 {
		return
	}
	if err := c.store.KeepClocks(ctx, clocks); err != nil {
		c.skew.notKept(clocks)
	}
}

// behind returns how far a server's clock is behind, as far as that is known.
func (s *skew) behind(name string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, known := s.sources[name]; known {
		return e.Value.(*source).behind
	}
	return 0
}

// source returns that of a name, as the one that was heard of last.
func (s *skew) source(name string) *source {
	if e, known := s.sources[name]; known {
		s.heard.MoveToFront(e)
		return e.Value.(*source)
	}
	if s.heard.Len() == mostSources {
		s.forget()
	}
	from := &source{name: name}
	s.sources[name] = s.heard.PushFront(from)
	return from
}

// forget forgets the one that was not heard of for longest.
func (s *skew) forget() {
	from := s.heard.Remove(s.heard.Back()).(*source)
	delete(s.sources, from.name)
	if from.kept.Behind > 0 {
		s.unkept[from.name] = store.Clock{Source: from.name}
	}
}

// read returns those that are behind, the farthest first.
func (s *skew) read(now time.Time) []Source {
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

// sourceOf names who has sent a message, or what it came by.
func sourceOf(p *packets.Publish, filter string) string {
	if p.Properties != nil {
		for _, user := range p.Properties.User {
			if user.Key == "source" && user.Value != "" && len(user.Value) <= longestName {
				return user.Value
			}
		}
	}
	return filter
}
