// Package mps answers the REST API of Intel's MPS: every route of it, by MPS's paths, with its
// status codes and the JSON that its OpenAPI document describes. What a client sets it reads back,
// as from a real device; the devices themselves are those of the fleet.
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

// API is what all servers of a fleet know together, as several MPS share a database. Its methods
// may be called concurrently.
type API struct {
	fleet   *fleet.Fleet
	connect func(guid string, connected bool) bool // lets the server say that the connection has changed
	secret  []byte                                 // signs tokens

	mu   sync.Mutex
	amts map[string]*amt // by guid; made when a device is first asked
}

// New returns the API of a fleet. connect changes the CIRA connection of a device.
func New(f *fleet.Fleet, connect func(guid string, connected bool) bool) *API {
	return &API{fleet: f, connect: connect, secret: newSecret(), amts: map[string]*amt{}}
}

// JSON is an object of an answer.
type JSON = map[string]any

// call is one call of the API.
type call struct {
	*gin.Context
	api    *API
	device fleet.Device // of a route that needs one
	amt    *amt         // of that device, locked
}

// Route is one route and what a client has to know of it.
type Route struct {
	Method, Path string
	NeedsDevice  bool // it fails with 404 unless the device is connected
	Status       int  // of a call that works
	Body         string
	answer       func(*call) (int, any)
}

// Serve adds the routes to the router of a server, whose name devices show as their instance.
func (a *API) Serve(router gin.IRoutes) {
	for _, r := range Routes() {
		router.Handle(r.Method, r.Path, func(c *gin.Context) { a.serve(c, r) })
	}
}

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
		middleware.SetOutcome(c, event.OutcomeClient) // the device is there; what was asked for is not
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

// read reads the body of the call into a value, and returns false if it is not JSON for it.
func (k *call) read(into any) bool { return k.ShouldBindJSON(into) == nil }

func wrong(description string) (int, any) {
	return http.StatusBadRequest, JSON{"error": "Incorrect URI or Bad Request", "errorDescription": description}
}

// invalid is the answer of MPS's validators.
func invalid(field, message string) (int, any) {
	return http.StatusBadRequest, JSON{"errors": []JSON{{"type": "field", "msg": message, "path": field, "location": "body"}}}
}

func notFound(what string) (int, any) {
	return http.StatusNotFound, JSON{"error": what, "errorDescription": what}
}

// header is the part of an answer that MPS passes on from AMT.
func header(class, method string) JSON {
	return JSON{
		"To": "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous", "RelatesTo": "1",
		"Action":      class + "/" + method + "Response",
		"MessageID":   "uuid:00000000-8086-8086-8086-000000000001",
		"ResourceURI": class, "Method": method,
	}
}

func returned(class, method string, value int) JSON {
	text := "SUCCESS"
	if value != 0 {
		text = "INVALID_PARAMETER"
	}
	return JSON{"Header": header(class, method), "Body": JSON{"ReturnValue": value, "ReturnValueStr": text}}
}

func iso(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
