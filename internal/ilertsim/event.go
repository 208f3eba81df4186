package ilertsim

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Event is an event as clients send it to ilert.
type Event struct {
	IntegrationKey string `json:"integrationKey"`
	EventType      string `json:"eventType"`
	Summary        string `json:"summary"`
	Details        string `json:"details"`
	AlertKey       string `json:"alertKey"`
	Priority       string `json:"priority"`

	At time.Time `json:"-"` // in the log of an alert: when ilert merged it
}

// schema has a check for each member of an event. ilert's schema has no others; the stand-in ignores
// them. Whether ilert refuses null is not known, so the stand-in does.
var schema = map[string]func(json.RawMessage) error{
	"integrationKey": check[string], "apiKey": check[string], "summary": check[string], "details": check[string],
	"alertKey": check[string], "routingKey": check[string],
	"eventType":     oneOf("ALERT", "ACCEPT", "RESOLVE", "COMMENT"),
	"priority":      oneOf("HIGH", "LOW"),
	"severity":      checkSeverity,
	"labels":        check[map[string]text],
	"customDetails": check[map[string]any],
	"images": check[[]struct {
		Src, Href, Alt text
	}],
	"links": check[[]struct {
		Href, Text text
	}],
	"comments": check[[]struct {
		Creator, Content text
	}],
	"services": check[[]struct {
		ID    int64
		Alias text
	}],
}

// text is a text of JSON and never null.
type text string

// UnmarshalJSON refuses everything but a text.
func (t *text) UnmarshalJSON(raw []byte) error {
	if raw[0] != '"' {
		return fmt.Errorf("%.100s: want a text", raw)
	}
	return json.Unmarshal(raw, (*string)(t))
}

// check returns an error unless a member has the type T.
func check[T any](raw json.RawMessage) error {
	if bytes.Equal(raw, []byte("null")) {
		return errors.New("null: want a value, or leave the member out")
	}
	return json.Unmarshal(raw, new(T))
}

func oneOf(values ...string) func(json.RawMessage) error {
	return func(raw json.RawMessage) error {
		var value string
		if json.Unmarshal(raw, &value) != nil || !slices.Contains(values, value) {
			return fmt.Errorf("%.100s: want %s", raw, strings.Join(values, ", "))
		}
		return nil
	}
}

func checkSeverity(raw json.RawMessage) error {
	var value int
	if json.Unmarshal(raw, &value) != nil || value < 1 || value > 5 {
		return fmt.Errorf("%.100s: want an integer from 1 to 5", raw)
	}
	return nil
}

// readEvent reads the body of a request to the events API.
func readEvent(body []byte) (e Event, err error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return e, err
	}
	for name, raw := range members {
		if check := schema[name]; check != nil {
			if err := check(raw); err != nil {
				return e, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	get := func(name string) (value string) {
		_ = json.Unmarshal(members[name], &value) // fails only if the member is missing
		return value
	}
	e = Event{
		IntegrationKey: cmp.Or(get("integrationKey"), get("apiKey")), EventType: get("eventType"), Summary: get("summary"),
		Details: get("details"), AlertKey: get("alertKey"), Priority: get("priority"),
	}
	switch "" {
	case e.IntegrationKey:
		return e, errors.New("integrationKey is required")
	case e.EventType:
		return e, errors.New("eventType is required")
	case e.Summary:
		return e, errors.New("summary is required")
	}
	return e, nil
}

// postEvent handles POST /api/events.
func (s *Server) postEvent(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	e, err := readEvent(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(s.take(e))
}

// postMQTT handles the endpoints for an MQTT alert source, which accept any JSON. A member of another
// type counts as missing, and an event without eventType is an alert.
func (s *Server) postMQTT(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	e := Event{EventType: "ALERT", Summary: "New alert by MQTT"}
	var otherType *json.UnmarshalTypeError
	if err := json.Unmarshal(body, &e); err != nil && !errors.As(err, &otherType) {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	e.IntegrationKey = r.PathValue("key")
	w.WriteHeader(s.take(e))
}

// ping handles the pings of heartbeats, which have no effect here.
func (s *Server) ping(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }

// take applies an event, and returns the status of the answer. ilert answers 202 as well if the
// event has no effect.
func (s *Server) take(e Event) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	source := s.source(e.IntegrationKey)
	if source == nil {
		return http.StatusForbidden
	}
	if s.tooMany("event "+e.IntegrationKey, s.config.EventLimit) {
		return http.StatusTooManyRequests
	}
	if source.State == Active || source.State == Maintenance && !s.config.MaintenanceIgnoresAll {
		s.apply(source, e)
	}
	return http.StatusAccepted
}

// apply opens an alert, changes an open one, or does nothing. What ilert does with a RESOLVE without an
// open alert is not known; here nothing.
func (s *Server) apply(source *Source, e Event) {
	e.At = s.config.Now()
	at := openKey{source.ID, fold(e.AlertKey)}
	a := s.open[at]
	if a == nil {
		if e.EventType != "ALERT" || source.State == Maintenance {
			return
		}
		s.nextID++
		a = &Alert{
			ID: s.nextID, Source: source.ID, AlertKey: strings.TrimSpace(e.AlertKey), Summary: e.Summary, Details: e.Details,
			Status: Pending, Priority: e.Priority, ReportTime: e.At,
		}
		s.alerts = append(s.alerts, a)
		if at.key != "" { // without a key each event makes an alert
			s.open[at] = a
		}
	}
	a.Log = append(a.Log, e)
	switch e.EventType {
	case "ACCEPT":
		s.setStatus(a, Accepted)
	case "RESOLVE":
		s.setStatus(a, Resolved)
	}
	s.version++
}
