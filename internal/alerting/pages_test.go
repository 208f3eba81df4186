package alerting_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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

var errFlaky = errors.New("no space left on the disk")

// flaky is a store of which one transaction of some fails at its end; 0: none does.
type flaky struct {
	alerting.Store
	every, calls int
}

func (f *flaky) Update(ctx context.Context, do func(alerting.Tx) error) error {
	f.calls++
	fails := f.every > 0 && f.calls%f.every == 0
	return f.Store.Update(ctx, func(tx alerting.Tx) error {
		err := do(tx)
		if fails {
			err = errors.Join(err, errFlaky)
		}
		return err
	})
}

// again calls do until the store does not fail.
func (p *played) again(do func() error) {
	p.t.Helper()
	err := do()
	for errors.Is(err, errFlaky) {
		err = do()
	}
	require.NoError(p.t, err)
}

// played is an engine whose notices a model of ilert takes.
type played struct {
	t      *testing.T
	store  *flaky
	engine *alerting.Engine
	now    time.Time
	skew   time.Duration   // see Message.MaxSkew
	open   map[string]bool // alerts that are open at ilert, but for storms
	storms map[string]bool
}

func play(t *testing.T) *played {
	t.Helper()
	p := &played{t: t, store: &flaky{Store: memory.New()}, now: start, open: map[string]bool{}, storms: map[string]bool{}}
	p.restart()
	return p
}

// restart opens the next engine on the same rows.
func (p *played) restart() {
	p.t.Helper()
	p.again(func() (err error) {
		p.engine, err = alerting.Open(p.t.Context(), p.store, alerting.DefaultBounds)
		return err
	})
}

func (p *played) apply(source string, at time.Time, effects ...decision.Effect) {
	p.t.Helper()
	m := message(effects...)
	m.ReceivedAt, m.Source, m.MaxSkew, m.Decision.At = p.now, source, p.skew, at
	p.again(func() error { return p.engine.Apply(p.t.Context(), []alerting.Message{m}) })
}

// send claims what is due once and lets ilert take it.
func (p *played) send(limits alerting.Limits) {
	p.t.Helper()
	var notices []alerting.Notice
	p.again(func() (err error) {
		notices, err = p.engine.Claim(p.t.Context(), p.now, 100, limits)
		return err
	})
	answers := make([]alerting.Answer, len(notices))
	for i, n := range notices {
		answers[i] = alerting.Answer{Notice: n, Result: alerting.Taken, At: p.now}
		name := fmt.Sprint(n.Event.AlertKey, " by ", n.IntegrationKey)
		all := p.open
		if strings.HasPrefix(name, "storm/") {
			all = p.storms
		}
		switch n.Event.EventType {
		case ilert.Alert:
			all[name] = true
		case ilert.Resolve:
			delete(all, name)
		case ilert.Accept:
			assert.True(p.t, all[name], "%s is accepted and not open", name)
		}
	}
	p.again(func() error { return p.engine.Settle(p.t.Context(), answers) })
}

// drain sends all that is due.
func (p *played) drain(limits alerting.Limits) {
	p.t.Helper()
	for range 10_000 {
		p.send(limits)
		at, some, err := p.engine.NextDue(p.t.Context())
		require.NoError(p.t, err)
		if !some || at.After(p.now) {
			return
		}
	}
	require.Fail(p.t, "it does not come to an end")
}

// states returns the alerts as people see them.
func (p *played) states() (all []string) {
	p.t.Helper()
	states, err := p.engine.Alerts(p.t.Context(), p.now, "", 100_000)
	require.NoError(p.t, err)
	for _, a := range states {
		all = append(all, fmt.Sprintf("%s by %s of %s: %s, %d members", a.Key.Alert, a.Key.Integration, a.Rule, a.State, a.Members))
	}
	slices.Sort(all)
	return all
}

// step does something at random, and the same for the same numbers.
func (p *played) step(random *rand.Rand) {
	p.t.Helper()
	rule := []string{"r", "q"}[random.IntN(2)]
	key := decision.Key{Alert: fmt.Sprint("a", random.IntN(15)), Integration: []ilert.IntegrationKey{doors, third}[random.IntN(8)/7]}
	source := []string{"", "s", "t"}[random.IntN(3)]
	at := p.now.Add(-time.Duration(random.IntN(4)) * time.Second)
	w := decision.Window{Rule: rule, Condition: decision.Condition{Length: []time.Duration{time.Hour, 10 * time.Second}[random.IntN(6)/5], AtLeast: 2}}
	if rule == "q" {
		w.AtLeast, w.Distinct, w.Held = 0, 2, true
	}
	group := fmt.Sprint("g", random.IntN(8))
	member := fmt.Sprint(random.IntN(4))
	after := []time.Duration{0, 0, time.Hour}[random.IntN(3)] // no hold ends between two pages
	raised := decision.Raise{Rule: rule, Key: key, Event: ilert.Event{Summary: "s"}, After: after}
	counted := decision.Raise{Key: decision.Key{Integration: key.Integration, Alert: rule + group}, Event: ilert.Event{Summary: "w"}, After: after}
	switch n := random.IntN(40); {
	case n < 8:
		p.apply(source, at, raised)
	case n < 22:
		p.apply(source, at, decision.Hit{Window: &w, Group: group, Member: member, Raise: counted})
	case n < 24:
		p.apply(source, at, decision.Accept{Key: key})
	case n < 26:
		p.apply(source, at, decision.End{Key: key})
	case n < 27:
		p.apply(source, at, decision.Leave{Rule: rule, Group: group, Member: member})
	case n < 28:
		p.apply(source, at, decision.Reset{Rule: rule, Group: group})
	case n < 31:
		p.apply("", at, decision.EndAll{Rule: rule})
	case n < 36 && n > 33:
		p.apply("", at, decision.EndPrefix{Key: decision.Key{Integration: key.Integration, Alert: []string{"A", "a1", rule + "g"}[random.IntN(3)]}})
	case n < 32:
		p.apply("", at, raised, decision.EndAll{Rule: rule}, decision.EndAll{Rule: "q"}, raised)
	case n < 33:
		now := map[string]ilert.IntegrationKey{rule: doors}
		if random.IntN(2) == 0 {
			now = map[string]ilert.IntegrationKey{"r": doors, "q": third}
		}
		p.again(func() error {
			_, err := p.engine.Retain(p.t.Context(), p.now, now)
			return err
		})
	default:
		p.now = p.now.Add(time.Second)
	}
}

// A rule whose alerts and windows end in pages leaves ilert with the same alerts as one that ends at once, whatever comes
// between the pages, if processes and transactions fail, too.
func TestItMakesNoDifferenceThatARuleEndsInPages(t *testing.T) {
	for seed := range uint64(60) {
		run := func(page int, limits alerting.Limits) *played {
			t.Cleanup(alerting.BoundPages(page))
			defer alerting.BoundPages(2000)
			p, random := play(t), rand.New(rand.NewPCG(seed, 1))
			if page < 100 {
				p.store.every = 3
			}
			for range 120 {
				p.step(random)
				if random.IntN(6) == 0 {
					p.send(limits)
				}
				if random.IntN(30) == 0 && page < 100 {
					p.restart()
				}
			}
			p.drain(limits)
			for range 2 { // a report of new members may put off the end of a hold
				p.now = p.now.Add(time.Hour)
				p.drain(limits)
			}
			return p
		}
		want := run(1000, alerting.Unlimited)
		for _, page := range []int{1, 3} {
			have := run(page, alerting.Unlimited)
			require.Equal(t, want.open, have.open, "seed %d, pages of %d", seed, page)
			require.Equal(t, want.states(), have.states(), "seed %d, pages of %d", seed, page)
		}
	}
}

// Whatever comes between the pages, all alerts and storms end at ilert when their rules end.
func TestAllEndsWithItsRulesWhateverComesBetweenThePages(t *testing.T) {
	narrow := func(ilert.IntegrationKey) alerting.Budget { return alerting.Budget{Any: 4, Singles: 2, Minute: 2} }
	for seed := range uint64(60) {
		for _, page := range []int{1, 3, 1000} {
			t.Cleanup(alerting.BoundPages(page))
			p, random := play(t), rand.New(rand.NewPCG(seed, 2))
			p.skew = time.Second
			for range 200 {
				p.step(random)
				if random.IntN(4) == 0 {
					p.send(narrow)
				}
				if random.IntN(30) == 0 {
					p.restart()
				}
			}
			_, err := p.engine.Retain(t.Context(), p.now, nil)
			require.NoError(t, err)
			p.drain(narrow)
			require.Empty(t, p.states(), "seed %d, pages of %d", seed, page)
			require.Empty(t, p.open, "seed %d, pages of %d", seed, page)
			require.Empty(t, p.storms, "seed %d, pages of %d", seed, page)
		}
	}
}

// An alert of which another source has reported something later outlives the end of its rule, and so does its window:
// else nobody could leave it any more.
func TestTheWindowOfAnAlertThatOutlivesItsRuleStays(t *testing.T) {
	for _, page := range []int{1, 2, 1000} {
		t.Cleanup(alerting.BoundPages(page))
		p := play(t)
		p.skew = time.Second
		w := decision.Window{Rule: "q", Condition: decision.Condition{Length: time.Hour, Distinct: 2}, Held: true}
		for _, group := range []string{"g", "h", "i"} {
			for member := range 2 {
				source, at := "s", p.now.Add(-10*time.Second)
				if group == "h" {
					source, at = "t", p.now
				}
				p.apply(source, at, decision.Hit{Window: &w, Group: group, Member: fmt.Sprint(member), Raise: raise(doors, group)})
			}
		}
		p.drain(alerting.Unlimited)
		p.apply("s", p.now.Add(-5*time.Second), decision.EndAll{Rule: "q"})
		p.drain(alerting.Unlimited)
		assert.Equal(t, []string{"h by env:DOORS_KEY of q: open, 2 members"}, p.states(), "pages of %d", page)
		p.restart()
		for member := range 2 {
			p.apply("t", p.now, decision.Leave{Rule: "q", Group: "h", Member: fmt.Sprint(member)})
		}
		p.drain(alerting.Unlimited)
		assert.Empty(t, p.states(), "pages of %d", page)
	}
}
