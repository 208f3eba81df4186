package middleware_test

import (
	"errors"
	"net/http"
	"sync"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/middleware"
)

const powerAction = "/api/v1/amt/power/action/"

// endOf returns the last event of a call about a device that handler answers.
func endOf(t *testing.T, handler gin.HandlerFunc, opts ...middleware.Option) event.Event {
	t.Helper()
	router, rec := newRouter(opts...)
	router.POST(powerAction+":guid", handler)
	call(t, router, "POST", powerAction+guid)
	events := rec.take(t)
	require.Len(t, events, 2)
	return events[1]
}

func TestSetOutcomeSaysWhatTheStatusHides(t *testing.T) {
	methods, notFound := []string{"AMT_PowerAction"}, []string{"CIRA_Connection"}
	for _, c := range []struct {
		status  int
		outcome event.Outcome
		want    event.Event
	}{
		{200, event.OutcomeDevice, event.Event{Type: event.Fail, Message: "Power Action request failed", Methods: methods, HTTPStatus: 200, Outcome: event.OutcomeDevice}},
		{400, event.OutcomeServer, event.Event{Type: event.Fail, Message: "Power Action request failed", Methods: methods, HTTPStatus: 400, Outcome: event.OutcomeServer}},
		{500, event.OutcomeDevice, event.Event{Type: event.Fail, Message: "Internal Service Error", Methods: methods, HTTPStatus: 500, Outcome: event.OutcomeDevice}},
		{404, event.OutcomeClient, event.Event{Type: event.Fail, Message: "Power Action request failed", Methods: methods, HTTPStatus: 404, Outcome: event.OutcomeClient}},
		{404, event.OutcomeUnreachable, event.Event{Type: event.Fail, Message: "Device Not Found", Methods: notFound, HTTPStatus: 404, Outcome: event.OutcomeUnreachable}},
		{409, event.OutcomeOK, event.Event{Type: event.Success, Message: "Power Action requested", Methods: methods, Outcome: event.OutcomeOK}},
		{400, "", event.Event{Type: event.Fail, Message: "Power Action request failed", Methods: methods, HTTPStatus: 400, Outcome: event.OutcomeClient}},
		{400, "no outcome", event.Event{Type: event.Fail, Message: "Power Action request failed", Methods: methods, HTTPStatus: 400, Outcome: event.OutcomeClient}},
	} {
		c.want.GUID = guid
		assert.Equal(t, c.want, endOf(t, func(g *gin.Context) {
			middleware.SetOutcome(g, event.OutcomeServer) // the last one wins
			middleware.SetOutcome(g, c.outcome)
			g.Status(c.status)
		}), "%d %s", c.status, c.outcome)
	}
}

func TestAPanicIsTheServersFaultWhateverWasSaid(t *testing.T) {
	e := endOf(t, func(c *gin.Context) {
		middleware.SetOutcome(c, event.OutcomeOK)
		middleware.SetMessage(c, "all is well")
		panic("boom")
	}, middleware.WithOutcome(func(*gin.Context, int) event.Outcome { return event.OutcomeOK }))
	assert.Equal(t, event.Event{
		Type: event.Fail, Message: "Internal Service Error", Methods: []string{"AMT_PowerAction"}, GUID: guid,
		Outcome: event.OutcomeServer, HTTPStatus: 500,
	}, e)
}

func TestAnOutcomeThatPanicsIsAPanicOfTheCall(t *testing.T) {
	rec := &recorder{}
	router := gin.New()
	router.Use(gin.Recovery(), middleware.New(rec, middleware.WithOutcome(func(*gin.Context, int) event.Outcome { panic("boom") })))
	router.POST(powerAction+":guid", func(*gin.Context) {})
	assert.Equal(t, 500, call(t, router, "POST", powerAction+guid))
	assertPair(t, rec.take(t), "AMT_PowerAction", 500, "")
}

func TestSetMessageIsForTheLastEventOnly(t *testing.T) {
	for _, code := range []int{200, 400, 404, 500} {
		router, rec := newRouter()
		router.POST("/api/v1/amt/network/linkPreference/:guid", func(c *gin.Context) {
			middleware.SetMessage(c, "Link Preference set to ME")
			c.Status(code)
		})
		call(t, router, "POST", "/api/v1/amt/network/linkPreference/"+guid)
		events := rec.take(t)
		require.Len(t, events, 2)
		assert.Equal(t, "Link Preference requested", events[0].Message)
		assert.Equal(t, "Link Preference set to ME", events[1].Message)
	}
	e := endOf(t, func(c *gin.Context) { middleware.SetMessage(c, "") })
	assert.Equal(t, "Power Action requested", e.Message)
}

func TestWhatIsSaidOfOneCallIsNotSaidOfTheNext(t *testing.T) {
	router, rec := newRouter()
	router.POST(powerAction+":guid", func(c *gin.Context) {
		if c.Param("guid") == "1" {
			middleware.SetOutcome(c, event.OutcomeDevice)
			middleware.SetMessage(c, "no")
			middleware.SetGUID(c, "2")
		}
	})
	for range 100 { // gin takes its contexts from a pool
		call(t, router, "POST", powerAction+"1")
		assert.Equal(t, "2", rec.take(t)[1].GUID)
		call(t, router, "POST", powerAction+"3")
		end := rec.take(t)[1]
		assert.Equal(t, event.OutcomeOK, end.Outcome)
		assert.Equal(t, "Power Action requested", end.Message)
		assert.Equal(t, "3", end.GUID)
	}
}

func TestWhatIsSaidOfACopyIsNotSaidOfTheCall(t *testing.T) {
	router, rec := newRouter()
	say := func(c *gin.Context, word string) {
		middleware.SetOutcome(c, event.OutcomeServer)
		middleware.SetMessage(c, word)
		middleware.SetGUID(c, word)
		middleware.SetActor(c, word)
	}
	var copies sync.WaitGroup
	router.POST(powerAction+":guid", func(c *gin.Context) {
		says := func(copied *gin.Context) {
			copies.Go(func() {
				for range 100 {
					say(copied, "copy")
				}
			})
		}
		says(c.Copy()) // before any override is set
		middleware.SetOutcome(c, event.OutcomeDevice)
		middleware.SetMessage(c, "call")
		middleware.SetGUID(c, "call")
		middleware.SetActor(c, "call")
		says(c.Copy())
		if c.Query("wait") != "" {
			copies.Wait()
		} // else they outlive the call
	})
	for range 20 {
		for _, query := range []string{"?wait=1", ""} {
			call(t, router, "POST", powerAction+guid+query)
			end := rec.take(t)[1]
			assert.Equal(t, event.Event{
				Type: event.Fail, Message: "call", Methods: []string{"AMT_PowerAction"}, GUID: "call",
				Outcome: event.OutcomeDevice, HTTPStatus: 200, Actor: "call",
			}, end)
		}
	}
	copies.Wait()
}

func TestHandlersMaySpeakWhereNoEventIsMade(t *testing.T) {
	router := gin.New() // without our middleware
	router.GET("/healthz", func(c *gin.Context) {
		middleware.SetOutcome(c, event.OutcomeDevice)
		middleware.SetMessage(c, "no")
		middleware.SetGUID(c, guid)
		middleware.SetActor(c, "ada")
		c.Status(http.StatusTeapot)
	})
	assert.Equal(t, http.StatusTeapot, call(t, router, "GET", "/healthz"))
}

func TestWithOutcomeMapsOtherwise(t *testing.T) {
	asleep := errors.New("the device sleeps")
	rule := middleware.WithOutcome(func(c *gin.Context, status int) event.Outcome {
		if last := c.Errors.Last(); last != nil && errors.Is(last, asleep) {
			return event.OutcomeUnreachable
		}
		switch status {
		case 404, 410:
			return event.OutcomeOK
		case 429:
			return event.OutcomeDevice
		case 418:
			return "a teapot"
		default:
			return ""
		}
	})
	for code, want := range map[int]event.Outcome{
		200: event.OutcomeOK, 404: event.OutcomeOK, 410: event.OutcomeOK, 429: event.OutcomeDevice, 418: event.OutcomeClient, 500: event.OutcomeServer, 503: event.OutcomeUnreachable, 400: event.OutcomeClient,
	} {
		e := endOf(t, status(code), rule)
		assert.Equal(t, want, e.Outcome, code)
		assert.Equal(t, want == event.OutcomeOK, e.Type == event.Success, code)
	}
	assert.Equal(t, event.OutcomeUnreachable, endOf(t, func(c *gin.Context) {
		_ = c.Error(asleep)
		c.Status(500)
	}, rule).Outcome)
	assert.Equal(t, event.OutcomeDevice, endOf(t, func(c *gin.Context) {
		middleware.SetOutcome(c, event.OutcomeDevice)
		c.Status(404)
	}, rule).Outcome, "the handler knows better")
}
