package middleware_test

import (
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/middleware"
)

// The success of these routes is an event in the life of a device.
func TestRoutesMakeTheEventsOfADevicesLife(t *testing.T) {
	for route, want := range map[[2]string]event.Event{
		{"DELETE", "/api/v1/amt/deactivate/:guid"}:  event.Deactivated(guid),
		{"POST", "/api/v1/amt/power/action/:guid"}:  event.PowerChanged(guid),
		{"DELETE", "/api/v1/devices/:guid"}:         event.Removed(guid),
		{"POST", "/api/v1/devices"}:                 event.Added(guid),
		{"POST", "/console/:tenant/api/v1/devices"}: event.Added(guid),
	} {
		router, rec := newRouter()
		router.Handle(route[0], route[1], func(c *gin.Context) {
			if c.Param("guid") == "" { // it is in the body
				middleware.SetGUID(c, guid)
			}
		})
		f := fact{Method: route[0], Route: route[1]}
		path := parameter.ReplaceAllString(f.Route, guid)
		require.Equal(t, 200, call(t, router, f.Method, path))
		events := rec.take(t)
		require.Len(t, events, 2, route)
		assert.Equal(t, event.Request, events[0].Type, route)
		assert.Equal(t, want, events[1], route)
	}
}

func TestWhatIsNoLifeOfADeviceIsNotCalledSo(t *testing.T) {
	router, rec := newRouter()
	router.POST("/api/v1/devices", status(409))
	router.DELETE("/api/v1/amt/deactivate/:guid", status(500))
	call(t, router, "POST", "/api/v1/devices")
	call(t, router, "DELETE", "/api/v1/amt/deactivate/"+guid)
	for _, e := range rec.take(t) {
		assert.NotEqual(t, event.Success, e.Type, e.Message)
		assert.NotContains(t, e.Methods, "Activator")
	}
}
