package main

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/mps-sim/internal/fleet"
)

// traffic calls the REST API as administrators and their tools do, and runs the life of the fleet.
// Events that no call makes, such as those of a connection, it lets the servers publish as MPS does.
type traffic struct {
	sim *simulator

	mu   sync.Mutex // protects life, which scenarios also change
	life *fleet.Life
}

func newTraffic(s *simulator) *traffic {
	second := time.Duration(s.options.speed * float64(time.Second))
	return &traffic{sim: s, life: fleet.NewLife(s.fleet, s.options.seed, second)}
}

// maxCatchUpCalls is the largest number of calls that traffic makes at once when the machine has fallen
// behind the rate.
const maxCatchUpCalls = 100

// run makes the calls at --rate until ctx ends. It waits for each answer before the next call, so that
// the same seed makes the same events in the same order.
func (t *traffic) run(ctx context.Context) {
	o := t.sim.options
	if o.rate == 0 {
		<-ctx.Done()
		return
	}
	passed := time.Duration(o.speed / o.rate * float64(time.Second)) // of the fleet's time, per call
	const maxInterval = 1e9                                          // seconds; a Duration holds no more than 9e9
	interval := max(time.Duration(min(1/o.rate, maxInterval)*float64(time.Second)), 2*time.Millisecond)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	began, made := time.Now(), 0.0
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		due := time.Since(began).Seconds()*o.rate - made
		if due > maxCatchUpCalls { // the machine is too slow: skip the rest
			made += due - maxCatchUpCalls
			due = maxCatchUpCalls
		}
		for n := 0; n == 0 || n < int(due); n++ {
			if ctx.Err() != nil {
				return
			}
			t.step(ctx, passed)
			made++
		}
	}
}

// step makes the next call, and publishes and calls what the life of the fleet asks for.
func (t *traffic) step(ctx context.Context, passed time.Duration) {
	t.mu.Lock()
	occurrences, calls := t.life.Next(passed)
	t.mu.Unlock()
	for _, o := range occurrences {
		t.sim.publishDeviceEvent(o.Device, o.Kind)
	}
	for _, c := range calls {
		if t.call(ctx, c) >= http.StatusInternalServerError {
			t.mu.Lock()
			t.life.Failed(c)
			t.mu.Unlock()
		}
	}
}

func (t *traffic) setQuiet(quiet bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.life.SetQuiet(quiet)
}

// clock returns the fleet's time of day.
func (t *traffic) clock() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.life.Clock()
}

// call makes a call and returns the status of its answer. It calls ServeHTTP directly, because a
// socket would cost more than the rest of the simulation.
func (t *traffic) call(ctx context.Context, c fleet.Call) (status int) {
	request, err := http.NewRequestWithContext(ctx, c.Method, c.Path, strings.NewReader(c.Body))
	if err != nil {
		return 0
	}
	answer := statusOnly{header: http.Header{}, status: http.StatusOK}
	t.sim.ServeHTTP(&answer, request)
	return answer.status
}

// statusOnly is a ResponseWriter that keeps only the status of the answer.
type statusOnly struct {
	header http.Header
	status int
}

// Header implements http.ResponseWriter.
func (u *statusOnly) Header() http.Header { return u.header }

// WriteHeader implements http.ResponseWriter.
func (u *statusOnly) WriteHeader(status int) { u.status = status }

// Write implements http.ResponseWriter.
func (u *statusOnly) Write(p []byte) (int, error) { return len(p), nil }

// publishDeviceEvent lets RPS or the server of a device publish an event that no call makes. A dead
// server publishes nothing.
func (s *simulator) publishDeviceEvent(d fleet.Device, kind fleet.OccurrenceKind) {
	if kind == fleet.Activated {
		_ = s.rps.Publish(event.Activated(d.GUID, "admin control mode"))
		return
	}
	v := s.servers[d.Server]
	if v.dead.Load() {
		return
	}
	e := event.Connected(d.GUID)
	switch kind {
	case fleet.Connected:
	case fleet.Disconnected:
		e = event.Disconnected(d.GUID, "keep-alive timed out")
	case fleet.SessionStarted:
		e = event.RedirectionStarted(d.GUID)
	case fleet.SessionEnded:
		e = event.RedirectionEnded(d.GUID)
	}
	_ = v.Publish(e) // the publisher counts and logs events that it refuses
}

// connect connects or disconnects a device. If that changes the device, its server publishes it.
func (s *simulator) connect(guid string, connected bool) bool {
	before, after, ok := s.fleet.Change(guid, func(d *fleet.Device) { d.Connected = connected })
	if ok && before.Connected != connected {
		kind := fleet.Disconnected
		if connected {
			kind = fleet.Connected
		}
		s.publishDeviceEvent(after, kind)
	}
	return ok
}
