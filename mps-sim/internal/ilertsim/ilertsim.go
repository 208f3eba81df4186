// Package ilertsim stands in for ilert: it takes events as ilert does, groups
// them by alert key, and shows the alerts that ilert would have. It keeps the
// newest thousand, in memory.
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
	AlertKey  string    `json:"alertKey"`
	Summary   string    `json:"summary"`
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

// Server is the stand-in. The zero value is ready; its methods may be called
// concurrently.
type Server struct {
	mu     sync.Mutex
	alerts []*Alert // oldest first
}

const (
	mostAlerts = 1000
	mostBytes  = 1 << 20
)

type request struct {
	IntegrationKey string `json:"integrationKey"`
	APIKey         string `json:"apiKey"` // its old name
	EventType      string `json:"eventType"`
	Summary        string `json:"summary"`
	AlertKey       string `json:"alertKey"`
	Priority       string `json:"priority"`
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
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostBytes))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	var e request
	if err := check(&e, json.Unmarshal(body, &e)); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.take(e, time.Now())
	w.WriteHeader(http.StatusAccepted)
}

func (s *Server) take(e request, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.open(e.AlertKey)
	if a == nil {
		if e.EventType != "ALERT" {
			return // ilert takes it, and nothing comes of it
		}
		a = &Alert{AlertKey: strings.TrimSpace(e.AlertKey), Summary: e.Summary, Status: Pending, Priority: e.Priority, CreatedAt: now}
		s.alerts = append(s.alerts, a)
		if len(s.alerts) > mostAlerts {
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
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Alert, len(s.alerts))
	for i, a := range s.alerts {
		all[i] = *a
	}
	return all
}
