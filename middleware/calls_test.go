package middleware_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/middleware"
)

// forward returns a handler that sends the call on to another path of engine.
func forward(engine *gin.Engine, path string) gin.HandlerFunc {
	return func(c *gin.Context) {
		c.Request.URL.Path = path
		engine.HandleContext(c)
	}
}

// assertPair checks that events are the two of one call that ended with httpStatus, and have
// method.
func assertPair(t *testing.T, events []event.Event, method string, httpStatus int, what string) {
	t.Helper()
	require.Len(t, events, 2, what)
	assert.Equal(t, event.Request, events[0].Type, what)
	assert.Equal(t, []string{method}, events[0].Methods, what)
	assert.Equal(t, []string{method}, events[1].Methods, what)
	if httpStatus < 400 {
		assert.Equal(t, event.Success, events[1].Type, what)
		httpStatus = 0
	} else {
		assert.Equal(t, event.Fail, events[1].Type, what)
	}
	assert.Equal(t, httpStatus, events[1].HTTPStatus, what)
}

func TestOneCallThatIsSentOnMakesOnePair(t *testing.T) {
	rec := &recorder{}
	router, other := gin.New(), gin.New()
	router.Use(middleware.New(rec))
	other.Use(middleware.New(rec))
	router.GET("/api/v1/first/:guid", forward(router, "/api/v1/second/2"))
	router.GET("/api/v1/second/:guid", status(409))
	router.GET("/api/v1/zeroth/:guid", forward(router, "/api/v1/first/1"))
	router.GET("/plain", forward(router, "/api/v1/first/1"))
	router.GET("/api/v1/out/:guid", forward(router, "/healthz"))
	router.GET("/healthz", status(204))
	router.GET("/api/v1/nowhere/:guid", forward(router, "/nothing"))
	router.GET("/api/v1/across/:guid", forward(other, "/api/v1/there/3"))
	other.GET("/api/v1/there/:guid", forward(router, "/api/v1/second/2"))
	for path, want := range map[string]struct {
		method string
		status int
	}{
		"/api/v1/first/7":   {"getFirst", 409}, // the route that matched first names the call
		"/api/v1/zeroth/7":  {"getZeroth", 409},
		"/plain":            {"getFirst", 409}, // no route of the API itself
		"/api/v1/out/7":     {"getOut", 204},
		"/api/v1/nowhere/7": {"getNowhere", 404},
		"/api/v1/across/7":  {"getAcross", 409},
		"/api/v1/second/7":  {"getSecond", 409}, // and one that is not sent on
	} {
		for range 3 { // gin takes its contexts from a pool
			assert.Equal(t, want.status, call(t, router, "GET", path), path)
			assertPair(t, rec.take(t), want.method, want.status, path)
		}
	}
}

func TestTheGUIDOfACallThatIsSentOnIsThatOfItsFirstRoute(t *testing.T) {
	router, rec := newRouter()
	router.GET("/api/v1/own/:guid", forward(router, powerState+"2"))
	router.GET(powerState+":guid", status(200))
	call(t, router, "GET", "/api/v1/own/1")
	for _, e := range rec.take(t) {
		assert.Equal(t, "1", e.GUID)
	}
}

func TestWhatIsSaidBeforeACallIsSentOnHolds(t *testing.T) {
	router, rec := newRouter()
	router.GET("/api/v1/first", func(c *gin.Context) {
		middleware.SetGUID(c, "1")
		middleware.SetActor(c, "ada")
		middleware.SetMessage(c, "first")
		forward(router, "/api/v1/second")(c)
		middleware.SetOutcome(c, event.OutcomeDevice)
	})
	router.GET("/api/v1/second", func(c *gin.Context) { middleware.SetMessage(c, "second") })
	call(t, router, "GET", "/api/v1/first")
	assert.Equal(t, event.Event{
		Type: event.Fail, Message: "second", Methods: []string{"getFirst"}, GUID: "1",
		Outcome: event.OutcomeDevice, HTTPStatus: 200, Actor: "ada",
	}, rec.take(t)[1])
}

func TestAPanicOfACallThatWasSentOnEndsItsOnePair(t *testing.T) {
	for order, chain := range map[string][]gin.HandlerFunc{
		"after Recovery":   {gin.Recovery(), nil},
		"before Recovery":  {nil, gin.RecoveryWithWriter(io.Discard)},
		"without Recovery": {nil},
	} {
		rec := &recorder{}
		router := gin.New()
		for _, handler := range chain {
			if handler == nil {
				handler = middleware.New(rec)
			}
			router.Use(handler)
		}
		router.GET("/api/v1/first/:guid", forward(router, "/api/v1/second/2"))
		router.GET("/api/v1/second/:guid", func(c *gin.Context) {
			if c.Query("panic") != "" {
				panic("boom")
			}
		})
		for range 3 {
			call(t, router, "GET", "/api/v1/first/1?panic=1")
			assertPair(t, rec.take(t), "getFirst", 500, order)
			call(t, router, "GET", "/api/v1/second/1?panic=1")
			assertPair(t, rec.take(t), "getSecond", 500, order)
			call(t, router, "GET", "/api/v1/first/1")
			assertPair(t, rec.take(t), "getFirst", 200, order)
		}
	}
}

// emitters is an emitter whose values Go cannot compare.
type emitters []middleware.Emitter

func (es emitters) Publish(e event.Event) error {
	for _, emitter := range es {
		_ = emitter.Publish(e)
	}
	return nil
}

func TestTheMiddlewareTwiceIsOnePairForEachEmitter(t *testing.T) {
	rec, other := &recorder{}, &recorder{}
	same := middleware.New(rec)
	for what, chain := range map[string][]gin.HandlerFunc{
		"the same":               {same, same},
		"made anew":              {middleware.New(rec), middleware.New(rec)},
		"another emitter within": {middleware.New(rec), middleware.New(other), middleware.New(rec)},
		"cannot be compared":     {middleware.New(emitters{rec, other})},
	} {
		router := gin.New()
		router.Use(chain...)
		router.GET(powerState+":guid", status(200))
		router.GET("/api/v1/first", forward(router, powerState+guid))
		for path, method := range map[string]string{powerState + guid: "AMT_PowerState", "/api/v1/first": "getFirst"} {
			require.Equal(t, 200, call(t, router, "GET", path), what)
			assertPair(t, rec.take(t), method, 200, what)
			if len(chain) != 2 {
				assertPair(t, other.take(t), method, 200, what)
			}
		}
	}
}

func TestAFilterMayLeaveTheCallToALaterRoute(t *testing.T) {
	router, rec := newRouter(middleware.WithFilter(func(c *gin.Context) bool { return c.FullPath() != "/api/v1/first" }))
	router.GET("/api/v1/first", forward(router, powerState+guid))
	router.GET(powerState+":guid", status(200))
	call(t, router, "GET", "/api/v1/first")
	assertPair(t, rec.take(t), "AMT_PowerState", 200, "")
}

func TestAFilterThatPanicsDoesNotSilenceLaterCalls(t *testing.T) {
	rec := &recorder{}
	router := gin.New()
	router.Use(gin.Recovery(), middleware.New(rec, middleware.WithFilter(func(c *gin.Context) bool {
		if c.Query("panic") != "" {
			panic("boom")
		}
		return true
	})))
	router.GET(powerState+":guid", status(200))
	for range 3 {
		req := httptest.NewRequest(http.MethodGet, powerState+guid+"?panic=1", http.NoBody)
		router.ServeHTTP(httptest.NewRecorder(), req)
		assert.Empty(t, rec.take(t))
		router.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, powerState+guid, http.NoBody))
		assertPair(t, rec.take(t), "AMT_PowerState", 200, "")
	}
}

// A request that a handler sends to the router is another call.
func TestABatchMakesThePairsOfItsCalls(t *testing.T) {
	router, rec := newRouter()
	router.POST("/api/v1/batch", func(c *gin.Context) {
		for i := range 3 {
			req := httptest.NewRequest(http.MethodGet, powerState+fmt.Sprint(i), http.NoBody)
			req.Header = c.Request.Header
			router.ServeHTTP(httptest.NewRecorder(), req)
		}
	})
	router.GET(powerState+":guid", status(200))
	call(t, router, "POST", "/api/v1/batch")
	assert.Len(t, rec.take(t), 8)
}

func TestManyCallsThatAreSentOnAtOnce(t *testing.T) {
	router, rec := newRouter()
	router.GET("/api/v1/first/:guid", func(c *gin.Context) { forward(router, "/api/v1/second/"+c.Param("guid"))(c) })
	router.GET("/api/v1/second/:guid", status(200))
	const callers, calls = 8, 200
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for i := range calls {
				path := fmt.Sprintf("/api/v1/first/%d-%d", caller, i)
				router.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, http.NoBody))
			}
		})
	}
	wg.Wait()
	got := map[string]int{}
	for _, e := range rec.take(t) {
		got[e.GUID+" "+e.Methods[0]+" "+string(e.Type)]++
	}
	assert.Len(t, got, 2*callers*calls)
	for what, n := range got {
		require.Equal(t, 1, n, what)
	}
}
