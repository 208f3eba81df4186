package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// A sources is an unruly ilert with several alert sources, whose integration keys are key- and their
// names. It judges each request as it comes, and keeps what each source shows.
type sources struct {
	*httptest.Server
	t     *testing.T
	names []string

	mu       sync.Mutex
	random   *rand.Rand         // nil: it takes everything
	foreign  map[string]bool    // keys that it refuses, and that may come
	open     map[shown]string   // "open" or "accepted"
	listed   map[shown][]string // by storms
	newest   map[shown]int      // the highest number of an ALERT
	passed   map[string]int     // the number of the last event that was only passed on, by its source
	underWay map[shown]*http.Request
	came     map[string][]time.Time // requests, by their keys
	pings    int
}

// A shown is where something is shown: under an alert key of an alert source.
type shown struct{ source, key string }

func startSources(t *testing.T, random *rand.Rand, names ...string) *sources {
	t.Helper()
	s := &sources{
		t: t, names: names, random: random, foreign: map[string]bool{}, open: map[shown]string{}, listed: map[shown][]string{},
		newest: map[shown]int{}, passed: map[string]int{}, underWay: map[shown]*http.Request{}, came: map[string][]time.Time{},
	}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// A sourceEvent is an event as it comes to an alert source. Its summary begins with the name of the source
// that it is meant for, and may end with a number that rises.
type sourceEvent struct{ IntegrationKey, EventType, AlertKey, Summary, Details string }

func (e sourceEvent) number() int {
	n, _ := strconv.Atoi(e.Summary[strings.LastIndexByte(e.Summary, ' ')+1:]) // 0 without one
	return n
}

func (s *sources) serve(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.Contains(r.URL.Path, "/pings/"):
		s.mu.Lock()
		defer s.mu.Unlock()
		s.pings++
		return
	case r.Method == http.MethodHead: // asks whether anybody is there
		return
	}
	var e sourceEvent
	if json.NewDecoder(r.Body).Decode(&e) != nil {
		return // the sender was killed in the middle
	}
	source, fate := s.judge(r, e)
	if fate == "hangs" {
		select {
		case <-time.After(700 * time.Millisecond):
		case <-r.Context().Done():
		}
	}
	s.mu.Lock()
	at := shown{source, e.AlertKey}
	if s.underWay[at] == r {
		delete(s.underWay, at)
	}
	if fate == "takes" || fate == "takes and cuts" || fate == "hangs" {
		s.take(at, e)
	}
	s.mu.Unlock()
	if status, err := strconv.Atoi(fate); err == nil {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(status)
	} else if fate != "takes" {
		panic(http.ErrAbortHandler) // the connection is cut
	}
}

// judge notes that a request has come, and says what becomes of it.
func (s *sources) judge(r *http.Request, e sourceEvent) (source, fate string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.came[e.IntegrationKey] = append(s.came[e.IntegrationKey], time.Now())
	meant, _, _ := strings.Cut(e.Summary, " ")
	source = strings.TrimPrefix(e.IntegrationKey, "key-")
	if !slices.Contains(s.names, source) {
		assert.True(s.t, s.foreign[e.IntegrationKey] && meant == "foreign", "by the key %q: %+v", e.IntegrationKey, e)
		return source, "401"
	}
	if slices.Contains(s.names, meant) {
		assert.Equal(s.t, meant, source, "%+v", e)
	}
	at := shown{source, e.AlertKey}
	other := s.underWay[at]
	assert.True(s.t, other == nil || other.Context().Err() != nil || other.RemoteAddr == r.RemoteAddr, "two requests at a time: %v", at)
	s.underWay[at] = r
	if strings.Contains(e.AlertKey+e.Details, "poison") {
		return source, "400"
	}
	if s.random == nil || s.random.IntN(2) == 0 {
		return source, "takes"
	}
	fates := []string{"429", "503", "500", "500", "500", "hangs", "hangs", "cuts", "cuts", "takes and cuts", "takes and cuts"}
	return source, fates[s.random.IntN(len(fates))]
}

// take believes an event.
func (s *sources) take(at shown, e sourceEvent) {
	n := e.number()
	if strings.Contains(e.Summary, " passes ") {
		assert.Contains(s.t, []int{s.passed[at.source], s.passed[at.source] + 1}, n, "the next event of %s, or the same again", at.source)
		s.passed[at.source] = n
	} else if e.EventType == "ALERT" && n > 0 && !strings.HasPrefix(at.key, "storm/") {
		assert.GreaterOrEqual(s.t, n, s.newest[at], "%v", at)
		s.newest[at] = n
	}
	switch e.EventType {
	case "ALERT":
		if s.open[at] == "" {
			s.open[at] = "open"
		}
		if strings.HasPrefix(at.key, "storm/") {
			s.listed[at] = append(s.listed[at], strings.Split(e.Details, "\n")...)
		}
	case "ACCEPT":
		if s.open[at] != "" {
			s.open[at] = "accepted"
		}
	case "RESOLVE":
		delete(s.open, at)
		delete(s.listed, at)
	}
}

// Lies says how what the sources show differs from what is true: "open", "accepted" or "".
func (s *sources) Lies(truth map[shown]string) (lies []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	believed := maps.Clone(s.open)
	for storm, names := range s.listed {
		delete(believed, storm)
		needed := false
		for _, name := range names {
			member := shown{storm.source, name}
			if truth[member] != "" && believed[member] == "" {
				believed[member], needed = truth[member], true // a storm does not say who is accepted
			}
		}
		if !needed {
			lies = append(lies, fmt.Sprint(storm, " is over"))
		}
	}
	for at, state := range truth {
		if believed[at] != state {
			lies = append(lies, fmt.Sprintf("%v: %q, not %q", at, believed[at], state))
		}
		delete(believed, at)
	}
	for at := range believed {
		lies = append(lies, fmt.Sprint(at, " was never wanted"))
	}
	return lies
}

// CheckPassed holds that each event that is only passed on has come.
func (s *sources) CheckPassed(want map[string]int) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	assert.Equal(s.t, want, s.passed)
}

// CheckPace holds that no key has got more requests than that in a minute.
func (s *sources) CheckPace(most int) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, came := range s.came {
		for i := most; i < len(came); i++ {
			assert.Greater(s.t, came[i].Sub(came[i-most]), time.Minute, "%d requests by %s", most+1, key)
		}
	}
}

// Calm lets it take everything from now on.
func (s *sources) Calm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.random = nil
}

// Expect notes that a key may come that no source has.
func (s *sources) Expect(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.foreign[key] = true
}

// ForgetPings forgets the heartbeats that have come.
func (s *sources) ForgetPings() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pings = 0
}

// Pinged reports whether a heartbeat has come.
func (s *sources) Pinged() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pings > 0
}
