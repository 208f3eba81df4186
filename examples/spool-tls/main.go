// Command spool-tls is a Gin server whose events go to the broker by TLS, and wait on
// disk while the broker is away, also over restarts of the server. Environment variables
// configure all of that:
//
//	MPS_MQTT_ADDRESS=mqtts://broker.example:8883 \
//	MPS_MQTT_CA_FILE=ca.pem MPS_MQTT_USERNAME=console MPS_MQTT_PASSWORD_FILE=/run/secrets/mqtt \
//	MPS_MQTT_CLIENT_ID=console-1 MPS_MQTT_STATUS=true MPS_MQTT_SPOOL_DIR=/var/lib/console/events \
//	go run ./examples/spool-tls
//
// The scheme mqtts:// alone decides on TLS, not the port. With MPS_MQTT_CERT_FILE and
// MPS_MQTT_KEY_FILE the server shows a client certificate.
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

	"github.com/mps-events/mps-events/middleware"
	"github.com/mps-events/mps-events/publisher"
	"github.com/mps-events/mps-events/publisher/spool"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, "localhost:8080", os.Stdout)
	stop()
	if err != nil {
		log.Fatal(err)
	}
}

// newPublisher returns a publisher with the spool that MPS_MQTT_SPOOL_DIR names.
func newPublisher() (*publisher.Publisher, error) {
	config, err := publisher.ConfigFromEnv()
	if err != nil {
		return nil, err
	}
	if config.Spool, err = spool.FromEnv(); err != nil { // MPS_MQTT_SPOOL_DIR; empty: no spool
		return nil, err
	}
	config.Logger = slog.Default() // gets lines about connections and losses, without secrets
	return publisher.New(config)
}

// run serves on addr until ctx ends.
func run(ctx context.Context, addr string, stdout io.Writer) error {
	pub, err := newPublisher()
	if err != nil {
		return err
	}
	router := gin.New()
	router.Use(gin.Recovery(), middleware.New(pub))
	router.POST("/api/v1/amt/power/action/:guid", func(c *gin.Context) {
		c.JSON(http.StatusOK, gin.H{"ReturnValue": 0})
	})
	router.GET("/events/stats", func(c *gin.Context) { c.JSON(http.StatusOK, pub.Stats()) })

	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintln(stdout, "listening on", listener.Addr())
	server := &http.Server{Handler: router, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err = <-served:
	case <-ctx.Done():
	}
	// First the server, because its last calls make events, then the publisher. Events that are
	// not delivered in time remain in the spool for the next start; the publisher does not wait for a
	// broker that is away.
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
