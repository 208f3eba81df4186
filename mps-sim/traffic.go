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

// traffic calls the REST API as administrators and their tools would, and lets the fleet live
// meanwhile. What a call cannot show, such as a device's connection, is published as an MPS would
// publish it.
type traffic struct {
	sim *simulator

	mu   sync.Mutex // a scenario that goes wrong with a device may not come in between
	life *fleet.Life
}

func newTraffic(s *simulator) *traffic {
	return &traffic{sim: s, life: fleet.NewLife(s.fleet, s.options.seed)}
}

// maxCatchUp is how many calls are made at once when the machine could not keep up with the rate.
const maxCatchUp = 100

// run makes the calls of the fleet's rate until ctx ends. Each is made when the one before was
// answered, so that the same seed makes the same events in the same order.
func (t *traffic) run(ctx context.Context) {
	o := t.sim.options
	if o.rate == 0 {
		<-ctx.Done()
		return
	}
	passed := time.Duration(o.speed / o.rate * float64(time.Second)) // of the fleet's time, at each call
	const longest = 1e9                                              // seconds, which a Duration holds
	interval := max(time.Duration(min(1/o.rate, longest)*float64(time.Second)), 2*time.Millisecond)
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
		if due > maxCatchUp { // too slow: the rest is not made up for
			made += due - maxCatchUp
			due = maxCatchUp
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

func (t *traffic) step(ctx context.Context, passed time.Duration) {
	t.mu.Lock()
	happened, calls := t.life.Next(passed)
	t.mu.Unlock()
	for _, h := range happened {
		t.sim.say(h.Device, h.What)
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

// clock returns the time of day of the fleet.
func (t *traffic) clock() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.life.Clock()
}

// call makes a call and returns the status of its answer. It knocks at the front door itself,
// without the detour over a socket, which would cost more than all that is simulated.
func (t *traffic) call(ctx context.Context, c fleet.Call) (status int) {
	request, err := http.NewRequestWithContext(ctx, c.Method, c.Path, strings.NewReader(c.Body))
	if err != nil {
		return 0
	}
	answer := unread{header: http.Header{}, status: http.StatusOK}
	t.sim.ServeHTTP(&answer, request)
	return answer.status
}

// unread is an answer of which only the status is looked at.
type unread struct {
	header http.Header
	status int
}

// Header is part of http.ResponseWriter.
func (u *unread) Header() http.Header { return u.header }

// WriteHeader is part of http.ResponseWriter.
func (u *unread) WriteHeader(status int) { u.status = status }

// Write is part of http.ResponseWriter.
func (u *unread) Write(p []byte) (int, error) { return len(p), nil }

// say lets the server of a device publish what no call shows. A dead server says nothing.
func (s *simulator) say(d fleet.Device, what fleet.What) {
	v := s.servers[d.Server]
	if v.dead.Load() {
		return
	}
	e := event.Connected(d.GUID)
	switch what {
	case fleet.Connected:
	case fleet.Disconnected:
		e = event.Disconnected(d.GUID, "keep-alive timed out")
	case fleet.SessionStarted:
		e = event.RedirectionStarted(d.GUID)
	case fleet.SessionEnded:
		e = event.RedirectionEnded(d.GUID)
	}
	_ = v.Publish(e) // the publisher counts and reports what it cannot take
}

// connect connects or disconnects a device, and lets its server say so if that changes anything.
func (s *simulator) connect(guid string, connected bool) bool {
	before, after, ok := s.fleet.Change(guid, func(d *fleet.Device) { d.Connected = connected })
	if ok && before.Connected != connected {
		what := fleet.Disconnected
		if connected {
			what = fleet.Connected
		}
		s.say(after, what)
	}
	return ok
}
