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

var holdTests = []test{
	testAnAlertThatFlapsIsOneAlert,
	testAHeldEndKeepsTheTimeThatAnAlertWaits,
	testNobodyIsToldOfAnAlertWhileItsEndIsHeld,
	testAnAlertThatEndsBeforeItWasSentCostsNothingAfterTheHold,
	testEachEndByAMessageIsHeld,
	testTimeAndRemovedRulesEndAnAlertAtOnce,
	testWhoComesBackDuringTheHoldStaysInTheWindow,
	testAHeldMemberStaysInItsStorm,
	testAnAcceptedAlertIsQuietUntilTheHoldIsOver,
	testALateMessageOfAnotherSourceTakesNoEndBack,
	testAHoldOutlivesTheProcess,
	testTheHoldsOfManyAlertsBeginInPages,
	testAHeldEndIsShown,
	testWhatCameDuringAHoldCountsAfterIt,
	testAHeldAlertThatIlertDidNotTakeIsDelayed,
}

// flapping returns a raise whose end is held for ten minutes.
func flapping(key string) decision.Raise {
	r := raising(key)
	r.After = 10 * minute
	return r
}

func testAnAlertThatFlapsIsOneAlert(t *testing.T, open opener) {
	b := open(t)
	var sent []string
	for range 5 {
		b.does(flapping("a"))
		sent = append(sent, b.taken()...)
		b.later(3 * minute)
		b.does(ending("a"))
		b.later(4 * minute)
		sent = append(sent, b.taken()...)
	}
	assert.Equal(t, []string{"ALERT a"}, sent)
	assert.Equal(t, 6*minute, b.next(), "from the last end on")
	b.does(ending("a"))
	assert.Equal(t, 6*minute, b.next(), "another end begins no other hold")
	b.later(6*minute - time.Millisecond)
	assert.Empty(t, b.taken())
	b.later(time.Millisecond)
	assert.Equal(t, []string{"RESOLVE a"}, b.taken())
	b.does(flapping("a"))
	assert.Equal(t, []string{"ALERT a"}, b.taken(), "a new alert")
}

func testAHeldEndKeepsTheTimeThatAnAlertWaits(t *testing.T, open opener) {
	for name, c := range map[string]struct {
		down, up, told time.Duration
	}{
		"while it is raised":                   {4 * minute, 3 * minute, 10 * minute},
		"soon after it was raised again":       {2 * minute, 7 * minute, 10 * minute},
		"when it is raised again":              {3 * minute, 8 * minute, 11 * minute},
		"shortly before the hold would end":    {minute, 9*minute + 59*time.Second, 10*minute + 59*time.Second},
		"at the moment at which a hold begins": {10 * minute, minute, 10 * minute},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			r := flapping("a")
			r.For, r.Reminder = 10*minute, 24*time.Hour
			began := b.now
			var told []time.Duration
			pass := func(d time.Duration) {
				for end := b.now.Add(d); ; {
					if sent := b.taken(); len(sent) > 0 {
						assert.Equal(t, []string{"ALERT a"}, sent)
						told = append(told, b.now.Sub(began))
					}
					next := b.next()
					if next < 0 || b.now.Add(next).After(end) {
						b.now = end
						return
					}
					b.later(next)
				}
			}
			for range 30 {
				b.does(r)
				pass(c.down)
				b.does(ending("a"))
				pass(c.up)
			}
			assert.Equal(t, []time.Duration{c.told}, told)
		})
	}
}

func testNobodyIsToldOfAnAlertWhileItsEndIsHeld(t *testing.T, open opener) {
	b := open(t)
	b.does(flapping("due"), flapping("tried"))
	n := b.claim()
	require.Len(t, n, 2)
	for _, one := range n {
		b.settle(one, alerting.NotTaken)
	}
	b.does(ending("due"), ending("tried"))
	b.later(5 * minute)
	assert.Empty(t, b.claim())
	b.does(accepting("tried"))
	assert.Empty(t, b.claim())
	status, err := b.Status(t.Context(), b.now)
	require.NoError(t, err)
	assert.EqualValues(t, 2, status.Later)
	assert.Zero(t, status.Waiting)
	assert.Zero(t, status.Oldest)
	b.does(flapping("due"))
	assert.Equal(t, []string{"ALERT due"}, b.taken())
	b.later(5 * minute)
	assert.Empty(t, b.taken())
	assert.Zero(t, b.tally().Pending)
}

func testAnAlertThatEndsBeforeItWasSentCostsNothingAfterTheHold(t *testing.T, open opener) {
	b := open(t)
	r := flapping("a")
	r.For = 10 * minute
	b.does(r)
	b.later(4 * minute)
	b.does(ending("a"))
	for b.next() >= 0 {
		b.later(b.next())
		assert.Empty(t, b.taken())
	}
	assert.Equal(t, 14*minute, b.now.Sub(start))
	assert.Equal(t, alerting.Tally{Received: 2, Merged: 2}, b.tally())
}

func testEachEndByAMessageIsHeld(t *testing.T, open opener) {
	counts := window(decision.Window{Rule: "r", Condition: decision.Condition{Length: time.Hour, AtLeast: 1}})
	held := site(2, 1)
	for name, c := range map[string]struct {
		raise, end []decision.Effect
		then       []string
	}{
		"an end":                    {[]decision.Effect{flapping("a")}, []decision.Effect{ending("a")}, nil},
		"an end of all":             {[]decision.Effect{flapping("a")}, []decision.Effect{decision.EndAll{Rule: "r"}}, nil},
		"the end of a window":       {[]decision.Effect{after(counts.hit("a", ""))}, []decision.Effect{decision.Reset{Rule: "r", Group: "a"}}, nil},
		"an end of the key":         {[]decision.Effect{after(counts.hit("a", ""))}, []decision.Effect{ending("a")}, nil},
		"an end of all of a window": {[]decision.Effect{after(counts.hit("a", ""))}, []decision.Effect{decision.EndAll{Rule: "r"}}, nil},
		"the last members leave":    {[]decision.Effect{after(held.hit("a", "1")), after(held.hit("a", "2"))}, []decision.Effect{held.leave("a", "1"), held.leave("a", "2")}, []string{"ALERT a"}},
		"an end of all that left":   {[]decision.Effect{after(held.hit("a", "1")), after(held.hit("a", "2"))}, []decision.Effect{decision.EndAll{Rule: "w"}}, nil},
		"two ends by one message":   {[]decision.Effect{flapping("a")}, []decision.Effect{ending("a"), ending("A ")}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			b.does(c.raise...)
			assert.Equal(t, []string{"ALERT a"}, b.taken())
			b.later(minute)
			b.does(c.end...)
			b.later(9 * minute)
			assert.Empty(t, b.taken())
			b.does(c.raise...)
			b.later(20 * minute)
			assert.Equal(t, c.then, b.taken(), "members that are back are reported")
			b.does(c.end...)
			b.later(10 * minute)
			assert.Equal(t, []string{"RESOLVE a"}, b.taken())
			assert.EqualValues(t, -1, b.next())
			groups, members := b.windowsOf("r", "w")
			assert.Zero(t, groups+members)
		})
	}
}

// after returns a hit whose alert has an end that is held for ten minutes.
func after(h decision.Hit) decision.Hit {
	h.Raise.After = 10 * minute
	return h
}

func testTimeAndRemovedRulesEndAnAlertAtOnce(t *testing.T, open opener) {
	b := open(t)
	old, silent := flapping("old"), flapping("silent")
	old.Age, silent.Silence = 5*minute, 5*minute
	b.does(old, silent, flapping("removed"))
	assert.Len(t, b.taken(), 3)
	b.later(minute)
	b.does(ending("old"), ending("silent"), ending("removed"))
	b.later(4 * minute)
	assert.ElementsMatch(t, []string{"RESOLVE old", "RESOLVE silent"}, b.taken())
	_, err := b.Retain(t.Context(), b.now, nil)
	require.NoError(t, err)
	assert.Equal(t, []string{"RESOLVE removed"}, b.takenInPages())
}

func testWhoComesBackDuringTheHoldStaysInTheWindow(t *testing.T, open opener) {
	b := open(t)
	w := site(2, 1)
	w.text = place("members")
	b.does(after(w.hit("site", "a")), after(w.hit("site", "b")))
	assert.Equal(t, []string{"ALERT a, b"}, b.texts())
	b.does(w.leave("site", "a"), w.leave("site", "b"))
	b.later(5 * minute)
	b.does(after(w.hit("site", "c")))
	b.later(2 * minute)
	assert.Empty(t, b.texts(), "one member raises no alert, and does not join the open one")
	b.does(after(w.hit("site", "a")))
	b.later(time.Hour)
	assert.Equal(t, []string{"ALERT a, c"}, b.texts(), "two do")
	b.does(w.leave("site", "a"), w.leave("site", "c"))
	b.later(10 * minute)
	assert.Equal(t, []string{"RESOLVE site"}, b.taken())
}

func testAHeldMemberStaysInItsStorm(t *testing.T, open opener) {
	b := open(t)
	var all []decision.Effect
	for i := range 10 {
		all = append(all, flapping(fmt.Sprint(i)))
	}
	b.does(all...)
	assert.Equal(t, []string{"ALERT storm/r: 10 alerts of rule r"}, b.passesAs())
	b.later(minute)
	b.does(decision.EndAll{Rule: "r"})
	b.later(9 * minute)
	assert.Empty(t, b.passesAs())
	b.does(flapping("3"))
	b.later(minute)
	assert.Empty(t, b.passesAs(), "one of them is raised again")
	b.does(ending("3"))
	b.later(10 * minute)
	assert.Equal(t, []string{"RESOLVE storm/r: all alerts of rule r have ended"}, b.passesAs())
	assert.EqualValues(t, -1, b.next())
}

// passesAs claims notices within a narrow budget, settles them as taken, and returns their keys and summaries.
func (b *book) passesAs() (all []string) {
	b.t.Helper()
	for _, n := range b.narrowly() {
		all = append(all, fmt.Sprintf("%s %s: %s", n.Event.EventType, n.Event.AlertKey, summaryOf(&n)))
		b.settle(n, alerting.Taken)
	}
	return all
}

func testAnAcceptedAlertIsQuietUntilTheHoldIsOver(t *testing.T, open opener) {
	b := open(t)
	b.does(flapping("a"))
	b.does(accepting("a"))
	assert.Equal(t, []string{"ALERT a"}, b.taken())
	assert.Equal(t, []string{"ACCEPT a"}, b.taken())
	b.does(ending("a"))
	b.later(5 * minute)
	b.does(flapping("a"))
	b.later(2 * time.Hour)
	b.does(flapping("a"))
	assert.Empty(t, b.taken())
	b.does(ending("a"))
	b.later(5 * minute)
	b.does(accepting("a"))
	b.later(5 * minute)
	assert.Equal(t, []string{"RESOLVE a"}, b.taken())
}

func testALateMessageOfAnotherSourceTakesNoEndBack(t *testing.T, open opener) {
	b := open(t)
	from := func(source string, at time.Duration, effects ...decision.Effect) {
		m := message(effects...)
		m.Source, m.MaxSkew, m.Decision.At = source, minute, start.Add(at)
		b.apply(m)
	}
	b.later(time.Hour)
	from("one", 50*minute, flapping("a"))
	assert.Equal(t, []string{"ALERT a"}, b.taken())
	from("one", 59*minute, ending("a"))
	from("two", 55*minute, flapping("a"))
	from("one", 49*minute, ending("a"))
	assert.Equal(t, 9*minute, b.next(), "the hold runs from the time of the message")
	b.later(9 * minute)
	assert.Equal(t, []string{"RESOLVE a"}, b.taken())
}

func testAHoldOutlivesTheProcess(t *testing.T, open opener) {
	b := open(t)
	waits := flapping("waits")
	waits.For = 3 * minute
	b.does(flapping("sent"), flapping("under way"), waits)
	n := b.claim()
	require.Len(t, n, 2)
	b.settle(n[0], alerting.Taken)
	b.does(ending("sent"), ending("under way"), ending("waits"))
	b.restart()
	b.later(5 * minute)
	assert.Len(t, b.taken(), 1, "nobody knows whether it has arrived")
	b.does(waits)
	assert.Equal(t, []string{"ALERT waits"}, b.taken())
	b.later(5 * minute)
	assert.ElementsMatch(t, []string{"RESOLVE sent", "RESOLVE under way"}, b.taken())
}

func testTheHoldsOfManyAlertsBeginInPages(t *testing.T, open opener) {
	b := open(t)
	const many = 4500
	messages := make([]alerting.Message, many)
	for i := range messages {
		messages[i] = message(flapping(fmt.Sprint(i)))
	}
	b.apply(messages...)
	for len(b.claim()) > 0 { // nobody answers
	}
	began := b.now
	b.does(decision.EndAll{Rule: "r"})
	b.takenInPages()
	assert.Equal(t, 10*minute, b.next())
	b.later(minute)
	b.does(flapping("7"))
	b.takenInPages()
	b.now = began.Add(10 * minute)
	b.takenInPages()
	states, err := b.Alerts(t.Context(), b.now, "", many)
	require.NoError(t, err)
	open7 := 0
	for _, a := range states {
		if a.Key.Alert == "7" {
			open7++
			assert.Zero(t, a.EndHeldUntil)
			continue
		}
		assert.NotEqual(t, alerting.StateOpen, a.State)
	}
	assert.Equal(t, 1, open7)
}

func testAHeldEndIsShown(t *testing.T, open opener) {
	b := open(t)
	waits := flapping("waits")
	waits.For = minute
	b.does(waits, flapping("open"))
	b.taken()
	b.does(ending("waits"), ending("open"))
	b.later(2 * minute)
	states, err := b.Alerts(t.Context(), b.now, "", 10)
	require.NoError(t, err)
	require.Len(t, states, 2)
	for i, want := range []alerting.State{alerting.StateOpen, alerting.StateDelayed} {
		assert.Equal(t, want, states[i].State)
		assert.True(t, states[i].EndHeldUntil.Equal(start.Add(10*minute)))
	}
	b.does(flapping("open"))
	states, err = b.Alerts(t.Context(), b.now, "", 1)
	require.NoError(t, err)
	assert.Zero(t, states[0].EndHeldUntil)
}

func testWhatCameDuringAHoldCountsAfterIt(t *testing.T, open opener) {
	row := window(decision.Window{Rule: "row", Condition: decision.Condition{Length: time.Hour, InARow: 3}})
	held := window(decision.Window{Rule: "held", Condition: decision.Condition{Length: time.Hour, Distinct: 2}, Held: true, Left: 0.5})
	for name, c := range map[string]struct{ raise, end, during, then []decision.Effect }{
		"in a row": {
			[]decision.Effect{after(row.hit("a", "")), after(row.hit("a", "")), after(row.hit("a", ""))},
			[]decision.Effect{decision.Break{Rule: "row", Group: "a"}, decision.Reset{Rule: "row", Group: "a"}},
			[]decision.Effect{after(row.hit("a", "")), after(row.hit("a", ""))},
			[]decision.Effect{after(row.hit("a", ""))},
		},
		"members": {
			[]decision.Effect{after(held.hit("a", "1")), after(held.hit("a", "2"))},
			[]decision.Effect{held.leave("a", "1"), held.leave("a", "2")},
			[]decision.Effect{after(held.hit("a", "3"))},
			[]decision.Effect{after(held.hit("a", "4"))},
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			b.does(c.raise...)
			assert.Equal(t, []string{"ALERT a"}, b.taken())
			b.later(minute)
			b.does(c.end...)
			b.later(8 * minute)
			b.does(c.during...)
			b.later(5 * minute)
			b.taken()
			b.later(5 * minute)
			b.taken()
			b.does(c.then...)
			assert.Equal(t, []string{"ALERT a"}, b.taken())
		})
	}
}

func testAHeldAlertThatIlertDidNotTakeIsDelayed(t *testing.T, open opener) {
	b := open(t)
	b.does(flapping("a"))
	b.settle(b.claim()[0], alerting.NotTaken)
	b.does(ending("a"))
	assert.Equal(t, map[string]alerting.State{"a": alerting.StateDelayed}, b.states(), "as Status counts it")
}
