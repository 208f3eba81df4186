package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

var stormTests = []test{
	testMoreAlertsOfARuleThanGoOutInAMinuteGoOutAsOne,
	testAsManyAlertsAsGoOutInAMinuteGoOutAlone,
	testARuleWithOneAlertAndWindowsKeepOutOfAStorm,
	testAStormNamesEachOfItsAlertsOnce,
	testWhoComesWhileTheStormLastsJoinsIt,
	testAnAlertThatEndsBeforeItsStormIsSentCostsNothing,
	testAStormIsLouderAsItsLoudest,
	testTimeAndChangedRulesEndTheAlertsOfAStorm,
	testAStormThatComesBackBeforeItsEndIsSent,
	testWhatIsNoStormWaitsForItsBudgetBesideOne,
	testTheNamesOfAStormAreHarmless,
	testAStormThatReportsNoMemberIsNeverSent,
	testNoAlertOfAStormGoesOutAloneBecauseTheyAreVeryMany,
}

// narrow returns a budget that six waiting alerts exceed, so that they form a storm.
func narrow(ilert.IntegrationKey) alerting.Budget {
	return alerting.Budget{Any: 10, Singles: 7, Minute: 5}
}

// narrowly claims notices within a narrow budget.
func (b *book) narrowly() []alerting.Notice {
	b.t.Helper()
	notices, err := b.Claim(b.t.Context(), b.now, 100, narrow)
	require.NoError(b.t, err)
	b.check()
	return notices
}

// passes claims notices within a narrow budget, settles them as taken, and returns their texts.
func (b *book) passes() (all []string) {
	b.t.Helper()
	for _, n := range b.narrowly() {
		all = append(all, textOf(n))
		b.settle(n, alerting.Taken)
	}
	return all
}

func textOf(n alerting.Notice) string {
	return strings.TrimSpace(fmt.Sprintln(n.Event.EventType, n.Event.Priority, n.Event.AlertKey, summaryOf(&n)))
}

// fails raises alerts of a rule by one message each, and returns their alert keys.
func (b *book) fails(rule string, from, to int) (names []string) {
	b.t.Helper()
	var messages []alerting.Message
	for n := from; n < to; n++ {
		r := raising(fmt.Sprintf("%s%04d", rule, n))
		r.Rule = rule
		names = append(names, r.Key.Alert)
		m := message(r)
		m.Payload = []byte(r.Key.Alert)
		messages = append(messages, m)
	}
	b.apply(messages...)
	return names
}

func testMoreAlertsOfARuleThanGoOutInAMinuteGoOutAsOne(t *testing.T, open opener) {
	b := open(t)
	names := b.fails("r", 0, 6)
	n := b.narrowly()
	require.Len(t, n, 1)
	assert.Equal(t, "ALERT LOW storm/r 6 alerts of rule r", textOf(n[0]))
	assert.Equal(t, strings.Join(names, "\n"), n[0].Event.Details)
	b.settle(n[0], alerting.Taken)
	assert.EqualValues(t, 6, b.tally().Delivered)
	assert.Empty(t, b.narrowly())

	for _, name := range names[:5] {
		b.does(ending(name))
	}
	assert.Empty(t, b.narrowly())
	b.does(ending(names[5]))
	assert.Equal(t, []string{"RESOLVE LOW storm/r all alerts of rule r have ended"}, b.passes())
	assert.Equal(t, alerting.Tally{Received: 12, Delivered: 7, Merged: 5}, b.tally())
	b.fails("r", 0, 1)
	assert.Equal(t, []string{"ALERT LOW r0000 r0000 failed"}, b.passes(), "singles resume")
}

func testAsManyAlertsAsGoOutInAMinuteGoOutAlone(t *testing.T, open opener) {
	b := open(t)
	b.fails("r", 0, 5)
	assert.Len(t, b.passes(), 5)
}

func testARuleWithOneAlertAndWindowsKeepOutOfAStorm(t *testing.T, open opener) {
	b := open(t)
	w := window(decision.Window{Condition: decision.Condition{Length: minute, AtLeast: 1}})
	b.does(w.hit("g", ""))
	b.fails("r", 0, 6)
	b.fails("other", 0, 1)
	assert.ElementsMatch(t, []string{"ALERT HIGH g", "ALERT LOW storm/r 6 alerts of rule r", "ALERT LOW other0000 other0000 failed"}, b.passes())
}

func testAStormNamesEachOfItsAlertsOnce(t *testing.T, open opener) {
	b := open(t)
	names := b.fails("r", 0, 450)
	var listed []string
	for {
		due := b.narrowly()
		if len(due) == 0 {
			break
		}
		require.Len(t, due, 1)
		details := strings.Split(due[0].Event.Details, "\n")
		if last := details[len(details)-1]; strings.HasPrefix(last, "and ") {
			assert.Equal(t, fmt.Sprintf("and %d more", 450-len(listed)-200), last)
			details = details[:len(details)-1]
		}
		assert.LessOrEqual(t, len(details), 200)
		listed = append(listed, details...)
		b.settle(due[0], alerting.Taken)
	}
	slices.Sort(listed)
	assert.Equal(t, names, listed)
}

func testWhoComesWhileTheStormLastsJoinsIt(t *testing.T, open opener) {
	b := open(t)
	b.fails("r", 0, 210)
	assert.Equal(t, []string{"ALERT LOW storm/r 210 alerts of rule r"}, b.passes())
	b.fails("r", 210, 211)
	assert.Equal(t, []string{"ALERT LOW storm/r 211 alerts of rule r"}, b.passes())
	b.fails("r", 211, 212)
	assert.Equal(t, []string{"ALERT LOW r0211 r0211 failed"}, b.passes(), "the backlog is small")
	b.does(decision.EndAll{Rule: "r"})
	assert.ElementsMatch(t, []string{"RESOLVE LOW r0211 r0211 failed", "RESOLVE LOW storm/r all alerts of rule r have ended"}, b.passes())
}

func testAnAlertThatEndsBeforeItsStormIsSentCostsNothing(t *testing.T, open opener) {
	b := open(t)
	names := b.fails("r", 0, 6)
	_, err := b.Claim(t.Context(), b.now, 100, func(ilert.IntegrationKey) alerting.Budget { return alerting.Budget{Any: 1, Minute: 5, Singles: 1} })
	require.NoError(t, err)
	b.restart()
	for _, name := range names[1:] {
		b.does(ending(name))
	}
	due := b.narrowly()
	require.Len(t, due, 1)
	assert.Equal(t, names[0], due[0].Event.Details)
	b.settle(due[0], alerting.NotTaken)
	b.does(ending(names[0]))
	assert.Equal(t, []string{"RESOLVE"}, []string{strings.Fields(textOf(b.narrowly()[0]))[0]}, "what was under way at the restart may have arrived")

	c := open(t)
	names = c.fails("r", 0, 6)
	due = c.narrowly()
	for _, name := range names {
		c.does(ending(name))
	}
	c.settle(due[0], alerting.NotTaken)
	assert.Empty(t, c.narrowly())
	assert.Equal(t, alerting.Tally{Received: 12, Merged: 12}, c.tally())
}

func testAStormIsLouderAsItsLoudest(t *testing.T, open opener) {
	b := open(t)
	b.fails("r", 0, 6)
	b.passes()
	r := raising("r0003")
	r.Event.Priority = "HIGH"
	b.does(r)
	assert.Equal(t, []string{"ALERT HIGH storm/r 6 alerts of rule r"}, b.passes())
	b.does(r, accepting("r0003"), raising("storm/r"), ending("storm/r"), accepting("storm/r"))
	assert.Empty(t, b.passes())
	b.later(time.Hour)
	b.does(r)
	assert.Equal(t, []string{"ALERT HIGH storm/r 6 alerts of rule r"}, b.passes(), "the reminder")
	assert.Zero(t, b.tally().Pending)
}

func testTimeAndChangedRulesEndTheAlertsOfAStorm(t *testing.T, open opener) {
	b := open(t)
	for n := range 6 {
		r := raising(fmt.Sprint(n))
		r.Silence = time.Duration(n+1) * minute
		b.does(r)
	}
	b.passes()
	b.later(5 * minute)
	assert.Empty(t, b.passes())
	b.later(minute)
	assert.Len(t, b.passes(), 1)

	b.fails("r", 0, 6)
	b.passes()
	_, err := b.Retain(t.Context(), b.now, nil)
	require.NoError(t, err)
	assert.Equal(t, []string{"RESOLVE LOW storm/r all alerts of rule r have ended"}, b.passes())
	assert.Equal(t, time.Duration(-1), b.next())
}

func testAStormThatComesBackBeforeItsEndIsSent(t *testing.T, open opener) {
	b := open(t)
	b.fails("r", 0, 6)
	b.passes()
	b.does(decision.EndAll{Rule: "r"})
	b.fails("r", 0, 6)
	assert.Equal(t, []string{"ALERT LOW storm/r 6 alerts of rule r"}, b.passes())
	b.does(decision.EndAll{Rule: "r"})
	ended := b.narrowly()
	b.fails("r", 0, 6)
	assert.Empty(t, b.narrowly(), "one request at a time")
	b.settle(ended[0], alerting.Taken)
	assert.Equal(t, []string{"ALERT LOW storm/r 6 alerts of rule r"}, b.passes())
	assert.Zero(t, b.tally().Pending)
}

func testWhatIsNoStormWaitsForItsBudgetBesideOne(t *testing.T, open opener) {
	b := open(t)
	b.fails("r", 0, 6)
	b.fails("other", 0, 1)
	budget := map[ilert.IntegrationKey]alerting.Budget{configured: {Any: 3, Again: b.now.Add(minute), Minute: 5}}
	due := b.within(100, budget)
	assert.Equal(t, []string{"ALERT storm/r"}, keysOf(due))
	assert.Equal(t, minute, b.next())
}

// named raises n alerts of a rule by one message each, and returns their alert keys, which begin with a text.
func (b *book) named(rule, prefix string, n int) (names []string) {
	b.t.Helper()
	for i := range n {
		r := raising(fmt.Sprint(prefix, i))
		r.Rule = rule
		b.does(r)
		names = append(names, r.Key.Alert)
	}
	return names
}

// A message must not be able to break the list of a storm, or to make ilert refuse it.
func testTheNamesOfAStormAreHarmless(t *testing.T, open opener) {
	b := open(t)
	long := strings.Repeat("long ", 1000)
	b.does(raising("1\nand 17 more"), raising("2\x00\x1b[31m"), raising("3\xff\xfe"), raising("4\u2028\u202e"), raising("5 "+long+"end"), raising("6 is fine, \u00fc and \u4e16"))
	due := b.narrowly()
	require.Len(t, due, 1)
	lines := strings.Split(due[0].Event.Details, "\n")
	require.Len(t, lines, 6)
	assert.Equal(t, []string{"1 and 17 more", "2\uFFFD\uFFFD[31m", "3\uFFFD", "4\uFFFD\uFFFD", "6 is fine, \u00fc and \u4e16"}, slices.Delete(lines, 4, 5))
	five := strings.Split(due[0].Event.Details, "\n")[4]
	assert.LessOrEqual(t, len(five), 150)
	assert.True(t, strings.HasPrefix(five, "5 long long") && strings.HasSuffix(five, "long end"), five)

	b = open(t)
	b.named(strings.Repeat("\x00\n", 1000), "a", 6)
	n := b.narrowly()[0]
	assert.Less(t, len(n.Event.Summary), 250)
	assert.Less(t, len(n.Event.AlertKey), 250)
	assert.NotContains(t, n.Event.Summary+n.Event.AlertKey, "\x00")
	assert.NotContains(t, n.Event.Summary+n.Event.AlertKey, "\n")
	b.settle(n, alerting.Taken)
}

// The row of a storm may count other members than the store has: in the stores of an earlier version, rules
// whose names differ by case had one storm.
func testAStormThatReportsNoMemberIsNeverSent(t *testing.T, open opener) {
	b := open(t)
	b.fails("r", 0, 6)
	b.passes()
	storm := alerting.AlertID{Folded: "storm/r"}
	grow := func(a *alerting.Alert, by int) { a.Size, a.Untold, a.Pending = a.Size+by, 3, true }
	b.change(func(ctx context.Context, tx alerting.Tx) error {
		var rows alerting.Rows
		err := tx.Load(ctx, alerting.Keys{Alerts: []alerting.AlertID{storm}}, &rows)
		grow(rows.Alerts[storm], 3)
		return errors.Join(err, tx.Save(ctx, &alerting.Changes{Alerts: []*alerting.Alert{rows.Alerts[storm]}}))
	})
	due := b.narrowly()
	require.Len(t, due, 1)
	assert.Equal(t, "6 alerts of rule r", due[0].Event.Summary)
	assert.Len(t, strings.Split(due[0].Event.Details, "\n"), 6)
	b.settle(due[0], alerting.Taken)
	assert.Empty(t, b.narrowly())
	b.change(func(ctx context.Context, tx alerting.Tx) error {
		var rows alerting.Rows
		members := alerting.StormQuery{Rule: "r", Limit: 10}
		err := tx.Load(ctx, alerting.Keys{Alerts: []alerting.AlertID{storm}, Storms: []alerting.StormQuery{members}}, &rows)
		grow(rows.Alerts[storm], 0)
		return errors.Join(err, tx.Save(ctx, &alerting.Changes{
			Alerts: []*alerting.Alert{rows.Alerts[storm]}, NoAlerts: rows.Storms[members].Members,
		}))
	})
	assert.Empty(t, b.narrowly())
	assert.Equal(t, []string{"RESOLVE LOW storm/r all alerts of rule r have ended"}, b.passes())
	assert.Equal(t, time.Duration(-1), b.next())
}

// One Claim lets at most 20,000 alerts join a storm. The engine must not send the others alone before they join.
func testNoAlertOfAStormGoesOutAloneBecauseTheyAreVeryMany(t *testing.T, open opener) {
	b := open(t)
	b.fails("r", 0, 20_010)
	for range 2 {
		due := b.narrowly()
		require.Len(t, due, 1)
		assert.Equal(t, "storm/r", due[0].Event.AlertKey)
		b.settle(due[0], alerting.Taken)
		assert.Equal(t, time.Duration(0), b.next())
	}
	assert.Equal(t, "20010 alerts of rule r", b.narrowly()[0].Event.Summary)
}
