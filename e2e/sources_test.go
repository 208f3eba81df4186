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

// A sources is an unruly stand-in for ilert with several alert sources. The integration key of a source
// is "key-" and its name. The stand-in checks each request, and keeps the alerts that each source shows.
type sources struct {
	*httptest.Server
	t     *testing.T
	names []string

	mu       sync.Mutex
	random   *rand.Rand         // decides the fate of requests; nil: all are taken
	foreign  map[string]bool    // keys of no source that requests may have
	open     map[shown]string   // "open" or "accepted"
	listed   map[shown][]string // the alert keys that each storm lists
	newest   map[shown]int      // the highest number of an ALERT
	passed   map[string]int     // the number of the last event that a daemon only passed on, by source
	underWay map[shown]*http.Request
	came     map[string][]time.Time // the times of the requests, by integration key
	pings    int
}

// A shown is the place of an alert: an alert key of an alert source.
type shown struct{ source, key string }

// startSources starts the stand-in with the named sources.
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

// A sourceEvent is an event for an alert source. Its summary begins with the name of the intended source,
// and may end with a number that rises.
type sourceEvent struct{ IntegrationKey, EventType, AlertKey, Summary, Details string }

// number returns the number at the end of the summary, or 0.
func (e sourceEvent) number() int {
	n, _ := strconv.Atoi(e.Summary[strings.LastIndexByte(e.Summary, ' ')+1:])
	return n
}

// serve answers a request.
func (s *sources) serve(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.Contains(r.URL.Path, "/pings/"):
		s.mu.Lock()
		defer s.mu.Unlock()
		s.pings++
		return
	case r.Method == http.MethodHead: // the daemon asks whether ilert answers
		return
	}
	var e sourceEvent
	if json.NewDecoder(r.Body).Decode(&e) != nil {
		return // the daemon was killed while it sent the request
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
		panic(http.ErrAbortHandler) // which cuts the connection
	}
}

// judge notes the arrival of a request, checks it, and returns its source and its fate.
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

// take changes the alerts that a source shows by an event.
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

// Lies returns the differences between the alerts that the sources show and the true ones, each of which
// is "open", "accepted" or "".
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
				believed[member], needed = truth[member], true // a storm does not tell which members are accepted
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

// CheckPassed checks that each event that a daemon only passes on has arrived.
func (s *sources) CheckPassed(want map[string]int) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	assert.Equal(s.t, want, s.passed)
}

// CheckPace checks that no minute has more than maxRequests requests with one integration key.
func (s *sources) CheckPace(maxRequests int) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, came := range s.came {
		for i := maxRequests; i < len(came); i++ {
			assert.Greater(s.t, came[i].Sub(came[i-maxRequests]), time.Minute, "%d requests by %s", maxRequests+1, key)
		}
	}
}

// Calm makes the stand-in take every further request.
func (s *sources) Calm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.random = nil
}

// Expect allows requests with an integration key of no source.
func (s *sources) Expect(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.foreign[key] = true
}

// ForgetPings forgets the heartbeats so far.
func (s *sources) ForgetPings() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pings = 0
}

// Pinged reports whether a heartbeat has arrived since.
func (s *sources) Pinged() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pings > 0
}
