package middleware_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/middleware"
)

const (
	guid       = "4c4c4544-004b-4210-8033-b6c04f504633"
	powerState = "/api/v1/amt/power/state/"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	gin.DefaultErrorWriter = io.Discard // Recovery writes stacks to it
	os.Exit(m.Run())
}

// recorder is an emitter that keeps the events and returns an error, which must have no effect.
type recorder struct {
	mu     sync.Mutex
	events []event.Event
}

func (r *recorder) Publish(e event.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
	return errors.New("recorder: always fails")
}

// take returns the events since its last call. It checks that their times are of the last
// minute, and removes them.
func (r *recorder) take(t *testing.T) []event.Event {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	events := r.events
	r.events = nil
	for i := range events {
		assert.NoError(t, events[i].Validate())
		assert.WithinDuration(t, time.Now(), time.UnixMilli(events[i].Timestamp), time.Minute)
		events[i].Timestamp = 0
	}
	return events
}

// newRouter returns a router whose calls rec records.
func newRouter(opts ...middleware.Option) (*gin.Engine, *recorder) {
	router, rec := gin.New(), &recorder{}
	router.Use(middleware.New(rec, opts...))
	return router, rec
}

// call sends a request over the network to router and returns the status, or 0 if
// the server broke the connection.
func call(t *testing.T, router http.Handler, httpMethod, path string, header ...string) int {
	t.Helper()
	server := httptest.NewUnstartedServer(router)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // net/http's own stacks
	server.Start()
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), httpMethod, server.URL+path, http.NoBody)
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := server.Client().Do(req)
	if err != nil {
		return 0
	}
	require.NoError(t, res.Body.Close())
	return res.StatusCode
}

func status(code int) gin.HandlerFunc { return func(c *gin.Context) { c.Status(code) } }

func TestPowerState(t *testing.T) {
	begun := event.Event{Type: event.Request, Message: "Power State requested", Methods: []string{"AMT_PowerState"}, GUID: guid}
	ended := func(e event.Event, httpStatus int) event.Event {
		e.GUID, e.HTTPStatus = guid, httpStatus
		if e.Methods == nil {
			e.Methods = begun.Methods
		}
		return e
	}
	received := event.Event{Type: event.Success, Message: "Power State received", Outcome: event.OutcomeOK}
	client := event.Event{Type: event.Fail, Message: "Power State request failed", Outcome: event.OutcomeClient}
	broken := event.Event{Type: event.Fail, Message: "Internal Service Error", Outcome: event.OutcomeServer}
	away := event.Event{Type: event.Fail, Message: "Internal Service Error", Outcome: event.OutcomeUnreachable}
	unknown := event.Event{Type: event.Fail, Message: "Device Not Found", Methods: []string{"CIRA_Connection"}, Outcome: event.OutcomeUnreachable}

	for code, want := range map[int]event.Event{
		200: ended(received, 0), 204: ended(received, 0), 302: ended(received, 0), 399: ended(received, 0),
		400: ended(client, 400), 401: ended(client, 401), 403: ended(client, 403), 405: ended(client, 405),
		409: ended(client, 409), 413: ended(client, 413), 415: ended(client, 415), 422: ended(client, 422),
		404: ended(unknown, 404),
		408: ended(client, 408), 499: ended(client, 499), // the caller went away
		402: ended(client, 402), 410: ended(client, 410), 418: ended(client, 418), 424: ended(client, 424), 429: ended(client, 429), 451: ended(client, 451),
		503: ended(away, 503), 504: ended(away, 504),
		500: ended(broken, 500), 501: ended(broken, 501), 502: ended(broken, 502), 599: ended(broken, 599),
		600: ended(broken, 0), 999: ended(broken, 0),
	} {
		router, rec := newRouter()
		router.GET(powerState+":guid", status(code))
		assert.Equal(t, code, call(t, router, "GET", powerState+guid))
		assert.Equal(t, []event.Event{begun, want}, rec.take(t), code)
	}
}

func TestWhoeverNeedsNoDeviceIsNotUnreachableAt404(t *testing.T) {
	router, rec := newRouter()
	router.GET("/api/v1/devices/:guid", status(404))
	call(t, router, "GET", "/api/v1/devices/"+guid)
	end := rec.take(t)[1]
	assert.Equal(t, event.OutcomeClient, end.Outcome)
	assert.Equal(t, []string{"getDevice"}, end.Methods)
}

func TestFailureOfRPSHasOneMessage(t *testing.T) {
	for _, code := range []int{400, 500} {
		router, rec := newRouter()
		router.GET("/api/v1/admin/domains/:name", status(code))
		call(t, router, "GET", "/api/v1/admin/domains/acme")
		assert.Equal(t, "Failed to GET: acme", rec.take(t)[1].Message)
	}
}

func TestEventsAreTheBytesThatMPSPublished(t *testing.T) {
	for answer, message := range map[int]string{
		200: "Power State requested", // MPS published no success here
		400: "Power State request failed",
		404: "Device Not Found",
	} {
		want, payload := captured(t, message)
		router, rec := newRouter()
		router.GET(powerState+":guid", status(answer))
		call(t, router, "GET", powerState+want.GUID)
		events := rec.take(t)
		i := slices.IndexFunc(events, func(e event.Event) bool { return e.Message == message })
		require.GreaterOrEqual(t, i, 0)
		events[i].Timestamp = want.Timestamp
		assert.Equal(t, payload, string(events[i].AppendJSON(nil)))
	}
}

// captured returns a payload with this message that MPS's own handlers published.
func captured(t *testing.T, message string) (event.Event, string) {
	t.Helper()
	file, err := os.ReadFile("../testdata/mps-capture.jsonl")
	require.NoError(t, err)
	for raw := range bytes.Lines(file) {
		var line struct{ Payload string }
		require.NoError(t, json.Unmarshal(raw, &line))
		e, err := event.Parse([]byte(line.Payload))
		require.NoError(t, err)
		if e.Message == message && e.Methods[0] != "AMT_Version" { // wrong words, see openamt
			return e, line.Payload
		}
	}
	require.Fail(t, "not captured", message)
	return event.Event{}, ""
}

func TestTheGUIDIsThePathsWhereverItStands(t *testing.T) {
	for route, path := range map[string]string{
		powerState + ":guid":                       powerState + "123",
		powerState + ":id":                         powerState + "123",
		powerState + ":id/":                        powerState + "123/",
		"/foo/:tenant" + powerState + ":id":        "/foo/7" + powerState + "123",
		"/foo/:guid" + powerState + ":guid":        "/foo/7" + powerState + "123",
		"/t-:a/x/:b" + powerState + ":c":           "/t-7/x/8" + powerState + "123",
		`/a\:b` + powerState + ":guid":             "/a:b" + powerState + "123",
		"/api/gateway/:api" + powerState + ":guid": "/api/gateway/7" + powerState + "123",
		"/api/v1/amt/explorer/:device/:call":       "/api/v1/amt/explorer/123/AMT_TimeService",
		"/api/v1/amt/log/audit/:device/download":   "/api/v1/amt/log/audit/123/download",
		"/api/v1/own/:id/thing/:guid/:other":       "/api/v1/own/7/thing/123/8",
		"/api/v1/own-:id/thing/:guid":              "/api/v1/own-7/thing/123",
		"/foo/:guid/api/v1/own/:guid":              "/foo/7/api/v1/own/123",
		"/foo/:guid/api/v1/own/:id":                "/foo/123/api/v1/own/7",
		"/api/v1/amt/bootOrder/:id":                "/api/v1/amt/bootOrder/123",
		"/foo/:id/api/v1/amt/bootOrder/:id/:slot":  "/foo/7/api/v1/amt/bootOrder/123/8",
		"/foo/:guid/api/v1/amt/bootOrder/:id":      "/foo/7/api/v1/amt/bootOrder/123",
		"/api/v1/amt/:thing/of/:guid":              "/api/v1/amt/7/of/123",
	} {
		router, rec := newRouter()
		router.GET(route, status(200))
		require.Equal(t, 200, call(t, router, "GET", path), route)
		events := rec.take(t)
		require.Len(t, events, 2, route)
		assert.Equal(t, "123", events[0].GUID, route)
		assert.Equal(t, "123", events[1].GUID, route)
	}
}

func TestAParameterElsewhereIsNoGUID(t *testing.T) {
	for route, path := range map[string]string{
		"/api/v1/own/:id":                "/api/v1/own/123",
		"/api/v1/amt/*rest":              "/api/v1/amt/123",
		"/amt/:id/api/v1/own":            "/amt/123/api/v1/own",
		"/foo/:guid/api/v1/devices":      "/foo/123/api/v1/devices",
		"/api/v1/admin/domains/:guid":    "/api/v1/admin/domains/123",
		"/api/v1/admin/amt-things/:name": "/api/v1/admin/amt-things/123",
	} {
		router, rec := newRouter()
		router.GET(route, status(200))
		require.Equal(t, 200, call(t, router, "GET", path), route)
		for _, e := range rec.take(t) {
			assert.Empty(t, e.GUID, route)
		}
	}
}

func TestTheGUIDIsDecodedAndKeptAsMPSKeepsIt(t *testing.T) {
	for encoded, want := range map[string]string{
		"%22%5C%E2%82%AC%00%0A": `"guid":"\"\\€\u0000\n"`,
		"not-a-guid":            `"guid":"not-a-guid"`,
		"4C4C4544":              `"guid":"4C4C4544"`,
		"%F0%9F%98%80":          `"guid":"😀"`,
		"a+b%20c":               `"guid":"a+b c"`,
		"%3Cb%3E":               `"guid":"<b>"`,
	} {
		router, rec := newRouter()
		router.GET(powerState+":guid", status(200))
		require.Equal(t, 200, call(t, router, "GET", powerState+encoded))
		for _, e := range rec.take(t) {
			assert.Contains(t, string(e.AppendJSON(nil)), want)
		}
	}
}

func TestMessagesHoldOnlyWhatThePathHolds(t *testing.T) {
	router, rec := newRouter()
	router.DELETE("/foo/:name/api/v1/admin/domains/:name", status(200))
	router.POST("/api/v1/admin/domains", status(200))

	call(t, router, "DELETE", "/foo/7/api/v1/admin/domains/%7Bname%7D")
	events := rec.take(t)
	assert.Equal(t, "Domain delete requested : {name}", events[0].Message)
	assert.Equal(t, "Domain Deleted : {name}", events[1].Message)
	assert.Empty(t, events[1].GUID)

	call(t, router, "POST", "/api/v1/admin/domains?profileName=secret", "Profile-Name", "secret")
	assert.Equal(t, "Created Domain : ", rec.take(t)[1].Message)
}

func TestUnknownRoutesOfTheAPIAreNamedByConvention(t *testing.T) {
	router, rec := newRouter()
	router.GET("/foo/:tenant/api/v1/amt/bootOrder/:guid", status(200))
	call(t, router, "GET", "/foo/7/api/v1/amt/bootOrder/123")
	methods := []string{"AMT_BootOrder"}
	assert.Equal(t, []event.Event{
		{Type: event.Request, Message: "Boot Order requested", Methods: methods, GUID: "123"},
		{Type: event.Success, Message: "Boot Order received", Methods: methods, GUID: "123", Outcome: event.OutcomeOK},
	}, rec.take(t))
}

func TestTraceParentIsCopiedIfItIsOne(t *testing.T) {
	const good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	router, rec := newRouter()
	router.GET(powerState+":guid", status(200))
	for header, want := range map[string]string{good: good, "": "", "00-injected": ""} {
		call(t, router, "GET", powerState+guid, "traceparent", header)
		events := rec.take(t)
		require.Len(t, events, 2)
		assert.Equal(t, want, events[0].TraceParent)
		assert.Equal(t, want, events[1].TraceParent)
	}
}

func TestOfSeveralTraceParentsNoneIsTaken(t *testing.T) {
	const one, two = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	router, rec := newRouter()
	router.GET(powerState+":guid", status(200))
	for _, values := range [][]string{{one, two}, {one, one}, {one, ""}, {one, "injected"}, {"", one}, {one + "," + two}} {
		req := httptest.NewRequest(http.MethodGet, powerState+guid, http.NoBody)
		for _, value := range values {
			req.Header.Add("traceparent", value)
		}
		router.ServeHTTP(httptest.NewRecorder(), req)
		events := rec.take(t)
		require.Len(t, events, 2)
		assert.Empty(t, events[0].TraceParent, values)
		assert.Empty(t, events[1].TraceParent, values)
	}
}

func TestAllFiltersMustKeepACall(t *testing.T) {
	for _, c := range []struct{ one, two bool }{{true, true}, {true, false}, {false, true}, {false, false}} {
		router, rec := newRouter(
			middleware.WithFilter(nil),
			middleware.WithFilter(func(*gin.Context) bool { return c.one }),
			middleware.WithFilter(func(*gin.Context) bool { return c.two }),
		)
		router.GET(powerState+":guid", status(200))
		require.Equal(t, 200, call(t, router, "GET", powerState+guid))
		assert.Equal(t, c.one && c.two, len(rec.take(t)) == 2, c)
	}
}

func TestWithFilterIsAskedOnceBeforeTheHandlers(t *testing.T) {
	asked := 0
	router, rec := newRouter(middleware.WithFilter(func(c *gin.Context) bool {
		asked++
		return c.Param("guid") == guid
	}))
	router.GET(powerState+":guid", status(200))
	router.GET("/healthz", status(200))
	call(t, router, "GET", powerState+"123")
	assert.Empty(t, rec.take(t))
	call(t, router, "GET", powerState+guid)
	assert.Len(t, rec.take(t), 2)
	call(t, router, "GET", "/healthz")
	assert.Equal(t, 2, asked)
}

func TestWithRouteNamesAnyRoute(t *testing.T) {
	router, rec := newRouter(
		middleware.WithRoute("POST", "/wake/:group/:guid", "AMT_WakeUp"),
		middleware.WithRoute("GET", powerState+":guid", "Own_State"),
		middleware.WithRoute("HEAD", "/wake/:group/:guid", "probeWake"),
	)
	router.POST("/wake/:group/:guid", status(200))
	router.HEAD("/wake/:group/:guid", status(200))
	router.GET("/wake/:group/:guid", status(200))
	router.GET(powerState+":guid", status(500))

	call(t, router, "POST", "/wake/7/123")
	methods := []string{"AMT_WakeUp"}
	assert.Equal(t, []event.Event{
		{Type: event.Request, Message: "Wake Up requested", Methods: methods, GUID: "123"},
		{Type: event.Success, Message: "Wake Up completed", Methods: methods, GUID: "123", Outcome: event.OutcomeOK},
	}, rec.take(t))

	call(t, router, "HEAD", "/wake/7/123")
	assert.Equal(t, "Probe Wake requested", rec.take(t)[0].Message)

	call(t, router, "GET", "/wake/7/123")
	assert.Empty(t, rec.take(t), "named for POST and HEAD only")

	call(t, router, "GET", powerState+guid)
	events := rec.take(t)
	assert.Equal(t, "Own State requested", events[0].Message)
	assert.Equal(t, "Internal Service Error", events[1].Message)
}

func TestNewRefusesNil(t *testing.T) {
	assert.PanicsWithValue(t, "middleware: nil Emitter", func() { middleware.New(nil) })
}
