// Package middleware makes events of the calls that a Gin server answers.
//
// Each call of a route below a segment /api makes a request event when it begins
// and exactly one success or fail event when it ends, panics included, with the
// name, the messages and the guid that Intel's MPS or RPS would give it. Calls of
// other routes, or of no route, make none. Nothing is taken from bodies, queries
// or headers but a valid traceparent.
package middleware

import (
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/openamt"
)

// Emitter takes the events, as a *publisher.Publisher does.
//
// Publish is called by many HTTP calls at once, each waiting for it: it must not
// block. It must not change e.Methods, which the events of a route share; all else
// is its own. Its error is for the Emitter to count and report, since the HTTP
// call goes on as if there were none.
type Emitter interface {
	Publish(e event.Event) error
}

// New returns the middleware that hands the events of each call to emitter. It
// panics if emitter is nil.
//
// Install it after gin.Recovery and before what ends calls early, such as
// authorization. Before gin.Recovery it works too, but there a handler that
// panics after it has sent its status counts by that status.
//
// Every event has its time and, where the call has them, the guid and the
// traceparent. The last one has the outcome and, on failure, the HTTP status:
// below 400 is ok; 400, 401, 403, 404, 405, 409, 413, 415 and 422 are the
// client's fault; 503 and 504 mean that the device is unreachable, as does a 404
// of a route that needs a connected device, which is then named CIRA_Connection
// as MPS names it; the rest, and a panic, are the server's fault.
//
// HEAD and OPTIONS make no events unless WithRoute names them.
func New(emitter Emitter, opts ...Option) gin.HandlerFunc {
	if emitter == nil {
		panic("middleware: nil Emitter")
	}
	cfg := newConfig(opts)
	routes := newRoutes(cfg.names)
	publish := func(e event.Event) {
		e.Timestamp = time.Now().UnixMilli() // not left to emitters, which may queue
		_ = emitter.Publish(e)
	}
	return func(c *gin.Context) {
		r := routes.of(c)
		if r == nil || !cfg.filter(c) {
			return
		}
		// Handlers may change the request: what events say of it is taken now.
		r = r.filled(c.Params)
		e := event.Event{Methods: r.methods, GUID: r.guid(c.Params), TraceParent: traceParent(c.Request.Header)}
		publish(r.begun(e))
		status := http.StatusInternalServerError // unless the handlers return: a panic goes on as it is
		defer func() { publish(r.ended(e, status)) }()
		c.Next()
		status = statusOf(c)
	}
}

// traceParent returns the caller's trace context if there is one, not several.
func traceParent(h http.Header) string {
	if values := h["Traceparent"]; len(values) == 1 && event.IsTraceParent(values[0]) {
		return values[0]
	}
	return ""
}

// statusOf returns the status of the answer. A gin.Recovery inside this middleware
// leaves 200 when a handler has panicked with http.ErrAbortHandler.
func statusOf(c *gin.Context) int {
	if n := len(c.Errors); n > 0 && errors.Is(c.Errors[n-1], http.ErrAbortHandler) {
		return http.StatusInternalServerError
	}
	return c.Writer.Status()
}

// begun returns the first event of a call.
func (r *route) begun(e event.Event) event.Event {
	e.Type, e.Message = event.Request, r.Request
	return e
}

// deviceNotFound names the events of calls whose device is not connected.
var deviceNotFound = []string{openamt.CIRAConnection}

// ended returns the last event of a call whose answer has this status.
func (r *route) ended(e event.Event, status int) event.Event {
	if status < http.StatusBadRequest {
		e.Type, e.Message, e.Outcome = event.Success, r.Success, event.OK
		return e
	}
	e.Type, e.Message, e.Outcome = event.Fail, r.Fail, outcome(status)
	switch {
	case status == http.StatusNotFound && r.NeedsDevice:
		e.Methods, e.Message, e.Outcome = deviceNotFound, openamt.DeviceNotFound, event.Unreachable
	case status >= http.StatusInternalServerError && r.Error != "":
		e.Message = r.Error
	}
	if status <= 599 { // net/http lets 600 to 999 pass, an event does not
		e.HTTPStatus = status
	}
	return e
}

// outcome says whose the failure is that an HTTP status of 400 or above reports.
func outcome(status int) event.Outcome {
	switch status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound,
		http.StatusMethodNotAllowed, http.StatusConflict, http.StatusRequestEntityTooLarge,
		http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return event.Client
	case http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return event.Unreachable
	default:
		return event.Server
	}
}
