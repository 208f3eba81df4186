package store_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/store"
)

// A backlog of one key must not make each step slower.
func BenchmarkClaimOfABacklog(b *testing.B) {
	for _, backlog := range []int{100, 100_000} {
		b.Run(fmt.Sprint(backlog), func(b *testing.B) {
			s, err := store.Open(context.Background(), filepath.Join(b.TempDir(), "store.db"))
			require.NoError(b, err)
			defer s.Close()
			for range backlog / 100 {
				batch := make([]store.Message, 100)
				for i := range batch {
					batch[i] = send("k", "x")
					batch[i].Filter, batch[i].ReceivedAt = filter, start
				}
				require.NoError(b, s.Apply(context.Background(), batch))
			}
			for b.Loop() {
				notices, err := s.Claim(context.Background(), start, 16)
				require.NoError(b, err)
				require.Len(b, notices, 1)
				require.NoError(b, s.Settle(context.Background(), []store.Answer{{Notice: notices[0], Result: store.NotTold, Retry: start}}))
				_, _, err = s.NextTry(context.Background())
				require.NoError(b, err)
			}
		})
	}
}

func BenchmarkApply(b *testing.B) {
	s, err := store.Open(context.Background(), filepath.Join(b.TempDir(), "store.db"))
	require.NoError(b, err)
	defer s.Close()
	for _, size := range []int{1, 256} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			batch := make([]store.Message, size)
			for n := 0; b.Loop(); n++ {
				for i := range batch {
					batch[i] = raise(fmt.Sprint(n*size + i))
					batch[i].Filter, batch[i].ReceivedAt = filter, start
				}
				require.NoError(b, s.Apply(context.Background(), batch))
			}
			b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}
