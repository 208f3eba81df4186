package ilertsim_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/ilertsim"
)

// send posts an event through the network and returns the status, or 0 without an answer.
func send(ctx context.Context, t *testing.T, server *httptest.Server, body string) (status int, header http.Header) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/api/events", strings.NewReader(body))
	require.NoError(t, err)
	response, err := server.Client().Do(request)
	if err != nil {
		return 0, nil
	}
	defer response.Body.Close()
	return response.StatusCode, response.Header
}

func TestATestDecidesOnTheAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		answer ilertsim.Answer
		status int
		taken  bool
	}{
		"as ilert":          {ilertsim.Answer{}, 202, true},
		"slow":              {ilertsim.Answer{Delay: time.Millisecond}, 202, true},
		"dropped":           {ilertsim.Answer{Drop: true}, 202, false},
		"down":              {ilertsim.Answer{Status: 503, RetryAfter: 7}, 503, false},
		"wrong key":         {ilertsim.Answer{Status: 401, Body: "no"}, 401, false},
		"cut":               {ilertsim.Answer{Reset: true, Drop: true}, 0, false},
		"cut after all":     {ilertsim.Answer{Reset: true}, 0, true},
		"cut within answer": {ilertsim.Answer{Reset: true, Status: 500}, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := ilertsim.New(ilertsim.Config{})
			server := httptest.NewServer(s)
			defer server.Close()
			s.SetAnswer(ilertsim.Always(c.answer))
			status, header := send(t.Context(), t, server, event("ALERT", "a"))
			assert.Equal(t, c.status, status)
			assert.Equal(t, c.answer.RetryAfter > 0, header.Get("Retry-After") == "7")
			assert.Equal(t, c.taken, len(s.Open("k")) == 1)
			s.SetAnswer(nil)
			status, _ = send(t.Context(), t, server, event("ALERT", "a"))
			assert.Equal(t, 202, status)
			requests := s.Requests()
			require.GreaterOrEqual(t, len(requests), 2) // Go's client may repeat a request after a cut
			assert.Equal(t, c.status, requests[0].Status)
			assert.Equal(t, "a", requests[0].Event.AlertKey)
			assert.Len(t, s.Events(), len(requests))
		})
	}
}

func TestARequestThatHangsEndsWithItsClient(t *testing.T) {
	s := ilertsim.New(ilertsim.Config{})
	server := httptest.NewServer(s)
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	s.SetAnswer(func(r ilertsim.Request) ilertsim.Answer {
		assert.Equal(t, "/api/events", r.Path)
		cancel()
		return ilertsim.Answer{Delay: time.Hour, Drop: true}
	})
	status, _ := send(ctx, t, server, event("ALERT", "a"))
	assert.Zero(t, status)
}

func TestTheServerMayBeUsedConcurrently(t *testing.T) {
	s := ilertsim.New(ilertsim.Config{Keep: 5})
	s.SetAnswer(func(ilertsim.Request) ilertsim.Answer { s.Open("k"); return ilertsim.Answer{} })
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for n := range 50 {
				post(s, event([]string{"ALERT", "RESOLVE"}[n%2], "a"))
				_ = s.Accept(int64(n))
				s.SetState(ilertsim.State(n % 3))
				for _, a := range s.Alerts() {
					_ = len(a.Log)
				}
			}
		})
	}
	workers.Wait()
	assert.Len(t, s.Requests(), 5)
}
