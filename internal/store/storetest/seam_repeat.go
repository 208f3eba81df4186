package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/ilert"
)

var repeatSeamTests = []func(*testing.T, *seam){
	testRepeatsAreFoundWhenTheyAreDue,
	testAlertsAreFoundInTheOrderOfTheirIdentities,
	testResolutionsAreKeptUntilTheyAreDeleted,
}

// toRepeat returns an alert that is to be repeated some seconds after start.
func toRepeat(key string, seconds int) *alerting.Alert {
	a := waiting(key, 0)
	a.Pending, a.RepeatAt = false, in(seconds)
	return a
}

func testRepeatsAreFoundWhenTheyAreDue(t *testing.T, s *seam) {
	other := toRepeat("x", 1)
	other.ID.Integration = doors
	s.save(alertsOf(toRepeat("a", 9), toRepeat("b", 5), toRepeat("c", 5), toRepeat("d", 7), other))
	s.save(alerting.Changes{NoAlerts: []alerting.AlertID{other.ID}})
	assert.Equal(t, 5*time.Second, s.due())
	s.restart()
	s.recovered()
	assert.Equal(t, 5*time.Second, s.due(), "for the next engine, too")
	work := s.work(in(8), alerting.LaneQuery{Key: configured, Any: 9, Singles: 2})
	assert.Equal(t, []string{"b", "c"}, keysIn(work.Repeats))
	assert.Empty(t, work.Alerts)
	assert.Equal(t, []string{"b", "c", "d"}, keysIn(s.work(in(8), alerting.LaneQuery{Key: configured, Singles: 9}).Repeats))

	s.save(alerting.Changes{Lanes: map[ilert.IntegrationKey]*alerting.LaneHold{configured: {Singles: in(20)}}})
	assert.Equal(t, 20*time.Second, s.due(), "a repeat is about one thing alone")
	b := toRepeat("b", 0)
	b.RepeatAt = time.Time{}
	s.save(alertsOf(b))
	s.save(alerting.Changes{NoAlerts: []alerting.AlertID{{Folded: "a"}, {Folded: "c"}, {Folded: "d"}}})
	assert.Equal(t, time.Duration(-1), s.due(), "nothing is to be repeated")

	busy := func() bool { return s.load(alerting.Keys{Busy: []ilert.IntegrationKey{configured}}).Busy[configured] }
	b.RepeatAt = in(9)
	s.save(alertsOf(b))
	assert.False(t, busy())
	b.Tries = 1
	s.save(alertsOf(b))
	assert.True(t, busy(), "a repeat has failed")
}

func testAlertsAreFoundInTheOrderOfTheirIdentities(t *testing.T, s *seam) {
	var changes alerting.Changes
	for i := range 5 {
		for _, key := range []ilert.IntegrationKey{third, configured, doors} {
			a := waiting(fmt.Sprint("k", i), i)
			a.ID.Integration = key
			changes.Alerts = append(changes.Alerts, a)
		}
	}
	s.save(changes)
	var after alerting.AlertID
	var all []string
	for {
		var page []*alerting.Alert
		s.view(func(tx alerting.Tx) (err error) {
			page, err = tx.FindAlerts(t.Context(), after, 4)
			return err
		})
		for _, a := range page {
			all = append(all, a.ID.Integration.String()+" "+a.ID.Folded)
			after = a.ID
		}
		if len(page) < 4 {
			break
		}
	}
	var want []string
	for _, key := range []ilert.IntegrationKey{configured, doors, third} {
		for i := range 5 {
			want = append(want, fmt.Sprint(key, " k", i))
		}
	}
	assert.Equal(t, want, all)
}

func testResolutionsAreKeptUntilTheyAreDeleted(t *testing.T, s *seam) {
	one := alerting.Resolution{
		ID: alerting.AlertID{Integration: doors, Folded: "a"}, AlertKey: "A", Rule: "r", Storm: true, Body: "{}", Priority: "LOW", Since: in(1), At: in(2),
	}
	other := alerting.Resolution{ID: alerting.AlertID{Folded: "b"}, At: in(3)}
	found := func(after alerting.AlertID, limit int) (all []alerting.Resolution) {
		s.view(func(tx alerting.Tx) (err error) {
			all, err = tx.FindResolutions(t.Context(), after, limit)
			return err
		})
		return all
	}
	s.save(alerting.Changes{Resolutions: []alerting.Resolution{one, other}})
	s.restart()
	assert.Equal(t, []alerting.Resolution{other, one}, found(alerting.AlertID{}, 9))
	assert.Equal(t, []alerting.Resolution{other}, found(alerting.AlertID{}, 1))
	assert.Equal(t, []alerting.Resolution{one}, found(other.ID, 9))
	one.At = in(5)
	s.save(alerting.Changes{Resolutions: []alerting.Resolution{one}, NoResolutions: []alerting.AlertID{one.ID}, ResolutionsBefore: in(3)})
	assert.Equal(t, []alerting.Resolution{one}, found(alerting.AlertID{}, 9))
	s.save(alerting.Changes{NoResolutions: []alerting.AlertID{one.ID}})
	assert.Empty(t, found(alerting.AlertID{}, 9))
}
