package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
)

var heldTests = []test{
	testMembersAreHeldUntilTheyLeave,
	testOnlyMembersWithinTheWindowRaiseIt,
	testTheAlertEndsWhenEnoughHaveLeft,
	testTheShareThatHasLeftIsOfTheMostThatThereWere,
	testThoseWhoLeaveInTimeCostNothing,
	testWhoJoinsIsSentOnceForAllOfThem,
	testWhoJoinsAndLeavesInTimeIsNotSent,
	testWhoJoinsDuringTheRequestIsSentAMinuteLater,
	testManyMembersAreSentInSeveralMessagesEachOnce,
	testMembersOfAnotherGroupAreOthers,
	testMembersThatAreHeldAgainstTheFleet,
	testAnAlertThatIsTakenBackNamesThoseWhoAreNew,
	testARuleThatBeginsToHoldItsMembersHoldsThoseWhoAreThere,
	testARestartLosesNoMember,
}

// site returns a window that holds its members: devices of a site that have disconnected and are not back.
func site(distinct int, left float64) windowed {
	w := window(decision.Window{Condition: decision.Condition{Length: 10 * minute, Distinct: distinct}, Held: true, Left: left})
	w.text = place("count") + ": " + place("members")
	return w
}

// hits applies a hit of each member, one message after the other.
func (b *book) hits(w windowed, members ...string) {
	b.t.Helper()
	for _, m := range members {
		b.does(w.hit("g", m))
	}
}

func (b *book) leaves(w windowed, members ...string) {
	b.t.Helper()
	for _, m := range members {
		b.does(w.leave("g", m))
	}
}

func testMembersAreHeldUntilTheyLeave(t *testing.T, open opener) {
	b := open(t)
	w := site(3, 1)
	b.hits(w, "a", "b", "c", "a")
	assert.Equal(t, []string{"ALERT 3: a, b, c"}, b.texts())
	b.later(24 * time.Hour)
	b.leaves(w, "a", "b", "b", "x")
	assert.Empty(t, b.texts(), "the last one has not left")
	b.leaves(w, "c")
	assert.Equal(t, []string{"RESOLVE 3: "}, b.texts())
	assert.Equal(t, alerting.Tally{Received: 9, Delivered: 2, Merged: 1, Ignored: 6}, b.tally())
	b.hits(w, "a", "b")
	assert.Empty(t, b.texts(), "it counts from one again")
}

func testOnlyMembersWithinTheWindowRaiseIt(t *testing.T, open opener) {
	b := open(t)
	w := site(3, 1)
	b.hits(w, "a", "b")
	b.later(10 * minute)
	b.hits(w, "c", "d")
	assert.Empty(t, b.taken())
	b.leaves(w, "d")
	b.hits(w, "e")
	assert.Empty(t, b.taken(), "one has left")
	b.hits(w, "f")
	assert.Equal(t, []string{"ALERT 3: c, e, f"}, b.texts())
}

func testTheAlertEndsWhenEnoughHaveLeft(t *testing.T, open opener) {
	for share, want := range map[float64]int{0.8: 4, 0.6: 3, 1: 5, 0: 5, 0.1: 1} {
		t.Run(fmt.Sprint(share), func(t *testing.T) {
			b := open(t)
			w := site(5, share)
			members := []string{"a", "b", "c", "d", "e"}
			b.hits(w, members...)
			assert.Equal(t, []string{"ALERT g"}, b.taken())
			left := 0
			for sent := b.taken(); sent == nil; sent = b.taken() {
				b.leaves(w, members[left])
				left++
			}
			assert.Equal(t, want, left)
		})
	}
}

func testTheShareThatHasLeftIsOfTheMostThatThereWere(t *testing.T, open opener) {
	b := open(t)
	w := site(2, 0.5)
	b.hits(w, "a", "b", "c", "d")
	b.taken()
	b.leaves(w, "a")
	b.hits(w, "a")
	b.leaves(w, "a")
	assert.Empty(t, b.taken())
	b.leaves(w, "b")
	assert.Equal(t, []string{"RESOLVE g"}, b.taken())
}

func testThoseWhoLeaveInTimeCostNothing(t *testing.T, open opener) {
	b := open(t)
	w := site(3, 1)
	w.hold = 5 * minute
	b.hits(w, "a", "b", "c")
	assert.Equal(t, 5*minute, b.next())
	b.later(4 * minute)
	b.hits(w, "d")
	b.leaves(w, "a", "b", "c", "d")
	b.later(minute)
	assert.Empty(t, b.taken())
	assert.Equal(t, alerting.Tally{Received: 8, Ignored: 5, Merged: 3}, b.tally())

	b.hits(w, "a", "b", "c")
	b.later(5*minute - time.Millisecond)
	b.hits(w, "d")
	assert.Empty(t, b.taken())
	b.later(time.Millisecond)
	assert.Equal(t, []string{"ALERT 4: a, b, c, d"}, b.texts(), "who joins does not put it off")
}

func testWhoJoinsIsSentOnceForAllOfThem(t *testing.T, open opener) {
	b := open(t)
	w := site(2, 1)
	b.hits(w, "a", "b")
	b.texts()
	b.later(30 * minute)
	b.hits(w, "c")
	b.later(30 * time.Second)
	b.hits(w, "d", "c", "a")
	assert.Equal(t, minute, b.next())
	b.later(30 * time.Second)
	b.hits(w, "e")
	assert.Empty(t, b.texts())
	b.later(30 * time.Second)
	assert.Equal(t, []string{"ALERT 5: a, b, c, d, e"}, b.texts())
	assert.EqualValues(t, -1, b.next())
	assert.Equal(t, alerting.Tally{Received: 7, Ignored: 2, Merged: 3, Delivered: 2}, b.tally())
}

func testWhoJoinsAndLeavesInTimeIsNotSent(t *testing.T, open opener) {
	b := open(t)
	w := site(2, 1)
	w.hold = 3 * minute
	b.hits(w, "a", "b")
	b.later(3 * minute)
	b.texts()
	b.later(5 * minute)
	b.hits(w, "c", "d")
	assert.Equal(t, 3*minute, b.next())
	b.leaves(w, "c")
	assert.Equal(t, 3*minute, b.next())
	b.leaves(w, "d")
	assert.EqualValues(t, -1, b.next())
	assert.Zero(t, b.tally().Pending)
}

func testWhoJoinsDuringTheRequestIsSentAMinuteLater(t *testing.T, open opener) {
	b := open(t)
	w := site(2, 1)
	b.hits(w, "a", "b")
	n := b.claim()[0]
	b.hits(w, "c")
	b.later(time.Second)
	b.settle(n, alerting.Taken)
	assert.Empty(t, b.texts())
	assert.Equal(t, minute, b.next())
	b.later(minute)
	assert.Equal(t, []string{"ALERT 3: a, b, c"}, b.texts())
}

func testManyMembersAreSentInSeveralMessagesEachOnce(t *testing.T, open opener) {
	b := open(t)
	w := site(450, 1)
	w.text = place("members")
	var want []string
	var messages []alerting.Message
	for i := range 450 {
		want = append(want, fmt.Sprintf("device-%03d", i))
		messages = append(messages, message(w.hit("g", want[i])))
	}
	b.apply(messages[:200]...)
	b.apply(messages[200:]...)
	b.restart()
	var reported []string
	for _, more := range []string{" and 250 more", " and 50 more", ""} {
		notices := b.claim()
		require.Len(t, notices, 1)
		if more == "" { // a notice that ilert did not take reports the same members again
			b.settle(notices[0], alerting.NotTaken)
			notices = b.claim()
		}
		names, found := strings.CutSuffix(notices[0].Event.Summary, more)
		assert.True(t, found)
		reported = append(reported, strings.Split(names, ", ")...)
		b.settle(notices[0], alerting.Taken)
	}
	assert.EqualValues(t, -1, b.next())
	slices.Sort(reported)
	assert.Equal(t, want, reported)

	b.later(2 * time.Hour)
	b.does(w.hit("g", "device-000"))
	reminder := b.texts()
	require.Len(t, reminder, 1)
	assert.Contains(t, reminder[0], "device-199 and 250 more")
}

func testMembersOfAnotherGroupAreOthers(t *testing.T, open opener) {
	b := open(t)
	w := site(2, 1)
	b.does(w.hit("g", "a"), w.hit("h", "a"))
	b.does(w.hit("g", "b"), w.hit("h", "c"))
	assert.Equal(t, []string{"ALERT 2: a, b", "ALERT 2: a, c"}, b.texts())
	b.does(w.leave("g", "a"))
	b.does(w.leave("g", "b"))
	assert.Equal(t, []string{"RESOLVE g"}, b.taken())
	b.does(w.leave("h", "c"), w.leave("h", "a"))
	assert.Equal(t, []string{"RESOLVE h"}, b.taken())
}

func testMembersThatAreHeldAgainstTheFleet(t *testing.T, open opener) {
	b := open(t)
	w := window(decision.Window{Condition: decision.Condition{Length: minute, Ratio: 0.5, Distinct: 1}, Held: true, Fleet: true})
	w.text = place("count") + " of " + place("of")
	about := func(device string, effects ...decision.Effect) {
		m := message(effects...)
		m.Decision.Device = device
		b.apply(m)
	}
	for _, d := range []string{"a", "b", "c", "d"} {
		about(d)
	}
	b.later(time.Hour) // the fleet is whole
	about("a", w.hit("g", "a"))
	assert.Empty(t, b.taken())
	about("b", w.hit("g", "b"))
	assert.Equal(t, []string{"ALERT 2 of 4"}, b.texts())
	about("c", w.hit("g", "c"))
	b.later(minute)
	assert.Equal(t, []string{"ALERT 3 of 4"}, b.texts())
}

func testAnAlertThatIsTakenBackNamesThoseWhoAreNew(t *testing.T, open opener) {
	b := open(t)
	w := site(2, 1)
	b.hits(w, "a", "b")
	b.texts()
	b.leaves(w, "a", "b")
	b.hits(w, "c", "d")
	assert.Empty(t, b.texts(), "open again before its end was sent")
	b.later(minute)
	assert.Equal(t, []string{"ALERT 2: c, d"}, b.texts())
}

func testARuleThatBeginsToHoldItsMembersHoldsThoseWhoAreThere(t *testing.T, open opener) {
	b := open(t)
	w := window(decision.Window{Condition: decision.Condition{Length: 10 * minute, Distinct: 2}})
	w.text = place("count") + ": " + place("members")
	b.hits(w, "a", "b")
	assert.Equal(t, []string{"ALERT 2: a, b"}, b.texts())
	w.Window = site(2, 1).Window
	b.hits(w, "c")
	b.later(time.Hour)
	assert.Equal(t, []string{"ALERT 3: a, b, c"}, b.texts())
	b.leaves(w, "a", "b")
	assert.Empty(t, b.taken())
	b.leaves(w, "c")
	assert.Equal(t, []string{"RESOLVE g"}, b.taken())
}

func testARestartLosesNoMember(t *testing.T, open opener) {
	b := open(t)
	w := site(3, 1)
	w.hold = minute
	for _, m := range []string{"a", "b", "c"} {
		b.hits(w, m)
		b.restart()
	}
	b.later(minute)
	n := b.claim()
	require.Len(t, n, 1)
	b.restart()
	assert.Equal(t, []string{"ALERT 3: a, b, c"}, b.texts(), "without an answer the notice reports the same members")
	b.hits(w, "d")
	b.restart()
	b.later(minute)
	assert.Equal(t, []string{"ALERT 4: a, b, c, d"}, b.texts())
	b.leaves(w, "a", "b", "c")
	b.restart()
	b.leaves(w, "d")
	assert.Equal(t, []string{"RESOLVE g"}, b.taken())
}
