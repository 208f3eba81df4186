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

var awaitedRulesTests = []test{
	testExpectedGroupsAreAwaitedFromTheStart,
	testAGroupThatNeverComesBackIsForgotten,
	testAnExpectedGroupIsNeverForgotten,
	testARemovedRuleWaitsForNothing,
	testAChangedRuleAppliesFromTheNextMessage,
	testAnotherIntegrationKeyGetsTheAlertOfASilentGroup,
	testTheAlertOfASilentGroupMayBeEndedByItsKey,
	testTooManyGroupsAreNotAwaited,
	testManyGroupsFallSilentAtOnce,
	testASilentGroupIsHeldByTheAlertThatExplainsIt,
}

func testExpectedGroupsAreAwaitedFromTheStart(t *testing.T, open opener) {
	b, a := listening(t, open), silentFor(20*minute)
	b.awaits([]string{"silent"}, a.heard("a", "s"), a.heard("b", "s"))
	b.listens(10 * minute)
	b.does(a.heard("b", "s"))
	b.restart()
	b.Listen(b.now)
	b.awaits([]string{"silent"}, a.heard("a", "s"), a.heard("b", "s"), a.heard("c", "s"))
	b.listens(11 * minute)
	assert.Equal(t, []string{"ALERT a"}, b.taken())
	b.awaits([]string{"silent"}, a.heard("c", "s")) // b and a are removed from the list
	assert.Equal(t, []string{"RESOLVE a"}, b.taken())
	b.listens(10 * minute)
	assert.Equal(t, []string{"ALERT c"}, b.taken())
	b.does(decision.Dismiss{Rule: "silent", Group: "c"})
	assert.Equal(t, []string{"RESOLVE c"}, b.taken())
	b.awaits([]string{"silent"}, a.heard("c", "s"))
	b.listens(time.Hour)
	assert.Empty(t, b.taken(), "it is dismissed until it speaks")
	b.does(a.heard("c", "s"))
	b.listens(time.Hour)
	assert.Equal(t, []string{"ALERT c"}, b.taken())
}

func testAGroupThatNeverComesBackIsForgotten(t *testing.T, open opener) {
	const day = 24 * time.Hour
	for age, end := range map[time.Duration]time.Duration{0: 30 * day, 2 * day: 2 * day} {
		b, a := listening(t, open), silentFor(20*minute)
		h := a.heard("g", "s")
		h.Raise.Age = age
		b.does(h)
		b.listens(20 * minute)
		assert.Equal(t, []string{"ALERT g"}, b.taken())
		b.listens(end - time.Second)
		assert.Empty(t, b.taken())
		assert.Equal(t, 1, b.groups())
		b.listens(time.Second)
		assert.Equal(t, []string{"RESOLVE g"}, b.taken())
		assert.Zero(t, b.groups())
		b.restart()
		assert.Zero(t, b.groups())
	}
}

func testAnExpectedGroupIsNeverForgotten(t *testing.T, open opener) {
	b, a := listening(t, open), silentFor(20*minute)
	h := a.heard("aged", "s")
	h.Raise.Age = time.Hour
	b.awaits([]string{"silent"}, h, a.heard("g", "s"))
	b.listens(20 * minute)
	assert.ElementsMatch(t, []string{"ALERT aged", "ALERT g"}, b.taken())
	b.listens(100 * 24 * time.Hour)
	assert.Equal(t, []string{"RESOLVE aged"}, b.taken())
	assert.Equal(t, 2, b.groups())
	b.does(h, a.heard("g", "s"))
	assert.Equal(t, []string{"RESOLVE g"}, b.taken())
}

func testARemovedRuleWaitsForNothing(t *testing.T, open opener) {
	b, a, other := listening(t, open), silentFor(20*minute), silentFor(20*minute)
	other.Rule = "other"
	b.awaits([]string{"silent", "other"}, a.heard("named", "s"))
	b.does(a.heard("a", "s"), a.heard("b", "s"), other.heard("c", "s"))
	b.listens(10 * minute)
	b.does(a.heard("b", "s"), other.heard("c", "s"))
	b.listens(10 * minute)
	assert.ElementsMatch(t, []string{"ALERT a", "ALERT named"}, b.taken())
	b.awaits([]string{"other"})
	assert.ElementsMatch(t, []string{"RESOLVE a", "RESOLVE named"}, b.taken())
	b.listens(10 * minute)
	assert.Equal(t, []string{"ALERT c"}, b.taken())
	b.restart()
	assert.Equal(t, 1, b.groups())
}

func testAChangedRuleAppliesFromTheNextMessage(t *testing.T, open opener) {
	b := listening(t, open)
	b.does(silentFor(20*minute).heard("g", "s"))
	b.listens(time.Second)
	b.does(silentFor(time.Hour).heard("g", "s"))
	b.restart()
	b.Listen(b.now)
	b.listens(30 * minute)
	assert.Empty(t, b.taken())
	b.does(silentFor(minute).heard("g", "s"))
	b.listens(minute)
	assert.Equal(t, []string{"ALERT g"}, b.taken())
}

func testAnotherIntegrationKeyGetsTheAlertOfASilentGroup(t *testing.T, open opener) {
	b, a := listening(t, open), silentFor(20*minute)
	b.does(a.heard("g", "s"))
	b.listens(20 * minute)
	assert.Equal(t, []string{"ALERT g"}, b.taken())
	keys := map[string]ilert.IntegrationKey{"silent": doors}
	_, err := b.Retain(t.Context(), b.now, keys)
	require.NoError(t, err)
	require.NoError(t, b.Await(t.Context(), b.now, keys, nil))
	assert.ElementsMatch(t, []string{"RESOLVE g", "ALERT g" + by(doors)}, b.takenInPages())
	h := a.heard("g", "s")
	h.Raise.Key.Integration = doors
	b.does(h)
	assert.Equal(t, []string{"RESOLVE g" + by(doors)}, b.taken())
}

func testTheAlertOfASilentGroupMayBeEndedByItsKey(t *testing.T, open opener) {
	b, a := listening(t, open), silentFor(20*minute)
	b.does(a.heard("g", "s"))
	b.listens(20 * minute)
	b.does(raising("other"))
	assert.ElementsMatch(t, []string{"ALERT g", "ALERT other"}, b.taken())
	b.does(ending("g"))
	assert.Equal(t, []string{"RESOLVE g"}, b.taken())
	b.listens(time.Hour)
	assert.Empty(t, b.taken())
	b.does(raising("g")) // another rule raises an alert with the same key
	assert.Equal(t, []string{"ALERT g"}, b.taken())
	h := a.heard("g", "s")
	h.Raise.Event.Priority = "LOW"
	b.does(h)
	assert.Empty(t, b.taken(), "which the group does not end")
	b.listens(20 * minute)
	assert.Empty(t, b.taken(), "and which is open already")
}

func testTooManyGroupsAreNotAwaited(t *testing.T, open opener) {
	b, a := open(t), silentFor(20*minute)
	b.bound(func(l *alerting.Bounds) { l.Awaited = 3 })
	b.Listen(b.now)
	b.does(a.heard("a", "s"), a.heard("b", "s"))
	b.does(a.heard("c", "s"), a.heard("d", "s"), a.heard("e", "s"), a.heard("a", "s"))
	n, beyond := b.AwaitedGroups()
	assert.Equal(t, 3, n)
	assert.EqualValues(t, 2, beyond)
	b.bound(func(l *alerting.Bounds) { l.AwaitedBytes = 20 })
	b.Listen(b.now)
	b.does(a.heard("a", "a text that is too long to be kept, so that the former one stays"))
	b.listens(time.Hour)
	assert.Equal(t, []string{"ALERT s", "ALERT s", "ALERT s"}, b.texts())
}

func testManyGroupsFallSilentAtOnce(t *testing.T, open opener) {
	const many = 2100 // more than one page
	b, a := listening(t, open), silentFor(20*minute)
	messages := make([]alerting.Message, many)
	for i := range messages {
		messages[i] = message(a.heard(fmt.Sprint(i), "s"))
	}
	b.apply(messages...)
	b.listens(20 * minute)
	raised := func() int {
		alerts, err := b.Alerts(t.Context(), b.now, "silent", 2*many)
		require.NoError(t, err)
		return len(alerts)
	}
	b.claim()
	assert.Less(t, raised(), many)
	assert.LessOrEqual(t, b.next(), time.Duration(0))
	b.claim()
	assert.Equal(t, many, raised())
	b.awaits(nil)
	assert.Zero(t, b.groups())
	assert.Empty(t, b.memory().Awaited)
}

func testASilentGroupIsHeldByTheAlertThatExplainsIt(t *testing.T, open opener) {
	b, a := listening(t, open), silentFor(20*minute)
	depends := a.heard("g", "g is silent")
	depends.Raise.Unless = []string{"Server/x"}
	b.does(depends)
	b.listens(minute)
	b.restart()
	b.Listen(b.now)
	b.does(raising("server/x"))
	assert.Equal(t, []string{"ALERT server/x"}, b.taken())
	b.listens(time.Hour)
	b.listens(time.Hour)
	assert.Empty(t, b.taken())
	assert.Equal(t, alerting.StateHeld, b.states()["g"])
	b.does(ending("server/x"))
	assert.ElementsMatch(t, []string{"RESOLVE server/x", "ALERT g"}, b.taken(), "it is still silent")
	depends.Raise.Unless = []string{"server/y"}
	b.does(depends, raising("server/x"))
	assert.ElementsMatch(t, []string{"RESOLVE g", "ALERT server/x"}, b.taken())
	b.listens(20 * minute)
	assert.Equal(t, []string{"ALERT g"}, b.taken(), "its last message names another alert")
}
