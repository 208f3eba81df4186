package consumer

import (
	"cmp"
	"container/list"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/packets"
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
	// leastLags is how many messages must be late before the clock is to blame.
	leastLags = 20
)

// skew finds the servers whose clocks are behind. How long a message waited at the broker
// nobody says, so one that is late proves nothing; but if all of a server are late for
// longer than a backlog takes to pass, then it is the clock. One that is not late proves
// that it is not.
type skew struct {
	most time.Duration
	log  *slog.Logger

	mu      sync.Mutex
	sources map[string]*list.Element
	heard   list.List // of *source, who was heard of last at the front
}

// source is a server, and how late its messages were since some time.
type source struct {
	name   string
	began  time.Time
	lags   int
	least  time.Duration // of them
	behind time.Duration // as far as its clock is behind; 0 if it is not
	heard  time.Time
}

func newSkew(most time.Duration, log *slog.Logger) *skew {
	return &skew{most: most, log: log, sources: map[string]*list.Element{}}
}

// note takes in the time of a message, by its own account and on its arrival.
func (s *skew) note(name string, own, arrived time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := s.source(name)
	from.heard = arrived
	lag := arrived.Sub(own)
	if lag <= s.most {
		from.lags = 0
		if from.behind > 0 {
			from.behind = 0
			s.log.Info("a server's clock is right again", slog.String("source", name))
		}
		return
	}
	if from.lags == 0 {
		from.began, from.least = arrived, lag
	}
	from.lags++
	from.least = min(from.least, lag)
	if from.lags < leastLags || arrived.Sub(from.began) < s.most {
		return
	}
	if from.behind == 0 {
		s.log.Warn("a server's clock is behind ours: what it says counts so much later", slog.String("source", name), slog.Duration("behind", from.least))
	}
	from.behind, from.lags = from.least, 0
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
	delete(s.sources, s.heard.Remove(s.heard.Back()).(*source).name)
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
