package sqlite_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/store/sqlite"
)

// A look works in pages, and messages wait for the longest of its transactions.
func BenchmarkLook(b *testing.B) {
	const many = 10_000
	file, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "store.db"))
	require.NoError(b, err)
	s := &timed{Store: file}
	e, err := alerting.Open(b.Context(), s, alerting.DefaultBounds)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, e.Close()) })
	e.UseLooks()
	all, none := map[string]bool{}, map[string]bool{}
	for from := 0; from < many; from += 500 {
		var messages []alerting.Message
		for n := range 500 {
			key := fmt.Sprintf("device/%08d-1234-1234-1234-123456789012", from+n)
			all[key] = false
			messages = append(messages, received(message(decision.Raise{
				Rule: "device", Key: decision.Key{Alert: key}, Event: ilert.Event{Summary: "the device does not answer", Priority: "HIGH"},
			})))
		}
		require.NoError(b, e.Apply(b.Context(), messages))
	}
	send := func(at time.Time) {
		for {
			notices, err := e.Claim(b.Context(), at, 500, alerting.Unlimited)
			require.NoError(b, err)
			if len(notices) == 0 {
				return
			}
			var answers []alerting.Answer
			for _, n := range notices {
				answers = append(answers, alerting.Answer{Notice: n, Result: alerting.Taken, At: at})
			}
			require.NoError(b, e.Settle(b.Context(), answers))
		}
	}
	at := start
	send(at)
	look := func(what string, open map[string]bool, changed uint64) {
		at = at.Add(time.Hour)
		s.longest = 0
		began := time.Now()
		look := &alerting.Look{Began: at, Delay: time.Minute, Sources: map[ilert.IntegrationKey]*alerting.Source{{}: {Well: true, Open: open}}}
		_, _, err := e.Missing(b.Context(), look)
		require.NoError(b, err)
		looked, err := e.Look(b.Context(), at, look)
		require.NoError(b, err)
		require.Equal(b, changed, looked.Repairs.ToldAgain)
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms/"+what)
		b.ReportMetric(float64(s.longest.Milliseconds()), "ms-longest/"+what)
		send(at)
	}
	for b.Loop() {
		look("first", all, 0)
		look("again", all, 0)
		look("missing", none, many)
		began := time.Now()
		s.longest = 0
		require.NoError(b, e.UseRepeat(b.Context(), at.Add(24*time.Hour), 4*time.Hour))
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms/start")
		b.ReportMetric(float64(s.longest.Milliseconds()), "ms-longest/start")
		require.NoError(b, e.UseRepeat(b.Context(), at, 0))
	}
}
