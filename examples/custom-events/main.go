// Command custom-events makes events that the middleware cannot make by itself: it names a route
// outside /api, leaves a probe out, reports a device's refusal inside a 200, and publishes
// events that belong to no call.
//
//	MPS_MQTT_ADDRESS=mqtt://localhost:1883 go run ./examples/custom-events
//	curl -X POST localhost:8080/wake/4c4c4544-004b-4210-8033-b6c04f504633
//	curl -X POST -d '{"guid":"4c4c4544-004b-4210-8033-b6c04f504633"}' localhost:8080/api/v1/devices
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/middleware"
	"github.com/mps-events/mps-events/publisher"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, "localhost:8080", os.Stdout)
	stop()
	if err != nil {
		log.Fatal(err)
	}
}

// run serves on addr until ctx ends.
func run(ctx context.Context, addr string, stdout io.Writer) error {
	pub, err := publisher.FromEnv()
	if err != nil {
		return err
	}
	router := newRouter(pub)

	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	// An event of the server itself. Publish never blocks; an error means that the event
	// can't be published as it is, or that the publisher is full or closed.
	started := event.Event{Type: event.Success, Message: "Server started", Methods: []string{"serverStart"}, Outcome: event.OutcomeOK}
	if err := pub.Publish(started); err != nil {
		slog.Warn("no event", "error", err)
	}

	_, _ = fmt.Fprintln(stdout, "listening on", listener.Addr())
	server := &http.Server{Handler: router, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err = <-served:
	case <-ctx.Done():
	}
	// First the server, because its last calls make events, then the publisher.
	return errors.Join(err, inTime(server.Shutdown), inTime(pub.Shutdown))
}

// shutdownTimeout is the time that the server and the publisher each have to end.
const shutdownTimeout = 10 * time.Second

// inTime calls shutdown with a new context. So a server that uses up its time because a call
// hangs leaves the publisher all of its time for the last events.
func inTime(shutdown func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	return shutdown(ctx)
}

// newRouter returns the routes, with a middleware that passes events to events.
func newRouter(events middleware.Emitter) *gin.Engine {
	router := gin.New()
	router.Use(gin.Recovery(), middleware.New(events,
		// A route outside /api, which makes no events by default.
		middleware.WithRoute(http.MethodPost, "/wake/:guid", "AMT_WakeUp"),
		// A probe inside /api, which would make events all the time.
		middleware.WithFilter(func(c *gin.Context) bool { return c.FullPath() != "/api/v1/health" }),
		// In this server a bad gateway means that a device cannot be reached.
		middleware.WithOutcome(func(_ *gin.Context, status int) event.Outcome {
			if status == http.StatusBadGateway {
				return event.OutcomeUnreachable
			}
			return "" // the status decides as usual
		}),
	))
	router.GET("/api/v1/health", func(c *gin.Context) { c.Status(http.StatusNoContent) })
	router.POST("/wake/:guid", wake)
	router.POST("/api/v1/devices", addDevice)
	return router
}

// wake answers 200 with AMT's answer, as MPS does; only the event has the outcome.
func wake(c *gin.Context) {
	const notReady = 2
	returnValue := askDevice(c.Param("guid"))
	if returnValue != 0 {
		middleware.SetOutcome(c, event.OutcomeDevice)
	}
	if returnValue == notReady {
		middleware.SetMessage(c, "Wake Up failed: not ready")
	}
	c.JSON(http.StatusOK, gin.H{"ReturnValue": returnValue})
}

// askDevice stands in for a call to AMT.
func askDevice(string) int { return 2 }

// addDevice sets the guid of the event, because the middleware does not read the body.
func addDevice(c *gin.Context) {
	var device struct {
		GUID string `binding:"required,uuid" json:"guid"`
	}
	if err := c.ShouldBindJSON(&device); err != nil {
		c.JSON(http.StatusBadRequest, gin.H{"error": err.Error()})
		return
	}
	middleware.SetGUID(c, device.GUID) // the last event is now event.Added(device.GUID)
	c.Status(http.StatusCreated)
}
