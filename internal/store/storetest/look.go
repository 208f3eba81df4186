package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

var lookTests = []test{
	testWhatIsMissingIsSentAgain,
	testWhatWasJustSentIsNotJudged,
	testNothingIsSentWhileASourceIsNotWell,
	testWhatStaysMissingIsSentLessAndLessOften,
	testAnEndThatWasLostIsSentAgain,
	testWhatOthersHaveRaisedStays,
	testAPersonWhoAcceptsQuietensAnAlert,
	testAnAcceptanceThatWasLostIsSentAgain,
	testAnAlertThatAPersonHasClosedIsLeftInPeace,
	testManyMissingAlertsAreOneStorm,
	testAStormThatIsMissingIsSentAgain,
	testWhatLooksShowIsNotRepeated,
	testTwoKeysOfOneSourceShareItsAlerts,
}

// looking opens an engine that looks and repeats.
func looking(t *testing.T, open opener) *book {
	t.Helper()
	b := open(t)
	b.repeat, b.looks = 4*time.Hour, true
	b.restart()
	return b
}

// source returns what a source that is well shows: alert keys, accepted ones with a + behind them.
func source(open ...string) *alerting.Source {
	s := &alerting.Source{Well: true, Open: map[string]bool{}, Ends: map[string]time.Time{}}
	for _, key := range open {
		folded, accepted := strings.CutSuffix(key, "+")
		s.Open[folded] = accepted
	}
	return s
}

// look looks at the configured key as of now, two minutes after what was sent last.
func (b *book) look(s *alerting.Source) alerting.Looked {
	b.t.Helper()
	b.later(2 * minute)
	return b.lookAt(map[ilert.IntegrationKey]*alerting.Source{configured: s})
}

func (b *book) lookAt(sources map[ilert.IntegrationKey]*alerting.Source) alerting.Looked {
	b.t.Helper()
	looked, err := b.Look(b.t.Context(), b.now, &alerting.Look{Began: b.now, Delay: minute, Until: b.now.Add(15 * minute), Sources: sources})
	require.NoError(b.t, err)
	b.check()
	return looked
}

// stateOf returns the state of an alert of the configured key.
func (b *book) stateOf(key string) alerting.AlertState {
	b.t.Helper()
	all, err := b.AlertsWithKey(b.t.Context(), b.now, key)
	require.NoError(b.t, err)
	require.Len(b.t, all, 1)
	return all[0]
}

func testWhatIsMissingIsSentAgain(t *testing.T, open opener) {
	b := looking(t, open)
	b.does(urgent("a"), urgent("b"))
	b.taken()
	sentAt := b.now
	looked := b.look(source("a"))
	assert.EqualValues(t, 1, looked.Repairs.ToldAgain)
	assert.Equal(t, alerting.Compared{Desired: 2, Told: 2, Shown: 1, Differ: 1, DifferSince: b.now}, looked.Sources[configured])
	assert.Equal(t, alerting.ShownMissing, b.stateOf("b").Shown)
	since := b.stateOf("b").DiffersSince
	b.restart()
	assert.Equal(t, []string{"ALERT b"}, b.taken())
	looked = b.look(source("a", "b"))
	assert.Equal(t, alerting.Looked{Sources: map[ilert.IntegrationKey]alerting.Compared{configured: {Desired: 2, Told: 2, Shown: 2}}}, looked)
	assert.Equal(t, alerting.ShownOpen, b.stateOf("b").Shown)
	assert.Zero(t, b.stateOf("b").DiffersSince)
	assert.True(t, since.After(sentAt))
	assert.EqualValues(t, 1, b.tally().Delivered, "one message, one fate")
	assert.Empty(t, b.taken())
	b.does(ending("a"), ending("b"))
	assert.Equal(t, []string{"RESOLVE a", "RESOLVE b"}, b.taken())
}

func testWhatWasJustSentIsNotJudged(t *testing.T, open opener) {
	b := looking(t, open)
	b.does(urgent("a"))
	b.does(urgent("waits"))
	b.taken()
	b.later(minute - time.Second)
	looked := b.lookAt(map[ilert.IntegrationKey]*alerting.Source{configured: source()})
	assert.Equal(t, 2, looked.Sources[configured].Fresh)
	assert.Zero(t, looked.Repairs)
	b.later(minute)
	b.does(ending("a")) // while the look reads the list
	looked = b.lookAt(map[ilert.IntegrationKey]*alerting.Source{configured: source("waits")})
	assert.Zero(t, looked.Repairs, "its end waits")
	assert.Equal(t, []string{"RESOLVE a"}, b.taken())
	looked = b.lookAt(map[ilert.IntegrationKey]*alerting.Source{configured: source("a", "waits")})
	assert.Zero(t, looked.Repairs, "its end was just sent")
	b.does(urgent("a"))
	b.taken()
	looked = b.look(source("a", "waits"))
	assert.Zero(t, looked.Repairs, "it is open again")
	assert.Equal(t, alerting.Compared{Desired: 2, Told: 2, Shown: 2}, looked.Sources[configured])
}

func testNothingIsSentWhileASourceIsNotWell(t *testing.T, open opener) {
	b := looking(t, open)
	b.does(urgent("a"))
	b.taken()
	ill := &alerting.Source{Open: map[string]bool{}}
	for range 3 {
		looked := b.look(ill)
		assert.Equal(t, 1, looked.Sources[configured].Differ)
		assert.Zero(t, looked.Repairs)
		assert.Empty(t, b.taken())
	}
	since := b.stateOf("a").DiffersSince
	assert.Equal(t, 4*minute, b.now.Sub(since))
	looked := b.look(source())
	assert.Equal(t, since, looked.Sources[configured].DifferSince)
	assert.Equal(t, []string{"ALERT a"}, b.taken())
}

func testWhatStaysMissingIsSentLessAndLessOften(t *testing.T, open opener) {
	b := looking(t, open)
	b.does(urgent("a"))
	b.taken()
	sent := 0
	for range 24 * 30 {
		assert.Equal(t, 1, b.look(source()).Sources[configured].Differ)
		sent += len(b.taken())
	}
	assert.Greater(t, sent, 8)
	assert.Less(t, sent, 20)
}

func testAnEndThatWasLostIsSentAgain(t *testing.T, open opener) {
	b := looking(t, open)
	b.does(urgent("Plant/A"))
	b.taken()
	b.does(ending("Plant/A"))
	b.taken()
	b.restart()
	looked := b.look(source("plant/a"))
	assert.EqualValues(t, 1, looked.Repairs.Resolved)
	assert.Equal(t, 1, looked.Sources[configured].Differ)
	assert.Zero(t, looked.Sources[configured].Others)
	notices := b.claim()
	require.Len(t, notices, 1)
	assert.Equal(t, "RESOLVE Plant/A Plant/A failed", fmt.Sprint(notices[0].Event.EventType, " ", notices[0].Event.AlertKey, " ", notices[0].Event.Summary))
	b.settle(notices[0], alerting.Taken)
	assert.Equal(t, alerting.Looked{Sources: map[ilert.IntegrationKey]alerting.Compared{configured: {}}}, b.look(source()))
	looked = b.look(source("plant/a"))
	assert.Zero(t, looked.Repairs, "the look before has seen it end, so somebody else has raised it")
	assert.Equal(t, 1, looked.Sources[configured].Others)
}

func testWhatOthersHaveRaisedStays(t *testing.T, open opener) {
	b := looking(t, open)
	b.does(urgent("a"))
	b.taken()
	later := urgent("later")
	later.For = time.Hour
	b.does(later)
	looked := b.look(source("a", "others", "more", "later"))
	assert.Equal(t, alerting.Compared{Desired: 1, Told: 1, Shown: 1, Others: 2}, looked.Sources[configured])
	b.does(ending("later"))
	assert.Empty(t, b.taken())
	assert.Zero(t, b.look(source("a", "others", "more", "later")).Repairs)
}

func testAPersonWhoAcceptsQuietensAnAlert(t *testing.T, open opener) {
	b := looking(t, open)
	b.does(urgent("a"))
	b.taken()
	looked := b.look(source("a+"))
	assert.Equal(t, 1, looked.Accepted)
	assert.Equal(t, alerting.StateAccepted, b.stateOf("a").State)
	assert.Zero(t, b.look(source("a+")).Accepted, "it is known")
	b.restart()
	for range 10 {
		b.later(time.Hour)
		b.does(urgent("a"))
		assert.Empty(t, b.taken(), "no reminder, no repeat")
	}
	b.look(source("a"))
	assert.Equal(t, alerting.StateOpen, b.stateOf("a").State, "somebody has taken it back")
	b.look(source("a+"))
	b.does(ending("a"))
	assert.Equal(t, []string{"RESOLVE a"}, b.taken())
	b.does(urgent("a"))
	assert.Equal(t, []string{"ALERT a"}, b.taken())
	assert.Equal(t, alerting.StateOpen, b.stateOf("a").State)
}

func testAnAcceptanceThatWasLostIsSentAgain(t *testing.T, open opener) {
	b := looking(t, open)
	b.does(urgent("a"))
	b.taken()
	b.does(accepting("a"))
	b.taken()
	looked := b.look(source("a"))
	assert.EqualValues(t, 1, looked.Repairs.Accepted)
	assert.Equal(t, []string{"ACCEPT a"}, b.taken())
	sent := 0
	for range 100 {
		assert.Equal(t, 1, b.look(source("a")).Sources[configured].Differ)
		sent += len(b.taken())
	}
	assert.Less(t, sent, 10, "less and less often")
	assert.Zero(t, b.look(source("a+")).Repairs)
	looked = b.look(source())
	assert.EqualValues(t, 1, looked.Repairs.ToldAgain)
	assert.Equal(t, []string{"ALERT a"}, b.taken(), "nobody looks after it any more")
}

func testAnAlertThatAPersonHasClosedIsLeftInPeace(t *testing.T, open opener) {
	b := looking(t, open)
	b.does(urgent("a"))
	b.taken()
	closed := source()
	b.later(10 * minute)
	closed.Ends["a"] = b.now
	looked := b.look(closed)
	assert.Equal(t, 1, looked.Closed)
	assert.Equal(t, 1, looked.Sources[configured].Closed)
	assert.Equal(t, 1, looked.Sources[configured].Differ)
	assert.Equal(t, alerting.ShownClosed, b.stateOf("a").Shown)
	b.restart()
	for range 3 {
		b.later(minute * 70)
		b.does(urgent("a"))
		assert.Zero(t, b.look(closed).Closed)
		assert.Empty(t, b.taken(), "it is left in peace")
	}
	b.later(minute * 70)
	b.look(closed)
	assert.Equal(t, []string{"ALERT a"}, b.taken(), "it is still true")
	looked = b.look(source("a"))
	assert.Equal(t, alerting.Compared{Desired: 1, Told: 1, Shown: 1}, looked.Sources[configured])
	looked = b.look(closed)
	assert.EqualValues(t, 1, looked.Repairs.ToldAgain, "that end was of the alert before")

	b.taken()
	closed.Ends["a"] = b.now.Add(minute)
	b.look(closed)
	b.does(ending("a"))
	assert.Equal(t, []string{"RESOLVE a"}, b.taken())
}

func testManyMissingAlertsAreOneStorm(t *testing.T, open opener) {
	b := looking(t, open)
	var keys []string
	for i := range 6 {
		keys = append(keys, fmt.Sprint("a", i))
		b.does(urgent(keys[i]))
	}
	b.taken()
	assert.EqualValues(t, 6, b.look(source()).Repairs.ToldAgain)
	assert.Equal(t, []string{"ALERT HIGH storm/r 6 alerts of rule r"}, b.passes())
	looked := b.look(source("storm/r"))
	assert.Equal(t, alerting.Compared{Desired: 1, Told: 1, Shown: 1}, looked.Sources[configured], "its members are not shown")
	for _, key := range keys {
		b.does(ending(key))
	}
	assert.Equal(t, []string{"RESOLVE storm/r"}, b.taken())
	looked = b.look(source("a1", "storm/r"))
	assert.EqualValues(t, 2, looked.Repairs.Resolved, "it has come after all")
	assert.ElementsMatch(t, []string{"RESOLVE a1", "RESOLVE storm/r"}, b.taken())
}

func testAStormThatIsMissingIsSentAgain(t *testing.T, open opener) {
	b := looking(t, open)
	for i := range 6 {
		b.does(urgent(fmt.Sprint("a", i)))
	}
	b.passes()
	assert.EqualValues(t, 1, b.look(source()).Repairs.ToldAgain)
	assert.Equal(t, []string{"ALERT HIGH storm/r 6 alerts of rule r"}, b.passes())
	assert.Equal(t, 1, b.look(source("storm/r+")).Accepted)
	b.later(10 * time.Hour)
	assert.Empty(t, b.taken(), "somebody looks after it")
	b.does(urgent("a7"), urgent("a8"), urgent("a9"), urgent("a10"), urgent("a11"), urgent("a12"))
	assert.Equal(t, []string{"ALERT HIGH storm/r 12 alerts of rule r"}, b.passes())
	b.does(decision.EndAll{Rule: "r"})
	assert.Equal(t, []string{"RESOLVE HIGH storm/r all alerts of rule r have ended"}, b.passes())
	assert.EqualValues(t, 1, b.look(source("storm/r")).Repairs.Resolved)
	assert.Equal(t, []string{"RESOLVE HIGH storm/r all alerts of rule r have ended"}, b.passes())
}

func testWhatLooksShowIsNotRepeated(t *testing.T, open opener) {
	b := looking(t, open)
	b.does(urgent("a"), of(doors, "b", "HIGH"))
	b.taken()
	for range 60 {
		b.later(8 * minute)
		b.look(source("a"))
		for _, sent := range b.taken() {
			assert.Equal(t, "ALERT b"+by(doors), sent, "nobody looks at that source")
		}
	}
	b.later(5 * time.Hour)
	assert.Contains(t, b.taken(), "ALERT a", "looks have ended")
}

func testTwoKeysOfOneSourceShareItsAlerts(t *testing.T, open opener) {
	b := looking(t, open)
	b.does(of(configured, "a", "LOW"), of(configured, "gone", "LOW"))
	b.taken()
	b.does(ending("a"), ending("gone"))
	b.does(of(doors, "a", "LOW"))
	b.taken()
	b.later(2 * minute)
	both := source("a", "gone", "others")
	looked := b.lookAt(map[ilert.IntegrationKey]*alerting.Source{configured: both, doors: both})
	assert.EqualValues(t, 1, looked.Repairs.Resolved, "the rule has another key now, and the alert is open")
	assert.Equal(t, 1, looked.Sources[doors].Others)
	assert.Equal(t, []string{"RESOLVE gone"}, b.taken())
}
