package middleware_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/middleware"
	"github.com/mps-events/mps-events/publisher"
)

const explorer = "/api/v1/amt/explorer/"

// Callers may write such texts into a path, percent-encoded, and handlers may set them.
var hostile = map[string]string{
	"ASCII":             strings.Repeat("x", 70_000),
	"four bytes a rune": strings.Repeat("😀", 20_000),
	"odd by one":        "x" + strings.Repeat("€", 30_000),
	"no UTF-8":          strings.Repeat("\xff", 70_000),
	"continuation only": strings.Repeat("\x80", 70_000),
	"NUL":               strings.Repeat("\x00", 70_000),
	"placeholders":      strings.Repeat("{call}", 15_000),
}

func escaped(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		b.WriteByte('%')
		b.WriteByte(hex[s[i]>>4])
		b.WriteByte(hex[s[i]&15])
	}
	return b.String()
}

func TestNoCallKeepsItselfOutOfTheRecordByItsSize(t *testing.T) {
	addr := brokertest.Start(t, "").Addr()
	messages := brokertest.Subscribe(t, addr, "#")
	pub, err := publisher.New(publisher.Config{Address: addr, Topic: "mps/events/{guid}/{method}/{type}", CloudEvents: true})
	require.NoError(t, err)
	router := gin.New()
	router.Use(gin.Recovery(), middleware.New(pub, middleware.WithActor(func(c *gin.Context) string { return c.Param("guid") })))
	router.GET(explorer+":guid/:call", func(c *gin.Context) {
		if c.Query("say") != "" {
			long := c.Param("call")
			middleware.SetGUID(c, long)
			middleware.SetMessage(c, long)
			middleware.SetActor(c, long)
		}
	})
	for what, value := range hostile {
		for _, query := range []string{"", "?say=1"} {
			res := httptest.NewRecorder()
			router.ServeHTTP(res, httptest.NewRequest(http.MethodGet, explorer+escaped(value)+"/"+escaped(value)+query, http.NoBody))
			require.Equal(t, http.StatusOK, res.Code, what)
			for _, want := range []event.Type{event.Request, event.Success} {
				m := brokertest.Receive(t, messages)
				e, err := event.Parse(m.Payload)
				require.NoError(t, err, what)
				assert.Equal(t, want, e.Type, what)
				actor := m.Properties.User.Get("actor")
				assert.Less(t, len(m.Payload), 6<<10, what)
				for _, text := range []string{e.GUID, e.Message, actor} {
					assert.True(t, strings.HasSuffix(text, "…"), "%s: %q is marked as shortened", what, text)
					assert.LessOrEqual(t, len([]rune(text)), 512, what)
					if utf8.ValidString(value) {
						assert.NotContains(t, text, "\uFFFD", "%s: cut between characters", what)
					}
				}
			}
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), brokertest.Wait)
	defer cancel()
	require.NoError(t, pub.Shutdown(ctx))
	assert.Equal(t, uint64(4*len(hostile)), pub.Stats().Accepted)
	assert.Empty(t, messages)
}

func TestWhatIsNotLongIsNotShortened(t *testing.T) {
	for _, value := range []string{guid, strings.Repeat("x", 200), strings.Repeat("€", 80)} {
		router, rec := newRouter()
		router.GET(explorer+":guid/:call", func(c *gin.Context) { middleware.SetActor(c, value) })
		call(t, router, "GET", explorer+escaped(value)+"/"+escaped(value))
		events := rec.take(t)
		require.Len(t, events, 2)
		assert.Equal(t, value, events[0].GUID)
		assert.Equal(t, "Explorer call requested: "+value, events[0].Message)
		assert.Equal(t, value, events[1].Actor)
		long := strings.Repeat(value, 2)
		assert.Equal(t, long, endOf(t, func(c *gin.Context) { middleware.SetMessage(c, long) }).Message)
	}
}

// overridden sets the method of the request to the header X-HTTP-Method-Override, after gin has
// found the route: callers can choose any method.
func overridden(c *gin.Context) {
	if method := c.GetHeader("X-HTTP-Method-Override"); method != "" {
		c.Request.Method = method
	}
}

func TestMethodsThatTheRouterDoesNotKnowAreNotLearnt(t *testing.T) {
	router := gin.New()
	router.Use(overridden, middleware.New(discard{}))
	router.GET(powerState+":guid", status(200))
	router.Handle("PURGE", powerState+":guid", status(200))
	calls := func(n, size int) {
		for range n {
			req := httptest.NewRequest(http.MethodGet, powerState+guid, http.NoBody)
			req.Header.Set("X-HTTP-Method-Override", strings.Repeat("Q", size)+rand.Text())
			router.ServeHTTP(httptest.NewRecorder(), req)
		}
	}
	calls(1, 100_000)
	before := heap()
	calls(50, 100_000)
	assert.Less(t, heap()-before, 64<<10, "bytes for 50 long methods that nobody knows")
	calls(100, 0)
	before = heap()
	calls(1000, 0)
	assert.Less(t, heap()-before, 64<<10, "bytes for 1,000 methods that nobody knows")
	runtime.KeepAlive(router)
}

func TestCallsOfUnknownMethodsMakeTheirEventsAllTheSame(t *testing.T) {
	rec := &recorder{}
	router := gin.New()
	router.Use(overridden, middleware.New(rec))
	router.GET("/api/v1/things/:guid", status(200))
	router.Handle("PURGE", "/api/v1/things/:guid", status(200))
	for range 500 {
		call := httptest.NewRequest(http.MethodGet, "/api/v1/things/1", http.NoBody)
		call.Header.Set("X-HTTP-Method-Override", rand.Text())
		router.ServeHTTP(httptest.NewRecorder(), call)
		require.Len(t, rec.take(t), 2)
	}
	require.Equal(t, 200, call(t, router, "PURGE", "/api/v1/things/1"))
	assertPair(t, rec.take(t), "purgeThings", 200, "after all that")

	require.Equal(t, 200, call(t, router, "GET", "/api/v1/things/1", "X-HTTP-Method-Override", strings.Repeat("Q", 70_000)))
	events := rec.take(t)
	require.Len(t, events, 2)
	raw, err := json.Marshal(events[1])
	require.NoError(t, err)
	assert.Less(t, len(raw), 1000)
}

// The method in http.Request is a part of the request's first line, and keeps all of it in memory.
func TestTheFirstCallOfARouteIsNotKept(t *testing.T) {
	all := facts(t, "mps-events")
	router := gin.New()
	router.Use(middleware.New(discard{}))
	for _, f := range all {
		router.Handle(f.Method, f.Route, status(200))
	}
	long := strings.Repeat("x", 100_000)
	before := heap()
	for _, f := range all {
		router.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(f.Method, parameter.ReplaceAllString(f.Route, long), http.NoBody))
	}
	assert.Less(t, heap()-before, 1<<20, "bytes for first calls of 100 kB each")
	runtime.KeepAlive(router)
}
