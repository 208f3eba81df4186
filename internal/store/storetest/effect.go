package storetest

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

var effectTests = []test{
	testAMessageWithSeveralEffectsHasOneFate,
	testARefusedNoticeWithoutAMessageIsKeptAsItWasSent,
	testAnAlertMayHaveToLastBeforeItIsSent,
	testARuleHasItsOwnReminder,
	testAnAlertThatGetsWorseIsSentAtOnce,
	testAnAlertThatGetsWorseDoesNotWaitForTheLesserOne,
	testSilenceEndsAnAlert,
	testAgeEndsAnAlertHoweverOftenItIsRepeated,
	testAnAlertThatIsRaisedAfterItsEndIsANewOne,
	testWhatEndsByItselfBeforeItIsSentCostsNothing,
	testAllAlertsOfARuleEndAtOnce,
	testAlertsOfRulesThatGetAnotherIntegrationKeyEnd,
	testAlertsOfRulesThatAreGoneEnd,
	testWhatIlertIsSentIsWhatTheRuleSays,
}

func testAMessageWithSeveralEffectsHasOneFate(t *testing.T, open opener) {
	b := open(t)
	b.does(raising("a"), raising("b"))
	assert.Equal(t, alerting.Tally{Received: 1, Pending: 1}, b.tally())
	assert.ElementsMatch(t, []string{"ALERT a", "ALERT b"}, b.taken())
	assert.Equal(t, alerting.Tally{Received: 1, Delivered: 1}, b.tally())
	b.does(raising("a"), ending("c"))
	assert.EqualValues(t, 1, b.tally().Merged, "merged outranks ignored")
	b.does(raising("a"), ending("b"))
	assert.EqualValues(t, 1, b.tally().Pending, "what waits outranks both")
	b.does(raising("b"), ending("c"), ending("d"))
	assert.Equal(t, alerting.Tally{Received: 4, Delivered: 1, Merged: 3}, b.tally(), "overtaken")
	b.does(raising("e"), ending("e"), raising("f"))
	assert.Equal(t, []string{"ALERT f"}, b.taken())
	b.does(ending("a"), ending("b"), ending("f"))
	b.does(ending("a"), decision.Send{Path: "/p"}, decision.Send{Path: "/q"})
	assert.Equal(t, alerting.Tally{Received: 7, Delivered: 1, Merged: 4, Pending: 2}, b.tally())
	assert.Len(t, append(b.taken(), b.taken()...), 5)
	assert.Zero(t, b.tally().Pending)
}

func testARefusedNoticeWithoutAMessageIsKeptAsItWasSent(t *testing.T, open opener) {
	b := open(t)
	r := raising("b")
	r.Key.Integration, r.Event.Details = doors, "what happened"
	b.does(raising("a"), r, decision.Send{Path: "/p", Event: ilert.Event{Summary: "just so"}})
	for _, n := range b.claim() {
		b.settle(n, alerting.Refused)
	}
	letters := b.letters()
	require.Len(t, letters, 3)
	assert.Equal(t, filter, letters[0].Filter)
	assert.Equal(t, alerting.FilterRules, letters[1].Filter)
	assert.Equal(t, ilert.EventsPath, letters[1].Topic)
	assert.JSONEq(t, `{"eventType":"ALERT","alertKey":"b","summary":"b failed","details":"what happened","priority":"LOW"}`, string(letters[1].Payload))
	assert.Equal(t, "/p", letters[2].Topic)
	tallies, err := b.Tallies(t.Context())
	require.NoError(t, err)
	assert.Equal(t, map[string]alerting.Tally{filter: {Received: 1, Dead: 1}, alerting.FilterRules: {Received: 2, Dead: 2}}, tallies)

	again := message()
	again.Topic, again.Payload = letters[1].Topic, letters[1].Payload
	assert.Empty(t, b.revive(letters[1], again))
	assert.Equal(t, []string{"ALERT b by env:DOORS_KEY"}, b.taken())
}

func testAnAlertMayHaveToLastBeforeItIsSent(t *testing.T, open opener) {
	b := open(t)
	r := raising("a")
	r.For = 5 * minute
	b.does(r)
	assert.Equal(t, 5*minute, b.next())
	b.later(3 * minute)
	b.does(r)
	assert.Equal(t, 2*minute, b.next(), "a repeat does not put it off")
	b.does(ending("a"))
	b.later(3 * minute)
	assert.Empty(t, b.taken())
	assert.Equal(t, alerting.Tally{Received: 3, Merged: 3}, b.tally())

	b.does(r)
	b.later(5 * minute)
	assert.Equal(t, []string{"ALERT a"}, b.taken())
	b.does(ending("a"))
	assert.Equal(t, []string{"RESOLVE a"}, b.taken(), "at once")
}

func testARuleHasItsOwnReminder(t *testing.T, open opener) {
	b := open(t)
	r := raising("a")
	r.Reminder = 2 * time.Hour
	b.does(r)
	b.taken()
	b.later(2*time.Hour - time.Millisecond)
	b.does(r)
	assert.Empty(t, b.taken())
	b.later(time.Millisecond)
	b.does(r)
	assert.Equal(t, []string{"ALERT a"}, b.taken())
}

func testAnAlertThatGetsWorseIsSentAtOnce(t *testing.T, open opener) {
	loud := raising("a")
	loud.Event.Priority, loud.Event.Summary = "HIGH", "worse"
	for name, before := range map[string]func(*book){
		"sent":           func(b *book) { b.taken() },
		"waiting":        func(*book) {},
		"under way":      func(b *book) { n := b.claim()[0]; b.does(loud); b.settle(n, alerting.Taken) },
		"its end waits":  func(b *book) { b.taken(); b.does(ending("a")) },
		"said with more": func(b *book) { b.taken(); b.later(2 * time.Hour); b.does(raising("a")) },
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			b.does(raising("a"))
			before(b)
			b.does(loud)
			n := b.claim()
			require.Len(t, n, 1)
			assert.Equal(t, "worse", n[0].Event.Summary)
			assert.Equal(t, "HIGH", n[0].Event.Priority)
			b.settle(n[0], alerting.Taken)
			b.does(loud)
			b.does(raising("a"))
			assert.Empty(t, b.taken(), "once, and it gets no better before it ends")
		})
	}
}

func testAnAlertThatGetsWorseDoesNotWaitForTheLesserOne(t *testing.T, open opener) {
	b := open(t)
	low, loud := raising("a"), raising("a")
	low.For, loud.For, loud.Event.Priority = time.Hour, minute, "HIGH"
	b.does(low)
	b.does(loud)
	assert.Equal(t, minute, b.next())
}

func testSilenceEndsAnAlert(t *testing.T, open opener) {
	b := open(t)
	r := raising("a")
	r.Silence = 10 * minute
	b.does(r)
	b.taken()
	b.later(9 * minute)
	b.does(r)
	b.restart()
	assert.Equal(t, 10*minute, b.next())
	b.later(10*minute - time.Millisecond)
	assert.Empty(t, b.taken())
	b.later(time.Millisecond)
	n := b.claim()
	require.Len(t, n, 1)
	require.NoError(t, b.Settle(t.Context(), []alerting.Answer{{Notice: n[0], Result: alerting.NotTaken, At: b.now, Retry: b.now.Add(minute)}}))
	assert.Equal(t, minute, b.next())
	b.later(minute)
	assert.Equal(t, []string{"RESOLVE a"}, b.taken())
	assert.Equal(t, alerting.Tally{Received: 2, Merged: 1, Delivered: 1}, b.tally())
	assert.EqualValues(t, -1, b.next())
}

func testAgeEndsAnAlertHoweverOftenItIsRepeated(t *testing.T, open opener) {
	b := open(t)
	r := raising("a")
	r.Silence, r.Age = 10*minute, 30*minute
	b.does(r)
	b.taken()
	for range 5 {
		b.later(5 * minute)
		b.does(r)
		assert.Empty(t, b.taken())
	}
	assert.Equal(t, 5*minute, b.next())
	b.later(5 * minute)
	assert.Equal(t, []string{"RESOLVE a"}, b.taken())
}

// A message may come after the age of an alert has run out, but before a Claim has ended the alert.
func testAnAlertThatIsRaisedAfterItsEndIsANewOne(t *testing.T, open opener) {
	b := open(t)
	r := raising("a")
	r.Age = 30 * minute
	b.does(r)
	b.taken()
	b.later(31 * minute)
	b.does(r)
	assert.Empty(t, b.taken())
	assert.Equal(t, 30*minute, b.next())

	w := window(decision.Window{Condition: decision.Condition{Length: time.Hour, AtLeast: 2}})
	hit := w.hit("g", "")
	hit.Raise.Age = 10 * minute
	b.does(hit)
	b.does(hit)
	assert.Equal(t, []string{"ALERT g"}, b.taken())
	b.later(10 * minute)
	b.does(hit)
	assert.Equal(t, []string{"RESOLVE g"}, b.taken(), "the window was emptied, too")
}

func testWhatEndsByItselfBeforeItIsSentCostsNothing(t *testing.T, open opener) {
	b := open(t)
	r := raising("a")
	r.For, r.Silence = 10*minute, 5*minute
	b.does(r)
	b.later(time.Hour)
	assert.Empty(t, b.taken())
	assert.Equal(t, alerting.Tally{Received: 1, Merged: 1}, b.tally())
}

func testAllAlertsOfARuleEndAtOnce(t *testing.T, open opener) {
	b := open(t)
	other := raising("c")
	other.Rule = "other"
	w := window(decision.Window{Rule: "r", Condition: decision.Condition{Length: minute, AtLeast: 2}})
	b.does(raising("a"), other, w.hit("g", ""), w.hit("g", ""), w.hit("h", ""))
	b.taken()
	b.does(raising("b"))
	b.does(decision.EndAll{Rule: "r"})
	assert.ElementsMatch(t, []string{"RESOLVE a", "RESOLVE g"}, b.taken())
	b.does(w.hit("h", ""))
	assert.Empty(t, b.taken(), "its windows are empty")
	b.does(decision.EndAll{Rule: "r"}, decision.EndAll{Rule: "nobody's"})
	assert.Equal(t, alerting.Tally{Received: 5, Delivered: 2, Merged: 1, Ignored: 2}, b.tally())
	b.does(raising("d"), decision.EndAll{Rule: "r"})
	assert.Empty(t, b.taken(), "also those of the same transaction")
}

func testAlertsOfRulesThatGetAnotherIntegrationKeyEnd(t *testing.T, open opener) {
	b := open(t)
	w := window(decision.Window{Rule: "w", Condition: decision.Condition{Length: minute, AtLeast: 1}})
	hit := w.hit("g", "")
	hit.Raise.Key.Integration = doors
	b.does(of(doors, "a", "LOW"), of(third, "b", "LOW"), of(configured, "c", "LOW"), hit)
	b.taken()
	now := map[string]ilert.IntegrationKey{"r": third, "w": configured}
	ended, err := b.Retain(t.Context(), b.now, now)
	require.NoError(t, err)
	b.check()
	assert.Equal(t, map[string]int{"r": 2, "w": 1}, ended.Moved)
	assert.ElementsMatch(t, []string{"RESOLVE a by env:DOORS_KEY", "RESOLVE c", "RESOLVE g by env:DOORS_KEY"}, b.takenInPages())
	ended, err = b.Retain(t.Context(), b.now, now)
	require.NoError(t, err)
	assert.Empty(t, ended.Moved)
	hit.Raise.Key.Integration = configured
	b.does(hit)
	assert.Equal(t, []string{"ALERT g"}, b.taken())
}

func testAlertsOfRulesThatAreGoneEnd(t *testing.T, open opener) {
	b := open(t)
	gone, plain := raising("gone"), raising("plain")
	gone.Rule, plain.Rule = "gone", ""
	w := window(decision.Window{Rule: "also gone", Condition: decision.Condition{Length: minute, AtLeast: 2}})
	m := message(gone, plain, raising("kept"), w.hit("g", ""))
	m.Decision.Matched = []string{"gone", "r", "r"}
	b.apply(m)
	b.taken()
	rest := map[string]ilert.IntegrationKey{"r": configured}
	ended, err := b.Retain(t.Context(), b.now, rest)
	require.NoError(t, err)
	assert.Equal(t, alerting.Retained{Gone: map[string]int{"gone": 1}, Moved: map[string]int{}}, ended)
	b.check()
	assert.Equal(t, []string{"RESOLVE gone"}, b.takenInPages())
	ended, err = b.Retain(t.Context(), b.now, rest)
	require.NoError(t, err)
	assert.Empty(t, ended.Gone, "what has ended")
	assert.Empty(t, b.takenInPages())
	b.does(w.hit("g", ""))
	assert.Empty(t, b.taken())
	matches, err := b.Matches(t.Context())
	require.NoError(t, err)
	assert.Equal(t, map[string]uint64{"r": 2}, matches)
}

func testWhatIlertIsSentIsWhatTheRuleSays(t *testing.T, open opener) {
	b := open(t)
	r := raising("a")
	r.Key.Integration = third
	r.Event = ilert.Event{
		Summary: "<a & b>", Details: "d", Priority: "HIGH",
		Links: json.RawMessage(`[{"href":"x"}]`), CustomDetails: json.RawMessage(`{"a":1}`), Severity: json.RawMessage(`3`),
	}
	m := message(r)
	m.Properties = []decision.Property{{Key: "outcome", Value: "device"}, {Key: "traceparent", Value: "00-trace"}}
	b.apply(m)
	n := b.claim()
	require.Len(t, n, 1)
	want := r.Event
	want.EventType, want.AlertKey = ilert.Alert, "a"
	assert.Equal(t, want, n[0].Event)
	assert.Equal(t, third, n[0].IntegrationKey)
	assert.Equal(t, "00-trace", n[0].TraceParent)
	assert.Equal(t, ilert.EventsPath, n[0].Path)

	m = message(decision.Send{IntegrationKey: third, Path: "/p", Event: want})
	m.Properties = []decision.Property{{Key: "outcome", Value: "device"}, {Key: "traceparent", Value: "00-other"}}
	b.apply(m)
	n = b.claim()
	require.Len(t, n, 1)
	assert.Equal(t, want, n[0].Event)
	assert.Equal(t, "00-other", n[0].TraceParent)
	assert.Equal(t, "/p", n[0].Path)
}
