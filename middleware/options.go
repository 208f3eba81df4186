package middleware

import (
	"cmp"

	"github.com/gin-gonic/gin"

	"github.com/mps-events/mps-events/event"
)

// Option is a change to the defaults of New.
type Option func(*config)

// config holds the options of one middleware.
type config struct {
	filters  []func(*gin.Context) bool
	outcome  func(*gin.Context, int) event.Outcome // or nil
	actor    func(*gin.Context) string             // or nil
	names    map[key]string
	mpsWords bool
}

func newConfig(opts []Option) config {
	cfg := config{names: map[key]string{}}
	for _, opt := range opts {
		opt(&cfg)
	}
	return cfg
}

// WithFilter limits the events to calls for which keep returns true. The middleware calls keep
// once for each call that would make events, before the handlers, and again when
// gin.Engine.HandleContext sends the call to another route. Many HTTP calls may call it at once.
// By default all calls make events; a nil keep changes nothing. With several filters, a call
// makes events if all of them return true.
func WithFilter(keep func(*gin.Context) bool) Option {
	return func(cfg *config) {
		if keep != nil {
			cfg.filters = append(cfg.filters, keep)
		}
	}
}

// keeps reports whether all filters keep the call.
func (cfg *config) keeps(c *gin.Context) bool {
	for _, keep := range cfg.filters {
		if !keep(c) {
			return false
		}
	}
	return true
}

// WithRoute sets the name of the calls of one route: their events have method, such as
// "AMT_WakeUp", and messages that are made from it ("Wake Up requested").
// fullPath is the path that gin.Context.FullPath returns for the route, with the prefixes of
// groups. It need not have a segment /api: any route can make events. The guid is the value of a
// parameter :guid in the path.
func WithRoute(httpMethod, fullPath, method string) Option {
	return func(cfg *config) { cfg.names[key{httpMethod, fullPath}] = method }
}

// WithOutcome sets the function that returns the outcome of each call whose handlers have
// returned without SetOutcome. If it returns "", the HTTP status decides as described at New.
// With event.OutcomeOK the last event is a success, else a fail. Many HTTP calls may call the
// function at once; it must not block. It may read c, such as c.Errors; if it panics,
// that is a panic of the call. The status is that of the writer which c had when the
// middleware was called. There is no such function by default; the last WithOutcome wins.
func WithOutcome(of func(c *gin.Context, status int) event.Outcome) Option {
	return func(cfg *config) { cfg.outcome = of }
}

// WithActor sets the function that returns the name of the person or client who makes a call,
// such as the user that authorization has found. The events have it as the user property actor.
// The middleware calls the function twice: before the request event, and when the handlers have
// ended, also by a panic. If authorization comes before the middleware, both events have the
// actor. If it comes after the middleware, so that calls which it refuses make events too, only
// the last event has the actor. If the second result is "", the first one holds; SetActor has
// precedence over both.
//
// Characters that cannot be printed become "?", and a name of more than 256 bytes is
// shortened. Everyone who may read the broker's topic sees the name: return no token,
// and mind the laws about personal data. Many HTTP calls may call the function at
// once; it must not block. If it panics, the HTTP call goes on as if it had returned "". There is
// no such function by default; the last WithActor wins.
func WithActor(of func(*gin.Context) string) Option {
	return func(cfg *config) { cfg.actor = of }
}

// actorOf returns the name of the actor if it is known now, else the name that was known before.
func (cfg *config) actorOf(c *gin.Context, overrides overrides, before string) string {
	actor := cmp.Or(overrides.actor, cfg.callActor(c), before)
	if actor == "" {
		return ""
	}
	return printable(shortened(actor, maxActor))
}

// callActor returns the result of the function of WithActor, or "" if it panics, so that the
// call goes on.
func (cfg *config) callActor(c *gin.Context) (actor string) {
	if cfg.actor == nil {
		return ""
	}
	defer func() { _ = recover() }()
	return cfg.actor(c)
}

// WithMPSWords makes the events exactly as MPS and RPS publish them, with their mistakes, for
// users whose rules expect these: the request event of AMT_Version has the message "Power State
// requested", the last event of the deletion of an alarm has the method AMT_AlarmOccurrences,
// most failures and some successes have no guid, and RPS's failures have a path such as
// /api/v1/admin/domains as their method. docs/events.md lists the differences. It does not change
// events that MPS and RPS never publish.
func WithMPSWords() Option {
	return func(cfg *config) { cfg.mpsWords = true }
}
