// Package ilertsim stands in for ilert. It accepts events as ilert does, groups them by alert key, and
// returns the alerts that ilert would have. It keeps the newest thousand alerts, in memory. The caller
// can set it to be down or in maintenance.
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

// Alert is an alert with the members that ilert shows.
type Alert struct {
	ID        uint64    `json:"id"` // counts up from 1
	AlertKey  string    `json:"alertKey"`
	Summary   string    `json:"summary"`
	Details   string    `json:"details,omitempty"`
	Status    Status    `json:"status"`
	Events    int       `json:"events"` // the number of events that ilert has merged into it
	Priority  string    `json:"priority,omitempty"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
	EndedBy   string    `json:"endedBy,omitempty"` // the reason for which the alert was resolved, if it is known
}

// Status is the state of an alert, spelled as by ilert.
type Status string

// The states of an alert.
const (
	Pending  Status = "PENDING"
	Accepted Status = "ACCEPTED"
	Resolved Status = "RESOLVED"
)

// Mode is the condition of the stand-in, which decides on its answers.
type Mode string

// The modes.
const (
	Working     Mode = "working"
	Down        Mode = "down"        // answers 503
	Maintenance Mode = "maintenance" // answers 202 and opens no alert
)

// Server is the stand-in for ilert. Its zero value is ready, and its methods may be called concurrently.
type Server struct {
	// HowEnded returns Alert.EndedBy of an alert that a RESOLVE has just ended, which does not tell its reason.
	// It must not call the Server, and may be nil.
	HowEnded func(Alert) string

	mu      sync.Mutex
	alerts  []*Alert // oldest first
	opened  uint64   // the number of alerts ever opened
	version uint64   // grows with each change
	mode    Mode
}

const (
	maxAlerts = 1000
	maxBytes  = 1 << 20 // of a request
)

// request is an event as clients send it to ilert.
type request struct {
	IntegrationKey string `json:"integrationKey"`
	APIKey         string `json:"apiKey"` // the old name of integrationKey
	EventType      string `json:"eventType"`
	Summary        string `json:"summary"`
	Details        string `json:"details"`
	AlertKey       string `json:"alertKey"`
	Priority       string `json:"priority"`
}

// SetMode sets the mode.
func (s *Server) SetMode(m Mode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mode = m
	s.version++
}

// Mode returns the current mode.
func (s *Server) Mode() Mode {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mode == "" {
		return Working
	}
	return s.mode
}

// Events handles POST /api/events.
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

// MQTT handles the endpoints for an MQTT alert source, which accept any JSON. A member of another type
// counts as missing, and an event without eventType is an alert.
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

// handle applies the event in the body if check accepts it. check gets the event and the error of
// parsing it, and may fill in missing members.
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
	s.apply(e, time.Now(), mode == Maintenance)
	w.WriteHeader(http.StatusAccepted)
}

// apply opens an alert, changes an open one, or does nothing.
func (s *Server) apply(e request, now time.Time, inMaintenance bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.findOpen(e.AlertKey)
	if a == nil {
		if e.EventType != "ALERT" || inMaintenance {
			return // ilert accepts the event without an effect
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
	if a.Status == Resolved && s.HowEnded != nil {
		a.EndedBy = s.HowEnded(*a)
	}
	s.version++
}

// findOpen returns the alert with that key that is not resolved, or nil. An event without a key always
// makes a new alert.
func (s *Server) findOpen(key string) *Alert {
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

// Count returns the number of alerts opened since the start, and of those that are open now.
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
