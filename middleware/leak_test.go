package middleware_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/middleware"
	"github.com/mps-events/mps-events/publisher"
)

const canary = "c4n4ry-5ecret"

// canaryRequest returns a request that holds the canary in each place where a caller or a proxy
// may put a secret.
func canaryRequest(httpMethod, path string) *http.Request {
	body := `{"guid":"` + canary + `","profileName":"` + canary + `","password":"` + canary + `"}`
	req := httptest.NewRequest(httpMethod, path+"?guid="+canary+"&profileName="+canary+"&"+canary+"=1", strings.NewReader(body))
	req.Host = canary + ".example"
	req.RemoteAddr = canary
	for _, name := range []string{
		"Authorization", "Proxy-Authorization", "X-Api-Key", "X-Forwarded-For", "X-Real-Ip", "X-Request-Id", "X-Http-Method-Override",
		"Forwarded", "Referer", "Origin", "User-Agent", "From", "Guid", "Traceparent", "Tracestate", "Baggage", "If-None-Match", canary,
	} {
		req.Header.Set(name, canary)
	}
	req.Header.Set("Content-Type", "application/json; charset="+canary)
	req.SetBasicAuth(canary, canary)
	req.AddCookie(&http.Cookie{Name: "session", Value: canary})
	req.AddCookie(&http.Cookie{Name: canary, Value: "1"})
	req.Trailer = http.Header{"X-Checksum": {canary}}
	return req
}

// secretive stands in for a handler that stores a secret in its gin.Context.
func secretive(c *gin.Context) {
	var body map[string]string
	_ = c.ShouldBindJSON(&body)
	c.Set("guid", body["guid"])
	c.Header("X-Secret", canary)
	c.SetCookie("session", canary, 1, "/", "", true, true)
	_ = c.Error(errors.New(canary))
	status, err := strconv.Atoi(c.GetHeader("X-Answer"))
	if err != nil {
		panic(canary)
	}
	c.String(status, canary)
}

func TestNothingOfBodiesQueriesAndHeadersReachesTheBroker(t *testing.T) {
	addr := brokertest.Start(t, "").Addr()
	messages := brokertest.Subscribe(t, addr, "#")
	pub, err := publisher.New(publisher.Config{Address: addr, Topic: "mps/events/{guid}/{method}/{type}", CloudEvents: true})
	require.NoError(t, err)
	calls := 0
	for _, server := range servers {
		router := gin.New()
		router.Use(gin.Recovery(), middleware.New(pub))
		for _, f := range facts(t, server) {
			router.Handle(f.Method, f.Route, secretive)
		}
		for _, f := range facts(t, server) {
			for answer := range answers {
				req := canaryRequest(f.Method, parameter.ReplaceAllString(f.Route, "no-uuid"))
				req.Header.Set("X-Answer", answer)
				router.ServeHTTP(httptest.NewRecorder(), req)
				if strings.HasPrefix(f.Route, "/api/") {
					calls++
				}
			}
		}
	}
	require.Equal(t, 5*(51+34+90), calls)
	ctx, cancel := context.WithTimeout(context.Background(), brokertest.Wait)
	defer cancel()
	require.NoError(t, pub.Shutdown(ctx))
	for range 2 * calls {
		m := brokertest.Receive(t, messages)
		said := fmt.Sprintf("%s %s %+v", m.Topic, m.Payload, *m.Properties)
		assert.NotContains(t, said, canary)
		// A caller may write any guid: like MPS's it is in the JSON, but it is never in the topic.
		assert.True(t, strings.HasPrefix(m.Topic, "mps/events/none/"), m.Topic)
	}
	assert.Empty(t, messages)
}

// heap returns the bytes of the heap that are in use after a garbage collection.
func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

func TestStrangersCostNoMemory(t *testing.T) {
	router := gin.New()
	router.HandleMethodNotAllowed = true
	router.Use(middleware.New(discard{}), func(c *gin.Context) { c.AbortWithStatus(http.StatusUnauthorized) })
	for _, f := range facts(t, "mps-events") {
		router.Handle(f.Method, f.Route, func(*gin.Context) { t.Error("not authorized") })
	}
	calls := func(n int) {
		for range n {
			guid := rand.Text()
			for _, request := range [][2]string{
				{"GET", powerState + guid},
				{"DELETE", "/api/v1/amt/networkSettings/wireless/profile/" + guid + "/" + guid},
				{"GET", "/api/v1/" + guid},
				{"BREW" + guid, powerState + guid},
				{"OPTIONS", powerState + guid},
			} {
				router.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(request[0], request[1], http.NoBody))
			}
		}
	}
	calls(1000)
	before := heap()
	calls(1000)
	assert.Less(t, heap()-before, 64<<10, "bytes for 1,000 guids that nobody knows")
	runtime.KeepAlive(router)
}
