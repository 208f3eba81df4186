package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
)

var crowdTests = []test{
	testWhoHitsAloneDoesNotJoinACrowd,
	testASecondCrowdJoinsTheFirst,
	testWhoHasNotJoinedKeepsNoCrowdOpen,
	testACrowdOfOthersEachMinuteIsNotSent,
	testWhoHitsAgainDoesNotPutOffAnAlert,
	testOnlyTheCrowdRaisesItsAlertAgain,
	testACrowdIsJoinedByTheConditionThatHolds,
	testWhoIsForgottenDoesNotCount,
	testWhoIsForgottenCountsAgainAfterLeaving,
	testWhoIsForgottenLeavesTheCrowd,
	testForgottenMembersOutliveTheCrowd,
	testForgottenMembersTakeNoSpaceForLong,
}

func (w windowed) forget(group, member string) decision.Forget {
	return decision.Forget{Window: w.Window, Group: group, Member: member}
}

func (b *book) forgets(w windowed, members ...string) {
	b.t.Helper()
	for _, m := range members {
		b.does(w.forget("g", m))
	}
}

// numbered returns names of members that begin alike.
func numbered(prefix string, n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprint(prefix, i))
	}
	return all
}

func testWhoHitsAloneDoesNotJoinACrowd(t *testing.T, open opener) {
	b := open(t)
	w := site(3, 1)
	b.hits(w, numbered("s", 3)...)
	assert.Equal(t, []string{"ALERT 3: s0, s1, s2"}, b.texts())
	b.later(9 * minute)
	b.hits(w, "early")
	b.later(minute)
	assert.Equal(t, []string{"ALERT 4: early, s0, s1, s2"}, b.texts(), "the condition still held")
	for i := range 10 {
		b.later(7 * minute)
		b.hits(w, fmt.Sprint("leaver", i))
		assert.Empty(t, b.texts())
	}
	b.restart()
	b.leaves(w, "early", "s0", "s1", "s2")
	assert.Equal(t, []string{"RESOLVE 4: "}, b.texts())
}

func testASecondCrowdJoinsTheFirst(t *testing.T, open opener) {
	b := open(t)
	w := site(3, 0.8)
	b.hits(w, numbered("s", 3)...)
	b.texts()
	b.later(time.Hour)
	b.hits(w, "late")
	b.later(9 * minute)
	b.hits(w, "t0")
	b.restart()
	b.hits(w, "t1")
	b.later(minute)
	assert.Equal(t, []string{"ALERT 6: late, s0, s1, s2, t0, t1"}, b.texts(), "one update")
	b.leaves(w, "s0", "s1", "s2", "late")
	assert.Empty(t, b.texts())
	b.leaves(w, "t0")
	assert.Len(t, b.taken(), 1, "five of six have left")
}

func testWhoHasNotJoinedKeepsNoCrowdOpen(t *testing.T, open opener) {
	b := open(t)
	w := site(4, 0.75)
	b.hits(w, numbered("s", 4)...)
	b.texts()
	b.later(time.Hour)
	b.hits(w, "leaver")
	b.leaves(w, "leaver", "s0", "s1")
	b.hits(w, "s0", "leaver")
	assert.Empty(t, b.taken(), "s0 is back, and has gone alone")
	got, _, err := b.Counted(t.Context(), "w", "g")
	assert.NoError(t, err)
	assert.Equal(t, 2, got.Members)
	b.leaves(w, "s2")
	assert.Equal(t, []string{"RESOLVE g"}, b.taken())
	b.hits(w, "a", "b", "c")
	assert.Empty(t, b.taken(), "who had not joined is forgotten, too")
}

func testACrowdOfOthersEachMinuteIsNotSent(t *testing.T, open opener) {
	b := open(t)
	w := window(decision.Window{Condition: decision.Condition{Length: 2 * minute, Distinct: 3}, Held: true, Left: 0.9})
	w.text, w.hold = place("members"), 5*minute
	for i := range 30 { // each is back after two minutes
		b.hits(w, fmt.Sprint("a", i), fmt.Sprint("b", i))
		if i > 1 {
			b.leaves(w, fmt.Sprint("a", i-2), fmt.Sprint("b", i-2))
		}
		assert.Empty(t, b.texts())
		b.later(minute)
	}
	b.restart()
	b.later(3 * minute)
	assert.Empty(t, b.texts(), "only a28 and b28 have been gone for five minutes")
	b.later(minute)
	assert.Equal(t, []string{"ALERT a28, a29, b28, b29"}, b.texts())
}

func testWhoHitsAgainDoesNotPutOffAnAlert(t *testing.T, open opener) {
	b := open(t)
	w := site(2, 1)
	w.hold = 5 * minute
	for range 5 {
		b.hits(w, "a", "b", "c")
		b.leaves(w, "c")
		assert.Empty(t, b.texts())
		b.later(minute)
	}
	assert.Equal(t, []string{"ALERT 2: a, b"}, b.texts())
}

func testOnlyTheCrowdRaisesItsAlertAgain(t *testing.T, open opener) {
	b := open(t)
	w := site(2, 1)
	b.hits(w, "a", "b")
	b.texts()
	b.later(2 * time.Hour)
	b.hits(w, "c")
	assert.Empty(t, b.texts(), "no reminder")
	b.hits(w, "a")
	assert.Equal(t, []string{"ALERT 2: a, b"}, b.texts(), "it says so again")
}

func testACrowdIsJoinedByTheConditionThatHolds(t *testing.T, open opener) {
	b := open(t)
	w := crowd() // 3 within 2 minutes or 6 within an hour
	b.hits(w, "a", "b", "c")
	b.texts()
	b.later(40 * minute)
	b.hits(w, "x")
	b.later(10 * minute)
	b.hits(w, "d", "e", "f")
	b.later(minute)
	assert.Equal(t, []string{"ALERT a, b, c, d, e, f, x within 2 minutes"}, b.texts(), "all of the last hour, which are seven")

	b.does(decision.Reset{Rule: "w", Group: "g"})
	b.texts()
	b.hits(w, "x")
	b.later(10 * minute)
	b.hits(w, "a", "b", "c")
	b.later(minute)
	assert.Equal(t, []string{"ALERT a, b, c within 2 minutes"}, b.texts())
}

func testWhoIsForgottenDoesNotCount(t *testing.T, open opener) {
	b := open(t)
	w := site(2, 1)
	b.forgets(w, "a", "b")
	b.restart()
	b.later(9 * minute)
	b.hits(w, "a", "b", "c")
	assert.Empty(t, b.texts())
	got, _, err := b.Counted(t.Context(), "w", "g")
	assert.NoError(t, err)
	assert.Equal(t, alerting.Reached{Hits: 1, Members: 1}, got.Reached)
	b.hits(w, "d")
	assert.Equal(t, []string{"ALERT 2: c, d"}, b.texts())
	b.hits(w, "a")
	b.later(minute)
	assert.Empty(t, b.texts(), "nor does it join")
	b.hits(w, "a")
	b.later(minute)
	assert.Equal(t, []string{"ALERT 3: a, c, d"}, b.texts(), "the window's length has passed since")
}

func testWhoIsForgottenCountsAgainAfterLeaving(t *testing.T, open opener) {
	b := open(t)
	w := site(2, 1)
	b.hits(w, "a")
	b.forgets(w, "a")
	b.leaves(w, "a") // it is back
	b.hits(w, "a", "b")
	assert.Equal(t, []string{"ALERT 2: a, b"}, b.texts())
}

func testWhoIsForgottenLeavesTheCrowd(t *testing.T, open opener) {
	b := open(t)
	w := site(2, 0.5)
	b.hits(w, "a", "b", "c", "d")
	b.texts()
	b.forgets(w, "a", "a")
	assert.Empty(t, b.taken())
	b.does(w.forget("g", "b"), w.hit("g", "b"))
	assert.Equal(t, []string{"RESOLVE g"}, b.taken())
}

func testForgottenMembersOutliveTheCrowd(t *testing.T, open opener) {
	b := open(t)
	w := site(2, 1)
	b.hits(w, "a", "b")
	b.texts()
	b.forgets(w, "a", "b")
	assert.Equal(t, []string{"RESOLVE g"}, b.taken())
	b.restart()
	b.hits(w, "a", "b")
	assert.Empty(t, b.taken(), "they are disconnected after that")
}

func testForgottenMembersTakeNoSpaceForLong(t *testing.T, open opener) {
	b := open(t)
	w := site(2, 1)
	b.forgets(w, numbered("a", 50)...)
	b.forgets(w, "")
	_, exists, err := b.Counted(t.Context(), "w", "g")
	assert.NoError(t, err)
	assert.True(t, exists)
	b.later(11 * minute)
	b.taken()
	_, exists, err = b.Counted(t.Context(), "w", "g")
	assert.NoError(t, err)
	assert.False(t, exists)
}
