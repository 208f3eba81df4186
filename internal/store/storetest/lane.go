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

var laneTests = []test{
	testNoMoreIsGivenThanTheBudgetOfEachKeyAllows,
	testWhatEndsAnAlertMayTakeWhatIsKeptFromAlerts,
	testAnAnswerMayChangeTheBudget,
	testWhatAnOperatorMayHaveMendedIsTriedAtOnce,
	testAHeldKeyIsDueForTheNextProcess,
	testWhatEndedWhileItsKeyWasHeldWaitsNoMore,
	testKeysTakeTurns,
	testAKeyGivesHighBeforeLowAndThenWhatIsDueLongest,
	testALaneWithABacklogHasItsTurnAfterTheOthers,
	testAClockThatIsPutBackHoldsUpNoLane,
}

// within claims up to limit notices that are due, each within the budget of its integration key.
func (b *book) within(limit int, budgets map[ilert.IntegrationKey]alerting.Budget) []alerting.Notice {
	b.t.Helper()
	notices, err := b.Claim(b.t.Context(), b.now, limit, func(key ilert.IntegrationKey) alerting.Budget { return budgets[key] })
	require.NoError(b.t, err)
	b.check()
	return notices
}

func of(integrationKey ilert.IntegrationKey, alertKey, priority string) decision.Raise {
	r := raising(alertKey)
	r.Key.Integration, r.Event.Priority = integrationKey, priority
	return r
}

func keysOf(notices []alerting.Notice) (all []string) {
	for _, n := range notices {
		all = append(all, string(n.Event.EventType)+" "+n.Event.AlertKey+by(n.IntegrationKey))
	}
	return all
}

func testNoMoreIsGivenThanTheBudgetOfEachKeyAllows(t *testing.T, open opener) {
	b := open(t)
	b.does(of(configured, "1", "LOW"), of(configured, "2", "LOW"), of(configured, "3", "LOW"), of(doors, "4", "LOW"), of(doors, "5", "LOW"))
	given := b.within(100, map[ilert.IntegrationKey]alerting.Budget{configured: {Any: 2, Singles: 2, Again: b.now.Add(time.Second)}, doors: {Again: b.now.Add(time.Minute)}})
	assert.ElementsMatch(t, []string{"ALERT 1", "ALERT 2"}, keysOf(given))
	assert.Equal(t, time.Second, b.next(), "until then nothing can be done")
	b.later(time.Second)
	assert.ElementsMatch(t, []string{"ALERT 3"}, keysOf(b.within(100, map[ilert.IntegrationKey]alerting.Budget{configured: {Any: 2, Singles: 2}, doors: {Any: 9}})))
	assert.Equal(t, 59*time.Second, b.next())
	b.later(59 * time.Second)
	assert.ElementsMatch(t, []string{"ALERT 4 by env:DOORS_KEY", "ALERT 5 by env:DOORS_KEY"}, keysOf(b.within(100, map[ilert.IntegrationKey]alerting.Budget{doors: {Any: 9, Singles: 9}})))
	assert.Equal(t, time.Duration(-1), b.next())
}

func testWhatEndsAnAlertMayTakeWhatIsKeptFromAlerts(t *testing.T, open opener) {
	b := open(t)
	b.does(raising("a"))
	b.taken()
	b.does(raising("b"), decision.Send{})
	none := map[ilert.IntegrationKey]alerting.Budget{configured: {Any: 3, Again: b.now.Add(time.Minute)}}
	assert.Empty(t, b.within(100, none))
	assert.Equal(t, time.Minute, b.next())
	b.does(ending("a"))
	assert.Equal(t, time.Duration(0), b.next())
	assert.Equal(t, []string{"RESOLVE a"}, keysOf(b.within(100, none)))
	assert.Equal(t, time.Minute, b.next())
}

func testAnAnswerMayChangeTheBudget(t *testing.T, open opener) {
	b := open(t)
	b.does(raising("a"), raising("b"))
	given := b.within(100, map[ilert.IntegrationKey]alerting.Budget{configured: {Any: 1, Singles: 1}})
	require.Len(t, given, 1)
	assert.Greater(t, b.next(), 100*365*24*time.Hour, "an answer comes first")
	assert.Empty(t, b.claim(), "it is not due before")
	b.settle(given[0], alerting.Taken)
	assert.Equal(t, time.Duration(0), b.next())
	assert.Len(t, b.claim(), 1)
}

func testWhatAnOperatorMayHaveMendedIsTriedAtOnce(t *testing.T, open opener) {
	b := open(t)
	b.does(raising("a"))
	assert.Empty(t, b.within(100, map[ilert.IntegrationKey]alerting.Budget{configured: {Again: b.now.Add(5 * minute)}}))
	assert.Empty(t, b.claim())
	_, err := b.Retain(t.Context(), b.now, map[string]ilert.IntegrationKey{"r": configured})
	require.NoError(t, err)
	assert.Len(t, b.claim(), 1)
}

func testAHeldKeyIsDueForTheNextProcess(t *testing.T, open opener) {
	b := open(t)
	b.does(raising("a"), decision.Send{IntegrationKey: doors})
	assert.Empty(t, b.within(100, nil))
	assert.Empty(t, b.claim())
	b.restart()
	assert.Len(t, b.claim(), 2)
}

func testWhatEndedWhileItsKeyWasHeldWaitsNoMore(t *testing.T, open opener) {
	b := open(t)
	b.does(raising("a"))
	assert.Empty(t, b.within(100, map[ilert.IntegrationKey]alerting.Budget{configured: {Again: b.now.Add(5 * minute)}}))
	b.does(ending("a"))
	assert.Equal(t, time.Duration(-1), b.next())
}

// An integration key for which much waits may use the whole limit of a Claim, but the others have their turn.
func testKeysTakeTurns(t *testing.T, open opener) {
	b := open(t)
	b.apply(send(third, "taken before"))
	b.taken()
	var all []decision.Effect
	for n := range 100 {
		all = append(all, of(doors, fmt.Sprint(n), "HIGH"))
	}
	b.does(all...)
	b.later(time.Second)
	b.does(of(configured, "1", "LOW"), send(third, "2").Decision.Effects[0])
	b.later(time.Millisecond)
	first := keysOf(b.within(10, unlimited(doors, configured, third)))
	second := keysOf(b.within(10, unlimited(doors, configured, third)))
	assert.Contains(t, append(first, second...), "ALERT 1")
	assert.Contains(t, append(first, second...), "ALERT  by "+third.String())
	assert.Len(t, second, 10)
}

func unlimited(keys ...ilert.IntegrationKey) map[ilert.IntegrationKey]alerting.Budget {
	all := map[ilert.IntegrationKey]alerting.Budget{}
	for _, k := range keys {
		all[k] = alerting.Unlimited(k)
	}
	return all
}

func testAKeyGivesHighBeforeLowAndThenWhatIsDueLongest(t *testing.T, open opener) {
	b := open(t)
	b.does(of(configured, "ended", "LOW"))
	b.taken()
	b.later(time.Second)
	b.does(raising("1"))
	b.later(time.Second)
	b.does(ending("ended"))
	b.later(time.Second)
	b.does(decision.Send{})
	b.later(time.Second)
	b.does(of(configured, "2", "HIGH"), of(configured, "3", ""))
	var order []string
	for range 5 {
		given := b.within(1, unlimited(configured))
		order = append(order, keysOf(given)...)
	}
	assert.Equal(t, []string{"ALERT 2", "ALERT 1", "RESOLVE ended", " ", "ALERT 3"}, order)
}

// Each answer frees a request, which the lane whose backlog has waited longest must not take every time.
func testALaneWithABacklogHasItsTurnAfterTheOthers(t *testing.T, open opener) {
	b := open(t)
	for n := range 20 {
		b.does(of(doors, fmt.Sprint(n), "LOW"))
	}
	b.later(time.Second)
	b.does(of(configured, "other", "LOW"))
	var sent []string
	for range 3 {
		b.later(time.Second)
		notices, err := b.Claim(t.Context(), b.now, 1, alerting.Unlimited)
		require.NoError(t, err)
		require.Len(t, notices, 1)
		sent = append(sent, notices[0].Event.AlertKey)
		b.settle(notices[0], alerting.Taken)
	}
	assert.Contains(t, sent, "other")
}

// The time until which a lane is held up is far away if the clock is put back.
func testAClockThatIsPutBackHoldsUpNoLane(t *testing.T, open opener) {
	b := open(t)
	b.does(of(doors, "a", "LOW"))
	spent := map[ilert.IntegrationKey]alerting.Budget{doors: {Again: b.now.Add(time.Second)}}
	assert.Empty(t, b.within(100, spent))
	b.later(-24 * time.Hour)
	b.does(of(doors, "b", "LOW"))
	assert.Equal(t, []string{"ALERT b by env:DOORS_KEY"}, keysOf(b.claim()))
}
