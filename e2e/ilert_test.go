package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// An ilert is a server that accepts events like ilert, and keeps the resulting alerts. It may have
// random faults.
type ilert struct {
	*httptest.Server
	t *testing.T

	mu          sync.Mutex
	faultSource *rand.Rand          // decides on faults; nil: it has none
	open        map[string]bool     // alerts by their keys: true if open
	listed      map[string][]string // alerts in the lists of storms, by the keys of the storms
	underWay    map[string]*http.Request
	requests    int
	faults      map[string]int
	tokens      float64 // with faults it accepts maxRequestRate requests a second, and as many at once
	filled      time.Time
}

const maxRequestRate = 30

func startIlert(t *testing.T) *ilert {
	t.Helper()
	i := &ilert{
		t: t, open: map[string]bool{}, listed: map[string][]string{}, underWay: map[string]*http.Request{},
		faults: map[string]int{}, tokens: maxRequestRate, filled: time.Now(),
	}
	i.Server = httptest.NewServer(http.HandlerFunc(i.serve))
	t.Cleanup(func() {
		i.CloseClientConnections()
		i.Close()
	})
	return i
}

func (i *ilert) serve(w http.ResponseWriter, r *http.Request) {
	var e struct{ EventType, AlertKey, Details string }
	if json.NewDecoder(r.Body).Decode(&e) != nil {
		return // the sender was killed while it sent
	}
	i.mu.Lock()
	other := i.underWay[e.AlertKey]
	if other != nil && other.Context().Err() == nil && other.RemoteAddr != r.RemoteAddr {
		assert.Fail(i.t, "two requests at a time", e.AlertKey)
	}
	i.underWay[e.AlertKey] = r
	i.requests++
	fault := i.drawFault()
	i.faults[fault]++
	i.mu.Unlock()

	if fault == "hangs" {
		select {
		case <-time.After(700 * time.Millisecond):
		case <-r.Context().Done():
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.underWay[e.AlertKey] == r {
		delete(i.underWay, e.AlertKey)
	}
	switch fault {
	case "takes it", "takes it and resets", "hangs":
		i.take(e.EventType, e.AlertKey, e.Details)
	}
	switch fault {
	case "takes it":
		w.WriteHeader(http.StatusAccepted)
	case "500":
		w.WriteHeader(http.StatusInternalServerError)
	case "429":
		w.WriteHeader(http.StatusTooManyRequests)
	case "503 for a second":
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
	default:
		panic(http.ErrAbortHandler) // closes the connection
	}
}

// drawFault returns a random fault for the next request, or "takes it".
func (i *ilert) drawFault() string {
	if i.faultSource == nil {
		return "takes it"
	}
	faults := []string{
		"429", "503 for a second", // these are rare, because they make a daemon wait
		"500", "500", "500", "hangs", "hangs", "hangs", "resets", "resets", "resets", "takes it and resets", "takes it and resets", "takes it and resets",
	}
	if n := i.faultSource.IntN(2 * len(faults)); n < len(faults) {
		return faults[n]
	}
	now := time.Now()
	i.tokens = min(maxRequestRate, i.tokens+maxRequestRate*now.Sub(i.filled).Seconds())
	i.filled = now
	if i.tokens < 1 {
		return "429"
	}
	i.tokens--
	return "takes it"
}

// take applies an event to the alerts.
func (i *ilert) take(typ, key, details string) {
	i.open[key] = typ != "RESOLVE"
	if typ == "RESOLVE" {
		delete(i.listed, key)
	} else if strings.HasPrefix(key, "storm/") {
		i.listed[key] = append(i.listed[key], strings.Split(details, "\n")...)
	}
}

// Calm ends the faults.
func (i *ilert) Calm() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.faultSource = nil
}

// Differences returns the differences between the alerts and the truth: true for each alert that
// should be open.
func (i *ilert) Differences(truth map[string]bool) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	var differences []string
	known := maps.Clone(i.open)
	for storm, names := range i.listed {
		delete(known, storm)
		needed := false
		for _, name := range names {
			if truth[name] && !known[name] {
				known[name], needed = true, true
			}
		}
		if i.open[storm] && !needed {
			differences = append(differences, storm+" should not be open")
		}
	}
	for key, open := range truth {
		if open != known[key] {
			differences = append(differences, fmt.Sprintf("%s should be open: %v", key, open))
		}
	}
	return strings.Join(differences, ", ")
}
