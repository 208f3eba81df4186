package middleware

import "github.com/gin-gonic/gin"

// Option changes what New does by default.
type Option func(*config)

type config struct {
	filter func(*gin.Context) bool
	names  map[key]string
}

func newConfig(opts []Option) config {
	cfg := config{
		filter: func(*gin.Context) bool { return true },
		names:  map[key]string{},
	}
	for _, opt := range opts {
		opt(&cfg)
	}
	return cfg
}

// WithFilter limits the events to calls for which keep returns true. It is asked
// once for each call that would make events, before the handlers, by many calls at
// once. By default all are kept; of several filters the last one holds.
func WithFilter(keep func(*gin.Context) bool) Option {
	return func(cfg *config) { cfg.filter = keep }
}

// WithRoute names the calls of one route: method becomes the name in their events,
// such as "AMT_WakeUp", and the messages are made from it ("Wake Up requested").
// fullPath is what gin.Context.FullPath returns for the route, prefixes of groups
// included; it need not have a segment /api, so that any route can make events. A
// parameter :guid of the path is the guid.
func WithRoute(httpMethod, fullPath, method string) Option {
	return func(cfg *config) { cfg.names[key{httpMethod, fullPath}] = method }
}
