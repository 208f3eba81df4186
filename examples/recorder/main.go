// Command recorder is a server with a test that needs no broker: newRouter takes anything that
// has Publish, and the test passes a recorder instead of a publisher and checks the events. Copy
// recorder_test.go.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/middleware"
	"github.com/mps-events/mps-events/publisher"
)

func main() {
	pub, err := publisher.FromEnv()
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: "localhost:8080", Handler: newRouter(pub), ReadHeaderTimeout: 10 * time.Second}
	fmt.Println("listening on", server.Addr)
	err = server.ListenAndServe() // the example gin-server shows how to end it
	ending, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	_ = pub.Shutdown(ending)
	cancel()
	log.Fatal(err)
}

// newRouter returns the routes, with a middleware that passes events to events.
func newRouter(events middleware.Emitter) http.Handler {
	router := gin.New()
	router.Use(gin.Recovery(), middleware.New(events))
	router.DELETE("/api/v1/amt/deactivate/:guid", func(c *gin.Context) {
		if c.Query("refuse") != "" { // stands in for a refusal by AMT
			middleware.SetOutcome(c, event.OutcomeDevice)
		}
		c.JSON(http.StatusOK, gin.H{"status": "SUCCESS"})
	})
	return router
}
