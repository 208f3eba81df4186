// Package mps simulates the REST API of Intel's MPS: every route, with the paths and status codes of
// MPS and the JSON that its OpenAPI document describes. A client reads back the values that it has
// set, as from a real device. The devices come from package fleet.
package mps

import (
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/middleware"
	"github.com/mps-events/mps-events/mps-sim/internal/fleet"
)

// API is the REST API with the state that all servers of a fleet share, as several MPS share a
// database. Its methods may be called concurrently.
type API struct {
	fleet   *fleet.Fleet
	connect func(guid string, connected bool) bool // also lets the server publish the change
	secret  []byte                                 // signs tokens

	ciraCertificate func() string // makes it at the first call

	mu   sync.Mutex
	amts map[string]*amt // by guid; made at the first call for a device
}

// New makes the API of a fleet. It calls connect to change the CIRA connection of a device.
func New(f *fleet.Fleet, connect func(guid string, connected bool) bool) *API {
	return &API{fleet: f, connect: connect, secret: newSecret(), amts: map[string]*amt{}, ciraCertificate: sync.OnceValue(newCertificate)}
}

// JSON is a JSON object in an answer.
type JSON = map[string]any

// call is one call of the API.
type call struct {
	*gin.Context
	api    *API
	device fleet.Device // set for routes that need a device
	amt    *amt         // of that device; set for the same routes, and locked
}

// Route is a route of the REST API with an example of a call.
type Route struct {
	Method, Path string
	NeedsDevice  bool   // the answer is 404 unless the device is connected
	Status       int    // of a successful call
	Body         string // the body of the example
	answer       func(*call) (int, any)
}

// Serve adds the routes to the router of a server.
func (a *API) Serve(router gin.IRoutes) {
	for _, r := range Routes() {
		router.Handle(r.Method, r.Path, func(c *gin.Context) { a.serve(c, r) })
	}
}

// serve answers a call of a route.
func (a *API) serve(c *gin.Context, r Route) {
	c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, 1<<20)
	k := &call{Context: c, api: a}
	if r.NeedsDevice {
		d, ok := a.fleet.Get(c.Param("guid"))
		switch {
		case !ok || !d.Connected:
			c.JSON(http.StatusNotFound, JSON{
				"error":            "Device not found/connected. Please connect again using CIRA.",
				"errorDescription": "guid : " + c.Param("guid"),
			})
			return
		case d.Trouble:
			c.JSON(http.StatusInternalServerError, JSON{"error": "Internal Server Error", "errorDescription": "AMT of the device does not answer"})
			return
		}
		k.device = d
		a.mu.Lock()
		defer a.mu.Unlock()
		k.amt = a.amtOf(d)
	}
	status, answer := r.answer(k)
	if status == http.StatusNotFound {
		middleware.SetOutcome(c, event.OutcomeClient) // the fault is not that of an absent device
	}
	if answer == nil {
		c.Status(status)
		return
	}
	if text, ok := answer.(string); ok {
		c.String(status, "%s", text)
		return
	}
	c.JSON(status, answer)
}

// readBody parses the body of the call into a value, and returns false if that fails.
func (k *call) readBody(into any) bool { return k.ShouldBindJSON(into) == nil }

// badRequest returns the answer of MPS to other mistakes of a client.
func badRequest(description string) (int, any) {
	return http.StatusBadRequest, JSON{"error": "Incorrect URI or Bad Request", "errorDescription": description}
}

// invalid returns the answer of MPS's validators.
func invalid(field, message string) (int, any) {
	return http.StatusBadRequest, JSON{"errors": []JSON{{"type": "field", "msg": message, "path": field, "location": "body"}}}
}

func notFound(what string) (int, any) {
	return http.StatusNotFound, JSON{"error": what, "errorDescription": what}
}

// header returns the header of an answer of AMT, which MPS passes on.
func header(class, method string) JSON {
	return JSON{
		"To": "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous", "RelatesTo": "1",
		"Action":      class + "/" + method + "Response",
		"MessageID":   "uuid:00000000-8086-8086-8086-000000000001",
		"ResourceURI": class, "Method": method,
	}
}

// returnValue returns an answer of AMT that has only a ReturnValue.
func returnValue(class, method string, value int) JSON {
	text := "SUCCESS"
	if value != 0 {
		text = "INVALID_PARAMETER"
	}
	return JSON{"Header": header(class, method), "Body": JSON{"ReturnValue": value, "ReturnValueStr": text}}
}

func isoTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
