package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/gin-gonic/gin"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/middleware"
	"github.com/mps-events/mps-events/publisher"
)

// server is the simulated MPS of one site, made like a real one: a router with the middleware, and a
// publisher with a retained status and a Last Will.
type server struct {
	name    string
	pub     *publisher.Publisher
	handler http.Handler
	dead    atomic.Bool
	counts  *counts
}

// newServer makes a server, to which serve adds the routes. If serve is nil, the server only
// publishes and has no status, as RPS.
func (s *simulator) newServer(name, topic string, logger *slog.Logger, serve func(gin.IRoutes)) (*server, error) {
	b := s.options.broker
	v := &server{name: name, counts: &s.counts}
	var err error
	v.pub, err = publisher.New(publisher.Config{
		Address: b.Address, Username: b.Username, Password: b.Password,
		CAFile: b.TLS.CA, CertFile: b.TLS.Cert, KeyFile: b.TLS.Key,
		Topic: topic, ClientID: name, QoS: publisher.QoS(b.QoS),
		Status: b.Status && serve != nil, Source: name, Logger: slog.New(unlessDead{logger.Handler(), &v.dead}),
	})
	if err != nil || serve == nil {
		return v, err
	}
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	// A server needs two lines for its events: this one and publisher.New above.
	router.Use(gin.Recovery(), middleware.New(v))
	serve(router)
	v.handler = router
	return v, nil
}

// Publish publishes an event, and counts it if a bridge with one alert per event would page for it.
func (v *server) Publish(e event.Event) error {
	if pagesOneToOne(e) {
		v.counts.bridge.Add(1)
	}
	return v.pub.Publish(e)
}

// pagesOneToOne reports whether a bridge that makes an alert from each event about a failure would
// page for this event.
func pagesOneToOne(e event.Event) bool {
	return e.Type == event.Fail || e.Type == event.Success && len(e.Methods) > 0 &&
		(e.Methods[0] == "CIRA_Disconnected" || e.Methods[0] == "AMT_Unprovision")
}

// unlessDead is a log handler that discards all records while its server is dead.
type unlessDead struct {
	slog.Handler
	dead *atomic.Bool
}

func (u unlessDead) Enabled(ctx context.Context, level slog.Level) bool {
	return !u.dead.Load() && u.Handler.Enabled(ctx, level)
}

func (u unlessDead) Handle(ctx context.Context, r slog.Record) error {
	if u.dead.Load() {
		return nil
	}
	return u.Handler.Handle(ctx, r)
}

// counts holds the numbers of all servers together.
type counts struct {
	calls, answeredWell atomic.Uint64 // counted by the front door
	bridge              atomic.Uint64 // events for which a bridge with one alert per event would page
}

var errNoServer = errors.New("no server is up")

// ServeHTTP passes a call on to the server of the device in its path. It stands for the router in
// front of several MPS.
func (s *simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.counts.calls.Add(1)
	recorder := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	if v, err := s.serverFor(r.URL.Path); err != nil {
		recorder.Header().Set("Content-Type", "application/json; charset=utf-8")
		recorder.WriteHeader(http.StatusBadGateway)
		_, _ = recorder.Write([]byte(`{"error":"Bad Gateway","errorDescription":"` + err.Error() + `"}`))
	} else {
		v.handler.ServeHTTP(recorder, r)
	}
	if recorder.status < http.StatusBadRequest {
		s.counts.answeredWell.Add(1)
	}
}

// serverFor returns the server of the device in the path, or else the first server that is up.
func (s *simulator) serverFor(path string) (*server, error) {
	for segment := range strings.SplitSeq(path, "/") {
		if len(segment) != guidLength {
			continue
		}
		if d, ok := s.fleet.Get(segment); ok {
			v := s.servers[d.Server]
			if v.dead.Load() {
				return nil, errors.New("server " + v.name + " does not answer")
			}
			return v, nil
		}
	}
	for _, v := range s.servers {
		if !v.dead.Load() {
			return v, nil
		}
	}
	return nil, errNoServer
}

const guidLength = 36

// statusWriter is a ResponseWriter that keeps the status of the answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader keeps the status and passes it on.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}
