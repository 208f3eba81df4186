package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/assert"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/middleware"
)

type discard struct{}

func (discard) Publish(event.Event) error { return nil }

func noop(c *gin.Context) { c.Next() }

// caller returns a function that makes one call on a router with these middlewares. It uses
// neither the network nor gin's pool of contexts, whose cost would be measured too.
func caller(middlewares ...gin.HandlerFunc) func() {
	router := gin.New()
	router.Use(middlewares...)
	router.GET(powerState+":guid", func(*gin.Context) {})
	c := gin.CreateTestContextOnly(httptest.NewRecorder(), router)
	c.Request = httptest.NewRequest(http.MethodGet, powerState+guid, http.NoBody)
	c.Request.Header.Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	return func() { router.HandleContext(c) }
}

func TestNoAllocationOfItsOwn(t *testing.T) {
	const runs = 1000
	assert.Equal(t,
		testing.AllocsPerRun(runs, caller(noop)),
		testing.AllocsPerRun(runs, caller(middleware.New(discard{}))),
	)
}
