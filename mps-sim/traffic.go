package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/mps-sim/internal/fleet"
)

// makeTraffic calls the REST API as administrators and their tools would, and
// lets the fleet live meanwhile. What a call cannot show, a device's connection,
// is published as an MPS would publish it.
func (s *simulator) makeTraffic(ctx context.Context) {
	if s.options.rate == 0 {
		return
	}
	life := fleet.NewLife(s.fleet, s.options.seed)
	client := &http.Client{Transport: &http.Transport{}, Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	const longest = 1e9 // seconds, which a Duration holds
	ticker := time.NewTicker(time.Duration(min(1/s.options.rate, longest) * float64(time.Second)))
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		happened, call, ok := life.Next()
		for _, h := range happened {
			s.say(h.Device, h.Connected)
		}
		if ok && s.call(ctx, client, call) >= http.StatusBadRequest {
			life.Failed(call)
		}
	}
}

// say publishes that a device has connected or disconnected.
func (s *simulator) say(d fleet.Device, connected bool) {
	e := event.Connected(d.GUID)
	if !connected {
		e = event.Disconnected(d.GUID, "keep-alive timed out")
	}
	_ = s.pub.Publish(e) // the publisher counts and reports what it cannot take
}

func (s *simulator) call(ctx context.Context, client *http.Client, c fleet.Call) (status int) {
	method, path, body := http.MethodGet, "/api/v1/amt/power/state/", ""
	switch c.Kind {
	case fleet.ReadPower:
	case fleet.ReadVersion:
		path = "/api/v1/amt/version/"
	case fleet.Reset:
		method, path, body = http.MethodPost, "/api/v1/amt/power/action/", `{"action":10}`
	}
	request, err := http.NewRequestWithContext(ctx, method, s.url()+path+c.GUID, strings.NewReader(body))
	if err != nil {
		return 0
	}
	response, err := client.Do(request)
	if err != nil {
		return 0 // stopping
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body) // lets the connection be used again
	return response.StatusCode
}
