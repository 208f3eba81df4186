package httpapi

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/consumer"
	"github.com/mps-events/mps-events/internal/store/sqlite"
)

// Events are posted by some callers at a time, durably; beside them a server that only reads.
func BenchmarkPosts(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			ilert := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }))
			defer ilert.Close()
			c, err := consumer.New(consumer.Config{OpenStore: func(ctx context.Context) (alerting.Store, error) {
				return sqlite.Open(ctx, filepath.Join(b.TempDir(), "store.db"))
			}, IlertURL: ilert.URL, IntegrationKey: "k", Mapping: &consumer.Mapping{}})
			require.NoError(b, err)
			ctx, cancel := context.WithCancel(context.Background())
			stopped := make(chan error, 1)
			go func() { stopped <- c.Run(ctx) }()
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(b, err)
			server := newTestServer(ctx, c)
			go func() { _ = server.Serve(listener) }()
			bare := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body) }))
			defer bare.Close()
			const n = 4000
			var bareTime, ourTime time.Duration
			for b.Loop() {
				bareTime += postMany(b, bare.URL, callers, n)
				ourTime += postMany(b, "http://"+listener.Addr().String()+"/api/events", callers, n)
			}
			b.ReportMetric(float64(b.N*n)/bareTime.Seconds(), "bare/s")
			b.ReportMetric(float64(b.N*n)/ourTime.Seconds(), "posts/s")
			b.ReportMetric(0, "ns/op")
			cancel()
			require.NoError(b, <-stopped)
			_ = server.Close()
		})
	}
}

func postMany(b *testing.B, url string, callers, n int) time.Duration {
	b.Helper()
	client := http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}}
	defer client.CloseIdleConnections()
	var all sync.WaitGroup
	var next, failed atomic.Int64
	began := time.Now()
	for range callers {
		all.Go(func() {
			for next.Add(1) <= int64(n) {
				response, err := client.Post(url, "application/json", strings.NewReader(`{"integrationKey":"k","eventType":"ALERT","summary":"The press is hot","alertKey":"press"}`)) //nolint:noctx // a benchmark
				if err != nil {
					failed.Add(1)
					continue
				}
				if response.StatusCode != http.StatusOK {
					failed.Add(1)
				}
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
			}
		})
	}
	all.Wait()
	require.Zero(b, failed.Load())
	return time.Since(began)
}
