// Package ilertsim stands in for ilert in tests and in mps-sim. It accepts events, lists alerts and alert
// sources, and limits requests as ilert's published API says. Where that says nothing, a comment
// says what the stand-in does. A caller can make it fail, put alert sources into maintenance, act
// like a person, and look at the alerts.
package ilertsim

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
)

// Config configures a Server.
type Config struct {
	// Sources are the alert sources. Without any, each integration key is accepted, and the first
	// event with it makes its alert source.
	Sources []Source
	// APIKeys are the keys of users, with which alerts are listed: true for a key that may do so,
	// false for one without the right.
	APIKeys map[string]bool
	// EventLimit is the number of events that ilert takes each minute for an integration key, and
	// ListLimit that of requests for an API key. 0 means no limit of events, and 120 lists.
	EventLimit, ListLimit int
	// MaintenanceIgnoresAll makes an alert source in maintenance ignore all events. Without it
	// such a source opens no alert, and events change and end its alerts that are open. It is
	// not known which of them ilert does.
	MaintenanceIgnoresAll bool
	// Keep is the number of ended alerts, and that of requests, that the server keeps; 0 means all.
	Keep int
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Source is an alert source.
type Source struct {
	ID              int64 // 0: its place in Config.Sources, from 1
	Name            string
	IntegrationKey  string
	IntegrationType string // empty: API
	State           State
}

// State is the property of an alert source that decides whether it makes alerts of events. ilert answers 202
// in any case.
type State int

// The states of an alert source.
const (
	Active      State = iota
	Maintenance       // opens no alert
	Disabled          // ignores all events
)

// Status is the state of an alert, spelled as by ilert.
type Status string

// The states of an alert.
const (
	Pending  Status = "PENDING"
	Accepted Status = "ACCEPTED"
	Resolved Status = "RESOLVED"
)

// Alert is an alert as ilert shows it.
type Alert struct {
	ID         int64     `json:"id"` // counts up from 1
	Source     int64     `json:"source"`
	AlertKey   string    `json:"alertKey"`
	Summary    string    `json:"summary"`
	Details    string    `json:"details,omitempty"`
	Status     Status    `json:"status"`
	Priority   string    `json:"priority,omitempty"` // as sent; empty if it was not
	ReportTime time.Time `json:"reportTime"`
	ResolvedOn time.Time `json:"resolvedOn,omitzero"`
	ByHand     bool      `json:"byHand,omitempty"` // a person has given it its status
	Log        []Event   `json:"-"`                // the events that ilert has merged into it, oldest first
}

// Server is the stand-in for ilert, an http.Handler. Its methods may be called concurrently.
type Server struct {
	config Config
	mux    *http.ServeMux

	mu       sync.Mutex
	answer   func(Request) Answer
	all      State // of alert sources that are yet to be made
	sources  []*Source
	alerts   []*Alert           // oldest first
	open     map[openKey]*Alert // those with a key
	nextID   int64
	version  uint64 // grows with each change
	requests []*Request
	windows  map[string]*window // by the key that is limited
}

type openKey struct {
	source int64
	key    string // as fold returns it
}

// fold returns the form in which ilert compares alert keys.
func fold(alertKey string) string { return strings.ToLower(strings.TrimSpace(alertKey)) }

// New returns a stand-in for ilert without alerts.
func New(c Config) *Server {
	s := &Server{config: c, mux: http.NewServeMux(), open: map[openKey]*Alert{}, windows: map[string]*window{}}
	s.config.ListLimit = cmp.Or(c.ListLimit, 120)
	if c.Now == nil {
		s.config.Now = time.Now
	}
	for _, source := range c.Sources {
		s.addSource(source)
	}
	s.mux.HandleFunc("POST "+ilert.EventsPath, s.postEvent)
	s.mux.HandleFunc("POST "+ilert.MQTTPath, s.postMQTT)
	s.mux.HandleFunc("POST /api/v1/mqtt/{key}", s.postMQTT)
	s.mux.HandleFunc("GET /api/pings/{key}", s.ping) // HEAD too
	s.mux.HandleFunc("GET /api/heartbeats/{key}", s.ping)
	s.mux.HandleFunc("GET /api/alert-sources", s.listSources)
	s.mux.HandleFunc("GET /api/alerts", s.listAlerts)
	s.mux.HandleFunc("GET /api/alerts/count", s.countAlerts)
	s.mux.HandleFunc("PUT /api/alerts/{id}/{act}", s.actOnAlert)
	return s
}

func (s *Server) addSource(source Source) *Source {
	source.ID = cmp.Or(source.ID, int64(len(s.sources)+1))
	source.IntegrationType = cmp.Or(source.IntegrationType, "API")
	source.Name = cmp.Or(source.Name, "source "+strconv.FormatInt(source.ID, 10))
	s.sources = append(s.sources, &source)
	return &source
}

// source returns the alert source with an integration key, or nil.
func (s *Server) source(integrationKey string) *Source {
	for _, source := range s.sources {
		if source.IntegrationKey == integrationKey {
			return source
		}
	}
	if len(s.config.Sources) > 0 || integrationKey == "" {
		return nil
	}
	return s.addSource(Source{IntegrationKey: integrationKey, State: s.all})
}

// SetState sets the state of the alert sources with these integration keys; without any, that of all
// sources, and of those that later events make.
func (s *Server) SetState(state State, integrationKeys ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(integrationKeys) == 0 {
		s.all = state
	}
	for _, source := range s.sources {
		if len(integrationKeys) == 0 || slices.Contains(integrationKeys, source.IntegrationKey) {
			source.State = state
		}
	}
	s.version++
}

// Accept accepts an open alert, as a person does.
func (s *Server) Accept(id int64) error { return s.actByHand(id, Accepted) }

// Resolve closes an open alert, as a person does.
func (s *Server) Resolve(id int64) error { return s.actByHand(id, Resolved) }

func (s *Server) actByHand(id int64, status Status) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.act(id, status)
	return err
}

// act changes an open alert as a person does, and returns it. The caller holds the lock.
func (s *Server) act(id int64, status Status) (*Alert, error) {
	for _, a := range slices.Backward(s.alerts) {
		if a.ID == id && a.Status != Resolved {
			s.setStatus(a, status)
			a.ByHand = true
			return a, nil
		}
	}
	return nil, fmt.Errorf("no open alert has the id %d", id)
}

func (s *Server) setStatus(a *Alert, status Status) {
	a.Status, a.ByHand = status, false
	if status == Resolved {
		a.ResolvedOn = s.config.Now()
		delete(s.open, openKey{a.Source, fold(a.AlertKey)})
		s.forget()
	}
	s.version++
}

// forget deletes the ended alerts that are older than those to keep.
func (s *Server) forget() {
	ended := len(s.alerts) - s.countOpen()
	if s.config.Keep == 0 || ended <= s.config.Keep+s.config.Keep/10 { // not at each alert
		return
	}
	s.alerts = slices.DeleteFunc(s.alerts, func(a *Alert) bool {
		if a.Status != Resolved || ended <= s.config.Keep {
			return false
		}
		ended--
		return true
	})
}

// Alerts returns a copy of all alerts, oldest first.
func (s *Server) Alerts() []Alert {
	all, _ := s.Changed(^uint64(0))
	return all
}

// Changed returns a copy of all alerts, oldest first, and the current version. It returns no alerts if
// nothing has changed since the given version.
func (s *Server) Changed(since uint64) ([]Alert, uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.version == since {
		return nil, since
	}
	all := make([]Alert, len(s.alerts))
	for i, a := range s.alerts {
		all[i] = *a
	}
	return all, s.version
}

// Open returns the open alerts of the alert source with an integration key, oldest first: what ilert shows.
func (s *Server) Open(integrationKey string) []Alert {
	s.mu.Lock()
	defer s.mu.Unlock()
	var open []Alert
	if source := s.source(integrationKey); source != nil {
		for _, a := range s.alerts {
			if a.Source == source.ID && a.Status != Resolved {
				open = append(open, *a)
			}
		}
	}
	return open
}

// Count returns the number of alerts opened since the start, and of those that are open now.
func (s *Server) Count() (opened, open int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(s.nextID), s.countOpen()
}

func (s *Server) countOpen() (n int) {
	for _, a := range s.alerts {
		if a.Status != Resolved {
			n++
		}
	}
	return n
}
