package main

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/mps-events/mps-events/event"
)

// recorder is an emitter that keeps the events.
type recorder struct {
	mu     sync.Mutex
	events []event.Event
}

func (r *recorder) Publish(e event.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.Timestamp = 0 // differs in each run
	r.events = append(r.events, e)
	return nil
}

// take returns the events since its last call.
func (r *recorder) take() []event.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	events := r.events
	r.events = nil
	return events
}

func TestADeactivationMakesTheEventDeactivated(t *testing.T) {
	rec := &recorder{}
	router := newRouter(rec)
	call := func(path string) {
		router.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodDelete, path, http.NoBody))
	}
	call("/api/v1/amt/deactivate/123")
	assert.Contains(t, rec.take(), event.Deactivated("123"))

	call("/api/v1/amt/deactivate/123?refuse=1")
	assert.NotContains(t, rec.take(), event.Deactivated("123"))
}
