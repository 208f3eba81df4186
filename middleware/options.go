package middleware

import (
	"github.com/gin-gonic/gin"

	"github.com/mps-events/mps-events/event"
)

// Option changes what New does by default.
type Option func(*config)

type config struct {
	filters  []func(*gin.Context) bool
	outcome  func(*gin.Context, int) event.Outcome // or nil
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

// WithFilter limits the events to calls for which keep returns true. It is asked
// once for each call that would make events, before the handlers, by many calls at
// once, and again when gin.Engine.HandleContext sends the call to another route. By default
// all calls are kept, and a nil keep keeps all; of several filters all must keep the call.
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

// WithRoute names the calls of one route: method becomes the name in their events,
// such as "AMT_WakeUp", and the messages are made from it ("Wake Up requested").
// fullPath is what gin.Context.FullPath returns for the route, prefixes of groups
// included; it need not have a segment /api, so that any route can make events. A
// parameter :guid of the path is the guid.
func WithRoute(httpMethod, fullPath, method string) Option {
	return func(cfg *config) { cfg.names[key{httpMethod, fullPath}] = method }
}

// WithOutcome asks of for the outcome of each call whose handlers have returned and
// have not called SetOutcome. If it returns "" the HTTP status decides as New says.
// With event.OutcomeOK the last event is a success, else a fail. It is called by many calls
// at once, must not block or panic, and reads what it wants from c, such as c.Errors. By
// default there is none; of several the last one holds.
func WithOutcome(of func(c *gin.Context, status int) event.Outcome) Option {
	return func(cfg *config) { cfg.outcome = of }
}

// WithMPSWords makes the events that MPS and RPS publish, mistakes included, for those
// who have rules for these: the AMT_Version call says "Power State requested", the
// deletion of an alarm ends as AMT_AlarmOccurrences, most failures and some successes
// leave the guid out, and RPS's failures have a path such as /api/v1/admin/domains for
// a name. docs/events.md lists the differences. Events about which MPS and RPS are
// silent are made as without it.
func WithMPSWords() Option {
	return func(cfg *config) { cfg.mpsWords = true }
}
