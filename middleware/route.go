package middleware

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gin-gonic/gin"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/openamt"
)

// key is the name of a route in the router.
type key struct{ httpMethod, fullPath string }

// maxOtherRoutes is the maximum number of remembered routes with methods that HTTP itself
// does not know, such as QUERY. A middleware that sets c.Request.Method may let callers
// invent methods: further routes are described anew in each call.
const maxOtherRoutes = 64

// routes is the memory of the router's routes and their words. It grows to the
// number of these routes, and reading it neither locks nor allocates.
type routes struct {
	names    map[key]string // set by WithRoute
	mpsWords bool

	known atomic.Pointer[map[string][]knownRoute] // by full path; replaced, never changed
	learn sync.Mutex
	other int // number of known routes that count for maxOtherRoutes
}

// knownRoute is a remembered route for one HTTP method.
type knownRoute struct {
	httpMethod string
	route      *route // nil: it makes no events
}

func newRoutes(cfg config) *routes {
	rs := &routes{names: cfg.names, mpsWords: cfg.mpsWords}
	rs.known.Store(&map[string][]knownRoute{})
	return rs
}

// of returns the route of a call, or nil if the call makes no events.
func (rs *routes) of(c *gin.Context) *route {
	k := key{c.Request.Method, c.FullPath()}
	if k.fullPath == "" {
		return nil
	}
	for _, known := range (*rs.known.Load())[k.fullPath] {
		if known.httpMethod == k.httpMethod {
			return known.route
		}
	}
	var r *route
	if described, ok := rs.describe(k); ok {
		words := described.Words()
		if rs.mpsWords {
			words = described.MPSWords()
		}
		r = newRoute(words, described.NeedsDevice, parameters(described, k.fullPath, c.Params))
	}
	rs.remember(k, r)
	return r
}

// remember remembers r as the route of k, if its method is standard or there is room.
func (rs *routes) remember(k key, r *route) {
	other := !rs.standard(k)
	rs.learn.Lock()
	defer rs.learn.Unlock()
	known := *rs.known.Load()
	same := func(known knownRoute) bool { return known.httpMethod == k.httpMethod }
	if slices.ContainsFunc(known[k.fullPath], same) || other && (rs.other == maxOtherRoutes || len(k.httpMethod) > maxMethod) {
		return
	}
	if other {
		rs.other++
	}
	known = maps.Clone(known)
	// A clone, because the method is a part of the request's first line, which would stay in memory.
	known[k.fullPath] = append(slices.Clone(known[k.fullPath]), knownRoute{strings.Clone(k.httpMethod), r})
	rs.known.Store(&known)
}

// standard reports whether the method of k is one of HTTP itself or was named by WithRoute.
func (rs *routes) standard(k key) bool {
	switch k.httpMethod {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodHead, http.MethodOptions, http.MethodConnect, http.MethodTrace:
		return true
	}
	_, named := rs.names[k]
	return named
}

// describe returns the openamt.Route of k. ok is false if the route makes no events.
func (rs *routes) describe(k key) (r openamt.Route, ok bool) {
	if method, ok := rs.names[k]; ok {
		return openamt.Named(k.httpMethod, method), true
	}
	if k.httpMethod == http.MethodHead || k.httpMethod == http.MethodOptions {
		return openamt.Route{}, false
	}
	return openamt.Lookup(shortened(k.httpMethod, maxMethod), k.fullPath)
}

// words are the parts of an event that are the same in every call of a route.
type words struct {
	methods []string // all events share it
	message string
	guid    bool
}

func newWords(w openamt.Words) words {
	return words{methods: []string{w.Method}, message: w.Message, guid: w.GUID}
}

// write sets the fields of e to these words, for a call whose guid is guid.
func (w *words) write(e *event.Event, t event.Type, guid string) {
	e.Type, e.Message, e.Methods, e.GUID = t, w.message, w.methods, ""
	if w.guid {
		e.GUID = guid
	}
}

// route is a route of the API as the router has it: below a prefix that may
// have parameters, and with its own names for parameters.
type route struct {
	request, success, fail, error words

	needsDevice bool
	params      []string // names of the parameters, in the order of gin.Params
	guidAt      int      // last place of "guid" in params, or -1
	templates   bool     // at least one message has a placeholder
}

// newRoute returns the route with the words of call and the names params of its parameters.
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

// parameters returns the names of a route's parameters: those in the table, as far as the table
// has the path. If it has not, the first parameter below amt is named guid, as in all routes of
// MPS; a later parameter named guid has precedence.
func parameters(r openamt.Route, fullPath string, params gin.Params) []string {
	names := make([]string, len(params))
	if r.Path != "" { // the table has the tail of the path
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

// namesIn returns the names of the parameters in a path.
func namesIn(path string) []string {
	var names []string
	for segment := range strings.SplitSeq(path, "/") {
		if name, ok := strings.CutPrefix(segment, ":"); ok {
			names = append(names, name)
		}
	}
	return names
}

// guid returns the guid of a call as gin has decoded it, or "" if it has none.
func (r *route) guid(params gin.Params) string {
	if r.guidAt < 0 || r.guidAt >= len(params) {
		return ""
	}
	return params[r.guidAt].Value
}

// filled returns r with the placeholders in its messages replaced by the values of one call. If
// there are none, it returns r itself, without an allocation.
func (r *route) filled(params gin.Params) *route {
	if !r.templates {
		return r
	}
	var pairs []string
	for i, p := range params[:min(len(params), len(r.params))] {
		pairs = append(pairs, "{"+r.params[i]+"}", shortened(p.Value, maxMessage))
	}
	fill := strings.NewReplacer(pairs...)
	f := *r
	for _, w := range []*words{&f.request, &f.success, &f.fail, &f.error} {
		w.message = fill.Replace(w.message)
	}
	return &f
}
