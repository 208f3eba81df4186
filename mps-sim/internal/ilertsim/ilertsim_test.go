package ilertsim_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/mps-events/mps-events/mps-sim/internal/ilertsim"
)

func post(handler http.HandlerFunc, body string) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	handler(answer, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)))
	return answer
}

func event(eventType, key string) string {
	return fmt.Sprintf(`{"integrationKey":"k","eventType":%q,"summary":"s %s","alertKey":%q}`, eventType, eventType, key)
}

func TestEventsAreGroupedAsByIlert(t *testing.T) {
	for name, c := range map[string]struct {
		events []string
		want   []string // status and number of events of each alert, oldest first
	}{
		"one alert":                       {[]string{event("ALERT", "a")}, []string{"a PENDING 1"}},
		"a second one adds to it":         {[]string{event("ALERT", "a"), event("ALERT", " A ")}, []string{"a PENDING 2"}},
		"accepted":                        {[]string{event("ALERT", "a"), event("ACCEPT", "a")}, []string{"a ACCEPTED 2"}},
		"resolved":                        {[]string{event("ALERT", "a"), event("RESOLVE", "A")}, []string{"a RESOLVED 2"}},
		"commented":                       {[]string{event("ALERT", "a"), event("COMMENT", "a")}, []string{"a PENDING 2"}},
		"and again":                       {[]string{event("ALERT", "a"), event("RESOLVE", "a"), event("ALERT", "a")}, []string{"a RESOLVED 2", "a PENDING 1"}},
		"nothing to resolve":              {[]string{event("RESOLVE", "a"), event("ACCEPT", "a")}, nil},
		"two keys":                        {[]string{event("ALERT", "a"), event("ALERT", "b"), event("RESOLVE", "b")}, []string{"a PENDING 1", "b RESOLVED 2"}},
		"without a key each is its own":   {[]string{event("ALERT", ""), event("ALERT", ""), event("RESOLVE", "")}, []string{" PENDING 1", " PENDING 1"}},
		"the old name of integrationKey":  {[]string{`{"apiKey":"k","eventType":"ALERT","summary":"s","alertKey":"a"}`}, []string{"a PENDING 1"}},
		"unknown members are passed over": {[]string{`{"integrationKey":"k","eventType":"ALERT","summary":"s","alertKey":"a","labels":{"x":"y"}}`}, []string{"a PENDING 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			var s ilertsim.Server
			for _, body := range c.events {
				answer := post(s.Events, body)
				assert.Equal(t, http.StatusAccepted, answer.Code)
				assert.Empty(t, answer.Body.String())
			}
			var got []string
			for _, a := range s.Alerts() {
				got = append(got, fmt.Sprintf("%s %s %d", a.AlertKey, a.Status, a.Events))
			}
			assert.Equal(t, c.want, got)
		})
	}
}

func TestInvalidEventsAreRefused(t *testing.T) {
	for body, want := range map[string]int{
		`junk`:                                http.StatusBadRequest,
		`{"eventType":"ALERT","summary":"s"}`: http.StatusBadRequest,
		`{"integrationKey":"k","eventType":"ALERT"}`:                 http.StatusBadRequest,
		`{"integrationKey":"k","eventType":"BOOM","summary":"s"}`:    http.StatusBadRequest,
		`{"integrationKey":"` + strings.Repeat("k", 2<<20) + `"}`:    http.StatusRequestEntityTooLarge,
		`{"integrationKey":"k","eventType":"RESOLVE","summary":"s"}`: http.StatusAccepted,
	} {
		var s ilertsim.Server
		assert.Equal(t, want, post(s.Events, body).Code, "%.60s", body)
		assert.Empty(t, s.Alerts())
	}
}

func TestMQTTTakesAnyJSON(t *testing.T) {
	var s ilertsim.Server
	assert.Equal(t, http.StatusAccepted, post(s.MQTT, `{"temperature":42}`).Code)
	assert.Equal(t, http.StatusAccepted, post(s.MQTT, event("ALERT", "a")).Code)
	assert.Equal(t, http.StatusAccepted, post(s.MQTT, `{"summary":42,"alertKey":["x"]}`).Code)
	assert.Equal(t, http.StatusAccepted, post(s.MQTT, `[1,2]`).Code)
	assert.Equal(t, http.StatusBadRequest, post(s.MQTT, `junk`).Code)
	assert.Len(t, s.Alerts(), 4)
}

func TestTheNewestThousandAreKept(t *testing.T) {
	var s ilertsim.Server
	for n := range 1001 {
		post(s.Events, event("ALERT", fmt.Sprint(n)))
	}
	all := s.Alerts()
	assert.Len(t, all, 1000)
	assert.Equal(t, "1", all[0].AlertKey)
}

func TestDownAndInMaintenanceItOpensNothing(t *testing.T) {
	var s ilertsim.Server
	s.SetMode(ilertsim.Down)
	assert.Equal(t, http.StatusServiceUnavailable, post(s.Events, event("ALERT", "a")).Code)
	s.SetMode(ilertsim.Maintenance)
	assert.Equal(t, http.StatusAccepted, post(s.Events, event("ALERT", "a")).Code)
	opened, open := s.Count()
	assert.Zero(t, opened)
	assert.Zero(t, open)
	s.SetMode(ilertsim.Working)
	post(s.Events, event("ALERT", "a"))
	post(s.Events, event("ALERT", "b"))
	post(s.Events, event("RESOLVE", "b"))
	opened, open = s.Count()
	assert.EqualValues(t, 2, opened)
	assert.Equal(t, 1, open)
}
