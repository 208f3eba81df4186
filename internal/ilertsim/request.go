package ilertsim

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Request is a request that the stand-in has got.
type Request struct {
	At     time.Time // its arrival
	Method string
	Path   string // with the query
	Event  Event  // of POST requests, as far as it could be read
	Body   string
	Status int // of the answer; 0: none yet, or the connection was closed
}

// Answer changes what the stand-in does with a request. The zero value lets it do as ilert does.
type Answer struct {
	Delay      time.Duration // before anything else, or until the client goes away
	Drop       bool          // ignores the event and answers 202, as a filter of ilert does
	Status     int           // answers with this status, and ignores the event; 0: as ilert does
	RetryAfter int           // seconds, for the header Retry-After with Status
	Body       string        // the text of the answer with Status
	Reset      bool          // closes the connection in place of the answer; ilert takes the event without Drop or Status
}

// SetAnswer makes the stand-in ask a function for each request how to answer it; nil ends that. The
// function may be called concurrently, and may call the Server.
func (s *Server) SetAnswer(answer func(Request) Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
	s.version++
}

// Always returns a function for SetAnswer that gives all requests the same answer.
func Always(a Answer) func(Request) Answer { return func(Request) Answer { return a } }

// Requests returns the requests in the order of their arrival.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Request, len(s.requests))
	for i, r := range s.requests {
		all[i] = *r
	}
	return all
}

// Events returns the events of all requests in the order of their arrival, whatever the answers were.
func (s *Server) Events() (events []Event) {
	for _, r := range s.Requests() {
		if r.Method == http.MethodPost {
			events = append(events, r.Event)
		}
	}
	return events
}

const maxBytes = 1 << 20 // of a request

// ServeHTTP answers a request to ilert's API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBytes))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	request, answer := s.note(r, string(body))
	if answer.Delay > 0 {
		select {
		case <-time.After(answer.Delay):
		case <-r.Context().Done():
		}
	}
	noting := &notingWriter{w, http.StatusOK}
	switch {
	case answer.Status != 0:
		if answer.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(answer.RetryAfter))
		}
		noting.WriteHeader(answer.Status)
		_, _ = io.WriteString(noting, answer.Body)
	case answer.Drop:
		noting.WriteHeader(http.StatusAccepted)
	default:
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		s.mux.ServeHTTP(noting, r)
	}
	if answer.Reset {
		panic(http.ErrAbortHandler) // closes the connection before the answer is sent
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	request.Status = noting.status
}

// note adds a request to the list, and asks the function of SetAnswer.
func (s *Server) note(r *http.Request, body string) (*Request, Answer) {
	request := &Request{At: s.config.Now(), Method: r.Method, Path: r.URL.RequestURI(), Body: body}
	if r.Method == http.MethodPost {
		_ = json.Unmarshal([]byte(body), &request.Event)
	}
	s.mu.Lock()
	s.requests = append(s.requests, request)
	if keep := s.config.Keep; keep > 0 && len(s.requests) > keep {
		s.requests = s.requests[1:]
	}
	answer, asked := s.answer, *request
	s.mu.Unlock()
	if answer == nil {
		return request, Answer{}
	}
	return request, answer(asked)
}

// notingWriter keeps the status of an answer.
type notingWriter struct {
	http.ResponseWriter
	status int
}

func (w *notingWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// window counts the requests of a minute.
type window struct {
	began time.Time
	n     int
}

// tooMany counts a request for a key, and reports whether that is more than the limit for the
// minute. ilert's limits are said to be for windows of a minute; here one begins with the first request
// after the window before.
func (s *Server) tooMany(key string, limit int) bool {
	now := s.config.Now()
	w := s.windows[key]
	if w == nil || now.Sub(w.began) >= time.Minute {
		w = &window{began: now}
		s.windows[key] = w
	}
	w.n++
	return limit > 0 && w.n > limit
}
