package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/ilert"
)

var laneSeamTests = []func(*testing.T, *seam){
	testALaneIsDueWithTheFirstThatMayBeSent,
	testALaneIsDerivedWhenItsRowsChange,
	testWhatHoldsUpALaneStaysUntilNothingWaits,
	testAllLanesMayBeDueAtOnce,
	testLanesAreFoundInTheirOrder,
	testWorkIsFoundByClassesTheLongestDueFirst,
	testWorkHasTheHeadOfTheOutbox,
	testTheBacklogOfAMinuteIsCounted,
	testAlertsJoinStorms,
	testANewEngineFindsAllLanesDue,
	testAnIntegrationKeyIsBusyWhileAnythingWaits,
}

// ofKind returns an alert of a kind of send class that waits until some seconds after start.
func ofKind(kind alerting.SendClass, key string, seconds int) *alerting.Alert {
	a := waiting(key, seconds)
	switch kind {
	case alerting.Others:
		a.Desired, a.Told = ilert.Resolve, ilert.Alert
	case alerting.Again:
		a.Told = alerting.Unsure
	}
	return a
}

func (s *seam) lanes(now time.Time, limit int) (keys []ilert.IntegrationKey) {
	s.t.Helper()
	s.view(func(tx alerting.Tx) (err error) {
		keys, err = lanesDue(s.t.Context(), tx, now, limit)
		return err
	})
	return keys
}

func (s *seam) work(now time.Time, query alerting.LaneQuery) alerting.LaneWork {
	s.t.Helper()
	var all []alerting.LaneWork
	s.view(func(tx alerting.Tx) (err error) {
		all, err = tx.FindWork(s.t.Context(), now, []alerting.LaneQuery{query})
		return err
	})
	require.Len(s.t, all, 1)
	return all[0]
}

func testALaneIsDueWithTheFirstThatMayBeSent(t *testing.T, s *seam) {
	storm, halves, member, claimed, done := waiting("s", 10), waiting("s", 10), waiting("s", 10), waiting("s", 10), waiting("s", 10)
	storm.Storm, halves.Storm, member.Storm = alerting.IsStorm, alerting.IsStorm, alerting.InStorm
	halves.MaxListed, claimed.Claimed, done.Pending = 1, true, false
	accepted, windowed, apart := waiting("s", 10), waiting("s", 10), waiting("s", 10)
	accepted.Desired, windowed.Windowed, apart.Storm = ilert.Accept, true, alerting.Apart
	underWay := queued(configured, 10)
	underWay.Claimed = true
	for name, c := range map[string]struct {
		alert        *alerting.Alert
		item         *alerting.OutboxItem
		any, singles int
		want         int // -1: never
	}{
		"an end":                                  {alert: ofKind(alerting.Others, "s", 10), want: 10},
		"an end that its time holds up":           {alert: ofKind(alerting.Others, "s", 10), any: 5, singles: 99, want: 10},
		"an end while any notice is held up":      {alert: ofKind(alerting.Others, "s", 10), any: 20, want: 20},
		"a first while singles are held up":       {alert: ofKind(alerting.Firsts, "s", 10), singles: 30, want: 30},
		"a first while any notice is held up":     {alert: ofKind(alerting.Firsts, "s", 10), any: 30, singles: 20, want: 30},
		"again while singles are held up":         {alert: ofKind(alerting.Again, "s", 10), singles: 30, want: 30},
		"a storm while singles are held up":       {alert: storm, singles: 30, want: 10},
		"half a storm while singles are held up":  {alert: halves, singles: 30, want: 30},
		"a window while singles are held up":      {alert: windowed, singles: 30, want: 10},
		"one that is accepted already is a first": {alert: accepted, singles: 30, want: 30},
		"one apart while singles are held up":     {alert: apart, singles: 30, want: 30},
		"a member of a storm":                     {alert: member, want: -1},
		"what is under way":                       {alert: claimed, want: -1},
		"what was sent":                           {alert: done, want: -1},
		"an outbox item":                          {item: queued(configured, 10), want: 10},
		"an outbox item while singles are held":   {item: queued(configured, 10), singles: 30, want: 30},
		"an outbox item that is under way":        {item: underWay, want: -1},
		"an alert before an outbox item":          {alert: waiting("s", 10), item: queued(configured, 20), want: 10},
		"an outbox item before an alert":          {alert: waiting("s", 20), item: queued(configured, 10), want: 10},
		"an end before a first that is held up":   {alert: ofKind(alerting.Others, "s", 20), item: queued(configured, 10), singles: 30, want: 20},
	} {
		var changes alerting.Changes
		if c.alert != nil {
			changes.Alerts = append(changes.Alerts, c.alert)
		}
		if c.item != nil {
			changes.Outbox = append(changes.Outbox, c.item)
		}
		hold := alerting.LaneHold{Any: in(c.any), Singles: in(c.singles)}
		if c.any == 0 {
			hold.Any = time.Time{}
		}
		if c.singles == 0 {
			hold.Singles = time.Time{}
		}
		changes.Lanes = map[ilert.IntegrationKey]*alerting.LaneHold{configured: &hold}
		s.save(changes)
		if c.want < 0 {
			assert.Equal(t, time.Duration(-1), s.due(), name)
		} else {
			assert.Equal(t, time.Duration(c.want)*time.Second, s.due(), name)
			assert.Empty(t, s.lanes(in(c.want).Add(-time.Millisecond), 9), name)
			assert.Equal(t, []ilert.IntegrationKey{configured}, s.lanes(in(c.want), 9), name)
		}
		undo := alerting.Changes{NoAlerts: []alerting.AlertID{{Folded: "s"}}}
		if c.item != nil {
			undo.NoOutbox = []int64{c.item.ID}
		}
		s.save(undo)
		require.Equal(t, time.Duration(-1), s.due(), name)
	}
}

func testALaneIsDerivedWhenItsRowsChange(t *testing.T, s *seam) {
	a, b, o, p := waiting("a", 1), waiting("b", 2), queued(configured, 3), queued(configured, 0)
	s.save(alerting.Changes{Alerts: []*alerting.Alert{a, b}, Outbox: []*alerting.OutboxItem{o, p}})
	assert.Equal(t, time.Second, s.due(), "the second of the outbox waits for the first")
	a.Claimed = true
	s.save(alertsOf(a))
	assert.Equal(t, 2*time.Second, s.due())
	s.save(alerting.Changes{NoAlerts: []alerting.AlertID{b.ID}})
	assert.Equal(t, 3*time.Second, s.due())
	o.Claimed = true
	s.save(alerting.Changes{Outbox: []*alerting.OutboxItem{o}})
	assert.Equal(t, time.Duration(-1), s.due(), "it holds up the second")
	a.Claimed, a.NextTry = false, in(9)
	s.save(alertsOf(a))
	assert.Equal(t, 9*time.Second, s.due())
	s.save(alerting.Changes{NoOutbox: []int64{o.ID}})
	assert.Equal(t, time.Duration(0), s.due())
	s.restart()
	assert.Equal(t, time.Duration(0), s.due())
}

func testWhatHoldsUpALaneStaysUntilNothingWaits(t *testing.T, s *seam) {
	lanes := func(hold *alerting.LaneHold) map[ilert.IntegrationKey]*alerting.LaneHold {
		return map[ilert.IntegrationKey]*alerting.LaneHold{configured: hold}
	}
	a, b := waiting("a", 1), waiting("b", 2)
	changes := alertsOf(a)
	changes.Lanes = lanes(&alerting.LaneHold{Any: in(5), Singles: in(9)})
	s.save(changes)
	assert.Equal(t, 9*time.Second, s.due())
	s.save(alertsOf(b))
	s.save(alerting.Changes{Lanes: lanes(nil)})
	assert.Equal(t, 9*time.Second, s.due(), "it is kept")
	s.save(alertsOf(ofKind(alerting.Others, "c", 2)))
	assert.Equal(t, 5*time.Second, s.due())
	s.save(alerting.Changes{Lanes: lanes(&alerting.LaneHold{})})
	assert.Equal(t, time.Second, s.due())
	s.save(alerting.Changes{Lanes: lanes(&alerting.LaneHold{Any: in(1 << 20), Singles: in(1 << 20)})})
	assert.Equal(t, 1<<20*time.Second, s.due())
	s.save(alerting.Changes{NoAlerts: []alerting.AlertID{a.ID, b.ID, {Folded: "c"}}})
	assert.Equal(t, time.Duration(-1), s.due())
	s.save(alertsOf(a))
	assert.Equal(t, time.Second, s.due(), "it is forgotten with the lane")
}

func testAllLanesMayBeDueAtOnce(t *testing.T, s *seam) {
	hold := &alerting.LaneHold{Any: in(99), Singles: in(99)}
	s.save(alerting.Changes{
		Alerts: []*alerting.Alert{waiting("a", 5)}, Outbox: []*alerting.OutboxItem{queued(doors, 5)},
		Lanes: map[ilert.IntegrationKey]*alerting.LaneHold{configured: hold, doors: hold},
	})
	s.save(alerting.Changes{AllLanes: true})
	assert.Negative(t, s.due(), "now, whenever that is")
	assert.Len(t, s.lanes(start, 9), 2)
	s.save(alerting.Changes{Lanes: map[ilert.IntegrationKey]*alerting.LaneHold{configured: nil, doors: nil, third: nil}})
	assert.Equal(t, 5*time.Second, s.due(), "nothing holds them up")
}

func testLanesAreFoundInTheirOrder(t *testing.T, s *seam) {
	proven := ilert.LiteralKey("proven")
	var changes alerting.Changes
	for n, k := range []ilert.IntegrationKey{third, proven, doors, ilert.FileKey("/b"), ilert.FileKey("/a"), ilert.LiteralKey("fourth")} {
		changes.Outbox = append(changes.Outbox, queued(k, []int{1, 4, 3, 2, 2, 0}[n]))
	}
	changes.Outbox = append(changes.Outbox, queued(configured, 9))
	changes.Proven = map[ilert.IntegrationKey]time.Time{proven: start}
	for _, o := range changes.Outbox {
		_, o.Unproven = o.Alert.Integration.Literal()
	}
	s.save(changes)
	want := []ilert.IntegrationKey{ilert.FileKey("/a"), ilert.FileKey("/b"), doors, proven, ilert.LiteralKey("fourth"), third}
	assert.Equal(t, want, s.lanes(in(4), 9))
	assert.Equal(t, want[:5], s.lanes(in(4), 5))
	s.recovered()
	assert.Equal(t, want, s.lanes(in(4), 9))
}

func testWorkIsFoundByClassesTheLongestDueFirst(t *testing.T, s *seam) {
	var changes alerting.Changes
	for _, priority := range []string{"LOW", "", "HIGH"} {
		for kind := range alerting.Kinds {
			for n := range 4 {
				a := ofKind(kind, fmt.Sprintf("%s%d-%d", priority, kind, n), 4-n)
				a.Priority = priority
				changes.Alerts = append(changes.Alerts, a)
			}
		}
	}
	other := waiting("of another key", 0)
	other.ID.Integration = doors
	claimed, done, member := waiting("claimed", 0), waiting("done", 0), waiting("member", 0)
	claimed.Claimed, done.Pending, member.Storm = true, false, alerting.InStorm
	changes.Alerts = append(changes.Alerts, other, claimed, done, member)
	s.save(changes)
	work := s.work(in(3), alerting.LaneQuery{Any: 2, Singles: 1})
	var want []string
	for _, priority := range []string{"HIGH", "LOW", ""} {
		want = append(want, priority+"0-3", priority+"0-2", priority+"1-3", priority+"2-3")
	}
	assert.Equal(t, want, keysIn(work.Alerts))
	assert.Zero(t, work.Waiting)
	assert.Len(t, s.work(in(3), alerting.LaneQuery{Any: 100, Singles: 100}).Alerts, 3*3*3)
	assert.Empty(t, s.work(in(3), alerting.LaneQuery{}).Alerts)

	z, x, y := waiting("z", 0), waiting("x", 0), waiting("y", 0)
	z.Rule, x.Rule, y.Rule = "a", "b", "b"
	for _, a := range []*alerting.Alert{z, x, y} {
		a.ID.Integration = third
	}
	s.save(alertsOf(y, z, x))
	assert.Equal(t, []string{"z", "x", "y"}, keysIn(s.work(start, alerting.LaneQuery{Key: third, Any: 3, Singles: 3}).Alerts), "by rule and identity")

	s.view(func(tx alerting.Tx) error {
		all, err := tx.FindWork(t.Context(), start, []alerting.LaneQuery{{Key: third, Singles: 1}, {Key: ilert.FileKey("/")}, {Key: doors, Singles: 9}})
		require.NoError(t, err)
		require.Len(t, all, 3)
		assert.Equal(t, []string{"z"}, keysIn(all[0].Alerts))
		assert.Empty(t, all[1])
		assert.Equal(t, []string{"of another key"}, keysIn(all[2].Alerts))
		return nil
	})
}

func testWorkHasTheHeadOfTheOutbox(t *testing.T, s *seam) {
	first, second := queued(doors, 5), queued(doors, 1)
	s.save(alerting.Changes{Outbox: []*alerting.OutboxItem{first, second, queued(configured, 0)}})
	head := func(seconds int) *alerting.OutboxItem {
		return s.work(in(seconds), alerting.LaneQuery{Key: doors, Any: 1, Singles: 1}).Head
	}
	assert.Nil(t, head(4), "the first is not due")
	assert.Equal(t, first, head(5))
	first.Claimed = true
	s.save(alerting.Changes{Outbox: []*alerting.OutboxItem{first}})
	assert.Nil(t, head(5))
	s.save(alerting.Changes{NoOutbox: []int64{first.ID}})
	assert.Equal(t, second, head(5))
}

func testTheBacklogOfAMinuteIsCounted(t *testing.T, s *seam) {
	var changes alerting.Changes
	for n := range 6 {
		a := waiting(fmt.Sprint("a", n), n)
		a.Rule, a.Priority = []string{"r", "q", ""}[n%3], []string{"LOW", "", "HIGH"}[n%3]
		changes.Alerts = append(changes.Alerts, a)
	}
	loud := waiting("loud", 1)
	loud.Rule, loud.Priority = "q", "HIGH"
	changes.Alerts = append(changes.Alerts, loud, ofKind(alerting.Others, "end", 0), ofKind(alerting.Again, "again", 0), waiting("later", 99))
	for n := range 3 {
		member := waiting(fmt.Sprint("m", n), 99)
		member.Storm, member.Pending = alerting.InStorm, n > 0
		changes.Alerts = append(changes.Alerts, member)
	}
	s.save(changes)
	count := func(minute int) (int, []alerting.RuleBacklog) {
		work := s.work(in(9), alerting.LaneQuery{Any: 1, Singles: 1, Minute: minute})
		return work.Waiting, work.Rules
	}
	rules := []alerting.RuleBacklog{{Rule: "q", N: 3, Priority: 0}, {Rule: "r", N: 2, Priority: 1}}
	for minute, want := range map[int]int{1: 2 + 2, 2: 3 + 2, 6: 7 + 2, 8: 7 + 2} {
		n, all := count(minute)
		assert.Equal(t, want, n, minute)
		assert.Equal(t, rules, all, minute)
	}
	n, all := count(9)
	assert.Equal(t, 9, n)
	assert.Empty(t, all, "that is what goes out")
	n, _ = count(0)
	assert.Zero(t, n, "without a Minute the store does not count")
}

func testAlertsJoinStorms(t *testing.T, s *seam) {
	var changes alerting.Changes
	for n := range 6 {
		changes.Alerts = append(changes.Alerts, waiting(fmt.Sprint(n), 9-n))
	}
	other, elsewhere, end, apart := waiting("other", 0), waiting("elsewhere", 0), ofKind(alerting.Others, "end", 0), waiting("apart", 0)
	other.Rule, elsewhere.ID.Integration, apart.Storm = "q", doors, alerting.Apart
	changes.Alerts = append(changes.Alerts, other, elsewhere, end, apart)
	s.save(changes)
	var joined []int
	s.update(func(tx alerting.Tx) (err error) {
		joined, err = tx.JoinStorms(t.Context(), in(8), []alerting.StormJoin{{Rule: "r", Limit: 3}, {Rule: "none", Limit: 3}, {Key: doors, Rule: "r", Limit: 3}})
		return err
	})
	assert.Equal(t, []int{3, 0, 1}, joined)
	members := func(limit int) alerting.StormMembers {
		query := alerting.StormQuery{Rule: "r", Limit: limit}
		rows := s.load(alerting.Keys{Storms: []alerting.StormQuery{query}})
		for _, id := range rows.Storms[query].Members {
			require.NotNil(t, rows.Alerts[id])
			assert.Equal(t, alerting.InStorm, rows.Alerts[id].Storm)
			assert.True(t, rows.Alerts[id].Pending)
		}
		return rows.Storms[query]
	}
	id := func(key string) alerting.AlertID { return alerting.AlertID{Folded: key} }
	assert.Equal(t, alerting.StormMembers{Size: 3, Untold: 3, Members: []alerting.AlertID{id("3"), id("4"), id("5")}}, members(9))
	assert.Equal(t, []alerting.AlertID{id("3"), id("4")}, members(2).Members)
	assert.Len(t, s.work(in(8), alerting.LaneQuery{Any: 9, Singles: 9}).Alerts, 5, "members are not sent alone")

	told := s.alert(id("4"))
	told.Pending, told.Told = false, ilert.Alert
	changes = alertsOf(told)
	changes.NoAlerts = []alerting.AlertID{id("3")}
	s.save(changes)
	assert.Equal(t, alerting.StormMembers{Size: 2, Untold: 1, Members: []alerting.AlertID{id("5")}}, members(9))
	s.save(alerting.Changes{NoAlerts: []alerting.AlertID{id("5")}})
	query := alerting.StormQuery{Rule: "r", Limit: 9}
	all := s.load(alerting.Keys{Storms: []alerting.StormQuery{query}}).Storms[query]
	assert.Equal(t, alerting.StormMembers{Size: 1, Members: []alerting.AlertID{id("4")}}, all, "none waits to be reported")
}

func testANewEngineFindsAllLanesDue(t *testing.T, s *seam) {
	a, end, o := waiting("a", 1), ofKind(alerting.Others, "b", 2), queued(doors, 3)
	a.Claimed, o.Claimed = true, true
	hold := &alerting.LaneHold{Any: in(99), Singles: in(99)}
	s.save(alerting.Changes{
		Alerts: []*alerting.Alert{a, end}, Outbox: []*alerting.OutboxItem{o},
		Lanes: map[ilert.IntegrationKey]*alerting.LaneHold{configured: hold, doors: hold},
	})
	assert.Equal(t, 99*time.Second, s.due())
	s.restart()
	s.recovered()
	assert.False(t, s.alert(a.ID).Claimed)
	assert.False(t, s.item(o.ID).Claimed)
	assert.LessOrEqual(t, s.due(), time.Second)
	assert.Len(t, s.lanes(in(3), 9), 2)
	assert.Len(t, s.work(in(3), alerting.LaneQuery{Any: 9, Singles: 9}).Alerts, 2)
	assert.NotNil(t, s.work(in(3), alerting.LaneQuery{Key: doors}).Head)
	s.save(alerting.Changes{Lanes: map[ilert.IntegrationKey]*alerting.LaneHold{configured: nil}})
	assert.LessOrEqual(t, s.due(), time.Second, "nothing holds it up any more")
}

func testAnIntegrationKeyIsBusyWhileAnythingWaits(t *testing.T, s *seam) {
	busy := func() bool {
		t.Helper()
		return s.load(alerting.Keys{Busy: []ilert.IntegrationKey{configured, doors}}).Busy[configured]
	}
	assert.False(t, busy())
	a, o := waiting("a", 99), queued(configured, 99)
	a.Claimed, o.Claimed = true, true
	s.save(alertsOf(a))
	assert.True(t, busy(), "under way")
	a.Claimed = false
	s.save(alertsOf(a))
	assert.True(t, busy(), "waiting")
	a.Pending, a.Claimed = false, true
	s.save(alertsOf(a))
	assert.True(t, busy(), "under way, though nothing waits behind it")
	a.Claimed = false
	s.save(alertsOf(a))
	assert.False(t, busy())
	s.save(alerting.Changes{Outbox: []*alerting.OutboxItem{o}})
	assert.True(t, busy())
	s.save(alerting.Changes{NoOutbox: []int64{o.ID}})
	assert.False(t, busy())
	other := queued(doors, 0)
	s.save(alerting.Changes{Outbox: []*alerting.OutboxItem{other}})
	assert.False(t, busy(), "another key is")
}

// lanesDue returns the integration keys whose lanes are due.
func lanesDue(ctx context.Context, tx alerting.Tx, now time.Time, limit int) ([]ilert.IntegrationKey, error) {
	due, err := tx.FindDue(ctx, now, 0, 0, limit)
	return due.Lanes, err
}
