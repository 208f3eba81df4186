package middleware_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/middleware"
)

func TestValuesOutliveTheCallThatHadThem(t *testing.T) {
	router, rec := newRouter()
	router.GET("/api/v1/amt/explorer/:guid/:call", func(c *gin.Context) {
		for i := range c.Params {
			c.Params[i].Value = "changed"
		}
		c.Params = c.Params[:0]
		c.Request.Method = "changed"
		c.Request.URL.Path = "/changed"
		c.Request.Header.Set("Traceparent", "changed")
	})
	server := httptest.NewServer(router)
	defer server.Close()

	const callers, calls = 8, 50
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for i := range calls {
				res, err := server.Client().Get(fmt.Sprintf("%s/api/v1/amt/explorer/%d-%d/call-%d", server.URL, caller, i, i))
				if assert.NoError(t, err) {
					assert.NoError(t, res.Body.Close())
				}
			}
		})
	}
	wg.Wait()

	got := map[string]int{}
	for _, e := range rec.take(t) {
		got[e.GUID+" "+e.Message]++
	}
	assert.Len(t, got, 2*callers*calls)
	for caller := range callers {
		for i := range calls {
			assert.Equal(t, 1, got[fmt.Sprintf("%d-%d Explorer call requested: call-%d", caller, i, i)])
			assert.Equal(t, 1, got[fmt.Sprintf("%d-%d Explorer call received: call-%d", caller, i, i)])
		}
	}
}

func TestOtherCallsMakeNoEvents(t *testing.T) {
	router, rec := newRouter()
	router.HandleMethodNotAllowed = true
	router.GET(powerState+":guid", status(200))
	router.HEAD(powerState+":guid", status(200))
	router.OPTIONS(powerState+":guid", status(200))
	router.GET("/healthz", status(200))
	router.GET("/myapi/v1/devices", status(200))
	router.NoRoute(status(404))
	router.NoMethod(status(405))
	for request, want := range map[[2]string]int{
		{"HEAD", powerState + guid}:     200,
		{"OPTIONS", powerState + guid}:  200,
		{"POST", powerState + guid}:     405,
		{"GET", "/api/v1/amt/nothing"}:  404,
		{"GET", "/"}:                    404,
		{"GET", "/healthz"}:             200,
		{"GET", "/myapi/v1/devices"}:    200,
		{"BREW", "/api/v1/amt/nothing"}: 404,
	} {
		assert.Equal(t, want, call(t, router, request[0], request[1]), request)
		assert.Empty(t, rec.take(t), request)
	}
}

func TestRoutesOfAnyMethodMakeEvents(t *testing.T) {
	router, rec := newRouter()
	router.HandleMethodNotAllowed = true
	for _, httpMethod := range []string{"QUERY", "PURGE", "PROPFIND", "TRACE", "CONNECT"} {
		router.Handle(httpMethod, "/api/v1/things/:guid", status(200))
		router.Handle(httpMethod, "/api/v1/files/*path", status(200))
		router.Handle(httpMethod, "/healthz", status(200))
		for range 2 { // the first call learns the route, the second knows it
			for path, name := range map[string]string{"/api/v1/things/1": "Things", "/api/v1/files/a/b": "Files"} {
				serveOne(router, httpMethod, path)
				assertPair(t, rec.take(t), strings.ToLower(httpMethod)+name, 200, httpMethod)
			}
			serveOne(router, httpMethod, "/healthz")
			serveOne(router, httpMethod, "/api/v1/nothing")
			serveOne(router, "MKCOL", "/api/v1/things/1") // 405
			assert.Empty(t, rec.take(t), httpMethod)
		}
	}
}

func TestAnyIsEachOfItsMethods(t *testing.T) {
	router, rec := newRouter()
	router.Any("/api/v1/things", status(200))
	for httpMethod, events := range map[string]int{
		"GET": 2, "POST": 2, "PUT": 2, "PATCH": 2, "DELETE": 2, "CONNECT": 2, "TRACE": 2, "HEAD": 0, "OPTIONS": 0, "QUERY": 0,
	} {
		serveOne(router, httpMethod, "/api/v1/things")
		assert.Len(t, rec.take(t), events, httpMethod)
	}
}

// serveOne makes a call without the network, because Go's HTTP client refuses some methods.
func serveOne(router http.Handler, httpMethod, path string) {
	router.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(httpMethod, path, http.NoBody))
}

func TestARedirectOfTheTrailingSlashIsNoCall(t *testing.T) {
	router, rec := newRouter()
	router.GET("/api/v1/devices/", status(200))
	assert.Equal(t, 200, call(t, router, "GET", "/api/v1/devices")) // the client follows
	events := rec.take(t)
	require.Len(t, events, 2)
	assert.Equal(t, []string{"getAllDevices"}, events[0].Methods)
}

func TestARewrittenCallIsThatOfItsRoute(t *testing.T) {
	router, rec := newRouter()
	router.GET(powerState+":guid", status(200))
	router.GET("/short/:guid", func(c *gin.Context) {
		c.Request.URL.Path = powerState + c.Param("guid")
		router.HandleContext(c)
	})
	call(t, router, "GET", "/short/123")
	events := rec.take(t)
	require.Len(t, events, 2)
	assert.Equal(t, "Power State received", events[1].Message)
	assert.Equal(t, "123", events[1].GUID)
}

func TestGroupsAndNestedMiddleware(t *testing.T) {
	rec := &recorder{}
	router := gin.New()
	router.GET("/api/v1/version", status(200)) // outside the group
	api := router.Group("/mps/api", middleware.New(rec))
	authorized := api.Group("/v1", func(c *gin.Context) {
		if c.GetHeader("Authorization") == "" {
			c.AbortWithStatusJSON(401, gin.H{"error": "who are you?"})
		}
	})
	authorized.GET("/amt/power/state/:guid", status(200))

	call(t, router, "GET", "/api/v1/version")
	assert.Empty(t, rec.take(t))

	call(t, router, "GET", "/mps"+powerState+guid)
	events := rec.take(t)
	require.Len(t, events, 2)
	assert.Equal(t, event.Fail, events[1].Type)
	assert.Equal(t, 401, events[1].HTTPStatus)

	call(t, router, "GET", "/mps"+powerState+guid, "Authorization", "me")
	events = rec.take(t)
	require.Len(t, events, 2)
	assert.Equal(t, event.Success, events[1].Type)
}

// gin.Recovery treats any broken connection, also one to the device, as that of the caller: the
// status remains 200.
func TestABrokenConnectionIsAFailureBeforeRecoveryToo(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EPIPE, syscall.ECONNRESET} {
		rec := &recorder{}
		router := gin.New()
		router.Use(middleware.New(rec), gin.RecoveryWithWriter(io.Discard))
		router.GET(powerState+":guid", func(*gin.Context) {
			panic(&net.OpError{Op: "write", Err: os.NewSyscallError("write", errno)})
		})
		call(t, router, "GET", powerState+guid)
		events := rec.take(t)
		require.Len(t, events, 2)
		assert.Equal(t, event.Fail, events[1].Type, errno)
		assert.Equal(t, event.OutcomeServer, events[1].Outcome, errno)
	}
}

func TestAPanicIsAFailureAndGoesOn(t *testing.T) {
	orders := map[string]func(ours gin.HandlerFunc) []gin.HandlerFunc{
		"after Recovery":   func(ours gin.HandlerFunc) []gin.HandlerFunc { return []gin.HandlerFunc{gin.Recovery(), ours} },
		"before Recovery":  func(ours gin.HandlerFunc) []gin.HandlerFunc { return []gin.HandlerFunc{ours, gin.Recovery()} },
		"without Recovery": func(ours gin.HandlerFunc) []gin.HandlerFunc { return []gin.HandlerFunc{ours} },
	}
	for order, chain := range orders {
		for _, value := range []any{"boom", errors.New("boom"), http.ErrAbortHandler} {
			rec := &recorder{}
			router := gin.New()
			var passed any
			router.Use(func(c *gin.Context) {
				defer func() {
					if passed = recover(); passed != nil {
						panic(passed)
					}
				}()
				c.Next()
			})
			router.Use(chain(middleware.New(rec))...)
			router.GET(powerState+":guid", func(*gin.Context) { panic(value) })
			call(t, router, "GET", powerState+guid)

			events := rec.take(t)
			require.Len(t, events, 2, "%s: %v", order, value)
			assert.Equal(t, event.Event{
				Type: event.Fail, Message: "Internal Service Error", Methods: []string{"AMT_PowerState"}, GUID: guid,
				Outcome: event.OutcomeServer, HTTPStatus: 500,
			}, events[1], "%s: %v", order, value)
			if order == "without Recovery" {
				assert.Equal(t, value, passed, order)
			} else {
				assert.Nil(t, passed, order)
			}
		}
	}
}
