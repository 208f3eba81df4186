package store_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/store"
)

// A backlog of one key must not make each step slower.
func BenchmarkClaimOfABacklog(b *testing.B) {
	for _, backlog := range []int{100, 100_000} {
		b.Run(fmt.Sprint(backlog), func(b *testing.B) {
			s := openBench(b)
			for range backlog / 100 {
				batch := make([]store.Message, 100)
				for i := range batch {
					batch[i] = received(send(configured, "x"))
				}
				require.NoError(b, s.Apply(context.Background(), batch))
			}
			for b.Loop() {
				notices, err := s.Claim(context.Background(), start, 16, store.Unlimited)
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
	storm := window(decision.Window{Length: time.Hour, AtLeast: 1 << 30})
	fails := window(decision.Window{Length: 10 * time.Second, AtLeast: 1 << 30, Ratio: 0.5})
	site := window(decision.Window{Length: time.Hour, Distinct: 1000, Held: true})
	many := window(decision.Window{Length: time.Hour, AtLeast: 3})
	for _, c := range []struct {
		name string
		size int
		of   func(n int) store.Message
	}{
		{"raise/1", 1, func(n int) store.Message { return raise(fmt.Sprint(n)) }},
		{"raise/256", 256, func(n int) store.Message { return raise(fmt.Sprint(n)) }},
		{"ignored/256", 256, func(int) store.Message { return message() }},
		{"only/256", 256, func(int) store.Message {
			return message(fails.only("g"))
		}},
		{"hits/256", 256, func(int) store.Message { return message(storm.hit("g", "")) }},
		{"members/256", 256, func(n int) store.Message { return message(site.hit("g", fmt.Sprint(n%5000))) }},
		{"groups/256", 256, func(n int) store.Message { return message(many.hit(fmt.Sprint(n), "")) }},
		{"device/256", 256, func(n int) store.Message {
			m := message()
			m.Decision.Device = fmt.Sprint(n % 100)
			return m
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := openBench(b)
			batch := make([]store.Message, c.size)
			for n := 0; b.Loop(); n++ {
				for i := range batch {
					batch[i] = received(c.of(n*c.size + i))
					batch[i].ReceivedAt = start.Add(time.Duration(n*c.size+i) * time.Millisecond)
				}
				require.NoError(b, s.Apply(context.Background(), batch))
			}
			b.ReportMetric(float64(b.N*c.size)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}

func openBench(b *testing.B) *store.Store {
	b.Helper()
	s, err := store.Open(context.Background(), filepath.Join(b.TempDir(), "store.db"))
	require.NoError(b, err)
	b.Cleanup(func() { _ = s.Close() })
	return s
}

func received(m store.Message) store.Message {
	m.Filter, m.ReceivedAt = filter, start
	return m
}

// Neither may many keys, nor what waits for one that is held.
func BenchmarkClaimBesideOthers(b *testing.B) {
	for _, c := range []struct {
		name        string
		keys, waits int
	}{{"alone", 0, 0}, {"20000 lanes", 20_000, 20_000}, {"200000 of a held key", 1, 200_000}} {
		b.Run(c.name, func(b *testing.B) {
			s := openBench(b)
			for n := 0; n < c.waits; n += 1000 {
				batch := make([]store.Message, 1000)
				for i := range batch {
					if c.keys == 1 {
						r := raising(fmt.Sprint("held", n+i))
						r.Key.Integration = doors
						batch[i] = received(message(r))
					} else {
						batch[i] = received(send(ilert.EnvKey(fmt.Sprint("HELD", n+i)), "x"))
					}
				}
				require.NoError(b, s.Apply(context.Background(), batch))
			}
			held := func(key ilert.IntegrationKey) store.Budget {
				if key == configured {
					return store.Unlimited(key)
				}
				return store.Budget{}
			}
			for range 21 {
				_, err := s.Claim(context.Background(), start, 16, held)
				require.NoError(b, err)
			}
			for b.Loop() {
				require.NoError(b, s.Apply(context.Background(), []store.Message{received(send(configured, "x"))}))
				notices, err := s.Claim(context.Background(), start, 16, held)
				require.NoError(b, err)
				require.Len(b, notices, 1)
				require.NoError(b, s.Settle(context.Background(), []store.Answer{{Notice: notices[0], Result: store.Told}}))
				_, _, err = s.NextTry(context.Background())
				require.NoError(b, err)
			}
		})
	}
}

// A message of a storm costs what it lists, however large the storm is.
func BenchmarkStorm(b *testing.B) {
	for _, size := range []int{1000, 100_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := openBench(b)
			for n := 0; n < size; n += 1000 {
				batch := make([]store.Message, 1000)
				for i := range batch {
					batch[i] = received(raise(fmt.Sprint(n + i)))
				}
				require.NoError(b, s.Apply(context.Background(), batch))
			}
			message := func() {
				notices, err := s.Claim(context.Background(), start, 1, narrow)
				require.NoError(b, err)
				require.Len(b, notices, 1)
				require.NoError(b, s.Settle(context.Background(), []store.Answer{{Notice: notices[0], Result: store.NotTold, Retry: start}}))
			}
			for range 10 { // until all have joined
				message()
			}
			for b.Loop() {
				message()
			}
		})
	}
}
