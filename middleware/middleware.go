// Package middleware makes events of the calls that a Gin server answers.
//
// Each call of a route below a segment /api makes a request event when it begins
// and exactly one success or fail event when it ends, panics included, with the
// name, the messages and the guid that Intel's MPS or RPS would give it; docs/events.md
// lists them. Calls of other routes, or of no route, make none. Nothing is taken from
// bodies, queries or headers but a valid traceparent. The memory that it holds is for
// the router's routes, whatever is called.
package middleware

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/mps-events/mps-events/event"
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
// Install it once, after gin.Recovery and before what ends calls early, such as
// authorization. Before gin.Recovery it works too, but there a handler that
// panics after it has sent its status counts by that status.
//
// Every event has its time and, where the call has them, the guid and the
// traceparent. The guid is the path's: in a route of MPS or Console the parameter that
// is theirs, whatever it is called; in others the last one called guid, or else the
// first one below /api/.../amt. The last event has the outcome and, on failure, the HTTP
// status: below 400 is ok; a 4xx is the client's fault, or the client went away (408,
// 499); 503 and 504 mean that the device is unreachable, as does a 404 of a route that
// needs a connected device, which is then named CIRA_Connection as MPS names it; the
// rest, and a panic, are the server's fault. Handlers that know better call SetOutcome,
// and WithOutcome changes the rule.
//
// The call ends when its handlers return: what a client that went away, or a
// connection that timed out, has seen of the answer changes no event. A hijacked
// connection counts by the status that was set, which is 200 if none was.
//
// HEAD and OPTIONS make no events unless WithRoute names them.
func New(emitter Emitter, opts ...Option) gin.HandlerFunc {
	if emitter == nil {
		panic("middleware: nil Emitter")
	}
	cfg := newConfig(opts)
	routes := newRoutes(cfg)
	publish := func(e event.Event) {
		e.Timestamp = time.Now().UnixMilli() // not left to emitters, which may queue
		_ = emitter.Publish(e)
	}
	return func(c *gin.Context) {
		r := routes.of(c)
		if r == nil || !cfg.keeps(c) {
			return
		}
		// Handlers may change the request: what events say of it is taken now.
		r = r.filled(c.Params)
		call := event.Event{GUID: r.guid(c.Params), TraceParent: traceParent(c.Request.Header)}
		publish(r.request.of(event.Request, call))
		returned := false
		defer func() {
			if returned {
				publish(ended(c, r, call, cfg.outcome))
			} else { // a panic, which goes on as it is
				publish(failed(r, call, http.StatusInternalServerError, event.OutcomeServer))
			}
		}()
		c.Next()
		returned = true
	}
}

// traceParent returns the caller's trace context if there is one, not several.
func traceParent(h http.Header) string {
	if values := h["Traceparent"]; len(values) == 1 && event.IsTraceParent(values[0]) {
		return values[0]
	}
	return ""
}
