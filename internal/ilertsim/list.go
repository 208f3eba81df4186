package ilertsim

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// shownAlert is an alert in the members of ilert's API.
type shownAlert struct {
	ID          int64      `json:"id"`
	AlertKey    string     `json:"alertKey,omitempty"`
	Summary     string     `json:"summary"`
	Status      Status     `json:"status"`
	ReportTime  time.Time  `json:"reportTime"`
	ResolvedOn  *time.Time `json:"resolvedOn"`
	AlertSource struct {
		ID int64 `json:"id"`
	} `json:"alertSource"`
	Priority   string     `json:"priority,omitempty"`
	Responders []struct{} `json:"responders"`
}

func show(a *Alert) shownAlert {
	shown := shownAlert{
		ID: a.ID, AlertKey: a.AlertKey, Summary: a.Summary, Status: a.Status, ReportTime: a.ReportTime.UTC(), Priority: a.Priority,
		Responders: []struct{}{},
	}
	shown.AlertSource.ID = a.Source
	if a.Status == Resolved {
		ended := a.ResolvedOn.UTC()
		shown.ResolvedOn = &ended
	}
	return shown
}

// shownSource is an alert source in the members of ilert's API.
type shownSource struct {
	ID              int64  `json:"id"`
	Name            string `json:"name"`
	IntegrationKey  string `json:"integrationKey"`
	IntegrationType string `json:"integrationType"`
	Active          bool   `json:"active"`
	Status          string `json:"status"`
}

func (s *Server) showSource(source *Source) shownSource {
	shown := shownSource{
		ID: source.ID, Name: source.Name, IntegrationKey: source.IntegrationKey, IntegrationType: source.IntegrationType,
		Active: source.State != Disabled, Status: "ALL_RESOLVED",
	}
	switch source.State {
	case Maintenance:
		shown.Status = "IN_MAINTENANCE"
	case Disabled:
		shown.Status = "DISABLED"
	case Active:
		for _, a := range s.alerts {
			switch {
			case a.Source != source.ID:
			case a.Status == Pending:
				shown.Status = "PENDING"
				return shown
			case a.Status == Accepted:
				shown.Status = "ALL_ACCEPTED"
			}
		}
	}
	return shown
}

// authorize returns the status of the answer to a request without the right, or 0. The caller holds the lock.
func (s *Server) authorize(r *http.Request) int {
	key, isBearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	mayRead, known := s.config.APIKeys[key]
	switch {
	case !isBearer || !known:
		return http.StatusUnauthorized
	case s.tooMany("list "+key, s.config.ListLimit):
		return http.StatusTooManyRequests
	case !mayRead:
		return http.StatusForbidden
	}
	return 0
}

// answerWith answers with the JSON of what show returns, or with its error. It holds the lock while
// show runs.
func (s *Server) answerWith(w http.ResponseWriter, r *http.Request, show func() (any, error)) {
	s.mu.Lock()
	status := s.authorize(r)
	if status != 0 {
		s.mu.Unlock()
		http.Error(w, http.StatusText(status), status)
		return
	}
	shown, err := show()
	s.mu.Unlock()
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(shown)
}

// listSources handles GET /api/alert-sources. Whether ilert lists sources by pages is not known; here it
// does if the client asks for a page.
func (s *Server) listSources(w http.ResponseWriter, r *http.Request) {
	s.answerWith(w, r, func() (any, error) {
		shown := []shownSource{}
		for _, source := range s.sources {
			shown = append(shown, s.showSource(source))
		}
		if query := r.URL.Query(); query.Has("start-index") || query.Has("max-results") {
			return page(query, shown)
		}
		return shown, nil
	})
}

// listAlerts handles GET /api/alerts. The order of ilert's list is not known; here the newest alert is the first.
func (s *Server) listAlerts(w http.ResponseWriter, r *http.Request) {
	s.answerWith(w, r, func() (any, error) {
		matching, err := s.matching(r.URL.Query())
		if err != nil {
			return nil, err
		}
		listed, err := page(r.URL.Query(), matching)
		shown := []shownAlert{}
		for _, a := range listed {
			shown = append(shown, show(a))
		}
		return shown, err
	})
}

// page returns the page of a list that a query asks for.
func page[T any](query url.Values, list []T) ([]T, error) {
	start, err := number(query, "start-index", 0, 0, math.MaxInt32)
	if err != nil {
		return nil, err
	}
	size, err := number(query, "max-results", 50, 1, 100)
	if err != nil {
		return nil, err
	}
	return list[min(start, len(list)):min(start+size, len(list))], nil
}

func (s *Server) countAlerts(w http.ResponseWriter, r *http.Request) {
	s.answerWith(w, r, func() (any, error) {
		matching, err := s.matching(r.URL.Query())
		return map[string]int{"count": len(matching)}, err
	})
}

// actOnAlert handles PUT /api/alerts/{id}/accept and /resolve.
func (s *Server) actOnAlert(w http.ResponseWriter, r *http.Request) {
	status, isAct := map[string]Status{"accept": Accepted, "resolve": Resolved}[r.PathValue("act")]
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if !isAct || err != nil {
		http.NotFound(w, r)
		return
	}
	s.answerWith(w, r, func() (any, error) {
		a, err := s.act(id, status)
		if err != nil {
			return nil, err
		}
		return show(a), nil
	})
}

// matching returns the alerts that a query asks for, the newest first.
func (s *Server) matching(query url.Values) (matching []*Alert, err error) {
	for _, status := range query["states"] {
		if !slices.Contains([]Status{Pending, Accepted, Resolved}, Status(status)) {
			return nil, fmt.Errorf("states %q: want PENDING, ACCEPTED or RESOLVED", status)
		}
	}
	for _, source := range query["sources"] {
		if _, err := strconv.ParseInt(source, 10, 64); err != nil {
			return nil, fmt.Errorf("sources %q: want the id of an alert source", source)
		}
	}
	from, until := time.Time{}, s.config.Now()
	for name, bound := range map[string]*time.Time{"from": &from, "until": &until} {
		if text := query.Get(name); text != "" {
			if *bound, err = time.Parse(time.RFC3339, text); err != nil {
				return nil, fmt.Errorf("%s %q: want a time such as 2026-01-31T12:00:00Z", name, text)
			}
		}
	}
	wanted := func(name, value string) bool { return !query.Has(name) || slices.Contains(query[name], value) }
	for _, a := range slices.Backward(s.alerts) {
		if wanted("states", string(a.Status)) && wanted("sources", strconv.FormatInt(a.Source, 10)) &&
			!a.ReportTime.Before(from) && !a.ReportTime.After(until) {
			matching = append(matching, a)
		}
	}
	return matching, nil
}

// number returns a number of a query, or its default.
func number(query url.Values, name string, byDefault, lowest, highest int) (int, error) {
	text := query.Get(name)
	if text == "" {
		return byDefault, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < lowest || n > highest {
		return 0, fmt.Errorf("%s %q: want a number from %d to %d", name, text, lowest, highest)
	}
	return n, nil
}
