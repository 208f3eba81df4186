// Package ilertsim stands in for ilert: it takes events as ilert does, groups
// them by alert key, and shows the alerts that ilert would have. It keeps the
// newest thousand, in memory. It can be down, or in maintenance, as ilert can.
package ilertsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Alert is one alert.
type Alert struct {
	ID        uint64    `json:"id"` // counts up from 1
	AlertKey  string    `json:"alertKey"`
	Summary   string    `json:"summary"`
	Details   string    `json:"details,omitempty"`
	Status    Status    `json:"status"`
	Events    int       `json:"events"` // how many it got
	Priority  string    `json:"priority,omitempty"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

// Status is that of an alert at ilert.
type Status string

// ilert's states of an alert.
const (
	Pending  Status = "PENDING"
	Accepted Status = "ACCEPTED"
	Resolved Status = "RESOLVED"
)

// Mode is how the stand-in answers.
type Mode string

// The modes.
const (
	Working     Mode = "working"
	Down        Mode = "down"        // answers 503
	Maintenance Mode = "maintenance" // answers 202, and opens no alert
)

// Server is the stand-in. The zero value is ready; its methods may be called
// concurrently.
type Server struct {
	mu      sync.Mutex
	alerts  []*Alert // oldest first
	opened  uint64
	version uint64
	mode    Mode
}

const (
	maxAlerts = 1000
	maxBytes  = 1 << 20
)

type request struct {
	IntegrationKey string `json:"integrationKey"`
	APIKey         string `json:"apiKey"` // its old name
	EventType      string `json:"eventType"`
	Summary        string `json:"summary"`
	Details        string `json:"details"`
	AlertKey       string `json:"alertKey"`
	Priority       string `json:"priority"`
}

// SetMode sets how the stand-in answers from now on.
func (s *Server) SetMode(m Mode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mode = m
	s.version++
}

// Mode returns how the stand-in answers.
func (s *Server) Mode() Mode {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mode == "" {
		return Working
	}
	return s.mode
}

// Events is the handler of POST /api/events.
func (s *Server) Events(w http.ResponseWriter, r *http.Request) {
	s.handle(w, r, func(e *request, err error) error {
		switch {
		case err != nil:
			return err
		case e.IntegrationKey == "" && e.APIKey == "":
			return errors.New("integrationKey is missing")
		case e.Summary == "":
			return errors.New("summary is missing")
		}
		switch e.EventType {
		case "ALERT", "ACCEPT", "RESOLVE", "COMMENT":
			return nil
		default:
			return fmt.Errorf("eventType %q: want ALERT, ACCEPT, RESOLVE or COMMENT", e.EventType)
		}
	})
}

// MQTT is the handler of the endpoints for an MQTT alert source. Its events are
// free JSON: a member of another type counts as missing, and without an eventType
// they are alerts.
func (s *Server) MQTT(w http.ResponseWriter, r *http.Request) {
	s.handle(w, r, func(e *request, err error) error {
		var otherType *json.UnmarshalTypeError
		if err != nil && !errors.As(err, &otherType) {
			return err
		}
		if e.EventType == "" {
			e.EventType = "ALERT"
		}
		if e.Summary == "" {
			e.Summary = "New alert by MQTT"
		}
		return nil
	})
}

// handle takes an event unless check, which gets it with the error of reading it,
// returns an error.
func (s *Server) handle(w http.ResponseWriter, r *http.Request, check func(*request, error) error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBytes))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	mode := s.Mode()
	if mode == Down {
		http.Error(w, "the simulated ilert is down", http.StatusServiceUnavailable)
		return
	}
	var e request
	if err := check(&e, json.Unmarshal(body, &e)); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.take(e, time.Now(), mode == Maintenance)
	w.WriteHeader(http.StatusAccepted)
}

func (s *Server) take(e request, now time.Time, opensNone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.open(e.AlertKey)
	if a == nil {
		if e.EventType != "ALERT" || opensNone {
			return // ilert takes it, and nothing comes of it
		}
		s.opened++
		a = &Alert{ID: s.opened, AlertKey: strings.TrimSpace(e.AlertKey), Summary: e.Summary, Details: e.Details, Status: Pending, Priority: e.Priority, CreatedAt: now}
		s.alerts = append(s.alerts, a)
		if len(s.alerts) > maxAlerts {
			s.alerts = slices.Delete(s.alerts, 0, 1)
		}
	}
	switch e.EventType {
	case "ACCEPT":
		a.Status = Accepted
	case "RESOLVE":
		a.Status = Resolved
	}
	a.Events++
	a.UpdatedAt = now
	s.version++
}

// open returns the alert of that key which is not resolved, or nil. Without a key
// every event is an alert of its own.
func (s *Server) open(key string) *Alert {
	key = strings.TrimSpace(key)
	if key == "" {
		return nil
	}
	for _, a := range slices.Backward(s.alerts) {
		if strings.EqualFold(a.AlertKey, key) && a.Status != Resolved {
			return a
		}
	}
	return nil
}

// Alerts returns a copy of all alerts, oldest first.
func (s *Server) Alerts() []Alert {
	all, _ := s.Changed(^uint64(0))
	return all
}

// Changed returns a copy of all alerts, oldest first, and the version of now. It returns nil if
// nothing has changed since that version.
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

// Count returns how many alerts were opened since the start, and how many are open now.
func (s *Server) Count() (opened uint64, open int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.alerts {
		if a.Status != Resolved {
			open++
		}
	}
	return s.opened, open
}
