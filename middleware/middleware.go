// Package middleware makes events from the calls that a Gin server answers.
//
// Each call of a route below a segment /api makes a request event when it begins
// and exactly one success or fail event when it ends, also by a panic, with the
// name, the messages and the guid that Intel's MPS or RPS would give it; docs/events.md
// lists them. Calls of other routes, or of no route, make none. The middleware reads
// no body, no query and no header except a valid traceparent, unless a function of WithActor
// does. Its memory is limited by the routes of the router and the calls under way.
//
// Install it before all that may write the answer: in gin.Engine.Use, an error handler that
// turns c.Errors into a status, and authorization that answers 401, come after it. The last event
// reports the answer as it is when all of these have returned; an answer that is written later
// comes too late. gin.Recovery may come before or after it.
package middleware

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/mps-events/mps-events/event"
)

// Emitter is the receiver of the events, such as a *publisher.Publisher.
//
// Many HTTP calls call Publish at once and wait for it: it must not block. It must not change
// e.Methods, which the events of a route share. The middleware ignores its error, and the HTTP
// call goes on: the Emitter itself counts and reports errors.
type Emitter interface {
	Publish(e event.Event) error
}

// New returns the middleware that passes the events of each call to emitter. It
// panics if emitter is nil.
//
// Install it once, after gin.Recovery and before every middleware that ends calls early, such as
// authorization, or that answers for the handlers, such as an error handler. It also works before
// gin.Recovery; but then the events of a handler that panics after it has sent its status report
// that status. Two middlewares with the same emitter make one pair of events for a call.
//
// Every event has its time and, if the call has them, the guid, the traceparent and the
// actor. The guid comes from the path: in a route of MPS or Console from the parameter in the
// place of theirs, whatever its name; in other routes from the last parameter named guid, or else
// from the first one below /api/.../amt. A guid of more than 256 bytes and a message of more than
// 512 are shortened and end in "…", so that no call makes an event that is too large.
//
// The last event has the outcome and, on failure, the HTTP status. A status below 400 is ok. A
// 4xx is the client's mistake, or the client went away (408, 499). 503 and 504 mean that the
// device is unreachable, as does a 404 of a route that needs a connected device, whose event
// then has the method CIRA_Connection, as with MPS. All other statuses, and a panic, are the
// server's fault. The status is that of the writer which c had when the middleware was called; a
// writer that a later middleware puts in its place has no effect. Handlers that know the outcome
// better call SetOutcome, and WithOutcome replaces this rule.
//
// The call ends when its handlers return. The events do not tell whether the client got the
// answer. The status of a hijacked connection is the one that was set, or 200: a handler whose
// session fails after its upgrade to a WebSocket calls SetOutcome. A call that
// gin.Engine.HandleContext sends on to another route, of any engine, remains one call: its events
// have the name of the first route that makes events, and the last event reports the end of all
// of it.
//
// Routes of every method make events, except HEAD and OPTIONS, which make none unless
// WithRoute names them.
func New(emitter Emitter, opts ...Option) gin.HandlerFunc {
	if emitter == nil {
		panic("middleware: nil Emitter")
	}
	cfg := newConfig(opts)
	routes := newRoutes(cfg)
	emitter = comparableEmitter(emitter)
	return func(c *gin.Context) {
		r := routes.of(c)
		if r == nil || !cfg.keeps(c) {
			return
		}
		k, overrides := call{c, emitter}, earlyOverrides(c)
		if !k.begin(overrides) {
			return
		}
		// Handlers may change the request and the writer, so the middleware reads them now.
		r, w := r.filled(c.Params), c.Writer
		guid := r.guid(c.Params)
		var e event.Event
		returned := false
		defer func() {
			if !returned { // a panic, which goes on
				k.end(&overrides)
				e.Actor = cfg.actorOf(c, overrides, e.Actor)
				r.writeFail(&e, http.StatusInternalServerError, event.OutcomeServer, guid)
			}
			publish(emitter, &e)
		}()
		e.TraceParent, e.Actor = traceParent(c.Request.Header), cfg.actorOf(c, overrides, "")
		r.request.write(&e, event.Request, guid)
		publish(emitter, &e)
		c.Next()
		k.end(&overrides)
		cfg.writeEnd(&e, c, w, r, guid, overrides)
		returned = true
	}
}

// publish passes e to emitter. It sets the time, because the emitter may queue e, and shortens
// texts so that they are short enough for any emitter.
func publish(emitter Emitter, e *event.Event) {
	e.Timestamp = time.Now().UnixMilli()
	e.GUID = shortened(e.GUID, maxGUID)
	e.Message = shortened(e.Message, maxMessage)
	_ = emitter.Publish(*e)
}

// traceParent returns the caller's trace context if there is exactly one and it is valid.
func traceParent(h http.Header) string {
	if values := h["Traceparent"]; len(values) == 1 && event.IsTraceParent(values[0]) {
		return values[0]
	}
	return ""
}
