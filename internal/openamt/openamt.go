// Package openamt is the REST APIs of Open AMT's servers as data: MPS, RPS and
// their successor Console. For every route it knows the AMT method name and the
// messages of the events that a call makes.
//
// Where MPS or RPS publish a name or a message, the table holds theirs, word for
// word; where they are silent or wrong, one after their manner. What they get wrong
// is kept beside it, for those who want it all the same. Routes that the table does
// not know are named by the same convention. docs/events.md is written from the
// table. The package imports only the standard library.
package openamt

//go:generate go test -run TestTheDocumentIsThatOfTheTable . -update

import (
	"cmp"
	"iter"
	"slices"
	"strings"
)

// Route is one route of a REST API and the words of its events. A message may
// hold parameters of the path in braces, such as {profileName}, which stand for
// their values in a call.
type Route struct {
	HTTPMethod  string // "GET"
	Path        string // as MPS or RPS registers it: "/api/v1/amt/power/state/:guid"; empty: not in the table
	NeedsDevice bool   // the call reaches the device's AMT; a 404 says DeviceNotFound
	Method      string // the name in the event's methods: "AMT_PowerState"
	Request     string // message when the call begins
	Success     string // message when it has worked
	Fail        string // message when the caller or the device is to blame (4xx)
	Error       string // message when the server is (5xx); empty: Fail says it too
}

// Words is what one event of a call says.
type Words struct {
	Method  string // the name in the event's methods
	Message string
	GUID    bool // the event names the device, if the path does
}

// Call is what the events of a call say: the first one, and the one that ends it.
type Call struct{ Request, Success, Fail, Error Words }

// Words returns what the events of a call of r say.
func (r Route) Words() Call {
	words := func(message string) Words { return Words{Method: r.Method, Message: message, GUID: true} }
	return Call{words(r.Request), words(r.Success), words(r.Fail), words(cmp.Or(r.Error, r.Fail))}
}

// DeviceNotFound is what MPS's CIRA middleware says instead of the route's words when
// a call needs a device that is not connected.
var DeviceNotFound = Words{Method: "CIRA_Connection", Message: "Device Not Found", GUID: true}

// internalError is MPS's message for every exception that it catches.
const internalError = "Internal Service Error"

// Routes yields the table.
func Routes() iter.Seq[Route] { return slices.Values(table) }

// Lookup returns the route that a router has registered as path. The table's
// routes are found under any prefix and with any names of parameters: in
// "/mps/:tenant/api/v1/devices/:id" only the tail from the segment "api" counts,
// segment by segment. Another path with such a segment gets the words of the
// convention and an empty Path; all others are no route of the API.
//
// Lookup searches the whole table: ask once for each route, not for each call.
func Lookup(httpMethod, path string) (r Route, ok bool) {
	segments := strings.Split(strings.TrimSuffix(path, "/"), "/")
	tail := segments
	for i, s := range segments {
		if s != "api" {
			continue
		}
		ok, tail = true, segments[i:]
		for r := range Routes() {
			if r.HTTPMethod == httpMethod && slices.EqualFunc(strings.Split(r.Path[1:], "/"), tail, sameSegment) {
				return r, true
			}
		}
	}
	if !ok {
		return Route{}, false
	}
	return Named(httpMethod, conventionalName(httpMethod, tail)), true
}

func sameSegment(a, b string) bool {
	return a == b || strings.HasPrefix(a, ":") && strings.HasPrefix(b, ":")
}
