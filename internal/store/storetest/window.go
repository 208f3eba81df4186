package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

var windowTests = []test{
	testEnoughHitsWithinTheWindowRaiseAnAlert,
	testNothingOlderThanTheWindowCounts,
	testEachMessageHasOneFateWhateverItsWindowsSay,
	testTwoGroupsNeverEndEachOther,
	testHitsOfOneMemberAreNotDistinct,
	testAMemberCountsUntilItsLastHitIsTooOld,
	testARatioIsThatOfHitsToWhatCounts,
	testAMessageIsWeighedOnceAllItsEffectsAreKnown,
	testARatioToTheFleet,
	testTheEndOfAWindowsAlertEmptiesTheWindow,
	testAResetEmptiesAWindowThatHasRaisedNothing,
	testNumbersAreThoseOfTheMomentWhenIlertIsSent,
	testAWindowThatIsEmptyWhenIlertIsSentSaysWhatWas,
	testARuleMayChangeItsWindow,
	testAWindowMaySpeakOfAnAlertThatARuleWithoutOneHasRaised,
}

// windowed is a window of a rule that makes hits. The alert of a group has the group's name as its alert key.
type windowed struct {
	*decision.Window
	hold time.Duration
	text string
}

func window(w decision.Window) windowed {
	if w.Rule == "" {
		w.Rule = "w"
	}
	return windowed{Window: &w}
}

// place returns the mark for a number in a text, which internal/rules writes and a notice replaces.
func place(name string) string { return "\uFDD0" + name + "\uFDD1" }

func (w windowed) hit(group, member string) decision.Hit {
	raise := decision.Raise{
		Rule: w.Rule, Key: decision.Key{Alert: group}, For: w.hold,
		Event: ilert.Event{Summary: w.text, Priority: "HIGH"},
	}
	return decision.Hit{Window: w.Window, Group: group, Member: member, Raise: raise}
}

func (w windowed) only(group string) decision.Whole {
	return decision.Whole{Window: w.Window, Group: group}
}

func (w windowed) leave(group, member string) decision.Leave {
	return decision.Leave{Rule: w.Rule, Group: group, Member: member}
}

const minute = time.Minute

func testEnoughHitsWithinTheWindowRaiseAnAlert(t *testing.T, open opener) {
	for name, c := range map[string]struct {
		last time.Duration // from the first 19 hits to the last
		want []string
	}{
		"at once":                       {0, []string{"ALERT g"}},
		"within it":                     {10*minute - 2*10*minute/300, []string{"ALERT g"}},
		"the last one after its length": {10 * minute, nil},
		"the last one long after":       {time.Hour, nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			w := window(decision.Window{Condition: decision.Condition{Length: 10 * minute, AtLeast: 20}})
			for range 19 {
				b.does(w.hit("g", ""))
			}
			assert.Empty(t, b.taken())
			b.later(c.last)
			b.does(w.hit("g", ""))
			assert.Equal(t, c.want, b.taken())
		})
	}
}

// A hit that is older than the window's length never counts, wherever the buckets of the window begin.
func testNothingOlderThanTheWindowCounts(t *testing.T, open opener) {
	for offset := time.Duration(0); offset < 2*time.Second; offset += 170 * time.Millisecond {
		b := open(t)
		w := window(decision.Window{Condition: decision.Condition{Length: 5 * minute, AtLeast: 2}})
		b.later(offset)
		b.does(w.hit("g", ""))
		b.later(5 * minute)
		b.does(w.hit("g", ""))
		assert.Empty(t, b.taken(), offset)
		b.later(5*minute - 2*time.Second)
		b.does(w.hit("g", ""))
		assert.Equal(t, []string{"ALERT g"}, b.taken(), offset)
	}
}

func testEachMessageHasOneFateWhateverItsWindowsSay(t *testing.T, open opener) {
	b := open(t)
	w, v := window(decision.Window{Rule: "w", Condition: decision.Condition{Length: minute, AtLeast: 2}}), window(decision.Window{Rule: "v", Condition: decision.Condition{Length: minute, AtLeast: 2}})
	b.does(w.hit("one", ""), v.hit("two", ""))
	assert.Equal(t, alerting.Tally{Received: 1, Ignored: 1}, b.tally())
	b.does(w.hit("one", ""), v.hit("two", ""))
	assert.Equal(t, alerting.Tally{Received: 2, Ignored: 1, Pending: 1}, b.tally())
	assert.ElementsMatch(t, []string{"ALERT one", "ALERT two"}, b.taken())
	b.does(w.hit("one", ""))
	b.does(w.only("one"))
	assert.Equal(t, alerting.Tally{Received: 4, Ignored: 2, Merged: 1, Delivered: 1}, b.tally())
}

func testTwoGroupsNeverEndEachOther(t *testing.T, open opener) {
	b := open(t)
	w := window(decision.Window{Condition: decision.Condition{Length: minute, AtLeast: 2}, Clear: minute})
	b.does(w.hit("a", ""), w.hit("b", ""))
	b.does(w.hit("a", ""), w.hit("b", ""))
	assert.ElementsMatch(t, []string{"ALERT a", "ALERT b"}, b.taken())
	b.does(decision.Reset{Rule: "w", Group: "a"})
	assert.Equal(t, []string{"RESOLVE a"}, b.taken())
	for range 10 { // only b goes on hitting
		b.later(30 * time.Second)
		b.does(w.hit("b", ""), w.hit("b", ""))
		assert.Empty(t, b.taken())
	}
	b.later(time.Hour)
	assert.Equal(t, []string{"RESOLVE b"}, b.taken())
}

func testHitsOfOneMemberAreNotDistinct(t *testing.T, open opener) {
	b := open(t)
	w := window(decision.Window{Condition: decision.Condition{Length: 10 * minute, AtLeast: 4, Distinct: 3}})
	for range 10 {
		b.does(w.hit("g", "a"))
		b.does(w.hit("g", "b"))
		b.does(w.hit("g", ""))
	}
	assert.Empty(t, b.taken(), "a hit without a member adds none")
	b.later(9 * minute)
	b.does(w.hit("g", "a"), w.hit("g", "a"))
	b.later(minute)
	b.does(w.hit("g", "c"), w.hit("g", "d"))
	assert.Equal(t, []string{"ALERT g"}, b.taken())
}

func testAMemberCountsUntilItsLastHitIsTooOld(t *testing.T, open opener) {
	b := open(t)
	w := window(decision.Window{Condition: decision.Condition{Length: 10 * minute, Distinct: 3}})
	b.does(w.hit("g", "a"))
	b.does(w.hit("g", "b"))
	b.later(10 * minute)
	b.does(w.hit("g", "c"))
	assert.Empty(t, b.taken())
	b.does(w.hit("g", "a"))
	assert.Empty(t, b.taken())
	b.does(w.hit("g", "b"))
	assert.Equal(t, []string{"ALERT g"}, b.taken())
}

func testARatioIsThatOfHitsToWhatCounts(t *testing.T, open opener) {
	b := open(t)
	w := window(decision.Window{Condition: decision.Condition{Length: 10 * minute, AtLeast: 3, Ratio: 0.3}})
	for range 9 {
		b.does(w.only("g"))
	}
	b.does(w.hit("g", ""), w.only("g"))
	b.does(w.hit("g", ""), w.only("g"))
	assert.Empty(t, b.taken(), "2 of 11")
	b.does(w.hit("g", ""), w.only("g"))
	assert.Empty(t, b.taken(), "3 of 12")
	b.does(w.hit("g", ""), w.only("g"))
	assert.Equal(t, []string{"ALERT g"}, b.taken(), "4 of 13")
}

// The hit of a message comes before its effect that counts the call. Between the two the ratio is too high.
func testAMessageIsWeighedOnceAllItsEffectsAreKnown(t *testing.T, open opener) {
	b := open(t)
	w := window(decision.Window{Condition: decision.Condition{Length: 10 * minute, AtLeast: 1, Ratio: 0.5}})
	b.does(w.only("g"))
	b.does(w.only("g"))
	b.does(w.hit("g", ""), w.only("g"))
	assert.Empty(t, b.taken(), "1 of 3")
	b.does(w.hit("g", ""), w.only("g"))
	assert.Equal(t, []string{"ALERT g"}, b.taken(), "2 of 4")
}

func testARatioToTheFleet(t *testing.T, open opener) {
	b := open(t)
	w := window(decision.Window{Condition: decision.Condition{Length: 10 * minute, Distinct: 2, Ratio: 0.07}, Fleet: true})
	w.text = place("distinct") + " of " + place("of")
	about := func(device string, effects ...decision.Effect) {
		m := message(effects...)
		m.Decision.Device = device
		b.apply(m)
	}
	for i := range 101 {
		about(fmt.Sprint(i))
	}
	b.later(7 * 24 * time.Hour) // device 100 is not seen again
	for i := range 100 {
		about(fmt.Sprint(i))
	}
	for i := range 6 {
		about(fmt.Sprint(i), w.hit("g", fmt.Sprint(i)))
	}
	assert.Empty(t, b.taken())
	b.restart()
	about("6", w.hit("g", "6"))
	assert.Equal(t, []string{"ALERT 7 of 100"}, b.texts())
}

func testTheEndOfAWindowsAlertEmptiesTheWindow(t *testing.T, open opener) {
	for name, ends := range map[string]decision.Effect{
		"End": ending("g"), "Reset": decision.Reset{Rule: "w", Group: "g"}, "EndAll": decision.EndAll{Rule: "w"},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			w := window(decision.Window{Condition: decision.Condition{Length: 10 * minute, AtLeast: 2}})
			w.text = place("count") + " of " + place("distinct") + ": " + place("members")
			b.does(w.hit("g", "a"))
			b.does(w.hit("g", "b"))
			assert.Equal(t, []string{"ALERT 2 of 2: a, b"}, b.texts())
			b.does(ends)
			assert.Equal(t, []string{"RESOLVE 2 of 2: a, b"}, b.texts())
			b.does(w.hit("g", "a"))
			assert.Empty(t, b.taken(), "it counts from one again")
			b.does(w.hit("g", "c"))
			assert.Equal(t, []string{"ALERT 2 of 2: a, c"}, b.texts())
		})
	}
}

func testAResetEmptiesAWindowThatHasRaisedNothing(t *testing.T, open opener) {
	b := open(t)
	w := window(decision.Window{Condition: decision.Condition{Length: 10 * minute, AtLeast: 2}})
	b.does(w.hit("g", ""))
	b.does(decision.Reset{Rule: "w", Group: "g"})
	b.does(w.hit("g", ""))
	assert.Empty(t, b.taken())
	assert.Equal(t, alerting.Tally{Received: 3, Ignored: 3}, b.tally())
	b.does(w.hit("g", ""), decision.Reset{Rule: "w", Group: "g"})
	assert.Empty(t, b.taken(), "emptied by the same message")
}

func testNumbersAreThoseOfTheMomentWhenIlertIsSent(t *testing.T, open opener) {
	b := open(t)
	w := window(decision.Window{Condition: decision.Condition{Length: 10 * minute, AtLeast: 2, Ratio: 0.1}})
	w.text = place("count") + " of " + place("of") + ", " + place("percent") + " %"
	b.does(w.hit("g", ""), w.only("g"))
	b.does(w.hit("g", ""), w.only("g"))
	b.does(w.hit("g", ""), w.only("g"))
	b.does(w.only("g"))
	assert.Equal(t, []string{"ALERT 3 of 4, 75 %"}, b.texts())
}

func testAWindowThatIsEmptyWhenIlertIsSentSaysWhatWas(t *testing.T, open opener) {
	b := open(t)
	w := window(decision.Window{Condition: decision.Condition{Length: minute, AtLeast: 2}})
	w.text, w.hold = place("count")+" failed", time.Hour
	b.does(w.hit("g", ""))
	b.does(w.hit("g", ""))
	b.later(time.Hour)
	assert.Equal(t, []string{"ALERT 2 failed"}, b.texts())
}

func testARuleMayChangeItsWindow(t *testing.T, open opener) {
	b := open(t)
	w, longer := window(decision.Window{Condition: decision.Condition{Length: minute, AtLeast: 3}}), window(decision.Window{Condition: decision.Condition{Length: time.Hour, AtLeast: 3}})
	b.does(longer.hit("g", ""), longer.hit("h", ""))
	b.does(longer.hit("g", ""), longer.hit("h", ""))
	b.later(30 * minute)
	b.does(w.hit("g", ""))
	assert.Empty(t, b.taken(), "one within the minute")
	b.does(longer.hit("h", ""))
	assert.Equal(t, []string{"ALERT h"}, b.taken(), "three within the hour")
}

func testAWindowMaySpeakOfAnAlertThatARuleWithoutOneHasRaised(t *testing.T, open opener) {
	b := open(t)
	b.apply(raise("a"))
	require.Equal(t, []string{"ALERT a"}, b.taken())
	h := decision.Hit{Window: &decision.Window{Rule: "w", Condition: decision.Condition{Length: time.Minute, AtLeast: 1}, Clear: time.Minute}, Raise: raising("a")}
	h.Raise.Event.Summary, h.Raise.Event.Priority = "\uFDD0count\uFDD1 times", "HIGH"
	b.does(h)
	n := b.claim()
	require.Len(t, n, 1)
	assert.Equal(t, "1 times", n[0].Event.Summary)
	b.settle(n[0], alerting.Taken)
	b.later(alerting.Reminder)
	b.apply(raise("a"))
	n = b.claim()
	require.NotEmpty(t, n)
	assert.NotContains(t, n[len(n)-1].Event.Summary, "\uFDD0")
}
