package storetest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/ilert"
)

var transactionTests = []func(*testing.T, *seam){
	testNothingIsKeptOfATransactionThatFails,
	testATransactionSeesWhatItHasSaved,
	testDeletionsComeBeforeInsertions,
	testAViewIsOfOneMomentAndHoldsUpNothing,
	testWaitingEndsWithTheContext,
}

// everything returns changes that write a row of each table.
func everything() alerting.Changes {
	id := alerting.GroupID{Rule: "r", Group: "g"}
	letter := died(1)
	letter.Kind, letter.Alert.Folded, letter.EventType = alerting.Sent, "a", ilert.Alert
	stranger := queued(third, 1)
	stranger.Unproven = true
	return alerting.Changes{
		Alerts: []*alerting.Alert{waiting("a", 1)}, Ended: map[alerting.AlertID]alerting.Report{{Folded: "e"}: {At: start, Source: "s"}},
		Groups:  []*alerting.Group{{ID: id, CheckAt: in(1)}},
		Members: map[alerting.MemberID]alerting.GroupMember{{Group: id, Name: "m"}: {At: start}},
		Lanes:   map[ilert.IntegrationKey]*alerting.LaneHold{configured: {Any: in(2)}}, Outbox: []*alerting.OutboxItem{queued(doors, 1), stranger},
		Proven: map[ilert.IntegrationKey]time.Time{ilert.LiteralKey("p"): start}, Letters: []*alerting.Letter{letter},
		RuleEnds: []alerting.RuleEnd{{Rule: "r", Epoch: 1, At: start, Arrived: in(9)}}, Devices: []alerting.Device{{GUID: "d", SeenAt: start}},
		Arrival: &alerting.Arrival{At: start, Prints: []uint64{1}}, Receipt: &alerting.ReceiptRow{ID: 1, Session: "s", Receipts: []byte("r")},
		Requests: []alerting.Requests{{Key: doors, At: start, N: 1}}, Holds: []alerting.Hold{{Key: doors, Until: start}},
		Sequences: []alerting.Sequence{{Source: "s", Process: "P", HeardAt: start, State: []byte("1")}},
		Clocks:    []alerting.Clock{{Source: "s", Behind: time.Second, HeardAt: start}}, Subscribed: map[string][]string{"c": {"f"}},
		Tallies: map[string]alerting.Tally{filter: {Received: 4}}, Matched: map[string]uint64{"r": 1},
	}
}

// undoing returns changes that delete all rows of everything.
func undoing() alerting.Changes {
	id := alerting.GroupID{Rule: "r", Group: "g"}
	minus := ^uint64(0)
	return alerting.Changes{
		NoAlerts: []alerting.AlertID{{Folded: "a"}}, EndedBefore: in(9), NoGroups: []alerting.GroupID{id}, AllLanes: true, NoOutbox: []int64{1, 2},
		NoLetters: []int64{1}, NoRuleEnds: []alerting.RuleEnd{{Rule: "r", Epoch: 1}}, NoRules: []string{"r"}, NoDevices: []string{"d"}, NoArrivals: 9,
		NoReceipts: []int64{1}, NoRequests: in(9), NoHolds: in(9), Clocks: []alerting.Clock{{Source: "s"}}, Subscribed: map[string][]string{"c": nil},
		Tallies: map[string]alerting.Tally{filter: {Received: minus}}, Sequences: []alerting.Sequence{{Source: "s", Process: "P"}},
	}
}

// dump returns all rows that the methods of the store return, as text.
func (s *seam) dump() string {
	s.t.Helper()
	ctx := context.Background()
	var all []string
	add := func(values ...any) {
		for _, v := range values {
			all = append(all, fmt.Sprintf("%+v", v))
		}
	}
	s.view(func(tx alerting.Tx) error {
		id, gid := alerting.AlertID{Folded: "a"}, alerting.GroupID{Rule: "r", Group: "g"}
		var rows alerting.Rows
		require.NoError(s.t, tx.Load(ctx, alerting.Keys{
			Alerts: []alerting.AlertID{id, {Folded: "e"}}, Groups: []alerting.GroupID{gid}, Outbox: []int64{1, 2}, Letters: []int64{1},
			Proven: []ilert.IntegrationKey{ilert.LiteralKey("p")}, Devices: []string{"d"}, Volumes: true,
		}, &rows))
		add(rows.Alerts[id] != nil, rows.Ended, rows.Groups[gid] != nil, len(rows.Outbox), len(rows.Letters), rows.Proven, rows.Devices, rows.Volumes)
		if g := rows.Groups[gid]; g != nil {
			add(len(g.Members))
		}
		lanes, err := lanesDue(ctx, tx, in(9), 9)
		require.NoError(s.t, err)
		rules, err := tx.FindRules(ctx)
		require.NoError(s.t, err)
		add(lanes, rules)
		return nil
	})
	status, err := s.store.Status(ctx, start)
	require.NoError(s.t, err)
	add(status, s.due())
	var m alerting.Memory
	err = s.store.Update(ctx, func(tx alerting.Tx) error {
		require.NoError(s.t, tx.Recover(ctx, &m))
		return errRollback
	})
	require.ErrorIs(s.t, err, errRollback)
	add(m)
	return strings.Join(all, "\n")
}

func testNothingIsKeptOfATransactionThatFails(t *testing.T, s *seam) {
	fails := func(changes ...alerting.Changes) {
		t.Helper()
		before := s.dump()
		err := s.store.Update(t.Context(), func(tx alerting.Tx) error {
			for i := range changes {
				require.NoError(t, tx.Save(t.Context(), &changes[i]))
			}
			return errRollback
		})
		require.ErrorIs(t, err, errRollback)
		assert.Equal(t, before, s.dump())
		assert.Panics(t, func() {
			_ = s.store.Update(t.Context(), func(tx alerting.Tx) error {
				for i := range changes {
					require.NoError(t, tx.Save(t.Context(), &changes[i]))
				}
				panic("not planned")
			})
		})
		assert.Equal(t, before, s.dump())
	}
	fails(everything())
	fails(everything(), undoing())
	s.save(everything())
	fails(undoing())
	fails(undoing(), everything())
	fails(everything())
	before := s.dump()
	err := s.store.Update(t.Context(), func(tx alerting.Tx) error {
		_, err := tx.JoinStorms(t.Context(), in(9), []alerting.StormJoin{{Rule: "r", Limit: 9}})
		require.NoError(t, err)
		return errRollback
	})
	require.ErrorIs(t, err, errRollback)
	assert.Equal(t, before, s.dump())
	s.save(undoing())
	assert.Equal(t, time.Duration(-1), s.due())
	m := s.recovered()
	assert.Zero(t, len(m.Arrivals)+len(m.Receipts)+len(m.Requests)+len(m.Holds)+len(m.Clocks)+len(m.Sequences)+len(m.Subscriptions)+len(m.RuleEnds))
}

func testATransactionSeesWhatItHasSaved(t *testing.T, s *seam) {
	a := waiting("a", 1)
	s.update(func(tx alerting.Tx) error {
		changes := alertsOf(a)
		require.NoError(t, tx.Save(t.Context(), &changes))
		lanes, err := lanesDue(t.Context(), tx, in(1), 9)
		require.NoError(t, err)
		assert.Len(t, lanes, 1)
		work, err := tx.FindWork(t.Context(), in(1), []alerting.LaneQuery{{Any: 1, Singles: 1}})
		require.NoError(t, err)
		assert.Equal(t, []*alerting.Alert{a}, work[0].Alerts)
		var rows alerting.Rows
		require.NoError(t, tx.Load(t.Context(), alerting.Keys{Alerts: []alerting.AlertID{a.ID}}, &rows))
		assert.Equal(t, a, rows.Alerts[a.ID])
		require.NoError(t, tx.Save(t.Context(), &alerting.Changes{NoAlerts: []alerting.AlertID{a.ID}}))
		return nil
	})
	assert.Nil(t, s.alert(a.ID))
}

func testDeletionsComeBeforeInsertions(t *testing.T, s *seam) {
	id := alerting.GroupID{Rule: "r", Group: "g"}
	old, young := alerting.MemberID{Group: id, Name: "old"}, alerting.MemberID{Group: id, Name: "young"}
	s.save(everything())
	s.save(alerting.Changes{Members: map[alerting.MemberID]alerting.GroupMember{old: {At: start}}})
	again := everything()
	again.NoAlerts, again.NoGroups, again.EndedBefore = []alerting.AlertID{{Folded: "a"}}, []alerting.GroupID{id}, in(9)
	again.Members = map[alerting.MemberID]alerting.GroupMember{young: {At: start}}
	again.NoRules, again.NoDevices, again.NoArrivals, again.NoReceipts = []string{"r"}, []string{"d"}, 9, []int64{1}
	again.NoRequests, again.NoHolds, again.NoRuleEnds = in(9), in(9), []alerting.RuleEnd{{Rule: "r", Epoch: 1}}
	again.Devices = []alerting.Device{{GUID: "d", SeenAt: start.Add(-time.Hour)}}
	s.save(again)
	assert.NotNil(t, s.alert(alerting.AlertID{Folded: "a"}))
	g := s.group(id)
	require.NotNil(t, g)
	assert.Equal(t, map[string]*alerting.GroupMember{"young": {At: start}}, g.Members)
	assert.Equal(t, start.Add(-time.Hour), s.load(alerting.Keys{Devices: []string{"d"}}).Devices["d"])
	m := s.recovered()
	require.Len(t, m.Arrivals, 1)
	assert.Len(t, m.Receipts, 1)
	assert.Equal(t, []alerting.Requests{{Key: doors, At: start, N: 1}}, m.Requests)
	assert.Len(t, m.Holds, 1)
	assert.Len(t, m.RuleEnds, 1)
	status, err := s.store.Status(t.Context(), start)
	require.NoError(t, err)
	assert.Equal(t, map[string]uint64{"r": 1}, status.Matches)

	s.save(alerting.Changes{NoMembers: []alerting.MemberID{young}, Members: map[alerting.MemberID]alerting.GroupMember{young: {At: in(5)}}})
	assert.Equal(t, in(5), s.group(id).Members["young"].At)
}

func testAViewIsOfOneMomentAndHoldsUpNothing(t *testing.T, s *seam) {
	a := waiting("a", 0)
	s.save(alertsOf(a))
	s.view(func(tx alerting.Tx) error {
		before := alerting.Rows{}
		require.NoError(t, tx.Load(t.Context(), alerting.Keys{Alerts: []alerting.AlertID{a.ID}}, &before))
		changed := make(chan error)
		go func() {
			changed <- s.store.Update(context.WithoutCancel(t.Context()), func(tx alerting.Tx) error {
				return tx.Save(context.WithoutCancel(t.Context()), &alerting.Changes{NoAlerts: []alerting.AlertID{a.ID}})
			})
		}()
		select {
		case err := <-changed:
			require.NoError(t, err)
		case <-time.After(4 * time.Second): // a database waits longer for a lock
			assert.Fail(t, "a View holds up an Update")
			return nil
		}
		var after alerting.Rows
		require.NoError(t, tx.Load(t.Context(), alerting.Keys{Alerts: []alerting.AlertID{a.ID}}, &after))
		assert.Equal(t, before.Alerts, after.Alerts)
		return nil
	})
	assert.Nil(t, s.alert(a.ID))
	assert.Error(t, s.store.View(t.Context(), func(tx alerting.Tx) error {
		changes := alertsOf(a)
		return tx.Save(t.Context(), &changes)
	}), "it only reads")
	assert.Nil(t, s.alert(a.ID))
}

func testWaitingEndsWithTheContext(t *testing.T, s *seam) {
	ended, end := context.WithCancel(t.Context())
	s.update(func(alerting.Tx) error {
		waiting := make(chan error)
		go func() { waiting <- s.store.Update(ended, func(alerting.Tx) error { return nil }) }()
		end()
		assert.ErrorIs(t, <-waiting, context.Canceled)
		return nil
	})
	live, end := context.WithCancel(t.Context())
	a := waiting("a", 0)
	require.NoError(t, s.store.Update(live, func(tx alerting.Tx) error {
		end()
		changes := alertsOf(a)
		return tx.Save(live, &changes)
	}), "only waiting does")
	assert.NotNil(t, s.alert(a.ID))
}
