package main

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/mps-events/mps-events/internal/webguard"
)

// handler returns the handler for all requests: the router behind a guard, which refuses requests
// that foreign web pages make a browser send. Pages of --allowed-origins may call the REST API and open redirection
// sessions.
func (s *simulator) handler() http.Handler {
	guard := webguard.New(s.options.hosts...)
	router := s.router()
	guarded := guard.Handler(router)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := r.Header.Get("Origin")
		isREST := strings.HasPrefix(r.URL.Path, "/api/v1/") || r.URL.Path == relayPath
		if !slices.Contains(s.options.origins, origin) || !isREST || guard.CheckHost(r) != nil {
			guarded.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Access-Control-Allow-Origin", origin)
		w.Header().Set("Vary", "Origin")
		if r.Method == http.MethodOptions {
			w.Header().Set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE")
			w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		router.ServeHTTP(w, r)
	})
}

// checkOrigins returns an error if a value of --allowed-origins is not an origin.
func checkOrigins(origins []string) error {
	for _, origin := range origins {
		u, err := url.Parse(origin)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Scheme+"://"+u.Host != origin {
			return fmt.Errorf("--allowed-origins %q: want origins such as http://localhost:4200, without a path", origin)
		}
	}
	return nil
}
