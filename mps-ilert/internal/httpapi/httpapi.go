// Package httpapi is the HTTP server of the daemon. It answers as ilert's ilagent does, and adds
// /ready, /status and the metrics of Prometheus. It reads the consumer's state at each request,
// so /status, /metrics and the store agree, over restarts too. It bounds the connections and the
// log lines that clients cause, and no answer shows a secret.
package httpapi

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/mps-events/mps-events/internal/consumer"
	"github.com/mps-events/mps-events/internal/loglimit"
)

// Worker is the consumer whose state the server shows and to which it passes events.
type Worker interface {
	Ready() error
	Post(ctx context.Context, event []byte) ([]byte, error)
	Ping(ctx context.Context, key string) error
	Status(ctx context.Context) consumer.Status
}

// statusJSON is the answer of /status.
type statusJSON struct {
	Version string `json:"version"`
	consumer.Status
}

// maxBody limits an event, in bytes.
const maxBody = 16_000

// maxPings limits the heartbeats that are passed on at the same time, each by a connection to
// ilert.
const maxPings = 32

// Config holds the settings of a server.
type Config struct {
	Version        string
	Token          string // the bearer token; empty: the server asks for none
	MaxConnections int
	Metrics        *Metrics
	Lines          *loglimit.Logger // logs what clients cause
}

// NewServer returns a server that answers as ilagent does: / with name and version, /health with
// 204 while the process works, /ready with 204 while the worker is ready. Otherwise both answer
// 503 with the reason, which is "stopping" when working has ended. POST /api/events takes an
// event for ilert, GET /api/heartbeats/{key} passes a ping on, /status returns the worker's
// status as JSON, and /metrics the metrics; these four ask for the bearer token, if there is one.
func NewServer(working context.Context, w Worker, config Config) *http.Server {
	token := config.Token
	config.Metrics.status = w.Status
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(out, "mps-ilert/"+config.Version) // the client may have gone
	})
	answer := func(out http.ResponseWriter, err error) {
		if working.Err() != nil {
			err = errors.New("stopping")
		}
		if err != nil {
			writeError(out, http.StatusServiceUnavailable, err.Error())
			return
		}
		out.WriteHeader(http.StatusNoContent)
	}
	mux.HandleFunc("GET /health", func(out http.ResponseWriter, _ *http.Request) { answer(out, nil) })
	mux.HandleFunc("GET /ready", func(out http.ResponseWriter, _ *http.Request) { answer(out, w.Ready()) })
	mux.HandleFunc("POST /api/events", authorized(token, func(out http.ResponseWriter, r *http.Request) { postEvent(out, r, w) }))
	pings := make(chan struct{}, maxPings)
	mux.HandleFunc("GET /api/heartbeats/{key}", authorized(token, func(out http.ResponseWriter, r *http.Request) {
		select {
		case pings <- struct{}{}:
			defer func() { <-pings }()
		default:
			writeError(out, http.StatusTooManyRequests, fmt.Sprintf("%d heartbeats are under way: try again", maxPings))
			return
		}
		if w.Ping(r.Context(), r.PathValue("key")) != nil { // the log says why
			writeError(out, http.StatusInternalServerError, "Failed to proxy heartbeat")
			return
		}
		writeJSON(out, http.StatusAccepted, struct{}{})
	}))
	mux.HandleFunc("GET /status", authorized(token, func(out http.ResponseWriter, r *http.Request) {
		writeJSON(out, http.StatusOK, statusJSON{config.Version, w.Status(r.Context())})
	}))
	mux.HandleFunc("GET /metrics", authorized(token, config.Metrics.handler().ServeHTTP))
	server := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      20 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	guard(server, config.MaxConnections, config.Metrics.closed.Inc, config.Lines)
	return server
}

// authorized returns a handler that asks for the bearer token, unless it is empty.
func authorized(token string, next http.HandlerFunc) http.HandlerFunc {
	want := []byte("Bearer " + token)
	return func(w http.ResponseWriter, r *http.Request) {
		if token != "" && subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), want) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			writeError(w, http.StatusUnauthorized, "want the bearer token")
			return
		}
		next(w, r)
	}
}

// postEvent passes an event to the worker.
func postEvent(out http.ResponseWriter, r *http.Request, w Worker) {
	body, err := io.ReadAll(http.MaxBytesReader(out, r.Body, maxBody))
	var tooLong *http.MaxBytesError
	if errors.As(err, &tooLong) {
		writeError(out, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is longer than %d bytes", maxBody))
		return
	}
	if err != nil { // broken off, or too slow
		writeError(out, http.StatusBadRequest, "the body did not come whole")
		return
	}
	taken, err := w.Post(r.Context(), body)
	var bad *consumer.BadEventError
	switch {
	case errors.As(err, &bad):
		writeError(out, http.StatusBadRequest, bad.Reason)
	case err != nil:
		writeError(out, http.StatusInternalServerError, "Failed to create event.")
	default:
		out.Header().Set("Content-Type", "application/json")
		_, _ = out.Write(taken)
	}
}

// writeError answers with an error text.
func writeError(w http.ResponseWriter, status int, text string) {
	writeJSON(w, status, map[string]string{"error": text})
}

// Stop shuts the server down. It gives the answers under way a second and then closes their
// connections, which is no failure of the daemon.
func Stop(server *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		_ = server.Close()
	}
}

// writeJSON answers with a JSON value.
func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // the client may have gone
}
