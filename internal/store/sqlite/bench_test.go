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

// A backlog of one integration key must not make each step slower.
func BenchmarkClaimOfABacklog(b *testing.B) {
	for _, backlog := range []int{100, 100_000} {
		b.Run(fmt.Sprint(backlog), func(b *testing.B) {
			s := openBench(b)
			for range backlog / 100 {
				batch := make([]alerting.Message, 100)
				for i := range batch {
					batch[i] = received(send(configured, "x"))
				}
				require.NoError(b, s.Apply(context.Background(), batch))
			}
			for b.Loop() {
				notices, err := s.Claim(context.Background(), start, 16, alerting.Unlimited)
				require.NoError(b, err)
				require.Len(b, notices, 1)
				require.NoError(b, s.Settle(context.Background(), []alerting.Answer{{Notice: notices[0], Result: alerting.NotTaken, Retry: start}}))
				_, _, err = s.NextDue(context.Background())
				require.NoError(b, err)
			}
		})
	}
}

func BenchmarkApply(b *testing.B) {
	storm := decision.Window{Condition: decision.Condition{Length: time.Hour, AtLeast: 1 << 30}}
	fails := decision.Window{Condition: decision.Condition{Length: 10 * time.Second, AtLeast: 1 << 30, Ratio: 0.5}}
	sick := decision.Window{ // its alert is open, and health looks back over all of the window
		Condition: decision.Condition{Length: time.Second, AtLeast: 1, Ratio: 0.5},
		Or:        decision.Condition{Length: time.Minute, AtLeast: 1, Ratio: 0.5}, Healthy: 1e-9,
	}
	site := decision.Window{Condition: decision.Condition{Length: time.Hour, Distinct: 1000}, Held: true}
	many := decision.Window{Condition: decision.Condition{Length: time.Hour, AtLeast: 3}}
	for _, c := range []struct {
		name string
		size int
		of   func(n int) alerting.Message
	}{
		{"raise/1", 1, func(n int) alerting.Message { return raise(fmt.Sprint(n)) }},
		{"raise/256", 256, func(n int) alerting.Message { return raise(fmt.Sprint(n)) }},
		{"ignored/256", 256, func(int) alerting.Message { return message() }},
		{"whole/256", 256, func(int) alerting.Message {
			return message(wholeOf(fails, "g"))
		}},
		{"health/256", 256, func(n int) alerting.Message {
			if n%30_000 == 0 {
				return message(wholeOf(sick, "g"), hitOf(sick, "g", ""))
			}
			return message(wholeOf(sick, "g"))
		}},
		{"hits/256", 256, func(int) alerting.Message { return message(hitOf(storm, "g", "")) }},
		{"members/256", 256, func(n int) alerting.Message { return message(hitOf(site, "g", fmt.Sprint(n%5000))) }},
		{"groups/256", 256, func(n int) alerting.Message { return message(hitOf(many, fmt.Sprint(n), "")) }},
		{"device/256", 256, func(n int) alerting.Message {
			m := message()
			m.Decision.Device = fmt.Sprint(n % 100)
			return m
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := openBench(b)
			batch := make([]alerting.Message, c.size)
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

func openBench(b *testing.B) *alerting.Engine {
	b.Helper()
	s, err := sqlite.Open(context.Background(), filepath.Join(b.TempDir(), "store.db"))
	require.NoError(b, err)
	e, err := alerting.Open(context.Background(), s, alerting.DefaultBounds)
	require.NoError(b, err)
	b.Cleanup(func() { _ = e.Close() })
	return e
}

const filter = "mps/events"

func message(effects ...decision.Effect) alerting.Message {
	return alerting.Message{Decision: decision.Decision{Effects: effects}}
}

func raising(key string) decision.Raise {
	return decision.Raise{Rule: "r", Key: decision.Key{Alert: key}, Event: ilert.Event{Summary: key + " failed", Priority: "LOW"}}
}

func raise(key string) alerting.Message { return message(raising(key)) }

func send(key ilert.IntegrationKey, summary string) alerting.Message {
	return message(decision.Send{IntegrationKey: key, Path: ilert.EventsPath, Event: ilert.Event{Summary: summary}})
}

func wholeOf(w decision.Window, group string) decision.Whole {
	w.Rule = "w"
	return decision.Whole{Window: &w, Group: group}
}

func hitOf(w decision.Window, group, member string) decision.Hit {
	w.Rule = "w"
	return decision.Hit{Window: &w, Group: group, Member: member, Raise: decision.Raise{
		Key: decision.Key{Alert: "w/" + group}, Event: ilert.Event{Summary: "many", Priority: "LOW"},
	}}
}

func narrow(ilert.IntegrationKey) alerting.Budget {
	return alerting.Budget{Any: 10, Singles: 7, Minute: 5}
}

func received(m alerting.Message) alerting.Message {
	m.Filter, m.ReceivedAt = filter, start
	return m
}

// Many lanes, or many alerts of a lane without a budget, must not make the steps of another lane slower.
func BenchmarkClaimBesideOthers(b *testing.B) {
	for _, c := range []struct {
		name        string
		keys, waits int
	}{{"alone", 0, 0}, {"20000 lanes", 20_000, 20_000}, {"200000 of a held key", 1, 200_000}} {
		b.Run(c.name, func(b *testing.B) {
			s := openBench(b)
			for n := 0; n < c.waits; n += 1000 {
				batch := make([]alerting.Message, 1000)
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
			held := func(key ilert.IntegrationKey) alerting.Budget {
				if key == configured {
					return alerting.Unlimited(key)
				}
				return alerting.Budget{}
			}
			for range 21 {
				_, err := s.Claim(context.Background(), start, 16, held)
				require.NoError(b, err)
			}
			for b.Loop() {
				require.NoError(b, s.Apply(context.Background(), []alerting.Message{received(send(configured, "x"))}))
				notices, err := s.Claim(context.Background(), start, 16, held)
				require.NoError(b, err)
				require.Len(b, notices, 1)
				require.NoError(b, s.Settle(context.Background(), []alerting.Answer{{Notice: notices[0], Result: alerting.Taken}}))
				_, _, err = s.NextDue(context.Background())
				require.NoError(b, err)
			}
		})
	}
}

// A notice of a storm takes a time that depends on the members that it reports, not on the size of the storm.
func BenchmarkStorm(b *testing.B) {
	for _, size := range []int{1000, 100_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := openBench(b)
			for n := 0; n < size; n += 1000 {
				batch := make([]alerting.Message, 1000)
				for i := range batch {
					batch[i] = received(raise(fmt.Sprint(n + i)))
				}
				require.NoError(b, s.Apply(context.Background(), batch))
			}
			notice := func() {
				notices, err := s.Claim(context.Background(), start, 1, narrow)
				require.NoError(b, err)
				require.Len(b, notices, 1)
				require.NoError(b, s.Settle(context.Background(), []alerting.Answer{{Notice: notices[0], Result: alerting.NotTaken, Retry: start}}))
			}
			for range 10 { // until all alerts have joined the storm
				notice()
			}
			for b.Loop() {
				notice()
			}
		})
	}
}

// The end of a rule that has very many alerts must not hold up messages for long.
func BenchmarkEndOfARule(b *testing.B) {
	const alerts = 50_000
	var longest, all time.Duration
	for b.Loop() {
		b.StopTimer()
		s := openBench(b)
		for n := 0; n < alerts; n += 1000 {
			batch := make([]alerting.Message, 1000)
			for i := range batch {
				batch[i] = received(raise(fmt.Sprint(n + i)))
			}
			require.NoError(b, s.Apply(context.Background(), batch))
		}
		now := start.Add(time.Minute)
		for {
			notices, err := s.Claim(context.Background(), now, 1000, alerting.Unlimited)
			require.NoError(b, err)
			if len(notices) == 0 {
				break
			}
			answers := make([]alerting.Answer, len(notices))
			for i := range notices {
				answers[i] = alerting.Answer{Notice: notices[i], Result: alerting.Taken, At: now}
			}
			require.NoError(b, s.Settle(context.Background(), answers))
		}
		b.StartTimer()
		begin := time.Now()
		step := func(do func() error) {
			at := time.Now()
			require.NoError(b, do())
			longest = max(longest, time.Since(at))
		}
		step(func() error {
			return s.Apply(context.Background(), []alerting.Message{received(message(decision.EndAll{Rule: "r"}))})
		})
		for ended := 0; ended < alerts; {
			step(func() error {
				notices, err := s.Claim(context.Background(), now, 1000, alerting.Unlimited)
				ended += len(notices)
				return err
			})
		}
		all += time.Since(begin)
	}
	b.ReportMetric(float64(longest.Milliseconds()), "longest-ms")
	b.ReportMetric(all.Seconds()/float64(b.N), "s")
}
