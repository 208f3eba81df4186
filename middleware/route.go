package middleware

import (
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gin-gonic/gin"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/openamt"
)

// key is a route as the router knows it.
type key struct{ httpMethod, fullPath string }

// routes remembers what each of the router's routes is called. It grows to the
// number of these routes, and reading it neither locks nor allocates.
type routes struct {
	names    map[key]string // given by WithRoute
	mpsWords bool

	known atomic.Pointer[map[key]*route] // replaced, never changed
	learn sync.Mutex
}

func newRoutes(cfg config) *routes {
	rs := &routes{names: cfg.names, mpsWords: cfg.mpsWords}
	rs.known.Store(&map[key]*route{})
	return rs
}

// of returns the route of a call, or nil if it makes no events.
func (rs *routes) of(c *gin.Context) *route {
	k := key{c.Request.Method, c.FullPath()}
	r, ok := (*rs.known.Load())[k]
	if ok || k.fullPath == "" || !rs.standard(k) { // the method may be anything: it is not learnt
		return r
	}
	if described, ok := rs.describe(k); ok {
		call := described.Words()
		if rs.mpsWords {
			call = described.MPSWords()
		}
		r = newRoute(call, described.NeedsDevice, parameters(described, k.fullPath, c.Params))
	}
	rs.learn.Lock()
	defer rs.learn.Unlock()
	known := maps.Clone(*rs.known.Load())
	known[k] = r
	rs.known.Store(&known)
	return r
}

// standard reports whether a method is one of HTTP's own or was named by WithRoute.
func (rs *routes) standard(k key) bool {
	switch k.httpMethod {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodHead, http.MethodOptions, http.MethodConnect, http.MethodTrace:
		return true
	}
	_, named := rs.names[k]
	return named
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

// words are what an event says that is the same in every call of a route.
type words struct {
	methods []string // shared by all events
	message string
	guid    bool
}

func newWords(w openamt.Words) words {
	return words{methods: []string{w.Method}, message: w.Message, guid: w.GUID}
}

// of returns call's event in these words.
func (w *words) of(t event.Type, call event.Event) event.Event {
	call.Type, call.Message, call.Methods = t, w.message, w.methods
	if !w.guid {
		call.GUID = ""
	}
	return call
}

// route is a route of the API where the router has it: under a prefix that may
// have parameters of its own, and with other names for its parameters.
type route struct {
	request, success, fail, error words

	needsDevice bool
	params      []string // names of gin.Params in their order
	guidAt      int      // last place of "guid" in params, or -1
	templates   bool     // some message has a placeholder
}

func newRoute(call openamt.Call, needsDevice bool, params []string) *route {
	guidAt := len(params) - 1
	for guidAt >= 0 && params[guidAt] != "guid" {
		guidAt--
	}
	r := &route{
		request: newWords(call.Request), success: newWords(call.Success), fail: newWords(call.Fail), error: newWords(call.Error),
		needsDevice: needsDevice, params: params, guidAt: guidAt,
	}
	r.templates = strings.Contains(r.request.message+r.success.message+r.fail.message+r.error.message, "{")
	return r
}

// parameters returns the names of a route's parameters, those of the table for what it
// knows of the path. If it knows nothing, the first one below amt in the API is the
// guid too, as in all routes of MPS; a later one of that name comes before it.
func parameters(r openamt.Route, fullPath string, params gin.Params) []string {
	names := make([]string, len(params))
	if r.Path != "" { // the table knows the tail of the path
		own := namesIn(r.Path)
		copy(names[max(0, len(names)-len(own)):], own)
		return names
	}
	for i, p := range params {
		names[i] = p.Key
	}
	_, api, _ := strings.Cut(fullPath, "/api/")
	_, amt, _ := strings.Cut("/"+api, "/amt/")
	if below := namesIn(amt); len(below) > 0 {
		for i := len(names) - 1; i >= 0; i-- {
			if names[i] == below[0] {
				names[i] = "guid"
				break
			}
		}
	}
	return names
}

// namesIn returns the names of the parameters of a path.
func namesIn(path string) []string {
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
	fill := strings.NewReplacer(pairs...)
	f := *r
	for _, w := range []*words{&f.request, &f.success, &f.fail, &f.error} {
		w.message = fill.Replace(w.message)
	}
	return &f
}
