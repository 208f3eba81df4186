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

var eitherTests = []test{
	testEitherConditionRaisesTheAlert,
	testTheNumbersAreThoseOfTheConditionThatHolds,
	testTheNumbersAreThoseOfTheConditionThatHeldLast,
	testEitherConditionKeepsAnAlertFromBeingCleared,
	testARowMayBeTheOtherCondition,
	testACrowdIsRaisedWithinEitherTime,
	testACrowdHoldsThoseOfTheConditionThatRaisedIt,
	testWhatBothConditionsHaveCountedCanBeSeen,
}

// either returns a window of 4 messages within 10 minutes or 6 within an hour.
func either() windowed {
	w := window(decision.Window{
		Condition: decision.Condition{Length: 10 * minute, AtLeast: 4, Distinct: 2},
		Or:        decision.Condition{Length: time.Hour, AtLeast: 6, Distinct: 3}, Clear: 5 * minute,
	})
	w.text = place("count") + " of " + place("members") + " within " + place("window")
	return w
}

func testEitherConditionRaisesTheAlert(t *testing.T, open opener) {
	b := open(t)
	w := either()
	b.hits(w, "a", "b", "a")
	assert.Empty(t, b.texts())
	b.hits(w, "b")
	assert.Equal(t, []string{"ALERT 4 of a, b within 10 minutes"}, b.texts())
	b.does(decision.Reset{Rule: "w", Group: "g"})
	b.texts()
	for n := range 5 {
		b.hits(w, fmt.Sprint(n%3))
		b.later(9 * minute)
	}
	assert.Empty(t, b.texts())
	b.hits(w, "2")
	assert.Equal(t, []string{"ALERT 6 of 0, 1, 2 within 1 hour"}, b.texts())
}

func testTheNumbersAreThoseOfTheConditionThatHolds(t *testing.T, open opener) {
	b := open(t)
	w := either()
	w.hold = minute
	for range 3 {
		b.hits(w, "a", "b")
		b.later(20 * minute)
	}
	b.hits(w, "a", "b", "c", "a")
	b.later(minute)
	assert.Equal(t, []string{"ALERT 4 of a, b, c within 10 minutes"}, b.texts(), "both hold, and the first is the one")
}

func testTheNumbersAreThoseOfTheConditionThatHeldLast(t *testing.T, open opener) {
	b := open(t)
	w := either()
	w.Clear, w.hold = 24*time.Hour, 2*time.Hour
	b.hits(w, "a", "b", "c", "a")
	for range 2 {
		b.later(15 * minute)
		b.hits(w, "b")
	}
	b.later(100 * minute)
	b.restart()
	assert.Equal(t, []string{"ALERT 6 of a, b, c within 1 hour"}, b.texts())
}

func testEitherConditionKeepsAnAlertFromBeingCleared(t *testing.T, open opener) {
	b := open(t)
	w := either()
	b.hits(w, "a", "b", "c", "a", "b", "c")
	b.texts()
	b.later(60 * minute)
	assert.Empty(t, b.texts(), "the longer one has held until now")
	b.later(5 * minute)
	b.next()
	assert.Equal(t, []string{"RESOLVE 6 of a, b, c within 1 hour"}, b.texts())
}

func testARowMayBeTheOtherCondition(t *testing.T, open opener) {
	b := open(t)
	w := window(decision.Window{Condition: decision.Condition{Length: time.Hour, AtLeast: 5}, Or: decision.Condition{Length: 10 * minute, InARow: 3}})
	w.text = place("count") + " within " + place("window")
	b.hits(w, "", "")
	b.does(w.breaks("g"))
	b.hits(w, "", "")
	assert.Empty(t, b.texts())
	b.does(w.hit("h", ""), w.hit("h", ""), w.hit("h", ""))
	assert.Equal(t, []string{"ALERT 3 within 10 minutes"}, b.texts())
	b.hits(w, "")
	assert.Equal(t, []string{"ALERT 5 within 1 hour"}, b.texts())
}

// crowd returns a window of 3 devices within 2 minutes or 6 within an hour.
func crowd() windowed {
	w := window(decision.Window{
		Condition: decision.Condition{Length: 2 * minute, Distinct: 3},
		Or:        decision.Condition{Length: time.Hour, Distinct: 6}, Held: true, Left: 1,
	})
	w.text = place("members") + " within " + place("window")
	return w
}

func testACrowdIsRaisedWithinEitherTime(t *testing.T, open opener) {
	b := open(t)
	w := crowd()
	b.hits(w, "a", "b", "c")
	assert.Equal(t, []string{"ALERT a, b, c within 2 minutes"}, b.texts())
	b.leaves(w, "a", "b", "c")
	b.texts()
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		assert.Empty(t, b.texts())
		b.hits(w, name)
		b.later(10 * minute)
	}
	assert.Equal(t, []string{"ALERT a, b, c, d, e, f within 1 hour"}, b.texts())
	b.leaves(w, "a", "b", "c", "d", "e")
	assert.Empty(t, b.texts())
	b.restart()
	b.leaves(w, "f")
	assert.Len(t, b.taken(), 1)
}

func testACrowdHoldsThoseOfTheConditionThatRaisedIt(t *testing.T, open opener) {
	b := open(t)
	w := crowd()
	b.hits(w, "somebody", "else")
	b.later(30 * minute)
	b.hits(w, "a", "b", "c")
	assert.Equal(t, []string{"ALERT a, b, c within 2 minutes"}, b.texts())
	b.leaves(w, "a", "b", "c")
	assert.Len(t, b.taken(), 1)
}

func testWhatBothConditionsHaveCountedCanBeSeen(t *testing.T, open opener) {
	b := open(t)
	w := either()
	b.hits(w, "a", "b")
	b.later(20 * minute)
	b.hits(w, "c")
	got, exists, err := b.Counted(t.Context(), "w", "g")
	require.NoError(t, err)
	assert.True(t, exists)
	assert.Equal(t, alerting.Reached{Hits: 1, Members: 1}, got.Reached)
	assert.Equal(t, alerting.Reached{Hits: 3, Members: 3}, got.Or)
}
