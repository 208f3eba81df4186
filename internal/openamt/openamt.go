// Package openamt is the REST APIs of Open AMT's servers as data: MPS, RPS and
// their successor Console. For every route it knows the AMT method name and the
// messages of the events that a call makes.
//
// Where MPS or RPS publish a name or a message, the table holds theirs, word for
// word; where they are silent or wrong, one after their manner. Routes that the
// table does not know are named by the same convention. The package imports only
// the standard library.
package openamt

import (
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
	NeedsDevice bool   // the call reaches the device's AMT; 404 means DeviceNotFound
	Method      string // the name in the event's methods: "AMT_PowerState"
	Request     string // message when the call begins
	Success     string // message when it has worked
	Fail        string // message when the caller or the device is to blame (4xx)
	Error       string // message when the server is (5xx); empty: Fail says it too
}

// What MPS's CIRA middleware says, under this name instead of the route's, when a
// call needs a device that is not connected.
const (
	CIRAConnection = "CIRA_Connection"
	DeviceNotFound = "Device Not Found"
)

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
