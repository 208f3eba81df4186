package sqlite_test

import (
	"context"
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

// timed is a store that keeps the time of its longest transaction.
type timed struct {
	alerting.Store
	longest time.Duration
}

func (s *timed) Update(ctx context.Context, do func(alerting.Tx) error) error {
	began := time.Now()
	err := s.Store.Update(ctx, do)
	s.longest = max(s.longest, time.Since(began))
	return err
}

// While alerts are held or freed, messages wait for the longest transaction.
func BenchmarkHold(b *testing.B) {
	const many = 10_000
	file, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "store.db"))
	require.NoError(b, err)
	s := &timed{Store: file}
	e, err := alerting.Open(b.Context(), s, alerting.DefaultBounds)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, e.Close()) })
	server := decision.Key{Alert: "server"}
	for from := 0; from < many; from += 500 {
		var messages []alerting.Message
		for n := range 500 {
			messages = append(messages, received(message(decision.Raise{
				Rule: "device", Key: decision.Key{Alert: fmt.Sprintf("device/%08d-1234-1234-1234-123456789012", from+n)}, For: time.Hour,
				Unless: []string{"server"}, Event: ilert.Event{Summary: "the device does not answer", Priority: "LOW"},
			})))
		}
		require.NoError(b, e.Apply(b.Context(), messages))
	}
	claims := func(held int) (longest time.Duration) {
		s.longest = 0
		notices, err := e.Claim(b.Context(), start, 100, alerting.Unlimited)
		require.NoError(b, err)
		longest = s.longest
		var answers []alerting.Answer
		for _, n := range notices {
			answers = append(answers, alerting.Answer{Notice: n, Result: alerting.Taken, At: start})
		}
		require.NoError(b, e.Settle(b.Context(), answers))
		status, err := e.Status(b.Context(), start)
		require.NoError(b, err)
		require.EqualValues(b, held, status.Held+status.Silenced)
		return longest
	}
	var held, freed, silenced time.Duration
	for b.Loop() {
		require.NoError(b, e.Apply(b.Context(), []alerting.Message{received(message(decision.Raise{Key: server, Event: ilert.Event{Summary: "gone"}}))}))
		held = max(held, claims(many))
		require.NoError(b, e.Apply(b.Context(), []alerting.Message{received(message(decision.End{Key: server}))}))
		freed = max(freed, claims(0))
		id, err := alerting.Beside(s).AddSilence(b.Context(), alerting.Silence{Pattern: "device/*", CreatedAt: start, EndsAt: start.Add(time.Hour)})
		require.NoError(b, err)
		_, err = e.FollowOrders(b.Context(), start)
		require.NoError(b, err)
		silenced = max(silenced, claims(many))
		_, err = alerting.Beside(s).RemoveSilences(b.Context(), start, []int64{id})
		require.NoError(b, err)
		_, err = e.FollowOrders(b.Context(), start)
		require.NoError(b, err)
		claims(0)
	}
	b.ReportMetric(float64(held.Milliseconds()), "ms/hold")
	b.ReportMetric(float64(freed.Milliseconds()), "ms/free")
	b.ReportMetric(float64(silenced.Milliseconds()), "ms/silence")
}
