package alerting_test

import (
	"fmt"
	"math/rand/v2"
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

// depends does something at random with alerts that depend on each other, and with silences.
func (p *played) depends(random *rand.Rand) {
	p.t.Helper()
	server := decision.Key{Integration: doors, Alert: fmt.Sprint("server", random.IntN(3))}
	device := decision.Key{Integration: doors, Alert: fmt.Sprint("device", random.IntN(12))}
	raised := decision.Raise{Rule: "r", Key: device, Event: ilert.Event{Summary: "s"}, For: []time.Duration{0, 2 * time.Second}[random.IntN(2)]}
	for range 1 + random.IntN(2) {
		raised.Unless = append(raised.Unless, fmt.Sprint("server", random.IntN(3)))
	}
	beside := alerting.Beside(p.store)
	switch n := random.IntN(20); {
	case n < 8:
		p.apply("", p.now, raised)
	case n < 10:
		p.apply("", p.now, decision.End{Key: device})
	case n < 12:
		p.apply("", p.now, decision.Raise{Key: server, Event: ilert.Event{Summary: "s"}, Unless: []string{"server0"}})
	case n < 14:
		p.apply("", p.now, decision.End{Key: server})
	case n < 15:
		silence := alerting.Silence{Pattern: fmt.Sprint("*", random.IntN(12)), CreatedAt: p.now, EndsAt: p.now.Add(time.Duration(random.IntN(20)) * time.Second)}
		p.again(func() error { _, err := beside.AddSilence(p.t.Context(), silence); return err })
		fallthrough
	case n < 16:
		p.again(func() error { _, err := p.engine.FollowOrders(p.t.Context(), p.now); return err })
	default:
		p.now = p.now.Add(time.Second)
	}
}

// checkHolds asserts that those alerts wait, and only those, that have a reason to.
func (p *played) checkHolds(name string) {
	p.t.Helper()
	states, err := p.engine.Alerts(p.t.Context(), p.now, "", 1000)
	require.NoError(p.t, err)
	open := map[string]bool{}
	for _, a := range states {
		open[a.Key.Alert] = true
	}
	for _, a := range states {
		switch a.State {
		case alerting.StateHeld:
			require.True(p.t, open[a.HeldBy], "%s: %s is held by %s, which is not open", name, a.Key.Alert, a.HeldBy)
		case alerting.StateSilenced:
			require.NotNil(p.t, a.Silence, "%s: %s", name, a.Key.Alert)
			require.True(p.t, a.Silence.EndsAt.After(p.now), "%s: %s", name, a.Key.Alert)
			require.True(p.t, strings.HasSuffix(a.Key.Alert, a.Silence.Pattern[1:]), "%s: %s", name, a.Key.Alert)
		case alerting.StateOpen, alerting.StateDelayed:
		default:
			require.Fail(p.t, "it waits", "%s: %s %s", name, a.Key.Alert, a.State)
		}
	}
}

// Alerts are held and freed rightly whatever comes between the pages, and if processes and transactions fail.
func TestAlertsAreHeldAndFreedWhateverFails(t *testing.T) {
	for seed := range uint64(100) {
		for _, page := range []int{1, 3, 1000} {
			t.Cleanup(alerting.BoundPages(page))
			name := fmt.Sprintf("seed %d, pages of %d", seed, page)
			p, random := play(t), rand.New(rand.NewPCG(seed, 3))
			p.store.every = 3
			for step := range 200 {
				p.depends(random)
				if random.IntN(4) == 0 {
					p.drain(alerting.Unlimited)
					p.checkHolds(fmt.Sprint(name, ", step ", step))
				}
				if random.IntN(30) == 0 {
					p.restart()
				}
			}
			for n := range 3 {
				p.apply("", p.now, decision.End{Key: decision.Key{Integration: doors, Alert: fmt.Sprint("server", n)}})
			}
			p.now = p.now.Add(time.Hour)
			p.drain(alerting.Unlimited)
			states, err := p.engine.Alerts(t.Context(), p.now, "", 1000)
			require.NoError(t, err)
			require.Len(t, p.open, len(states), "%s: %v", name, states)
			for _, a := range states {
				require.Equal(t, alerting.StateOpen, a.State, "%s: %s", name, a.Key.Alert)
			}
		}
	}
}

func TestHeldAlertsTakeFewCallsOfTheStore(t *testing.T) {
	t.Cleanup(alerting.StrictPlans())
	store := &counting{Store: memory.New()}
	c := &counted{t: t, engine: open(t, store, alerting.DefaultBounds), store: store, now: start, highest: map[string]int{}}
	for round := range 4 {
		batch := make([]alerting.Message, 1024)
		for i := range batch {
			server := fmt.Sprint("server ", i%40)
			r := raise(doors, fmt.Sprint("device ", round, " ", i))
			r.Rule, r.Unless = "device", []string{server, fmt.Sprint("site ", i%7)}
			batch[i] = message(r)
			switch {
			case i%100 == 0 && round%2 == 0:
				batch[i] = message(raise(doors, server))
			case i%100 == 0:
				batch[i] = message(decision.End{Key: decision.Key{Integration: doors, Alert: server}})
			}
		}
		c.apply(batch)
		c.send(paced, alerting.NotTaken)
	}
	for what, calls := range c.highest {
		assert.LessOrEqual(t, calls, maxCalls, what)
	}
}
