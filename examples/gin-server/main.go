// Command gin-server is the smallest Gin server whose calls make events. Five of its lines
// are for mps-events.
//
//	MPS_MQTT_ADDRESS=mqtt://localhost:1883 go run ./examples/gin-server
//	curl localhost:8080/api/v1/amt/power/state/4c4c4544-004b-4210-8033-b6c04f504633
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"

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
	pub, err := publisher.FromEnv() // MPS_MQTT_ADDRESS; empty: a working no-op
	if err != nil {
		return err
	}
	router := gin.New()
	router.Use(gin.Recovery(), middleware.New(pub))
	router.GET("/api/v1/amt/power/state/:guid", func(c *gin.Context) {
		c.JSON(http.StatusOK, gin.H{"powerstate": 2})
	})

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
	// First the server, because its last calls make events, then the publisher.
	return errors.Join(err, inTime(server.Shutdown), inTime(pub.Shutdown))
}

// shutdownTimeout is the time that the server and the publisher each have to end; a
// test shortens it.
var shutdownTimeout = 10 * time.Second

// inTime calls shutdown with a new context. So a server that uses up its time because a call
// hangs leaves the publisher all of its time for the last events.
func inTime(shutdown func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	return shutdown(ctx)
}
