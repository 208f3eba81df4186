package ilertsim_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/ilertsim"
)

// ask sends a request and returns the answer.
func ask(s *ilertsim.Server, method, path, body string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, path, strings.NewReader(body))
	request.Header.Set("Authorization", "Bearer reader")
	answer := httptest.NewRecorder()
	s.ServeHTTP(answer, request)
	return answer
}

func post(s *ilertsim.Server, body string) int {
	return ask(s, http.MethodPost, "/api/events", body).Code
}

func event(eventType, key string) string { return eventBy("k", eventType, key) }

func eventBy(integrationKey, eventType, key string) string {
	return fmt.Sprintf(`{"integrationKey":%q,"eventType":%q,"summary":"s %s","alertKey":%q}`, integrationKey, eventType, eventType, key)
}

// shown returns the key, the status and the number of events of each alert, oldest first.
func shown(s *ilertsim.Server) (all []string) {
	for _, a := range s.Alerts() {
		all = append(all, fmt.Sprintf("%s %s %d", a.AlertKey, a.Status, len(a.Log)))
	}
	return all
}

func TestEventsAreGroupedAsByIlert(t *testing.T) {
	for name, c := range map[string]struct {
		events []string
		want   []string
	}{
		"one alert":                       {[]string{event("ALERT", "a")}, []string{"a PENDING 1"}},
		"a second one adds to it":         {[]string{event("ALERT", "a"), event("ALERT", " A ")}, []string{"a PENDING 2"}},
		"accepted":                        {[]string{event("ALERT", "a"), event("ACCEPT", "a"), event("ALERT", "a")}, []string{"a ACCEPTED 3"}},
		"resolved":                        {[]string{event("ALERT", "a"), event("RESOLVE", "A")}, []string{"a RESOLVED 2"}},
		"commented":                       {[]string{event("ALERT", "a"), event("COMMENT", "a")}, []string{"a PENDING 2"}},
		"and again":                       {[]string{event("ALERT", "a"), event("RESOLVE", "a"), event("ALERT", "a")}, []string{"a RESOLVED 2", "a PENDING 1"}},
		"nothing to resolve":              {[]string{event("RESOLVE", "a"), event("ACCEPT", "a")}, nil},
		"two keys":                        {[]string{event("ALERT", "a"), event("ALERT", "b"), event("RESOLVE", "b")}, []string{"a PENDING 1", "b RESOLVED 2"}},
		"two sources":                     {[]string{event("ALERT", "a"), eventBy("other", "ALERT", "a"), event("RESOLVE", "a")}, []string{"a RESOLVED 2", "a PENDING 1"}},
		"without a key each is its own":   {[]string{event("ALERT", ""), event("ALERT", ""), event("RESOLVE", "")}, []string{" PENDING 1", " PENDING 1"}},
		"the old name of integrationKey":  {[]string{`{"apiKey":"k","eventType":"ALERT","summary":"s","alertKey":"a"}`}, []string{"a PENDING 1"}},
		"unknown members are passed over": {[]string{`{"integrationKey":"k","eventType":"ALERT","summary":"s","alertKey":"a","else":{"x":"y"}}`}, []string{"a PENDING 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := ilertsim.New(ilertsim.Config{})
			for _, body := range c.events {
				answer := ask(s, http.MethodPost, "/api/events", body)
				assert.Equal(t, http.StatusAccepted, answer.Code)
				assert.Empty(t, answer.Body.String())
			}
			assert.Equal(t, c.want, shown(s))
		})
	}
}

func TestTheSchemaOfEventsHolds(t *testing.T) {
	with := func(members string) string {
		return `{"integrationKey":"k","eventType":"ALERT","summary":"s","alertKey":"a",` + members + `}`
	}
	for _, valid := range []string{
		with(`"details":"d","priority":"HIGH","severity":5,"routingKey":"r","labels":{"a":"b"},"customDetails":{"a":{"b":[1]}}`),
		with(`"images":[{"src":"s","href":"h","alt":"a"}],"links":[{"href":"h","text":"t"}],"comments":[{"creator":"c","content":"d"}],"services":[{"id":1},{"alias":"a"}]`),
	} {
		s := ilertsim.New(ilertsim.Config{})
		answer := ask(s, http.MethodPost, "/api/events", valid)
		assert.Equal(t, http.StatusAccepted, answer.Code, answer.Body)
	}
	for body, want := range map[string]string{
		`junk`: "invalid character", `[]`: "array",
		`{"eventType":"ALERT","summary":"s"}`:                     "integrationKey is required",
		`{"integrationKey":"k","summary":"s"}`:                    "eventType is required",
		`{"integrationKey":"k","eventType":"ALERT"}`:              "summary is required",
		`{"integrationKey":"k","eventType":"ALERT","Summary":""}`: "summary is required",
		`{"integrationKey":"k","eventType":"BOOM","summary":"s"}`: "eventType: \"BOOM\": want ALERT, ACCEPT",
		`{"integrationKey":"k","eventType":"ALERT","summary":5}`:  "summary: ",
		with(`"details":{}`):                                      "details: ",
		with(`"priority":"MEDIUM"`):                               "priority: \"MEDIUM\": want HIGH, LOW",
		with(`"priority":null`):                                   "priority: ",
		with(`"severity":6`):                                      "severity: 6: want an integer from 1 to 5",
		with(`"severity":"1"`):                                    "severity: ",
		with(`"severity":1.5`):                                    "severity: ",
		with(`"labels":{"a":1}`):                                  "labels: 1: want a text",
		with(`"labels":{"a":null}`):                               "labels: null: want a text",
		with(`"labels":null`):                                     "labels: null",
		with(`"labels":["a"]`):                                    "labels: ",
		with(`"links":[{"href":1}]`):                              "links: 1: want a text",
		with(`"links":{"href":"h"}`):                              "links: ",
		with(`"images":[{"src":null}]`):                           "images: null: want a text",
		with(`"comments":["c"]`):                                  "comments: ",
		with(`"services":[{"id":"1"}]`):                           "services: ",
		with(`"customDetails":"text"`):                            "customDetails: ",
		with(`"alertKey":["a"]`):                                  "alertKey: ",
		`{"integrationKey":"` + long + `"}`:                       "too large",
		`{"integrationKey":"k","eventType":""}`:                   "eventType",
	} {
		s := ilertsim.New(ilertsim.Config{})
		answer := ask(s, http.MethodPost, "/api/events", body)
		status := http.StatusBadRequest
		if want == "too large" {
			status = http.StatusRequestEntityTooLarge
		}
		assert.Equal(t, status, answer.Code, "%.200s", body)
		assert.Contains(t, answer.Body.String(), want)
		assert.Empty(t, s.Alerts())
	}
}

var long = strings.Repeat("k", 2<<20)

func TestMQTTTakesAnyJSON(t *testing.T) {
	s := ilertsim.New(ilertsim.Config{})
	for body, want := range map[string]int{`{"temperature":42}`: 202, event("ALERT", "a"): 202, `{"summary":42,"alertKey":["x"]}`: 202, `[1,2]`: 202, `junk`: 400} {
		assert.Equal(t, want, ask(s, http.MethodPost, "/api/v1/mqtt/k", body).Code, body)
		assert.Equal(t, want, ask(s, http.MethodPost, "/api/v1/events/mqtt/other", body).Code, body)
	}
	assert.Len(t, s.Open("k"), 4)
	assert.Len(t, s.Open("other"), 4)
}

func TestHeartbeatsAreAccepted(t *testing.T) {
	s := ilertsim.New(ilertsim.Config{})
	assert.Equal(t, http.StatusAccepted, ask(s, http.MethodHead, "/api/pings/k", "").Code)
	assert.Equal(t, http.StatusAccepted, ask(s, http.MethodGet, "/api/heartbeats/il1hbt", "").Code)
	assert.Equal(t, "/api/heartbeats/il1hbt", s.Requests()[1].Path)
}

func TestAnUnknownIntegrationKeyIsRefused(t *testing.T) {
	s := ilertsim.New(ilertsim.Config{Sources: []ilertsim.Source{{IntegrationKey: "k"}, {IntegrationKey: "mqtt", IntegrationType: "MQTT"}}})
	assert.Equal(t, http.StatusForbidden, post(s, eventBy("unknown", "ALERT", "a")))
	assert.Equal(t, http.StatusForbidden, ask(s, http.MethodPost, "/api/v1/mqtt/unknown", "{}").Code)
	assert.Equal(t, http.StatusAccepted, post(s, event("ALERT", "a")))
	assert.Equal(t, []string{"a PENDING 1"}, shown(s))
}

func TestASourceTakesSoManyEventsInAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := ilertsim.New(ilertsim.Config{EventLimit: 2})
		send := func(want ...int) {
			for _, status := range want {
				assert.Equal(t, status, post(s, event("ALERT", "")))
			}
		}
		send(202, 202, 429)
		assert.Equal(t, http.StatusAccepted, post(s, eventBy("another", "ALERT", "a")), "each key has its own limit")
		time.Sleep(59 * time.Second)
		send(429)
		time.Sleep(time.Second)
		send(202, 202, 429)
		assert.Len(t, s.Open("k"), 4)
	})
}

func TestASourceInMaintenanceOpensNoAlert(t *testing.T) {
	for _, c := range []struct {
		state      ilertsim.State
		ignoresAll bool
		want       []string
	}{
		{ilertsim.Maintenance, false, []string{"a RESOLVED 2", "b PENDING 2", "c PENDING 1"}},
		{ilertsim.Maintenance, true, []string{"a PENDING 1", "b PENDING 1", "c PENDING 1"}},
		{ilertsim.Disabled, false, []string{"a PENDING 1", "b PENDING 1", "c PENDING 1"}},
	} {
		s := ilertsim.New(ilertsim.Config{MaintenanceIgnoresAll: c.ignoresAll})
		post(s, event("ALERT", "a"))
		post(s, event("ALERT", "b"))
		s.SetState(c.state, "k")
		for _, body := range []string{event("RESOLVE", "a"), event("ALERT", "b"), event("ALERT", "c")} {
			assert.Equal(t, http.StatusAccepted, post(s, body))
		}
		s.SetState(ilertsim.Active, "k")
		post(s, event("ALERT", "c"))
		assert.Equal(t, c.want, shown(s))
	}
}

func TestTheStateOfAllSourcesIsThatOfLaterOnes(t *testing.T) {
	s := ilertsim.New(ilertsim.Config{})
	s.SetState(ilertsim.Maintenance)
	post(s, event("ALERT", "a"))
	assert.Empty(t, s.Alerts())
	s.SetState(ilertsim.Active)
	post(s, event("ALERT", "a"))
	assert.Len(t, s.Open("k"), 1)
}

func TestPeopleAcceptAndCloseAlerts(t *testing.T) {
	s := ilertsim.New(ilertsim.Config{})
	for _, key := range []string{"a", "b", "c"} {
		post(s, event("ALERT", key))
	}
	require.NoError(t, s.Accept(1))
	require.NoError(t, s.Resolve(2))
	require.Error(t, s.Resolve(2))
	require.Error(t, s.Accept(9))
	assert.Equal(t, []string{"a ACCEPTED 1", "b RESOLVED 1", "c PENDING 1"}, shown(s))
	post(s, event("ALERT", "b"))
	post(s, event("RESOLVE", "a"))
	assert.Equal(t, []string{"a RESOLVED 2", "b RESOLVED 1", "c PENDING 1", "b PENDING 1"}, shown(s))
	var byHand []int64
	for _, a := range s.Alerts() {
		if a.ByHand {
			byHand = append(byHand, a.ID)
		}
	}
	assert.Equal(t, []int64{2}, byHand)
}

func TestEndedAlertsAndRequestsAreForgotten(t *testing.T) {
	s := ilertsim.New(ilertsim.Config{Keep: 10})
	post(s, event("ALERT", "stays open"))
	for n := range 100 {
		post(s, event("ALERT", fmt.Sprint(n)))
		post(s, event("RESOLVE", fmt.Sprint(n)))
	}
	all := s.Alerts()
	assert.LessOrEqual(t, len(all), 12)
	assert.Equal(t, "stays open", all[0].AlertKey)
	assert.Equal(t, "99", all[len(all)-1].AlertKey)
	assert.Len(t, s.Requests(), 10)
	opened, open := s.Count()
	assert.Equal(t, 101, opened)
	assert.Equal(t, 1, open)
}

func TestAPageSeesWhatHasChanged(t *testing.T) {
	s := ilertsim.New(ilertsim.Config{})
	post(s, event("ALERT", "a"))
	all, version := s.Changed(0)
	assert.Len(t, all, 1)
	all, version = s.Changed(version)
	assert.Empty(t, all)
	require.NoError(t, s.Accept(1))
	all, _ = s.Changed(version)
	assert.Equal(t, ilertsim.Accepted, all[0].Status)
}
