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

var windowTimeTests = []test{
	testAnAlertEndsWhenItsWindowHasBeenClearForLongEnough,
	testAMissedEndIsMadeUpFor,
	testABacklogOfAnHourIsNoStorm,
	testABacklogMayComeInParts,
	testAClockAheadSilencesNobody,
	testOurOwnClockMayBePutBack,
}

func testAnAlertEndsWhenItsWindowHasBeenClearForLongEnough(t *testing.T, open opener) {
	b := open(t)
	w := window(decision.Window{Condition: decision.Condition{Length: 10 * minute, AtLeast: 2}, Clear: 5 * minute})
	w.text = place("count") + " failed"
	b.does(w.hit("g", ""))
	b.does(w.hit("g", ""))
	assert.Equal(t, []string{"ALERT 2 failed"}, b.texts())
	began := b.now
	for until := began.Add(time.Hour); b.now.Before(until); {
		next := b.next()
		require.Positive(t, next)
		b.later(next)
		if sent := b.texts(); sent != nil {
			assert.Equal(t, []string{"RESOLVE 2 failed"}, sent)
			break
		}
	}
	assert.InDelta(t, 15*minute, b.now.Sub(began), float64(15*time.Second))
	assert.Equal(t, alerting.Tally{Received: 2, Ignored: 1, Delivered: 1}, b.tally(), "no message is counted with the end")
	b.later(b.next())
	assert.Empty(t, b.taken())
	assert.EqualValues(t, -1, b.next(), "all is forgotten")
}

func testAMissedEndIsMadeUpFor(t *testing.T, open opener) {
	b := open(t)
	w := window(decision.Window{Condition: decision.Condition{Length: 10 * minute, AtLeast: 2}, Clear: 5 * minute})
	b.does(w.hit("g", ""), w.hit("g", ""))
	assert.Equal(t, []string{"ALERT g"}, b.taken())
	b.later(14 * minute)
	assert.Empty(t, b.taken(), "it held until four minutes ago")
	b.later(time.Minute)
	assert.Equal(t, []string{"RESOLVE g"}, b.taken())
}

func testABacklogOfAnHourIsNoStorm(t *testing.T, open opener) {
	b := open(t)
	w := window(decision.Window{Condition: decision.Condition{Length: 5 * minute, AtLeast: 20}, Clear: minute})
	began := b.now
	b.later(time.Hour)
	ago := func(d time.Duration, effects ...decision.Effect) alerting.Message {
		m := message(effects...)
		m.Decision.At = began.Add(d)
		return m
	}
	var messages []alerting.Message
	for i := range 60 { // one a minute: never 20 within five
		messages = append(messages, ago(time.Duration(i)*minute, w.hit("calm", "")))
	}
	for i := range 20 {
		messages = append(messages, ago(time.Duration(i)*time.Second, w.hit("bad", "")))
	}
	b.apply(messages...)
	assert.Equal(t, alerting.Tally{Received: 80, Ignored: 79, Pending: 1}, b.tally())
	assert.Empty(t, b.taken(), "it was over long ago")
	assert.Equal(t, alerting.Tally{Received: 80, Ignored: 79, Merged: 1}, b.tally())
}

// A Claim between two parts of a backlog must not end a window that the second part goes on with.
func testABacklogMayComeInParts(t *testing.T, open opener) {
	b := open(t)
	w := window(decision.Window{Condition: decision.Condition{Length: 5 * minute, Distinct: 4}, Held: true})
	began := b.now
	b.later(time.Hour)
	for i := range 4 {
		m := message(w.hit("g", fmt.Sprint(i)))
		m.Decision.At = began.Add(time.Duration(i) * time.Minute)
		b.apply(m)
		if i < 3 {
			assert.Empty(t, b.taken())
		}
	}
	assert.Equal(t, []string{"ALERT g"}, b.taken())
}

func testAClockAheadSilencesNobody(t *testing.T, open opener) {
	b := open(t)
	w := window(decision.Window{Condition: decision.Condition{Length: 5 * minute, AtLeast: 2}})
	m := message(w.hit("g", ""))
	m.Decision.At = b.now.Add(24 * time.Hour)
	b.apply(m)
	b.later(minute)
	b.does(w.hit("g", ""))
	assert.Equal(t, []string{"ALERT g"}, b.taken())
}

func testOurOwnClockMayBePutBack(t *testing.T, open opener) {
	b := open(t)
	w := window(decision.Window{Condition: decision.Condition{Length: 5 * minute, AtLeast: 2}})
	b.later(24 * time.Hour)
	b.does(w.hit("g", ""))
	b.later(-24 * time.Hour)
	b.does(w.hit("g", ""))
	assert.Empty(t, b.taken())
	b.does(w.hit("g", ""))
	assert.Equal(t, []string{"ALERT g"}, b.taken())
}
