// Package peers compares the library with alternatives in one run on
// one machine. It needs no Docker: make bench.
package peers

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/contrib/instrumentation/github.com/gin-gonic/gin/otelgin"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/broker"
	"github.com/mps-events/mps-events/middleware"
	"github.com/mps-events/mps-events/publisher"
)

type discard struct{}

func (discard) Publish(event.Event) error { return nil }

// BenchmarkMiddleware measures one call of a route without placeholders. It uses neither the
// network nor gin's pool of contexts, whose cost would be measured too. The cost of a middleware is
// the difference to no-op. otelgin has no exporter, which is its cheapest case. The last benchmark
// includes a publisher that delivers to a broker at the same time: its work and its allocations
// count as well.
func BenchmarkMiddleware(b *testing.B) {
	gin.SetMode(gin.ReleaseMode)
	pub := running(b)
	for _, bench := range []struct {
		name       string
		middleware gin.HandlerFunc
	}{
		{"no-op", func(c *gin.Context) { c.Next() }},
		{"events", middleware.New(discard{})},
		{"gin.Logger", gin.LoggerWithWriter(io.Discard)},
		{"otelgin", otelgin.Middleware("console")},
		{"events+publisher", middleware.New(pub)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			router := gin.New()
			router.Use(bench.middleware)
			router.GET("/api/v1/amt/power/state/:guid", func(*gin.Context) {})
			c := gin.CreateTestContextOnly(httptest.NewRecorder(), router)
			c.Request = httptest.NewRequest(http.MethodGet, "/api/v1/amt/power/state/4c4c4544-004b-4210-8033-b6c04f504633", http.NoBody)
			c.Request.Header.Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				router.HandleContext(c)
				if bench.name == "events+publisher" && n%1000 == 999 { // else most events would be dropped
					b.StopTimer()
					if err := pub.Flush(b.Context()); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
				}
			}
		})
	}
}

// running returns a publisher that is connected to a broker.
func running(b *testing.B) *publisher.Publisher {
	b.Helper()
	mqtt, err := broker.Start("127.0.0.1:0", "")
	if err != nil {
		b.Fatal(err)
	}
	connected := make(chan struct{}, 1)
	pub, err := publisher.New(publisher.Config{
		Address: mqtt.Addr(),
		Hooks:   publisher.Hooks{Connected: func(string) { connected <- struct{}{} }},
	})
	if err != nil {
		b.Fatal(err)
	}
	select {
	case <-connected:
	case <-time.After(20 * time.Second):
		b.Fatal("not connected")
	}
	b.Cleanup(func() {
		ended, cancel := context.WithCancel(context.Background())
		cancel() // the events that wait do not matter
		_ = pub.Shutdown(ended)
		_ = mqtt.Close()
	})
	return pub
}
