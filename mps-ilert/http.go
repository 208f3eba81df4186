package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

// newServer answers as ilagent does: / with name and version, /health with 204
// while the process works, /ready with 204 while the worker is ready. Otherwise both
// answer 503 and what is in the way, which is that it stops once working has ended.
func newServer(working context.Context, worker interface{ Ready() error }) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"name": "mps-ilert", "version": version()})
	})
	answer := func(w http.ResponseWriter, err error) {
		if working.Err() != nil {
			err = errors.New("stopping")
		}
		if err != nil {
			writeJSON(w, http.StatusServiceUnavailable, map[string]string{"error": err.Error()})
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { answer(w, nil) })
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) { answer(w, worker.Ready()) })
	return &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       time.Minute,
	}
}

// stopServer gives answers that are under way a second. A client that needs longer
// is cut, which is no failure of the daemon.
func stopServer(server *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		_ = server.Close()
	}
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // the client may have gone
}
