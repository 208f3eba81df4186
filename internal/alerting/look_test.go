package alerting_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/store/memory"
)

func TestLooksAndRepeatsMakeFewCallsOfTheStore(t *testing.T) {
	defer alerting.StrictPlans()()
	store := &counting{Store: memory.New()}
	engine, err := alerting.Open(t.Context(), store, alerting.DefaultBounds)
	require.NoError(t, err)
	defer engine.Close()
	engine.UseLooks()
	c := &counted{t: t, engine: engine, store: store, now: time.UnixMilli(1795321902892), highest: map[string]int{}}
	c.do("start", func() error { return engine.UseRepeat(t.Context(), c.now, 4*time.Hour) })
	windows := &decision.Window{Rule: "site", Length: time.Hour, Distinct: 1, Held: true}
	raise := func(key string) decision.Raise {
		return decision.Raise{Rule: "r", Key: decision.Key{Alert: key}, Unless: []string{"x", "y"}, Event: ilert.Event{Summary: key, Priority: "HIGH"}}
	}
	var batch []alerting.Message
	for i := range 600 {
		effects := []decision.Effect{raise(fmt.Sprint("a", i))}
		if i%10 == 0 {
			r := raise(fmt.Sprint("w", i))
			r.Rule = "site"
			effects = append(effects, decision.Hit{Window: windows, Group: fmt.Sprint(i), Member: "m", Raise: r})
		}
		batch = append(batch, alerting.Message{Filter: "f", ReceivedAt: c.now, Decision: decision.Decision{Effects: effects}})
	}
	c.apply(batch)
	sent := len(c.send(alerting.Unlimited, alerting.Taken))
	assert.Equal(t, 660, sent)
	look := func(open map[string]bool) (looked alerting.Looked) {
		c.now = c.now.Add(10 * time.Minute)
		c.do("look", func() (err error) {
			look := &alerting.Look{Began: c.now, Delay: time.Minute, Sources: map[ilert.IntegrationKey]*alerting.Source{{}: {Well: true, Open: open}}}
			looked, err = engine.Look(t.Context(), c.now, look)
			return err
		})
		return looked
	}
	assert.EqualValues(t, 660, look(nil).Repairs.ToldAgain)
	c.send(alerting.Unlimited, alerting.Taken)
	c.now = c.now.Add(5 * time.Hour)
	assert.Len(t, c.send(alerting.Unlimited, alerting.Taken), 660, "repeats")
	c.do("end", func() error { return engine.Do(t.Context(), c.now, decision.EndAll{Rule: "r"}) })
	c.send(alerting.Unlimited, alerting.Taken)
	open := map[string]bool{}
	for i := range 600 {
		open[fmt.Sprint("a", i)] = false
	}
	assert.EqualValues(t, 600, look(open).Repairs.Resolved)
	for what, calls := range c.highest {
		assert.LessOrEqual(t, calls, maxCalls, what)
	}
}
