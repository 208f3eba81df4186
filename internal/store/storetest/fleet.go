package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
)

var fleetTests = []test{
	testAFleetThatGrowsIsNotWhole,
	testAFleetThatHasHardlyGrownForHalfAnHourIsWhole,
	testAFleetThatIsKnownForADayIsWhole,
}

// half returns a window for half of the fleet.
func half() windowed {
	return window(decision.Window{Condition: decision.Condition{Length: 10 * minute, Distinct: 2, Ratio: 0.5}, Fleet: true})
}

// about applies a batch with a message about each device from one number to another: a hit of the device if w is not nil.
func (b *book) about(w *windowed, from, to int) {
	b.t.Helper()
	var batch []alerting.Message
	for i := from; i < to; i++ {
		m := message()
		if w != nil {
			m = message(w.hit("g", fmt.Sprint(i)))
		}
		m.Decision.Device = fmt.Sprint(i)
		batch = append(batch, m)
	}
	b.apply(batch...)
}

func testAFleetThatGrowsIsNotWhole(t *testing.T, open opener) {
	b := open(t)
	w := half()
	b.about(nil, 0, 4)
	b.later(29 * minute)
	b.about(&w, 0, 3)
	assert.Empty(t, b.taken(), "all are new")
	b.later(31 * minute)
	b.about(nil, 4, 5)
	b.restart()
	b.about(&w, 0, 4)
	assert.Empty(t, b.taken(), "a fifth is new")
	b.later(time.Hour)
	b.about(&w, 5, 50)
	assert.Empty(t, b.taken(), "each first message is a hit")
}

func testAFleetThatHasHardlyGrownForHalfAnHourIsWhole(t *testing.T, open opener) {
	b := open(t)
	w := half()
	b.about(nil, 0, 10)
	b.restart()
	b.later(30 * minute)
	b.about(nil, 10, 11)
	b.about(&w, 0, 6)
	assert.Equal(t, []string{"ALERT g"}, b.taken(), "of 10 one is new")
}

func testAFleetThatIsKnownForADayIsWhole(t *testing.T, open opener) {
	b := open(t)
	w := half()
	b.about(nil, 0, 4)
	b.later(24 * time.Hour)
	b.about(nil, 0, 12)
	b.restart()
	b.about(&w, 0, 6)
	assert.Equal(t, []string{"ALERT g"}, b.taken(), "two thirds are new")
}
