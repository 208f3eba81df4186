package middleware_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/gin-gonic/gin"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/middleware"
)

// printer stands in for the publisher: it prints the events, with a time that is the same in
// each run.
type printer struct{}

func (printer) Publish(e event.Event) error {
	e.Timestamp = 1795321902892
	_, err := fmt.Printf("%s\n", e.AppendJSON(nil))
	return err
}

// get makes a call as an HTTP client does.
func get(router http.Handler, path string) {
	router.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, http.NoBody))
}

func ExampleNew() {
	pub := printer{} // in a server: pub, err := publisher.FromEnv()

	router := gin.New()
	router.Use(gin.Recovery(), middleware.New(pub))
	router.GET("/api/v1/amt/power/state/:guid", func(c *gin.Context) {
		c.JSON(http.StatusOK, gin.H{"powerstate": 2})
	})

	get(router, "/api/v1/amt/power/state/4c4c4544-004b-4210-8033-b6c04f504633")
	// Output:
	// {"type":"request","message":"Power State requested","methods":["AMT_PowerState"],"guid":"4c4c4544-004b-4210-8033-b6c04f504633","timestamp":1795321902892}
	// {"type":"success","message":"Power State received","methods":["AMT_PowerState"],"guid":"4c4c4544-004b-4210-8033-b6c04f504633","timestamp":1795321902892}
}

func ExampleWithFilter() {
	router := gin.New()
	router.Use(middleware.New(printer{}, middleware.WithFilter(func(c *gin.Context) bool {
		return c.FullPath() != "/api/v1/health" // a probe that calls every second
	})))
	router.GET("/api/v1/health", func(*gin.Context) {})
	router.GET("/api/v1/version", func(*gin.Context) {})

	get(router, "/api/v1/health")
	get(router, "/api/v1/version")
	// Output:
	// {"type":"request","message":"Version requested","methods":["getVersion"],"timestamp":1795321902892}
	// {"type":"success","message":"Version received","methods":["getVersion"],"timestamp":1795321902892}
}

func ExampleWithRoute() {
	router := gin.New()
	router.Use(middleware.New(printer{}, middleware.WithRoute("GET", "/wake/:guid", "AMT_WakeUp")))
	router.GET("/wake/:guid", func(c *gin.Context) { c.Status(http.StatusForbidden) })

	get(router, "/wake/4c4c4544-004b-4210-8033-b6c04f504633")
	// Output:
	// {"type":"request","message":"Wake Up requested","methods":["AMT_WakeUp"],"guid":"4c4c4544-004b-4210-8033-b6c04f504633","timestamp":1795321902892}
	// {"type":"fail","message":"Wake Up request failed","methods":["AMT_WakeUp"],"guid":"4c4c4544-004b-4210-8033-b6c04f504633","timestamp":1795321902892}
}

// actorPrinter stands in for the publisher: it prints the actor of each event.
type actorPrinter struct{}

func (actorPrinter) Publish(e event.Event) error {
	_, err := fmt.Printf("%s by %q\n", e.Message, e.Actor)
	return err
}

func ExampleWithActor() {
	router := gin.New()
	router.Use(middleware.New(actorPrinter{}, middleware.WithActor(func(c *gin.Context) string { return c.GetString("user") })))
	// Authorization comes after the middleware, so that a call that it refuses makes events too.
	// The request event is made before authorization, so it has no actor.
	router.Use(func(c *gin.Context) { c.Set("user", "ada") })
	router.GET("/api/v1/amt/power/state/:guid", func(c *gin.Context) { c.Status(http.StatusOK) })

	get(router, "/api/v1/amt/power/state/4c4c4544-004b-4210-8033-b6c04f504633")
	// Output:
	// Power State requested by ""
	// Power State received by "ada"
}
