package middleware

import (
	"cmp"

	"github.com/gin-gonic/gin"

	"github.com/mps-events/mps-events/event"
)

// Option changes what New does by default.
type Option func(*config)

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
// at once, must not block, and reads what it wants from c, such as c.Errors; if it panics,
// that is a panic of the call. The status is that of the writer which c had when the
// middleware was called. By default there is none; of several the last one holds.
func WithOutcome(of func(c *gin.Context, status int) event.Outcome) Option {
	return func(cfg *config) { cfg.outcome = of }
}

// WithActor asks of for the name of the person or client who makes a call, such as the
// user that authorization has found, and sends it as the user property actor. The function is asked
// twice: before the request event, and when the handlers have ended, by a panic too. An
// authorization in front of the middleware so names the actor in both events; one inside,
// where it belongs if calls that it refuses are to make events, names the actor in the last
// event only. If the second answer is "" the first one holds; SetActor comes before both.
//
// Characters that cannot be printed become "?", and a name of more than 256 bytes is
// shortened. The name goes to everyone who may read the broker's topic: return no token,
// and mind what the law says of personal data. The function is called by many calls at
// once and must not block; if it panics, that event names nobody new and the call goes on. By
// default there is none; of several the last one holds.
func WithActor(of func(*gin.Context) string) Option {
	return func(cfg *config) { cfg.actor = of }
}

// actorOf returns the name of the actor as far as it is known now, or else the one that
// was known before.
func (cfg *config) actorOf(c *gin.Context, said said, before string) string {
	actor := cmp.Or(said.actor, cfg.asked(c), before)
	if actor == "" {
		return ""
	}
	return printable(shortened(actor, maxActor))
}

// asked returns what the function of WithActor says, and "" if it panics: a call is worth
// more than a name.
func (cfg *config) asked(c *gin.Context) (actor string) {
	if cfg.actor == nil {
		return ""
	}
	defer func() { _ = recover() }()
	return cfg.actor(c)
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
