package storetest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/ilert"
)

var seamHoldTests = []func(*testing.T, *seam){
	testWhatDependsOnAnAlertIsFoundWhileItWaits,
	testAllThatWaitsIsFoundInPages,
	testOrdersAreKept,
}

// waits asks for alerts that wait.
func (s *seam) waits(query alerting.WaitingQuery) (found []*alerting.Alert) {
	s.t.Helper()
	s.view(func(tx alerting.Tx) error {
		pages, err := tx.FindWaiting(s.t.Context(), []alerting.WaitingQuery{{DependsOn: alerting.AlertID{Folded: "none"}, Limit: 9}, query})
		require.Len(s.t, pages, 2)
		assert.Empty(s.t, pages[0])
		found = pages[1]
		return err
	})
	return found
}

func testWhatDependsOnAnAlertIsFoundWhileItWaits(t *testing.T, s *seam) {
	on := alerting.AlertID{Folded: `a "quoted" key`}
	depends := func(key string) *alerting.Alert {
		a := waiting(key, 9)
		a.Unless = `["b","a \"quoted\" key"]`
		return a
	}
	told, held, other := depends("told"), depends("held"), depends("other")
	held.HeldBy, other.ID.Integration = on.Folded, doors
	told.Told = ilert.Alert
	s.save(alertsOf(depends("z"), depends("y"), depends("x"), held, told, other, waiting("free", 1)))
	assert.Equal(t, []string{"held", "x", "y", "z"}, keysIn(s.waits(alerting.WaitingQuery{DependsOn: on, Limit: 9})))
	page := s.waits(alerting.WaitingQuery{DependsOn: on, Limit: 2})
	assert.Equal(t, []string{"held", "x"}, keysIn(page))
	assert.Equal(t, []string{"y"}, keysIn(s.waits(alerting.WaitingQuery{DependsOn: on, After: page[1], Limit: 1})))
	s.restart()
	ids := []alerting.AlertID{on, {Folded: "b"}, {Integration: doors, Folded: on.Folded}, {Integration: doors, Folded: "b"}}
	assert.Equal(t, ids, s.recovered().DependedOn)
	y, z := depends("y"), depends("z")
	y.Told, z.Unless = alerting.Unsure, ""
	s.save(alerting.Changes{Alerts: []*alerting.Alert{y, z}, NoAlerts: []alerting.AlertID{held.ID, other.ID}})
	assert.Equal(t, []string{"x"}, keysIn(s.waits(alerting.WaitingQuery{DependsOn: on, Limit: 9})))
	assert.Equal(t, ids[:2], s.recovered().DependedOn)
	x := depends("x")
	x.Unless = `["b"]`
	s.save(alertsOf(x))
	assert.Empty(t, s.waits(alerting.WaitingQuery{DependsOn: on, Limit: 9}), "it depends on other alerts now")
	s.save(alerting.Changes{NoAlerts: []alerting.AlertID{{Folded: "x"}}})
	assert.Empty(t, s.recovered().DependedOn)
}

func testAllThatWaitsIsFoundInPages(t *testing.T, s *seam) {
	claimed, told, member, held, loud := waiting("claimed", 1), waiting("told", 1), waiting("member", 9), waiting("held", 9), waiting("loud", 9)
	claimed.Claimed, told.Pending, member.Storm, held.Silence, loud.Priority = true, false, alerting.InStorm, 1, "HIGH"
	other := waiting("other", 1)
	other.ID.Integration = doors
	s.save(alertsOf(claimed, told, member, held, loud, other, waiting("b", 2), waiting("a", 3), waiting("c", 2)))
	var all []string
	query := alerting.WaitingQuery{Limit: 2}
	for page := s.waits(query); len(page) > 0; page = s.waits(query) {
		all = append(all, keysIn(page)...)
		query.After = page[len(page)-1]
	}
	assert.Equal(t, []string{"held", "member", "loud", "b", "c", "a", "other"}, all)
}

func testOrdersAreKept(t *testing.T, s *seam) {
	one := alerting.Silence{Pattern: "ä*", Comment: "c", Creator: "ada", CreatedAt: in(1), EndsAt: in(2)}
	two, closing := one, alerting.Closing{Alert: alerting.AlertID{Integration: third, Folded: "a"}, Creator: "ada"}
	s.save(alerting.Changes{Silences: []*alerting.Silence{&one, &two}, Closings: []alerting.Closing{closing}})
	assert.Less(t, one.ID, two.ID)
	assert.Positive(t, one.ID)
	two.EndsAt = in(9)
	s.save(alerting.Changes{Silences: []*alerting.Silence{{ID: two.ID, EndsAt: in(9)}, {ID: 99, EndsAt: in(9)}}})
	s.restart()
	rows := s.load(alerting.Keys{Orders: true})
	assert.Equal(t, []alerting.Silence{one, two}, rows.Silences)
	assert.Equal(t, rows.Silences, s.recovered().Silences)
	closing.ID = rows.Closings[0].ID
	assert.Equal(t, []alerting.Closing{closing}, rows.Closings)
	s.save(alerting.Changes{NoSilences: []int64{one.ID, two.ID}, NoClosings: []int64{closing.ID}})
	three := one
	three.ID = 0
	s.save(alerting.Changes{Silences: []*alerting.Silence{&three}})
	assert.Greater(t, three.ID, two.ID, "an ID is not used again")
	rows = s.load(alerting.Keys{Orders: true})
	assert.Len(t, rows.Silences, 1)
	assert.Empty(t, rows.Closings)
}
