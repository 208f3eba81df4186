package ilertsim_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/ilertsim"
)

func withReader() ilertsim.Config {
	return ilertsim.Config{APIKeys: map[string]bool{"reader": true, "nobody": false}}
}

// list returns the elements of a list of the API.
func list(t *testing.T, s *ilertsim.Server, path string) (all []map[string]any) {
	t.Helper()
	answer := ask(s, http.MethodGet, path, "")
	require.Equal(t, http.StatusOK, answer.Code, answer.Body)
	require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &all))
	return all
}

func TestAlertSourcesAreListed(t *testing.T) {
	c := withReader()
	c.Sources = []ilertsim.Source{{IntegrationKey: "a"}, {ID: 70, Name: "seven", IntegrationKey: "b", IntegrationType: "MQTT", State: ilertsim.Maintenance}, {IntegrationKey: "c", State: ilertsim.Disabled}}
	s := ilertsim.New(c)
	assert.Equal(t, []map[string]any{
		{"id": 1., "name": "source 1", "integrationKey": "a", "integrationType": "API", "active": true, "status": "ALL_RESOLVED"},
		{"id": 70., "name": "seven", "integrationKey": "b", "integrationType": "MQTT", "active": true, "status": "IN_MAINTENANCE"},
		{"id": 3., "name": "source 3", "integrationKey": "c", "integrationType": "API", "active": false, "status": "DISABLED"},
	}, list(t, s, "/api/alert-sources"))
	assert.Len(t, list(t, s, "/api/alert-sources?start-index=1&max-results=1"), 1)
	assert.Empty(t, list(t, s, "/api/alert-sources?start-index=3"))
	for _, c := range []struct{ eventType, alert, status string }{
		{"ALERT", "x", "PENDING"}, {"ACCEPT", "x", "ALL_ACCEPTED"}, {"ALERT", "y", "PENDING"}, {"RESOLVE", "y", "ALL_ACCEPTED"}, {"RESOLVE", "x", "ALL_RESOLVED"},
	} {
		post(s, eventBy("a", c.eventType, c.alert))
		assert.Equal(t, c.status, list(t, s, "/api/alert-sources")[0]["status"])
	}
}

func TestAlertsAreListedByPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := ilertsim.New(withReader())
		post(s, `{"integrationKey":"k","eventType":"ALERT","summary":"s","alertKey":" A ","priority":"LOW","details":"d"}`)
		time.Sleep(time.Minute)
		require.NoError(t, s.Resolve(1))
		assert.Equal(t, []map[string]any{{
			"id": 1., "alertKey": "A", "summary": "s", "status": "RESOLVED", "reportTime": "2000-01-01T00:00:00Z", "resolvedOn": "2000-01-01T00:01:00Z",
			"alertSource": map[string]any{"id": 1.}, "priority": "LOW", "responders": []any{},
		}}, list(t, s, "/api/alerts"))
		for n := range 250 {
			post(s, event("ALERT", fmt.Sprint(n)))
		}
		post(s, eventBy("other", "ALERT", "o"))
		post(s, event("ACCEPT", "0"))
		for query, want := range map[string]int{
			"":                                     50,
			"?max-results=100":                     100,
			"?start-index=200&max-results=100":     52,
			"?start-index=252":                     0,
			"?start-index=999":                     0,
			"?states=RESOLVED":                     1,
			"?states=ACCEPTED":                     1,
			"?states=ACCEPTED&states=RESOLVED":     2,
			"?sources=2":                           1,
			"?sources=9":                           0,
			"?sources=1&sources=2&states=RESOLVED": 1,
			"?until=2000-01-01T00:00:30Z":          1,
			"?from=2000-01-01T00:01:00Z&start-index=210": 41,
			"?from=2000-01-01T00:01:01Z":                 0,
		} {
			got := list(t, s, "/api/alerts"+query)
			assert.Len(t, got, want, query)
			for _, a := range got {
				if a["status"] != "RESOLVED" {
					assert.Nil(t, a["resolvedOn"])
				}
			}
		}
		for query, want := range map[string]string{"": `{"count":252}`, "?sources=2": `{"count":1}`, "?states=PENDING&sources=1": `{"count":249}`} {
			assert.JSONEq(t, want, ask(s, http.MethodGet, "/api/alerts/count"+query, "").Body.String())
		}
		for _, query := range []string{"states=OPEN", "sources=x", "start-index=-1", "max-results=101", "max-results=0", "from=yesterday", "until=1"} {
			assert.Equal(t, http.StatusBadRequest, ask(s, http.MethodGet, "/api/alerts?"+query, "").Code, query)
		}
	})
}

func TestAlertsAreListedForThoseWhoMay(t *testing.T) {
	s := ilertsim.New(withReader())
	post(s, event("ALERT", "a"))
	for header, want := range map[string]int{
		"": 401, "reader": 401, "Basic reader": 401, "Bearer ": 401, "Bearer unknown": 401, "Bearer nobody": 403, "Bearer reader": 200,
	} {
		for _, path := range []string{"/api/alert-sources", "/api/alerts", "/api/alerts/count"} {
			request, answer := httptest.NewRequest(http.MethodGet, path, nil), httptest.NewRecorder()
			request.Header.Set("Authorization", header)
			s.ServeHTTP(answer, request)
			assert.Equal(t, want, answer.Code, "%s %q", path, header)
		}
	}
}

func TestAKeyListsSoOftenInAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := ilertsim.New(withReader())
		for range 120 {
			require.Equal(t, http.StatusOK, ask(s, http.MethodGet, "/api/alerts", "").Code)
		}
		assert.Equal(t, http.StatusTooManyRequests, ask(s, http.MethodGet, "/api/alert-sources", "").Code)
		time.Sleep(time.Minute)
		assert.Equal(t, http.StatusOK, ask(s, http.MethodGet, "/api/alert-sources", "").Code)
	})
}

func TestPeopleActByTheAPI(t *testing.T) {
	s := ilertsim.New(withReader())
	post(s, event("ALERT", "a"))
	answer := ask(s, http.MethodPut, "/api/alerts/1/accept", "")
	assert.Equal(t, http.StatusOK, answer.Code)
	assert.Contains(t, answer.Body.String(), `"status":"ACCEPTED"`)
	assert.Equal(t, http.StatusOK, ask(s, http.MethodPut, "/api/alerts/1/resolve", "").Code)
	assert.Empty(t, s.Open("k"))
	assert.Equal(t, http.StatusBadRequest, ask(s, http.MethodPut, "/api/alerts/1/resolve", "").Code)
	assert.Equal(t, http.StatusNotFound, ask(s, http.MethodPut, "/api/alerts/1/delete", "").Code)
	assert.Equal(t, http.StatusNotFound, ask(s, http.MethodPut, "/api/alerts/x/resolve", "").Code)
}
