// Package openamt holds the REST APIs of Open AMT's servers as data: MPS, RPS and
// their successor Console. It has the AMT method name of every route and the
// messages of the events that a call makes.
//
// Names and messages that MPS or RPS publish are in the table word for word. If MPS and RPS
// publish nothing or something wrong, the table has words in their style. Their mistakes are
// kept separately, see Route.MPSWords. The package makes names for other routes by the same
// convention. docs/events.md is written from the table. The package imports only the standard
// library.
package openamt

//go:generate go test -run TestTheDocumentIsThatOfTheTable . -update

import (
	"cmp"
	"iter"
	"slices"
	"strings"
)

// Route is one route of a REST API with the words of its events. A message may
// hold parameters of the path in braces, such as {profileName}, in the place of
// their values in a call.
type Route struct {
	HTTPMethod  string // "GET"
	Path        string // the path that MPS or RPS registers: "/api/v1/amt/power/state/:guid"; empty: not in the table
	NeedsDevice bool   // the call reaches the device's AMT; a 404 has the words of DeviceNotFound
	Method      string // the name in the event's methods: "AMT_PowerState"
	Request     string // message when the call begins
	Success     string // message when the call has worked
	Fail        string // message when the call failed because of the caller or the device (4xx)
	Error       string // message when the call failed because of the server (5xx); empty: that of Fail
}

// Words holds the words of one event of a call.
type Words struct {
	Method  string // the name in the event's methods
	Message string
	GUID    bool // the event names the device, if the path does
}

// Call holds the words of the events of a call: those of the first event, and of the possible last
// events.
type Call struct{ Request, Success, Fail, Error Words }

// Words returns the words of the events of a call of r.
func (r Route) Words() Call {
	words := func(message string) Words { return Words{Method: r.Method, Message: message, GUID: true} }
	return Call{words(r.Request), words(r.Success), words(r.Fail), words(cmp.Or(r.Error, r.Fail))}
}

// DeviceNotFound holds the words of MPS's CIRA middleware, which replace those of the route when
// a call needs a device that is not connected.
var DeviceNotFound = Words{Method: "CIRA_Connection", Message: "Device Not Found", GUID: true}

// internalError is MPS's message for every exception that it catches.
const internalError = "Internal Service Error"

// Routes returns all routes of the table.
func Routes() iter.Seq[Route] { return slices.Values(table) }

// Lookup returns the route that a router has registered as path. It finds the routes of the
// table below any prefix and with any names of parameters: in
// "/mps/:tenant/api/v1/devices/:id" it compares only the tail from the segment "api",
// segment by segment. Another path with such a segment gets the words of the
// convention and an empty Path. Any other path is no route of the API: ok is false.
//
// Lookup searches the whole table: call it once for each route, not for each HTTP call.
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
