package middleware_test

import (
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/middleware"
	"github.com/mps-events/mps-events/publisher"
)

// authorized stands in for the authorization of a server: it sets the user of the call.
func authorized(c *gin.Context) { c.Set("user", c.GetHeader("User")) }

func user(c *gin.Context) string { return c.GetString("user") }

// actors returns the actors of the two events of a power action that ada calls.
func actors(t *testing.T, chain func(rec *recorder) []gin.HandlerFunc) [2]string {
	t.Helper()
	rec := &recorder{}
	router := gin.New()
	router.Use(gin.Recovery())
	router.POST(powerAction+":guid", chain(rec)...)
	call(t, router, "POST", powerAction+guid, "User", "ada")
	events := rec.take(t)
	require.Len(t, events, 2)
	return [2]string{events[0].Actor, events[1].Actor}
}

func TestTheActorIsOnEachEventThatCanKnowIt(t *testing.T) {
	withUser := middleware.WithActor(user)
	says := func(actor string) gin.HandlerFunc {
		return func(c *gin.Context) { middleware.SetActor(c, actor) }
	}
	boom := func(*gin.Context) { panic("boom") }
	type handlers = []gin.HandlerFunc
	for what, c := range map[string]struct {
		chain func(rec *recorder) []gin.HandlerFunc
		want  [2]string
	}{
		"off by default":             {func(r *recorder) handlers { return handlers{authorized, middleware.New(r)} }, [2]string{"", ""}},
		"authorization before":       {func(r *recorder) handlers { return handlers{authorized, middleware.New(r, withUser)} }, [2]string{"ada", "ada"}},
		"authorization within":       {func(r *recorder) handlers { return handlers{middleware.New(r, withUser), authorized} }, [2]string{"", "ada"}},
		"and then a panic":           {func(r *recorder) handlers { return handlers{middleware.New(r, withUser), authorized, boom} }, [2]string{"", "ada"}},
		"said without the option":    {func(r *recorder) handlers { return handlers{middleware.New(r), says("eve")} }, [2]string{"", "eve"}},
		"said before the middleware": {func(r *recorder) handlers { return handlers{says("eve"), middleware.New(r, withUser), authorized} }, [2]string{"eve", "eve"}},
		"a handler knows better":     {func(r *recorder) handlers { return handlers{authorized, middleware.New(r, withUser), says("eve")} }, [2]string{"ada", "eve"}},
		"said, and then a panic":     {func(r *recorder) handlers { return handlers{middleware.New(r), says("eve"), boom} }, [2]string{"", "eve"}},
		"the last one holds":         {func(r *recorder) handlers { return handlers{middleware.New(r), says("ada"), says("eve")} }, [2]string{"", "eve"}},
		"nothing said": {func(r *recorder) handlers {
			return handlers{authorized, middleware.New(r, withUser), says("eve"), says("")}
		}, [2]string{"ada", "ada"}},
		"the server forgets it": {func(r *recorder) handlers {
			return handlers{authorized, middleware.New(r, withUser), func(c *gin.Context) { c.Set("user", "") }}
		}, [2]string{"ada", "ada"}},
		"the last of several options": {func(r *recorder) handlers {
			return handlers{middleware.New(r, middleware.WithActor(func(*gin.Context) string { return "x" }), withUser), authorized}
		}, [2]string{"", "ada"}},
	} {
		assert.Equal(t, c.want, actors(t, c.chain), what)
	}
}

func TestAnActorThatPanicsIsNobody(t *testing.T) {
	rec := &recorder{}
	router := gin.New()
	var passed any
	router.Use(func(c *gin.Context) {
		defer func() { passed = recover() }()
		c.Next()
	}, middleware.New(rec, middleware.WithActor(func(c *gin.Context) string { return c.MustGet("user").(string) })))
	router.GET(powerState+":guid", func(c *gin.Context) {
		if c.Query("user") != "" {
			c.Set("user", "ada")
		}
		if c.Query("panic") != "" {
			panic("boom")
		}
	})
	for query, want := range map[string]struct {
		status int
		actor  string
		passed any
	}{"": {200, "", nil}, "?user=1": {200, "ada", nil}, "?panic=1": {500, "", "boom"}, "?user=1&panic=1": {500, "ada", "boom"}} {
		call(t, router, "GET", powerState+guid+query)
		events := rec.take(t)
		assertPair(t, events, "AMT_PowerState", want.status, query)
		assert.Empty(t, events[0].Actor)
		assert.Equal(t, want.actor, events[1].Actor, query)
		assert.Equal(t, want.passed, passed, query)
	}
}

func TestAnActorNeverCostsTheEvent(t *testing.T) {
	addr := brokertest.Start(t, "").Addr()
	messages := brokertest.Subscribe(t, addr, "#")
	pub, err := publisher.New(publisher.Config{Address: addr})
	require.NoError(t, err)
	t.Cleanup(func() { _ = pub.Shutdown(t.Context()) })
	for actor, want := range map[string]string{
		"ada":                     "ada",
		"Ada Lovelace <ada@x.y>":  "Ada Lovelace <ada@x.y>",
		"Åda €":                   "Åda €",
		"a\x00b\nc\x7fd":          "a?b?c?d",
		"a\xffb\xc3":              "a?b?",
		"a\u202eb\u2028c":         "a?b?c",
		"":                        "",
		strings.Repeat("x", 9000): strings.Repeat("x", 253) + "…",
		strings.Repeat("€", 9000): strings.Repeat("€", 84) + "…",
	} {
		router := gin.New()
		router.Use(middleware.New(pub, middleware.WithActor(func(*gin.Context) string { return actor })))
		router.GET(powerState+":guid", func(c *gin.Context) { middleware.SetActor(c, actor) })
		call(t, router, "GET", powerState+guid)
		for _, kind := range []event.Type{event.Request, event.Success} {
			m := brokertest.Receive(t, messages)
			assert.Contains(t, string(m.Payload), string(kind))
			assert.Equal(t, want, m.Properties.User.Get("actor"))
			assert.NotContains(t, string(m.Payload), "actor", "the JSON is MPS's")
		}
	}
}
