package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
)

var timerTests = []test{
	testWhatHasPassedIsForgotten,
	testTheWindowOfARefusedAlertIsForgottenWhenItEnds,
	testMembersOfABusyWindowAreForgotten,
	testABacklogWaitsForNothing,
	testASecondClaimIsNeverDueBeforeTheFirst,
	testACrowdOfTimersTakesSeveralClaims,
}

func testWhatHasPassedIsForgotten(t *testing.T, open opener) {
	b := open(t)
	calls, devices := window(decision.Window{Rule: "calls", Condition: decision.Condition{Length: time.Hour, AtLeast: 100}}), site(100, 1)
	for i := range 20 {
		name := fmt.Sprint(i)
		m := message(calls.hit(name, name), devices.hit("site", name), calls.only("g"+name))
		m.Decision.Device = name
		b.apply(m)
		b.later(time.Second)
	}
	groups, members := b.windowsOf("calls", "w")
	assert.Equal(t, 41, groups)
	assert.Equal(t, 40, members)
	assert.Equal(t, 20, b.devices())
	looks := 0
	for next := b.next(); next >= 0; next = b.next() {
		b.later(next)
		assert.Empty(t, b.taken())
		looks++
	}
	assert.LessOrEqual(t, looks, 4, "many at once")
	groups, members = b.windowsOf("calls", "w")
	assert.Zero(t, groups)
	assert.Zero(t, members)
	b.later(8 * 24 * time.Hour)
	b.claim()
	assert.Zero(t, b.devices())
}

func testTheWindowOfARefusedAlertIsForgottenWhenItEnds(t *testing.T, open opener) {
	b := open(t)
	w := site(2, 1)
	b.hits(w, "a", "b")
	b.settle(b.claim()[0], alerting.Refused)
	b.later(time.Hour)
	b.claim()
	_, members := b.windowsOf("w")
	assert.Equal(t, 2, members, "they are still away")
	b.leaves(w, "a", "b")
	assert.Empty(t, b.taken())
	groups, _ := b.windowsOf("w")
	assert.Zero(t, groups)
}

func testMembersOfABusyWindowAreForgotten(t *testing.T, open opener) {
	b := open(t)
	w := window(decision.Window{Condition: decision.Condition{Length: minute, AtLeast: 1000, Distinct: 3}})
	for i := range 20 {
		b.does(w.hit("g", fmt.Sprint(i)))
		b.later(20 * time.Second)
		b.claim()
	}
	_, members := b.windowsOf("w")
	assert.LessOrEqual(t, members, 4)
}

// The engine goes by the times at which messages happened, not by those of their arrival.
func testABacklogWaitsForNothing(t *testing.T, open opener) {
	b := open(t)
	began := b.now
	b.later(time.Hour)
	at := func(d time.Duration, r decision.Raise) alerting.Message {
		m := message(r)
		m.Decision.At = began.Add(d)
		return m
	}
	lasting, silent, repeated := raising("lasting"), raising("silent"), raising("repeated")
	lasting.For, silent.Silence, repeated.Silence = 30*minute, 30*minute, 30*minute
	b.apply(at(0, lasting), at(0, silent), at(0, repeated), at(20*minute, repeated), at(45*minute, repeated))
	assert.ElementsMatch(t, []string{"ALERT lasting", "ALERT repeated"}, b.taken())
	assert.Equal(t, 15*minute, b.next())
}

func testASecondClaimIsNeverDueBeforeTheFirst(t *testing.T, open opener) {
	b := open(t)
	r := raising("a")
	r.Age = minute
	w := window(decision.Window{Condition: decision.Condition{Length: time.Second, AtLeast: 1}, Clear: time.Microsecond})
	b.does(r, w.hit("g", ""))
	for range 10 {
		b.taken()
		next := b.next()
		if next < 0 {
			return
		}
		assert.Positive(t, next)
		b.later(next)
	}
	assert.Fail(t, "it never comes to rest")
}

func testACrowdOfTimersTakesSeveralClaims(t *testing.T, open opener) {
	b := open(t)
	const crowd = 5000
	messages := make([]alerting.Message, crowd)
	for i := range messages {
		r := raising(fmt.Sprint(i))
		r.Age, r.For = time.Minute, time.Hour
		messages[i] = message(r)
	}
	b.apply(messages...)
	b.later(time.Minute)
	b.claim()
	assert.Zero(t, b.next(), "there is more to do at once")
	for range 3 {
		b.claim()
	}
	assert.EqualValues(t, crowd, b.tally().Merged, "all have ended before they were sent")
}
