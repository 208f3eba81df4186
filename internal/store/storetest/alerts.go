package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
)

var alertsTests = []test{
	testAlertsAreListedAsTheyStand,
	testAListedAlertSaysHowManyItSpeaksFor,
	testWhatAWindowHasCountedCanBeSeen,
}

// alerts returns the alerts of a rule, or all (""), by their alert keys.
func (b *book) alerts(rule string) map[string]alerting.AlertState {
	b.t.Helper()
	list, err := b.Alerts(b.t.Context(), b.now, rule, 1000)
	require.NoError(b.t, err)
	all := map[string]alerting.AlertState{}
	for _, a := range list {
		all[a.Key.Alert] = a
	}
	return all
}

// states returns the states of all alerts by their alert keys.
func (b *book) states() map[string]alerting.State {
	b.t.Helper()
	states := map[string]alerting.State{}
	for key, a := range b.alerts("") {
		states[key] = a.State
	}
	return states
}

func testAlertsAreListedAsTheyStand(t *testing.T, open opener) {
	b := open(t)
	assert.Empty(t, b.alerts(""))
	delayed, foreign := raising("delayed"), raising("foreign")
	delayed.For, foreign.Key.Integration, foreign.Rule = time.Minute, doors, "other"
	b.does(raising("a"), raising("b"), delayed, foreign)
	assert.Equal(t, map[string]alerting.State{"a": alerting.StateWaiting, "b": alerting.StateWaiting, "foreign": alerting.StateWaiting, "delayed": alerting.StateDelayed}, b.states())
	assert.Equal(t, b.now.Add(time.Minute), b.alerts("")["delayed"].Until)
	assert.Equal(t, b.now, b.alerts("")["delayed"].Since)

	notices := b.claim()
	require.Len(t, notices, 3)
	assert.Equal(t, map[string]alerting.State{"a": alerting.StateUnderWay, "b": alerting.StateUnderWay, "foreign": alerting.StateUnderWay, "delayed": alerting.StateDelayed}, b.states())
	for _, n := range notices {
		result := alerting.Taken
		if n.IntegrationKey != configured {
			result = alerting.Unknown
		}
		b.settle(n, result)
	}
	assert.Equal(t, map[string]alerting.State{"a": alerting.StateOpen, "b": alerting.StateOpen, "foreign": alerting.StateWaiting, "delayed": alerting.StateDelayed}, b.states())
	assert.Equal(t, 1, b.alerts("other")["foreign"].Tries)
	b.does(accepting("a"))
	b.taken()
	b.later(time.Second)
	b.does(ending("b"))
	assert.Equal(t, map[string]alerting.State{"a": alerting.StateAccepted, "b": alerting.StateEnding, "foreign": alerting.StateOpen, "delayed": alerting.StateDelayed}, b.states())

	all := b.alerts("r")
	assert.Len(t, all, 3)
	assert.Equal(t, alerting.AlertState{Key: decision.Key{Alert: "a"}, Rule: "r", Priority: "LOW", State: alerting.StateAccepted, ToldAt: start}, all["a"])

	few, err := b.Alerts(t.Context(), b.now, "", 2)
	require.NoError(t, err)
	assert.Len(t, few, 2)

	for key, raised := range map[string]bool{"a": true, "A": true, "b": false, "delayed": true, "nobody's": false} {
		a, err := b.Alert(t.Context(), decision.Key{Alert: key})
		require.NoError(t, err)
		assert.Equal(t, raised, a.IsRaised(), key)
	}
}

func testAListedAlertSaysHowManyItSpeaksFor(t *testing.T, open opener) {
	b := open(t)
	plain, held := window(decision.Window{Rule: "plain", Condition: decision.Condition{Length: minute, Distinct: 2}}), window(decision.Window{Rule: "held", Condition: decision.Condition{Length: minute, Distinct: 2}, Held: true})
	for n := range 3 {
		b.does(plain.hit("p", fmt.Sprint(n)), held.hit("h", fmt.Sprint(n)))
	}
	b.taken()
	b.does(held.leave("h", "0"))
	assert.Equal(t, 3, b.alerts("")["p"].Members)
	assert.Equal(t, 2, b.alerts("")["h"].Members)

	b.fails("s", 0, 20)
	b.passes()
	storm := b.alerts("s")["storm/s"]
	assert.True(t, storm.Storm)
	assert.Equal(t, 20, storm.Members)
	assert.Equal(t, "s", storm.Rule)
	assert.Len(t, b.alerts("s"), 21)
}

func testWhatAWindowHasCountedCanBeSeen(t *testing.T, open opener) {
	b := open(t)
	w := window(decision.Window{Condition: decision.Condition{Length: minute, AtLeast: 3, Distinct: 2, Ratio: 0.5}})
	_, exists, err := b.Counted(t.Context(), "w", "g")
	require.NoError(t, err)
	assert.False(t, exists)
	counted := func(want alerting.Counted) {
		t.Helper()
		want.Window = *w.Window
		got, exists, err := b.Counted(t.Context(), "w", "g")
		require.NoError(t, err)
		assert.True(t, exists)
		assert.Equal(t, want, got)
	}
	b.does(w.only("g"))
	b.does(w.only("g"), w.hit("g", "a"))
	b.does(w.only("g"), w.hit("g", "a"))
	counted(alerting.Counted{Reached: alerting.Reached{Hits: 2, Of: 3, Members: 1}})
	b.does(w.only("g"), w.hit("g", "b"))
	counted(alerting.Counted{Reached: alerting.Reached{Hits: 3, Of: 4, Members: 2}, Raised: true})
}
