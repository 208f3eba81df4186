package middleware

import (
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gin-gonic/gin"

	"github.com/mps-events/mps-events/internal/openamt"
)

// key is a route as the router knows it.
type key struct{ httpMethod, fullPath string }

// routes remembers what each of the router's routes is called. It grows to the
// number of these routes, and reading it neither locks nor allocates.
type routes struct {
	names map[key]string // given by WithRoute

	known atomic.Pointer[map[key]*route] // replaced, never changed
	learn sync.Mutex
}

func newRoutes(names map[key]string) *routes {
	rs := &routes{names: names}
	rs.known.Store(&map[key]*route{})
	return rs
}

// of returns the route of a call, or nil if it makes no events.
func (rs *routes) of(c *gin.Context) *route {
	k := key{c.Request.Method, c.FullPath()}
	r, ok := (*rs.known.Load())[k]
	if ok || k.fullPath == "" { // no route matches: the method may be anything
		return r
	}
	if described, ok := rs.describe(k); ok {
		r = newRoute(described, c.Params)
	}
	rs.learn.Lock()
	defer rs.learn.Unlock()
	known := maps.Clone(*rs.known.Load())
	known[k] = r
	rs.known.Store(&known)
	return r
}

// describe returns the words of a route; ok is false if it makes no events.
func (rs *routes) describe(k key) (r openamt.Route, ok bool) {
	if method, ok := rs.names[k]; ok {
		return openamt.Named(k.httpMethod, method), true
	}
	if k.httpMethod == http.MethodHead || k.httpMethod == http.MethodOptions {
		return openamt.Route{}, false
	}
	return openamt.Lookup(k.httpMethod, k.fullPath)
}

// route is a route of the API where the router has it: under a prefix that may
// have parameters of its own, and with other names for its parameters.
type route struct {
	openamt.Route
	methods   []string // Route.Method, shared by all events
	params    []string // names of gin.Params in their order, those of the table for its tail
	guidAt    int      // last place of "guid" in params, or -1
	templates bool     // some message has a placeholder
}

func newRoute(r openamt.Route, params gin.Params) *route {
	names := make([]string, len(params))
	if r.Path == "" { // named by convention
		for i, p := range params {
			names[i] = p.Key
		}
	} else { // the table knows the tail of the path
		own := parameters(r.Path)
		copy(names[max(0, len(names)-len(own)):], own)
	}
	guidAt := len(names) - 1
	for guidAt >= 0 && names[guidAt] != "guid" {
		guidAt--
	}
	return &route{
		Route:     r,
		methods:   []string{r.Method},
		params:    names,
		guidAt:    guidAt,
		templates: strings.Contains(r.Request+r.Success+r.Fail+r.Error, "{"),
	}
}

// parameters returns the names of the parameters of a path.
func parameters(path string) []string {
	var names []string
	for segment := range strings.SplitSeq(path, "/") {
		if name, ok := strings.CutPrefix(segment, ":"); ok {
			names = append(names, name)
		}
	}
	return names
}

// guid returns the guid of a call as gin has decoded it, or "".
func (r *route) guid(params gin.Params) string {
	if r.guidAt < 0 || r.guidAt >= len(params) {
		return ""
	}
	return params[r.guidAt].Value
}

// filled returns r with the messages of one call: r itself, without an allocation,
// unless they have placeholders.
func (r *route) filled(params gin.Params) *route {
	if !r.templates {
		return r
	}
	var pairs []string
	for i, p := range params[:min(len(params), len(r.params))] {
		pairs = append(pairs, "{"+r.params[i]+"}", p.Value)
	}
	fill := strings.NewReplacer(pairs...).Replace
	f := *r
	f.Request, f.Success, f.Fail, f.Error = fill(r.Request), fill(r.Success), fill(r.Fail), fill(r.Error)
	return &f
}
