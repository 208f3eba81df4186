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

var dependTests = []test{
	testAnAlertWaitsWhileTheOneThatExplainsItIsOpen,
	testWhatWaitsAlreadyIsHeldWhenAnotherAlertOpens,
	testADelayIsCountedFromTheAlertsOwnRaise,
	testWhatIlertKnowsStaysWhenAnotherAlertOpens,
	testAHeldAlertThatEndsCostsNothing,
	testAnAlertThatDependsOnSeveralWaitsForAllOfThem,
	testAlertsThatDependOnEachOtherAreNotSilentForEver,
	testAnAlertDoesNotHoldThoseOfAnotherIntegrationKey,
	testHeldAlertsAreInNoStorm,
	testMembersOfAStormThatIlertDoesNotKnowLeaveIt,
	testTheAlertOfAWindowIsHeld,
	testAStormHoldsAlerts,
	testHeldAlertsAreRightAfterARestart,
	testAnAlertThatIlertDidNotTakeIsHeldBeforeTheNextTry,
	testManyHeldAlertsAreFreed,
}

// device returns the effect that raises an alert which is not sent while others are open.
func device(key string, unless ...string) decision.Raise {
	r := raising(key)
	r.Rule, r.Unless = "device", unless
	return r
}

func testAnAlertWaitsWhileTheOneThatExplainsItIsOpen(t *testing.T, open opener) {
	b := open(t)
	server := raising("server/x")
	server.For = 5 * minute
	b.does(server)
	b.does(device("d1", " SERVER/X"))
	b.does(device("d2", "server/y"))
	assert.Equal(t, []string{"ALERT d2"}, b.taken(), "the server's alert is open, although it is not sent yet")
	assert.Equal(t, map[string]alerting.State{"server/x": alerting.StateDelayed, "d1": alerting.StateHeld, "d2": alerting.StateOpen}, b.states())
	assert.Equal(t, "server/x", b.alerts("")["d1"].HeldBy)
	status, err := b.Status(t.Context(), b.now)
	require.NoError(t, err)
	assert.EqualValues(t, 1, status.Held)
	assert.Zero(t, status.Waiting)
	assert.EqualValues(t, 1, status.Later)
	b.later(5 * minute)
	assert.Equal(t, []string{"ALERT server/x"}, b.taken())
	b.later(time.Hour)
	b.does(device("d1", "server/x"))
	assert.Empty(t, b.taken())
	b.does(ending("server/x"))
	assert.LessOrEqual(t, b.next(), time.Duration(0), "the next claim is due at once")
	sent := b.claim()
	require.Len(t, sent, 2)
	assert.Equal(t, "d1", sent[1].Event.AlertKey, "after the end of the other alert")
	status, err = b.Status(t.Context(), b.now)
	require.NoError(t, err)
	assert.Equal(t, b.now, status.Oldest, "it has waited for ilert no longer")
	for _, n := range sent {
		b.settle(n, alerting.Taken)
	}
	b.does(ending("d1"), ending("d2"))
	assert.ElementsMatch(t, []string{"RESOLVE d1", "RESOLVE d2"}, b.taken())
	assert.Equal(t, -time.Duration(1), b.next())
}

func testWhatWaitsAlreadyIsHeldWhenAnotherAlertOpens(t *testing.T, open opener) {
	b := open(t)
	later := device("d1", "server/x")
	later.For = minute
	b.does(later, device("d2", "server/x"))
	b.does(raising("server/x"))
	assert.Equal(t, []string{"ALERT server/x"}, b.taken())
	b.later(minute)
	assert.Empty(t, b.taken())
	b.does(ending("server/x"))
	assert.ElementsMatch(t, []string{"RESOLVE server/x", "ALERT d1", "ALERT d2"}, b.taken())
}

func testADelayIsCountedFromTheAlertsOwnRaise(t *testing.T, open opener) {
	b := open(t)
	b.does(raising("server/x"))
	for key, wait := range map[string]time.Duration{"d1": 2 * minute, "d2": 5 * minute} {
		r := device(key, "server/x")
		r.For = wait
		b.does(r)
	}
	assert.Equal(t, []string{"ALERT server/x"}, b.taken())
	b.later(3 * minute)
	b.does(ending("server/x"))
	assert.ElementsMatch(t, []string{"RESOLVE server/x", "ALERT d1"}, b.taken())
	assert.Equal(t, 2*minute, b.next())
	b.later(2 * minute)
	assert.Equal(t, []string{"ALERT d2"}, b.taken())
}

func testWhatIlertKnowsStaysWhenAnotherAlertOpens(t *testing.T, open opener) {
	b := open(t)
	b.does(device("d1", "server/x"), device("d2", "server/x"))
	assert.Len(t, b.taken(), 2)
	b.does(raising("server/x"))
	b.does(accepting("d2"))
	assert.ElementsMatch(t, []string{"ALERT server/x", "ACCEPT d2"}, b.taken())
	b.later(2 * time.Hour)
	b.does(device("d1", "server/x"))
	assert.Equal(t, []string{"ALERT d1"}, b.taken(), "a reminder of what ilert knows")
	b.does(ending("d1"))
	assert.Equal(t, []string{"RESOLVE d1"}, b.taken())
	b.does(device("d1", "server/x"))
	assert.Empty(t, b.taken(), "a new alert with its key is held")
}

func testAHeldAlertThatEndsCostsNothing(t *testing.T, open opener) {
	b := open(t)
	b.does(raising("server/x"))
	silent := device("d2", "server/x")
	silent.Silence = minute
	b.does(device("d1", "server/x"), silent)
	b.does(ending("d1"))
	b.later(minute)
	assert.Equal(t, []string{"ALERT server/x"}, b.taken())
	b.does(ending("server/x"))
	assert.Equal(t, []string{"RESOLVE server/x"}, b.taken())
	assert.Equal(t, -time.Duration(1), b.next())
}

func testAnAlertThatDependsOnSeveralWaitsForAllOfThem(t *testing.T, open opener) {
	b := open(t)
	b.does(raising("a"), raising("b"))
	b.does(device("d", "a", "b"))
	assert.Len(t, b.taken(), 2)
	b.does(ending("a"))
	assert.Equal(t, []string{"RESOLVE a"}, b.taken())
	assert.Equal(t, "b", b.alerts("")["d"].HeldBy)
	b.does(raising("a"), ending("b"))
	assert.ElementsMatch(t, []string{"ALERT a", "RESOLVE b"}, b.taken())
	b.does(ending("a"))
	assert.ElementsMatch(t, []string{"RESOLVE a", "ALERT d"}, b.taken())
}

func testAlertsThatDependOnEachOtherAreNotSilentForEver(t *testing.T, open opener) {
	b := open(t)
	b.does(device("own", "own"))
	assert.Equal(t, []string{"ALERT own"}, b.taken())
	b.does(device("a", "b"), device("b", "c"), device("c", "a"))
	assert.Len(t, b.taken(), 1, "else none of them would ever be sent")
	for n := range 30 {
		b.does(device(fmt.Sprint("chain", n), fmt.Sprint("chain", n-1)))
	}
	first := b.taken()
	assert.Contains(t, first, "ALERT chain0")
	assert.NotContains(t, first, "ALERT chain9")
	for n := range 30 {
		b.does(ending(fmt.Sprint("chain", n)))
		b.takenInPages()
	}
	assert.Empty(t, b.alerts("device")["chain29"])
}

func testAnAlertDoesNotHoldThoseOfAnotherIntegrationKey(t *testing.T, open opener) {
	b := open(t)
	server := raising("server/x")
	server.Key.Integration = doors
	b.does(server)
	b.does(device("d", "server/x"))
	assert.ElementsMatch(t, []string{"ALERT server/x by env:DOORS_KEY", "ALERT d"}, b.taken())
}

func testHeldAlertsAreInNoStorm(t *testing.T, open opener) {
	b := open(t)
	b.does(raising("server/x"))
	for n := range 8 {
		b.does(device(fmt.Sprint("held", n), "server/x"))
	}
	for n := range 4 {
		b.does(device(fmt.Sprint("free", n), "server/y"))
	}
	assert.ElementsMatch(t, []string{
		"ALERT LOW server/x server/x failed", "ALERT LOW free0 free0 failed", "ALERT LOW free1 free1 failed",
		"ALERT LOW free2 free2 failed", "ALERT LOW free3 free3 failed",
	}, b.passes())
	b.does(ending("server/x"))
	assert.ElementsMatch(t, []string{"RESOLVE LOW server/x server/x failed", "ALERT LOW storm/device 8 alerts of rule device"}, b.passes())
}

func testMembersOfAStormThatIlertDoesNotKnowLeaveIt(t *testing.T, open opener) {
	b := open(t)
	for n := range 8 {
		b.does(device(fmt.Sprint("d", n), fmt.Sprint("server/", n%2)))
	}
	storm := b.narrowly()
	require.Len(t, storm, 1)
	b.settle(storm[0], alerting.NotTaken)
	b.does(raising("server/0"))
	assert.ElementsMatch(t, []string{"ALERT LOW server/0 server/0 failed", "ALERT LOW storm/device 4 alerts of rule device"}, b.passes())
	b.does(raising("server/1"))
	assert.Equal(t, []string{"ALERT LOW server/1 server/1 failed"}, b.passes(), "what ilert knows stays")
	b.does(decision.EndAll{Rule: "device"}, ending("server/0"), ending("server/1"))
	assert.ElementsMatch(t, []string{
		"RESOLVE LOW storm/device all alerts of rule device have ended", "RESOLVE LOW server/0 server/0 failed", "RESOLVE LOW server/1 server/1 failed",
	}, b.passes())
	assert.Empty(t, b.states())
}

func testTheAlertOfAWindowIsHeld(t *testing.T, open opener) {
	b := open(t)
	w := site(2, 1)
	b.does(raising("server/x"))
	hits := func(members ...string) {
		for _, m := range members {
			h := w.hit("g", m)
			h.Raise.Unless = []string{"server/x"}
			b.does(h)
		}
	}
	hits("a", "b", "c")
	assert.Equal(t, []string{"ALERT server/x failed"}, b.texts())
	hits("d")
	b.does(ending("server/x"))
	assert.ElementsMatch(t, []string{"RESOLVE server/x failed", "ALERT 4: a, b, c, d"}, b.texts())
}

func testAStormHoldsAlerts(t *testing.T, open opener) {
	b := open(t)
	b.fails("r", 0, 6)
	assert.Len(t, b.passes(), 1)
	b.does(device("d", "storm/r"))
	assert.Empty(t, b.passes())
	b.does(decision.EndAll{Rule: "r"})
	assert.ElementsMatch(t, []string{"RESOLVE LOW storm/r all alerts of rule r have ended", "ALERT LOW d d failed"}, b.passes())
}

func testHeldAlertsAreRightAfterARestart(t *testing.T, open opener) {
	b := open(t)
	later := device("d1", "server/x")
	later.For = minute
	b.does(later)
	b.restart()
	b.does(raising("server/x"))
	b.restart() // before a claim holds d1
	b.does(device("d2", "server/x"))
	b.later(minute)
	assert.Equal(t, []string{"ALERT server/x"}, b.taken())
	b.restart()
	assert.Empty(t, b.taken())
	b.does(ending("server/x"))
	b.restart() // before a claim frees them
	assert.ElementsMatch(t, []string{"RESOLVE server/x", "ALERT d1", "ALERT d2"}, b.takenInPages())
}

func testAnAlertThatIlertDidNotTakeIsHeldBeforeTheNextTry(t *testing.T, open opener) {
	b := open(t)
	b.does(device("d", "server/x"))
	sent := b.claim()
	require.Len(t, sent, 1)
	b.does(raising("server/x"))
	assert.Equal(t, []string{"ALERT server/x"}, b.taken())
	b.settle(sent[0], alerting.NotTaken)
	b.later(minute)
	assert.Empty(t, b.taken())
	b.does(ending("server/x"))
	assert.ElementsMatch(t, []string{"RESOLVE server/x", "ALERT d"}, b.taken())
}

func testManyHeldAlertsAreFreed(t *testing.T, open opener) {
	b := open(t)
	const many = 4500 // more than two pages
	var messages []alerting.Message
	for n := range many {
		r := device(fmt.Sprintf("d%04d", n), "server/x")
		r.For = minute
		messages = append(messages, message(r))
	}
	b.apply(messages...)
	b.does(raising("server/x"))
	assert.Equal(t, []string{"ALERT server/x"}, b.taken())
	status := func() alerting.Status {
		s, err := b.Status(t.Context(), b.now)
		require.NoError(t, err)
		return s
	}
	assert.EqualValues(t, many, status().Held)
	b.does(ending("server/x"))
	b.later(minute)
	assert.Equal(t, []string{"RESOLVE server/x"}, b.taken()[:1])
	assert.Zero(t, status().Held)
}
