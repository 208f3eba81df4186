package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
)

var healthTests = []test{
	testEnoughGoodMessagesEndTheAlert,
	testALullIsNoHealth,
	testAMessageThatIsAHitEndsNothing,
	testTheEndByHealthEmptiesTheWindow,
	testTheEndByHealthIsHeld,
	testOldHitsDoNotOutweighManyGoodMessages,
	testSomeLuckIsNoHealth,
	testAStoreWithoutAnOpenAlertJudgesNoHealth,
}

// failing returns a window of calls of which half fail; its alert ends when less than a tenth do.
func failing() windowed {
	w := window(decision.Window{Condition: decision.Condition{Length: 10 * minute, AtLeast: 5, Ratio: 0.5}, Healthy: 0.1})
	w.text = place("count") + " of " + place("of") + " within " + place("window")
	return w
}

// calls applies messages of which some are hits, all within a time.
func (b *book) calls(w windowed, good, bad int, within time.Duration) {
	b.t.Helper()
	done := 0
	for n := range good + bad {
		effects := []decision.Effect{w.only("g")}
		if due := (n + 1) * bad / (good + bad); due > done {
			done = due
			effects = append(effects, w.hit("g", ""))
		}
		b.does(effects...)
		b.later(within / time.Duration(good+bad))
	}
}

func testEnoughGoodMessagesEndTheAlert(t *testing.T, open opener) {
	b := open(t)
	w := failing()
	b.calls(w, 5, 5, 5*minute)
	assert.Equal(t, []string{"ALERT 5 of 10 within 10 minutes"}, b.texts())
	b.later(9 * minute)
	b.calls(w, 4, 0, 0)
	assert.Empty(t, b.texts(), "four are too few")
	b.restart()
	b.calls(w, 1, 0, 0)
	assert.Empty(t, b.texts(), "a hit is among six")
	b.later(minute)
	b.calls(w, 1, 0, 0)
	assert.Equal(t, []string{"RESOLVE 5 of 10 within 10 minutes"}, b.texts())
}

func testALullIsNoHealth(t *testing.T, open opener) {
	b := open(t)
	w := failing()
	for range 5 {
		b.calls(w, 0, 8, 5*minute)
		b.later(40 * minute)
		b.calls(w, 4, 4, 5*minute)
		b.later(30 * minute)
	}
	assert.Len(t, b.states(), 1)
	for _, what := range b.taken() {
		assert.Equal(t, "ALERT g", what)
	}
}

func testAMessageThatIsAHitEndsNothing(t *testing.T, open opener) {
	b := open(t)
	w := failing()
	b.calls(w, 0, 5, 0)
	b.taken()
	b.calls(w, 40, 0, 0)
	assert.Empty(t, b.taken(), "5 of 45")
	b.later(9 * minute)
	b.does(w.only("g"))
	b.later(minute)
	b.calls(w, 20, 0, 0)
	assert.Len(t, b.taken(), 1)

	b.calls(w, 0, 5, 0)
	assert.Empty(t, b.taken(), "5 of 25")
	b.later(10 * minute)
	b.calls(w, 0, 5, 0)
	b.taken()
	b.later(10*minute - time.Second)
	b.calls(w, 4, 0, 0)
	b.later(time.Second)
	b.does(w.only("g"), w.hit("g", ""))
	assert.Empty(t, b.taken(), "1 of 5 is bad, and the message is a hit")
}

func testTheEndByHealthEmptiesTheWindow(t *testing.T, open opener) {
	b := open(t)
	w := failing()
	b.calls(w, 0, 5, 0)
	b.taken()
	b.calls(w, 50, 0, minute)
	assert.Len(t, b.taken(), 1)
	_, exists, err := b.Counted(t.Context(), "w", "g")
	require.NoError(t, err)
	assert.True(t, exists, "what came after the end")
	b.calls(w, 0, 4, 0)
	assert.Empty(t, b.taken(), "four are too few again")
}

func testTheEndByHealthIsHeld(t *testing.T, open opener) {
	b := open(t)
	w := failing()
	after := func(h decision.Hit) decision.Hit {
		h.Raise.After = 5 * minute
		return h
	}
	for range 5 {
		b.does(w.only("g"), after(w.hit("g", "")))
	}
	b.taken()
	b.later(10 * minute)
	b.calls(w, 20, 0, 0)
	assert.Empty(t, b.taken(), "it is held")
	b.later(2 * minute)
	b.calls(w, 20, 0, 0)
	b.later(3 * minute)
	assert.Equal(t, []string{"RESOLVE g"}, b.taken(), "the first end counts")
}

// mended returns the time from the end of an outage to the end of its alert. There are so many calls in a minute.
func (b *book) mended(w windowed, calls int, outage time.Duration, bad float64) (after time.Duration) {
	b.t.Helper()
	minutes := int(outage / minute)
	failed := int(bad * float64(calls))
	for range minutes {
		b.calls(w, calls-failed, failed, minute)
	}
	b.taken()
	for len(b.taken()) == 0 {
		if after += minute; after > 2*time.Hour {
			return after
		}
		b.calls(w, calls, 0, minute)
	}
	return after
}

// twoWindows returns a window for fast and for slow outages.
func twoWindows() windowed {
	return window(decision.Window{
		Condition: decision.Condition{Length: 10 * minute, AtLeast: 10, Ratio: 0.4},
		Or:        decision.Condition{Length: time.Hour, AtLeast: 20, Ratio: 0.15}, Healthy: 0.1,
	})
}

func testOldHitsDoNotOutweighManyGoodMessages(t *testing.T, open opener) {
	for name, c := range map[string]struct {
		calls   int // in a minute
		bad     float64
		atMost  time.Duration
		atLeast time.Duration
	}{
		"many calls, all fail": {40, 1, 12 * minute, 8 * minute},
		"some calls, all fail": {10, 1, 20 * minute, 15 * minute},
		"few calls, half fail": {3, 0.5, 60 * minute, 30 * minute},
	} {
		b := open(t)
		took := b.mended(twoWindows(), c.calls, time.Hour, c.bad)
		assert.LessOrEqual(t, took, c.atMost, name)
		assert.GreaterOrEqual(t, took, c.atLeast, name)
		assert.Empty(t, b.states(), "%s: the alert does not begin anew", name)
	}
}

func testSomeLuckIsNoHealth(t *testing.T, open opener) {
	b := open(t)
	w := twoWindows()
	b.calls(w, 80, 20, time.Hour)
	assert.Equal(t, []string{"ALERT g"}, b.taken())
	b.calls(w, 15, 0, 10*minute)
	assert.Empty(t, b.taken(), "fifteen in a row may be luck if one in five fails")
	b.calls(w, 10, 10, 0)
	assert.Len(t, b.states(), 1)
}

func testAStoreWithoutAnOpenAlertJudgesNoHealth(t *testing.T, open opener) {
	b := open(t)
	w := failing()
	b.calls(w, 50, 0, minute)
	b.does(w.hit("g", ""))
	got, exists, err := b.Counted(t.Context(), "w", "g")
	require.NoError(t, err)
	assert.True(t, exists)
	assert.Equal(t, alerting.Health{}, got.Health)
	assert.Equal(t, alerting.Reached{Hits: 1, Of: 50}, got.Reached)
}
