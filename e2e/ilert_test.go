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

// An ilert takes events as ilert does, and keeps what it believes. It may be unruly.
type ilert struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	unruly   *rand.Rand          // nil: it takes everything
	open     map[string]bool     // its alerts, by their keys
	listed   map[string][]string // what storms list, by their keys
	underWay map[string]*http.Request
	requests int
	faults   map[string]int
	tokens   float64 // it takes ofASecond requests a second, as many at once, if it is unruly
	filled   time.Time
}

const ofASecond = 30

func startIlert(t *testing.T) *ilert {
	t.Helper()
	i := &ilert{
		t: t, open: map[string]bool{}, listed: map[string][]string{}, underWay: map[string]*http.Request{},
		faults: map[string]int{}, tokens: ofASecond, filled: time.Now(),
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
		return // the sender was killed in the middle
	}
	i.mu.Lock()
	other := i.underWay[e.AlertKey]
	if other != nil && other.Context().Err() == nil && other.RemoteAddr != r.RemoteAddr {
		assert.Fail(i.t, "two requests at a time", e.AlertKey)
	}
	i.underWay[e.AlertKey] = r
	i.requests++
	fault := i.fault()
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
		panic(http.ErrAbortHandler) // the connection is cut
	}
}

// fault is what becomes of the next request.
func (i *ilert) fault() string {
	if i.unruly == nil {
		return "takes it"
	}
	faults := []string{
		"429", "503 for a second", // these make a daemon wait, so they are few
		"500", "500", "500", "hangs", "hangs", "hangs", "resets", "resets", "resets", "takes it and resets", "takes it and resets", "takes it and resets",
	}
	if n := i.unruly.IntN(2 * len(faults)); n < len(faults) {
		return faults[n]
	}
	now := time.Now()
	i.tokens = min(ofASecond, i.tokens+ofASecond*now.Sub(i.filled).Seconds())
	i.filled = now
	if i.tokens < 1 {
		return "429"
	}
	i.tokens--
	return "takes it"
}

func (i *ilert) take(typ, key, details string) {
	i.open[key] = typ != "RESOLVE"
	if typ == "RESOLVE" {
		delete(i.listed, key)
	} else if strings.HasPrefix(key, "storm/") {
		i.listed[key] = append(i.listed[key], strings.Split(details, "\n")...)
	}
}

// Calm lets it take everything from now on.
func (i *ilert) Calm() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.unruly = nil
}

// Lies says how what it believes differs from what is true: which alerts should be open.
func (i *ilert) Lies(truth map[string]bool) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	var lies []string
	believed := maps.Clone(i.open)
	for storm, names := range i.listed {
		delete(believed, storm)
		needed := false
		for _, name := range names {
			if truth[name] && !believed[name] {
				believed[name], needed = true, true
			}
		}
		if i.open[storm] && !needed {
			lies = append(lies, storm+" is over")
		}
	}
	for key, open := range truth {
		if open != believed[key] {
			lies = append(lies, fmt.Sprintf("%s: %v", key, open))
		}
	}
	return strings.Join(lies, ", ")
}
