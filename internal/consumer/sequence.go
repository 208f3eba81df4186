package consumer

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/mqtttopic"
)

const (
	// denseAtFirst is the number of events that have to come from a process without a missing number before
	// a missing one can be lost. It applies if the topic of the process may vary: only then may the broker keep
	// a part of the events from us.
	denseAtFirst = 50
	// denseLater is the same number for a process of which numbers were missing before.
	denseLater = 1000
	// maxMissing limits the ranges of missing numbers of a process. The lowest range counts as lost if there are more.
	// There are so many if a broker sends a backlog of thousands in any order.
	maxMissing = 4096
	// maxJump limits the missing numbers in one range. A number that is higher by more is no loss: nobody
	// publishes so many events in the time for which a broker keeps a session.
	maxJump = 1 << 30
	// maxLooks limits the events of a process whose topic is looked at.
	maxLooks = 100
)

// coverage says which of the events of a process may come to us, as far as their topics tell.
type coverage int

const (
	coverageUnknown coverage = iota
	treeCovered              // the topic varies, and a topic filter takes all values
	partCovered              // the topic varies, and the topic filters take some values
	allCovered               // the topic is the same for all events
)

// span is a range of missing numbers.
type span struct {
	From  uint64 `json:"from"`
	To    uint64 `json:"to"`    // included
	Dense bool   `json:"dense"` // the numbers before it had come, all of them

	since time.Time // when a later number came, or when this process or the connection began
}

// sequence is the state of the numbers that a process of a publisher gives its events. The exported fields are kept
// over a restart of the consumer.
type sequence struct {
	source, process string

	// Subscription is a hash of the session and its topic filters, for which the rest holds.
	Subscription uint64   `json:"subscription,string"`
	Next         uint64   `json:"next"`  // the number after the highest that came; 0: none came since the beginning
	Begin        uint64   `json:"begin"` // the lowest number that is not before a missing one which was given up
	Missing      []span   `json:"missing,omitempty"`
	Coverage     coverage `json:"coverage"`
	Looks        int      `json:"looks"`  // the events by which Coverage was found
	Dense        bool     `json:"dense"`  // enough numbers came without a missing one
	Sparse       bool     `json:"sparse"` // missing numbers were given up before Dense
	Lost         uint64   `json:"lost"`

	heard time.Time
	link  uint64 // the connection on which the last number came
	came  int    // how many numbers came; 2 stands for more
}

// numberOf returns the parts of an id that package publisher makes: the name of its process, and a number.
func numberOf(id string) (process string, number uint64, ours bool) {
	const nameLength = 12
	if len(id) < nameLength+2 || id[nameLength] != '-' || id[nameLength+1] < '1' || id[nameLength+1] > '9' {
		return "", 0, false
	}
	for i := range nameLength {
		if c := id[i]; (c < 'A' || c > 'Z') && (c < '2' || c > '7') {
			return "", 0, false
		}
	}
	number, err := strconv.ParseUint(id[nameLength+1:], 10, 63)
	return id[:nameLength], number, err == nil
}

// beginAnew forgets which numbers came and which are missing, but not how many were lost.
func (s *sequence) beginAnew() { s.Next, s.Missing = 0, nil }

// take notes that a number has come. It returns how many events are lost because more than maxRanges ranges would be missing.
func (s *sequence) take(number uint64, maxRanges int, now time.Time) (lost uint64) {
	s.came = min(s.came+1, 2)
	switch {
	case s.Next == 0 || number > s.Next+maxJump:
		s.beginAnew()
		s.Begin, s.Next = number, number+1
	case number < s.Next:
		s.fill(number)
	case number == s.Next:
		s.Next++
	default:
		need := uint64(denseAtFirst)
		if s.Sparse {
			need = denseLater
		}
		s.Dense = s.Dense || s.run() >= need
		s.Missing = append(s.Missing, span{From: s.Next, To: number - 1, Dense: s.Dense, since: now})
		s.Next = number + 1
	}
	for len(s.Missing) > maxRanges {
		lost += s.giveUp()
	}
	return lost
}

// run returns how many numbers came since the last missing one.
func (s *sequence) run() uint64 {
	from := s.Begin
	if n := len(s.Missing); n > 0 {
		from = s.Missing[n-1].To + 1
	}
	return s.Next - from
}

// fill removes a number from the missing ones, if it is one of them. Else it is that of a repeated event, or comes too late.
func (s *sequence) fill(number uint64) {
	i, _ := slices.BinarySearchFunc(s.Missing, number, func(m span, n uint64) int {
		if m.To < n {
			return -1
		}
		return 1
	})
	if i == len(s.Missing) || number < s.Missing[i].From {
		return
	}
	switch m := &s.Missing[i]; {
	case m.From == m.To:
		s.Missing = slices.Delete(s.Missing, i, i+1)
	case number == m.From:
		m.From++
	case number == m.To:
		m.To--
	default:
		rest := *m
		m.To, rest.From = number-1, number+1
		s.Missing = slices.Insert(s.Missing, i+1, rest)
	}
}

// giveUp stops to wait for the lowest missing numbers, and returns how many events of them are lost.
func (s *sequence) giveUp() (lost uint64) {
	m := s.Missing[0]
	s.Missing = slices.Delete(s.Missing, 0, 1)
	s.Begin = m.To + 1
	if s.Coverage == partCovered || s.Coverage != allCovered && !m.Dense {
		s.Sparse = true
		return 0
	}
	lost = m.To - m.From + 1
	s.Lost += lost
	return lost
}

// giveUpLate stops to wait for the numbers that have not come within d after a later one, and returns how many
// events are lost.
func (s *sequence) giveUpLate(now time.Time, d time.Duration) (lost uint64) {
	for len(s.Missing) > 0 && now.Sub(s.Missing[0].since) >= d {
		lost += s.giveUp()
	}
	return lost
}

// watched reports whether a number would count as lost that does not come from now on.
func (s *sequence) watched() bool {
	switch s.Coverage {
	case partCovered:
		return false
	case allCovered:
		return true
	default:
		return s.Dense || s.run() >= denseAtFirst && !s.Sparse
	}
}

// look finds the coverage by the topic of an event. A topic without a part of its event is the same for all
// events of the process, so that this is known for good.
func (s *sequence) look(topic string, payload []byte, filters []string) {
	if s.Coverage == allCovered || s.Looks == maxLooks {
		return
	}
	s.Looks++
	s.Coverage = max(s.Coverage, coverageOf(topic, payload, filters))
}

// coverageOf returns the coverage of a process by the topic of one of its events. A topic of package publisher may
// have placeholders for the guid, the method and the type of an event.
func coverageOf(topic string, payload []byte, filters []string) coverage {
	e, err := event.Parse(payload)
	if err != nil {
		return coverageUnknown
	}
	const none, guidLength = "none", 36 // none is in the place of a guid or a method that a topic must not show
	parts := []string{none, string(e.Type)}
	if len(e.GUID) == guidLength {
		parts = append(parts, e.GUID)
	}
	if len(e.Methods) > 0 && e.Methods[0] != "" {
		parts = append(parts, e.Methods[0])
	}
	varies := func(level string) bool {
		return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(level, part) })
	}
	levels := strings.Split(topic, "/")
	if !slices.ContainsFunc(levels, varies) {
		return allCovered
	}
	for _, filter := range filters {
		if mqtttopic.Matches(filter, topic) && takesAll(filter, levels, varies) {
			return treeCovered
		}
	}
	return partCovered
}

// takesAll reports whether a topic filter that matches a topic has a wildcard for each level that varies.
func takesAll(filter string, levels []string, varies func(level string) bool) bool {
	for i, level := range strings.Split(filter, "/") {
		switch {
		case level == "#":
			return true
		case level != "+" && varies(levels[i]):
			return false
		}
	}
	return true
}
