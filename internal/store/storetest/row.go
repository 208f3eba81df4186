package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/decision"
)

var inARowTests = []test{
	testARowRaisesAnAlert,
	testABreakEndsTheRowOfItsGroupAlone,
	testARowIsNotOlderThanItsWindow,
	testARowIsOneConditionOfSeveral,
	testAnAlertIsClearedAfterItsRowWasBroken,
	testTheCountOfARowIsItsLength,
	testARowOutlivesTheProcess,
}

func inARow(n int) windowed {
	w := window(decision.Window{Condition: decision.Condition{Length: 10 * minute, InARow: n}})
	w.text = place("count") + " in a row"
	return w
}

func (w windowed) breaks(group string) decision.Break {
	return decision.Break{Rule: w.Rule, Group: group}
}

func testARowRaisesAnAlert(t *testing.T, open opener) {
	b := open(t)
	w := inARow(3)
	b.does(w.breaks("g"))
	groups, _ := b.windowsOf("w")
	assert.Zero(t, groups, "nothing to break")
	b.does(w.hit("g", ""), w.hit("g", ""))
	b.does(w.breaks("g"))
	b.does(w.hit("g", ""), w.hit("g", ""))
	assert.Empty(t, b.taken())
	b.does(w.hit("g", ""))
	assert.Equal(t, []string{"ALERT 3 in a row"}, b.texts())
	b.does(decision.Reset{Rule: "w", Group: "g"})
	assert.Equal(t, []string{"RESOLVE g"}, b.taken())
	b.does(w.hit("g", ""), w.hit("g", ""))
	assert.Empty(t, b.taken(), "a reset breaks the row")
}

func testABreakEndsTheRowOfItsGroupAlone(t *testing.T, open opener) {
	b := open(t)
	w := inARow(2)
	b.does(w.hit("g", ""), w.hit("h", ""), w.breaks("g"))
	b.does(w.hit("g", ""), w.hit("h", ""))
	assert.Equal(t, []string{"ALERT h"}, b.taken())
}

func testARowIsNotOlderThanItsWindow(t *testing.T, open opener) {
	b := open(t)
	w := inARow(3)
	for range 3 {
		b.does(w.hit("g", ""))
		b.later(6 * minute)
	}
	assert.Empty(t, b.taken())
	b.does(w.hit("g", ""))
	b.later(time.Second)
	b.does(w.hit("g", ""))
	assert.Equal(t, []string{"ALERT g"}, b.taken())
}

func testARowIsOneConditionOfSeveral(t *testing.T, open opener) {
	b := open(t)
	w := inARow(2)
	w.AtLeast, w.Distinct = 4, 3
	b.does(w.hit("g", "a"), w.hit("g", "b"), w.hit("g", "c"), w.breaks("g"), w.hit("g", "a"))
	assert.Empty(t, b.taken(), "four of three members, but no row")
	b.does(w.hit("g", "b"))
	assert.Equal(t, []string{"ALERT 5 in a row"}, b.texts(), "with at_least all of the window count")
}

func testAnAlertIsClearedAfterItsRowWasBroken(t *testing.T, open opener) {
	b := open(t)
	w := inARow(2)
	w.Clear = 5 * minute
	b.does(w.hit("g", ""), w.hit("g", ""))
	assert.Equal(t, []string{"ALERT g"}, b.taken())
	b.later(3 * minute)
	b.does(w.breaks("g"))
	b.later(3 * minute)
	b.does(w.hit("g", ""))
	assert.Empty(t, b.taken())
	broken := b.now.Add(-3 * minute)
	var at time.Duration
	for sent := []string(nil); len(sent) == 0; {
		b.later(b.next())
		if sent = b.taken(); len(sent) > 0 {
			assert.Equal(t, []string{"RESOLVE g"}, sent)
			at = b.now.Sub(broken)
		}
	}
	assert.Equal(t, 5*minute, at, "from the break on")
}

func testTheCountOfARowIsItsLength(t *testing.T, open opener) {
	b := open(t)
	w := inARow(2)
	w.hold = minute
	b.does(w.hit("g", ""), w.breaks("g"))
	b.does(w.hit("g", ""), w.hit("g", ""), w.hit("g", ""))
	b.later(minute)
	assert.Equal(t, []string{"ALERT 3 in a row"}, b.texts())
	b.does(w.hit("h", ""), w.hit("h", ""))
	b.does(w.breaks("h"))
	b.later(minute)
	assert.Equal(t, []string{"ALERT 2 in a row"}, b.texts(), "nothing has ended the alert")
}

func testARowOutlivesTheProcess(t *testing.T, open opener) {
	b := open(t)
	w := inARow(3)
	b.does(w.hit("g", ""), w.hit("g", ""))
	n, exists, err := b.Counted(t.Context(), "w", "g")
	require.NoError(t, err)
	require.True(t, exists)
	assert.Equal(t, 2, n.Row)
	b.restart()
	b.does(w.hit("g", ""))
	assert.Equal(t, []string{"ALERT g"}, b.taken())
}
