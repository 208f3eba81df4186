// Package middleware makes events of the calls that a Gin server answers.
//
// Each call of a route below a segment /api makes a request event when it begins
// and exactly one success or fail event when it ends, panics included, with the
// name, the messages and the guid that Intel's MPS or RPS would give it; docs/events.md
// lists them. Calls of other routes, or of no route, make none. Nothing is taken from
// bodies, queries or headers but a valid traceparent, unless WithActor asks for more. The
// memory that it holds is for the router's routes and the calls under way, whatever is called.
//
// What writes the answer belongs inside of the middleware, that is after it in
// gin.Engine.Use: an error handler that makes a status of c.Errors, authorization that
// answers 401, gin.Recovery or not. The last event says what the answer was when all that
// is inside has returned, and what is written outside of the middleware comes too late for it.
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
// authorization, or answers for the handlers, such as an error handler. Before
// gin.Recovery it works too, but there a handler that panics after it has sent its status
// counts by that status. Two middlewares of one emitter make one pair of events for a call.
//
// Every event has its time and, where the call has them, the guid, the traceparent and the
// actor. The guid is the path's: in a route of MPS or Console the parameter that
// is theirs, whatever it is called; in others the last one called guid, or else the
// first one below /api/.../amt. A guid of more than 256 bytes and a message of more than
// 512 are shortened and end in "…", so that no call is too large for the record.
//
// The last event has the outcome and, on failure, the HTTP status: below 400 is ok; a 4xx
// is the client's fault, or the client went away (408, 499); 503 and 504 mean that the
// device is unreachable, as does a 404 of a route that needs a connected device, which
// is then named CIRA_Connection as MPS names it; the rest, and a panic, are the server's
// fault. The status is that of the writer which c had when the middleware was called, so
// that one which a middleware inside puts in its place decides nothing. Handlers that
// know better call SetOutcome, and WithOutcome changes the rule.
//
// The call ends when its handlers return: what a client that went away, or a
// connection that timed out, has seen of the answer changes no event. A hijacked
// connection counts by the status that was set, which is 200 if none was: a handler whose
// session fails after its upgrade to a WebSocket calls SetOutcome. A call that
// gin.Engine.HandleContext sends on to another route, of whichever engine, remains one call: the
// first route that makes events names it, and the last event says how all of it ended.
//
// Routes of every method make events, but for HEAD and OPTIONS, which make none unless
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
		k, said := call{c, emitter}, saidBefore(c)
		if !k.begin(said) {
			return
		}
		// Handlers may change the request and the writer: what events say of them is taken now.
		r, w := r.filled(c.Params), c.Writer
		guid := r.guid(c.Params)
		var e event.Event
		returned := false
		defer func() {
			if !returned { // a panic, which goes on as it is
				k.end(&said)
				e.Actor = cfg.actorOf(c, said, e.Actor)
				r.writeFail(&e, http.StatusInternalServerError, event.OutcomeServer, guid)
			}
			publish(emitter, &e)
		}()
		e.TraceParent, e.Actor = traceParent(c.Request.Header), cfg.actorOf(c, said, "")
		r.request.write(&e, event.Request, guid)
		publish(emitter, &e)
		c.Next()
		k.end(&said)
		cfg.writeEnd(&e, c, w, r, guid, said)
		returned = true
	}
}

// publish hands e to emitter, with its time, for an emitter may queue it, and with texts
// that are short enough for any emitter.
func publish(emitter Emitter, e *event.Event) {
	e.Timestamp = time.Now().UnixMilli()
	e.GUID = shortened(e.GUID, maxGUID)
	e.Message = shortened(e.Message, maxMessage)
	_ = emitter.Publish(*e)
}

// traceParent returns the caller's trace context if there is one, not several.
func traceParent(h http.Header) string {
	if values := h["Traceparent"]; len(values) == 1 && event.IsTraceParent(values[0]) {
		return values[0]
	}
	return ""
}
