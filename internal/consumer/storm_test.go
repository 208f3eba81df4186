package consumer

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/store/memory"
)

// simulation is the delivery with a clock of its own: the store, the pace, and an ilert
// that takes fifty requests a minute and answers after latency.
type simulation struct {
	t        *testing.T
	store    *alerting.Engine
	pace     *pace
	now      time.Time
	underWay []underWay // the oldest first

	arrived  []time.Time          // of all requests
	named    map[string]time.Time // by alert key: when ilert first heard of it
	open     map[string]bool      // alerts of ilert's
	tooMany  int
	refuses  func(ilert.Event) bool // nil: none
	requests map[ilert.Type]int
}

type underWay struct {
	answer alerting.Answer
	err    error
}

const (
	latency   = 20 * time.Millisecond
	ofAMinute = 50
)

func simulate(t *testing.T) *simulation {
	t.Helper()
	s, err := alerting.Open(t.Context(), memory.New(), alerting.DefaultBounds)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	return &simulation{
		t: t, store: s, pace: newPace(defaultRate), now: noon,
		named: map[string]time.Time{}, open: map[string]bool{}, requests: map[ilert.Type]int{},
	}
}

// until lets the simulated time pass up to end.
func (s *simulation) until(end time.Time) {
	s.t.Helper()
	for {
		s.claim()
		next, waiting, err := s.store.NextDue(s.t.Context())
		require.NoError(s.t, err)
		if len(s.underWay) > 0 && (!waiting || s.underWay[0].answer.At.Before(next)) {
			next, waiting = s.underWay[0].answer.At, true
		}
		if !waiting || next.After(end) {
			s.now = end
			return
		}
		require.True(s.t, next.After(s.now), "it goes on, and does not spin")
		s.now = next
		s.settle()
	}
}

func (s *simulation) claim() {
	s.t.Helper()
	notices, err := s.store.Claim(s.t.Context(), s.now, workers-len(s.underWay), func(key ilert.IntegrationKey) alerting.Budget { return s.pace.budget(key, s.now) })
	require.NoError(s.t, err)
	for _, n := range notices {
		s.pace.take(n.IntegrationKey, s.now)
		answer := alerting.Answer{Notice: n, Result: alerting.Taken, At: s.now.Add(latency)}
		err := s.arrive(n.Event)
		switch {
		case err == nil:
		case err.Class == ilert.Invalid:
			answer.Result, answer.Reason = alerting.Refused, "no"
		default:
			answer.Result, answer.Retry = alerting.NotTaken, answer.At.Add(time.Second)
		}
		one := underWay{answer: answer}
		if err != nil {
			one.err = err
		}
		s.underWay = append(s.underWay, one)
	}
}

func (s *simulation) settle() {
	s.t.Helper()
	for len(s.underWay) > 0 && !s.underWay[0].answer.At.After(s.now) {
		one := s.underWay[0]
		s.underWay = s.underWay[1:]
		s.pace.answered(one.answer.Notice.IntegrationKey, one.err, s.now)
		require.NoError(s.t, s.store.Settle(s.t.Context(), []alerting.Answer{one.answer}))
	}
	tallies, err := s.store.Tallies(s.t.Context())
	require.NoError(s.t, err)
	for filter, t := range tallies {
		require.Equal(s.t, t.Received, t.Ignored+t.Duplicate+t.Merged+t.Delivered+t.Dead+t.Purged+t.Pending, "%s: %+v", filter, t)
	}
}

// arrive returns ilert's answer to an event.
func (s *simulation) arrive(e ilert.Event) *ilert.Error {
	s.arrived = append(s.arrived, s.now)
	if n := len(s.arrived); n > ofAMinute && s.now.Sub(s.arrived[n-1-ofAMinute]) < time.Minute {
		s.tooMany++
		return &ilert.Error{TooMany: true}
	}
	if s.refuses != nil && s.refuses(e) {
		return &ilert.Error{Class: ilert.Invalid}
	}
	s.requests[e.EventType]++
	s.open[e.AlertKey] = e.EventType != ilert.Resolve
	names := []string{e.AlertKey}
	if strings.HasPrefix(e.AlertKey, "storm/") {
		names = slices.DeleteFunc(strings.Split(e.Details, "\n"), func(line string) bool { return strings.HasSuffix(line, " more") })
	}
	for _, name := range names {
		if _, known := s.named[name]; !known && e.EventType == ilert.Alert {
			s.named[name] = s.now
		}
	}
	return nil
}

// apply lets messages come, each with one effect.
func (s *simulation) apply(effects []decision.Effect) {
	s.t.Helper()
	messages := make([]alerting.Message, len(effects))
	for i, effect := range effects {
		messages[i] = alerting.Message{Filter: "f", ReceivedAt: s.now, Decision: decision.Decision{Effects: []decision.Effect{effect}}}
	}
	require.NoError(s.t, s.store.Apply(s.t.Context(), messages))
}

// A rule for each device, and all of ten thousand fail within a minute.
func TestAStormOfTenThousandDevicesIsToldInTimeAndEndsAltogether(t *testing.T) {
	const devices = 10_000
	s := simulate(t)
	failedAt := map[string]time.Time{}
	each := func(effect func(key string) decision.Effect) {
		const together = 50
		begin := s.now
		for n := 0; n < devices; n += together {
			s.until(begin.Add(time.Duration(n) * time.Minute / devices))
			var effects []decision.Effect
			for i := range together {
				effects = append(effects, effect(fmt.Sprintf("device-%05d", n+i)))
			}
			s.apply(effects)
		}
	}
	each(func(name string) decision.Effect {
		failedAt[name] = s.now
		return decision.Raise{Rule: "device-failed", Key: decision.Key{Alert: name}, Event: ilert.Event{Summary: name, Priority: "HIGH"}}
	})
	s.until(noon.Add(5 * time.Minute))
	var first, longest time.Duration = time.Hour, 0
	for name, at := range failedAt {
		told, known := s.named[name]
		if !known {
			require.Fail(t, "never named", name)
		}
		longest, first = max(longest, told.Sub(at)), min(first, told.Sub(noon))
	}
	alerts := s.requests[ilert.Alert]
	assert.Less(t, first, 2*time.Second)
	assert.Less(t, longest, 2*time.Minute)

	each(func(name string) decision.Effect { return decision.End{Key: decision.Key{Alert: name}} })
	s.until(s.now.Add(5 * time.Minute))
	for key, open := range s.open {
		if open {
			assert.Fail(t, "still open", key)
		}
	}
	assert.Zero(t, s.tooMany)
	assert.LessOrEqual(t, len(s.arrived), 200)
	tallies, err := s.store.Tallies(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 2*devices, tallies["f"].Received)
	assert.Zero(t, tallies["f"].Pending)
	t.Logf("first page after %v, each device named within %v, %d requests to tell them and %d to end them",
		first, longest, alerts, s.requests[ilert.Resolve])
}

// Halves cost requests: they go out at the pace of the key, and other alerts among them.
func TestTheSearchForWhatIlertRefusesKeepsThePaceAndHoldsUpNothing(t *testing.T) {
	const devices = 1000
	s := simulate(t)
	culprits := []string{"device-0003", "device-0500", "device-0999"}
	s.refuses = func(e ilert.Event) bool {
		return slices.ContainsFunc(culprits, func(c string) bool { return e.AlertKey == c || strings.Contains(e.Details, c) })
	}
	var effects []decision.Effect
	for n := range devices {
		name := fmt.Sprintf("device-%04d", n)
		effects = append(effects, decision.Raise{Rule: "device-failed", Key: decision.Key{Alert: name}, Event: ilert.Event{Summary: name, Priority: "HIGH"}})
	}
	s.apply(effects)
	s.until(noon.Add(10 * time.Second))
	s.apply([]decision.Effect{decision.Raise{Rule: "fire", Key: decision.Key{Alert: "fire"}, Event: ilert.Event{Summary: "fire", Priority: "HIGH"}}})
	s.until(noon.Add(3 * time.Minute))
	assert.Equal(t, devices-len(culprits)+1, len(s.named)) //nolint:testifylint // they are many
	assert.Less(t, s.named["fire"].Sub(noon), 20*time.Second)
	assert.Zero(t, s.tooMany)
	assert.Less(t, len(s.arrived), 100)
	letters, err := s.store.DeadLetters(t.Context(), alerting.LetterQuery{})
	require.NoError(t, err)
	assert.Len(t, letters, len(culprits))
	tallies, err := s.store.Tallies(t.Context())
	require.NoError(t, err)
	assert.Equal(t, alerting.Tally{Received: devices + 1, Delivered: devices + 1 - 3, Dead: 3}, tallies["f"])
	var last time.Time
	for _, at := range s.named {
		last = latest(last, at)
	}
	t.Logf("%d requests, the last alert is known after %v", len(s.arrived), last.Sub(noon))
}
