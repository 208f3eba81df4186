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

var prefixTests = []test{
	testAllAlertsWhoseKeysBeginSoEnd,
	testTheWindowsOfAlertsWhoseKeysBeginSoAreEmptied,
	testTheEndsOfAlertsWhoseKeysBeginSoAreHeld,
	testAlertsOfAStormWhoseKeysBeginSoLeaveIt,
	testManyAlertsWhoseKeysBeginSoEndInPages,
	testManyPrefixesInABatchEndTheirAlerts,
}

// prefixed returns the effect that ends all alerts of the configured integration key whose keys begin with a text.
func prefixed(text string) decision.EndPrefix {
	return decision.EndPrefix{Key: decision.Key{Alert: text}}
}

func testPagesOfAPrefixAreInTheOrderOfKeys(t *testing.T, s *seam) {
	ids := func(key ilert.IntegrationKey, folded ...string) (all []alerting.AlertID) {
		for _, one := range folded {
			all = append(all, alerting.AlertID{Integration: key, Folded: one})
		}
		return all
	}
	for _, id := range append(ids(doors, "a", "a/", "a/b", "a/\U0010FFFFx", "a/ä", "a0", "b"), ids(third, "a/c")...) {
		s.save(alertsOf(&alerting.Alert{ID: id}))
	}
	for name, c := range map[string]struct {
		query alerting.PrefixQuery
		want  []string
		full  bool
	}{
		"all":          {alerting.PrefixQuery{Limit: 9}, []string{"a", "a/", "a/b", "a/ä", "a/\U0010FFFFx", "a0", "b"}, false},
		"that begin":   {alerting.PrefixQuery{Prefix: alerting.AlertID{Folded: "a/"}, Limit: 5}, []string{"a/", "a/b", "a/ä", "a/\U0010FFFFx"}, false},
		"a page":       {alerting.PrefixQuery{Prefix: alerting.AlertID{Folded: "a/"}, Limit: 2}, []string{"a/", "a/b"}, true},
		"the next":     {alerting.PrefixQuery{Prefix: alerting.AlertID{Folded: "a/"}, From: "a/b", Limit: 2}, []string{"a/ä", "a/\U0010FFFFx"}, true},
		"the last":     {alerting.PrefixQuery{Prefix: alerting.AlertID{Folded: "a/"}, From: "a/\U0010FFFFx", Limit: 2}, nil, false},
		"one that was": {alerting.PrefixQuery{Prefix: alerting.AlertID{Folded: "a/"}, From: "a/a", Limit: 1}, []string{"a/b"}, true},
		"a wildcard":   {alerting.PrefixQuery{Prefix: alerting.AlertID{Folded: "a%"}, Limit: 5}, nil, false},
	} {
		c.query.Prefix.Integration = doors
		rows := s.load(alerting.Keys{Prefixes: []alerting.PrefixQuery{c.query}})
		page := rows.Prefixes[c.query.Prefix]
		assert.Equal(t, ids(doors, c.want...), page.Alerts, name)
		assert.Equal(t, c.full, page.Full, name)
		for _, id := range page.Alerts {
			assert.NotNil(t, rows.Alerts[id], name)
		}
	}
}

func testAllAlertsWhoseKeysBeginSoEnd(t *testing.T, open opener) {
	b := open(t)
	other := raising("PLC7/pump")
	other.Rule = "other"
	b.does(raising("plc7/fan"), other, raising("plc70/fan"), raising("plc8/fan"), of(doors, "plc7/fan", "LOW"))
	assert.Len(t, b.taken(), 5)
	b.does(prefixed(" Plc7/"))
	assert.ElementsMatch(t, []string{"RESOLVE plc7/fan", "RESOLVE PLC7/pump"}, b.taken())
	b.does(prefixed("plc9/"))
	assert.Equal(t, alerting.Tally{Received: 3, Delivered: 2, Ignored: 1}, b.tally())
	b.does(raising("plc9/fan"), prefixed("plc9/"), raising("plc9/pump"))
	assert.Equal(t, []string{"ALERT plc9/pump"}, b.taken(), "what the same message raises before ends, too")
	assert.EqualValues(t, -1, b.next())
}

func testTheWindowsOfAlertsWhoseKeysBeginSoAreEmptied(t *testing.T, open opener) {
	b := open(t)
	w := window(decision.Window{Condition: decision.Condition{Length: time.Hour, AtLeast: 2}})
	b.does(w.hit("plc7/fan", ""), w.hit("plc7/fan", ""), w.hit("plc8/fan", ""), w.hit("plc8/fan", ""))
	assert.Len(t, b.taken(), 2)
	b.does(prefixed("plc7/"))
	assert.Equal(t, []string{"RESOLVE plc7/fan"}, b.taken())
	b.does(w.hit("plc7/fan", ""))
	assert.Empty(t, b.taken())
}

func testTheEndsOfAlertsWhoseKeysBeginSoAreHeld(t *testing.T, open opener) {
	b := open(t)
	b.does(flapping("plc7/fan"), raising("plc7/pump"))
	assert.Len(t, b.taken(), 2)
	b.does(prefixed("plc7/"))
	assert.Equal(t, []string{"RESOLVE plc7/pump"}, b.taken())
	b.later(10 * minute)
	assert.Equal(t, []string{"RESOLVE plc7/fan"}, b.taken())
}

func testAlertsOfAStormWhoseKeysBeginSoLeaveIt(t *testing.T, open opener) {
	b := open(t)
	b.fails("r", 0, 10)
	assert.Equal(t, []string{"ALERT storm/r: 10 alerts of rule r"}, b.passesAs())
	b.does(prefixed("storm/"))
	assert.Empty(t, b.passesAs(), "a storm ends with its alerts")
	b.does(prefixed("r"))
	assert.Equal(t, []string{"RESOLVE storm/r: all alerts of rule r have ended"}, b.passesAs())
}

func testManyAlertsWhoseKeysBeginSoEndInPages(t *testing.T, open opener) {
	b := open(t)
	const many = 4500
	b.fails("r", 0, many)
	b.does(prefixed("r"))
	assert.EqualValues(t, 2001, b.tally().Merged, "the first page, and the message")
	b.does(raising("r4000"), raising("r9999"))
	b.restart()
	for range 10 {
		b.passesAs()
	}
	states, err := b.Alerts(t.Context(), b.now, "", many)
	require.NoError(t, err)
	var left []string
	for _, a := range states {
		left = append(left, a.Key.Alert)
	}
	assert.Equal(t, []string{"r4000", "r9999"}, left, "those that were raised since")
	assert.Empty(t, b.memory().RuleEnds)
}

func testManyPrefixesInABatchEndTheirAlerts(t *testing.T, open opener) {
	b := open(t)
	var raised, ends []alerting.Message
	for i := range 150 {
		prefix := fmt.Sprintf("plc%d/", i)
		for n := range 18 {
			raised = append(raised, raise(fmt.Sprint(prefix, n)))
		}
		ends = append(ends, message(prefixed(prefix)))
	}
	b.apply(raised...)
	b.apply(ends...)
	assert.Len(t, b.memory().RuleEnds, 150, "16 alerts of each have ended")
	for range 200 {
		if assert.Empty(t, b.passesAs()); b.next() < 0 {
			return
		}
	}
	assert.Fail(t, "it does not come to an end")
}
