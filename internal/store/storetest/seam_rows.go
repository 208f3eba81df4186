package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

var rowTests = []func(*testing.T, *seam){
	testWhatIsNotThereIsNil,
	testAnAlertIsKeptWithAllThatItHas,
	testAGroupIsKeptWithItsMembers,
	testAnOutboxItemIsKeptWithAllThatItHas,
	testALetterIsKeptWithAllThatItHas,
	testRowsBelongToTheirCaller,
	testLoadLeavesWhatIsReadAlone,
	testPagesOfAPrefixAreInTheOrderOfKeys,
}

func testWhatIsNotThereIsNil(t *testing.T, s *seam) {
	id, gid := alerting.AlertID{Folded: "a"}, alerting.GroupID{Rule: "r", Group: "g"}
	storm, ref := alerting.StormQuery{Rule: "r", Limit: 1}, alerting.OutboxRef{ID: 1, Alert: id}
	rows := s.load(alerting.Keys{
		Alerts: []alerting.AlertID{id}, Groups: []alerting.GroupID{gid}, Storms: []alerting.StormQuery{storm},
		Rules: []alerting.RuleQuery{{Rule: "r", Epoch: 1, Limit: 1}}, Outbox: []int64{1}, Behind: []alerting.OutboxRef{ref}, Letters: []int64{1},
		Proven: []ilert.IntegrationKey{third}, Devices: []string{"d"}, Fleet: alerting.FleetQuery{SeenAfter: start}, Volumes: true,
	})
	assert.Equal(t, map[alerting.AlertID]*alerting.Alert{id: nil}, rows.Alerts)
	assert.Equal(t, map[alerting.GroupID]*alerting.Group{gid: nil}, rows.Groups)
	assert.Zero(t, rows.Storms[storm].Size+rows.Storms[storm].Untold+len(rows.Storms[storm].Members))
	assert.Empty(t, rows.Rules["r"].Alerts)
	assert.Empty(t, rows.Rules["r"].Groups)
	assert.Empty(t, rows.Behind[ref])
	assert.Zero(t, len(rows.Ended)+len(rows.Outbox)+len(rows.Letters)+len(rows.Devices)+rows.Fleet.Size)
	assert.False(t, rows.Proven[third])
	assert.Zero(t, rows.Volumes)
	assert.Equal(t, time.Duration(-1), s.due())
	s.update(func(alerting.Tx) error { return nil })
	s.save(alerting.Changes{})
}

func testAnAlertIsKeptWithAllThatItHas(t *testing.T, s *seam) {
	for _, key := range []ilert.IntegrationKey{configured, doors, ilert.FileKey("/k"), third} {
		a := &alerting.Alert{
			ID: alerting.AlertID{Integration: key, Folded: "ä"}, AlertKey: "Ä ", Rule: "r", Windowed: true, Group: "g", Epoch: 3,
			Desired: ilert.Accept, Told: alerting.Unsure, ToldAt: in(1), Body: `{"a":1}`, Priority: "HIGH", AgeAt: in(2), EndsAt: in(3),
			Report: alerting.Report{At: in(4), Source: "s"}, Version: 5, Pending: true, Listing: true, Claimed: true, Tries: 6, NextTry: in(7),
			Storm: alerting.IsStorm, Size: 8, Untold: 9, MaxListed: 10,
			Since: in(14), EndedAt: in(15), EndedBy: alerting.ByAge,
			EndsAfter: time.Minute, EndHeldUntil: in(13), Unless: `["u"]`, HeldBy: "u", Silence: 12,
			Repeat: -time.Minute, RepeatAt: in(14), OpenedAt: in(15), Shown: alerting.ShownMissing, DiffersSince: in(16),
			Cause: alerting.Cause{Filter: "f", Topic: "t", Payload: []byte{0, 255}, ReceivedAt: in(11), Properties: `[{"Key":"k","Value":"v"}]`},
		}
		s.save(alertsOf(a))
		s.restart()
		assert.Equal(t, a, s.alert(a.ID))
		plain := &alerting.Alert{ID: a.ID}
		s.save(alertsOf(plain))
		assert.Equal(t, plain, s.alert(a.ID), "all of it is written")
		plain.NextTry = start.Add(700 * time.Microsecond)
		s.save(alertsOf(plain))
		assert.Equal(t, start, s.alert(a.ID).NextTry, "in milliseconds")
		s.save(alerting.Changes{NoAlerts: []alerting.AlertID{a.ID, {Folded: "nobody's"}}})
		assert.Nil(t, s.alert(a.ID))
	}
}

func testAGroupIsKeptWithItsMembers(t *testing.T, s *seam) {
	id := alerting.GroupID{Rule: "r", Group: "g"}
	g := &alerting.Group{
		ID: id, Window: decision.Window{Rule: "r", Condition: decision.Condition{Length: time.Hour, AtLeast: 1, InARow: 5, Distinct: 2, Ratio: 0.3}, Or: decision.Condition{Length: 2 * time.Hour, AtLeast: 2}, Healthy: 0.1, Fleet: true, Held: true, Left: 0.4, Clear: time.Minute},
		Buckets: []alerting.Bucket{{1, 2, 3}, {4, 5, 6}}, Alert: alerting.AlertID{Integration: doors, Folded: "a"}, Hold: time.Second, Epoch: 2,
		Latest: in(1), LastTrue: in(2), CheckAt: in(3), Size: 4, Untold: 5, Peak: 6, Row: 7, ByOr: true, WasHits: 8, WasOf: 9,
	}
	member := func(name string) alerting.MemberID { return alerting.MemberID{Group: id, Name: name} }
	s.save(alerting.Changes{Groups: []*alerting.Group{g}, Members: map[alerting.MemberID]alerting.GroupMember{
		member("a"): {At: in(1)}, member("b"): {At: in(2), Told: true, State: alerting.MemberHeld, Since: in(1)}, {Group: alerting.GroupID{Rule: "r", Group: "h"}, Name: "c"}: {At: in(3)},
	}})
	s.restart()
	g.Members = map[string]*alerting.GroupMember{"a": {At: in(1)}, "b": {At: in(2), Told: true, State: alerting.MemberHeld, Since: in(1)}}
	assert.Equal(t, g, s.group(id))

	g.Members = nil
	g.Size = 1
	s.save(alerting.Changes{Groups: []*alerting.Group{g}, NoMembers: []alerting.MemberID{member("a")}, Members: map[alerting.MemberID]alerting.GroupMember{member("b"): {At: in(4)}}})
	g.Members = map[string]*alerting.GroupMember{"b": {At: in(4)}}
	assert.Equal(t, g, s.group(id))

	s.save(alerting.Changes{NoGroups: []alerting.GroupID{id}})
	assert.Nil(t, s.group(id))
	s.save(alerting.Changes{Groups: []*alerting.Group{{ID: id}}})
	assert.Empty(t, s.group(id).Members, "they have gone with it")
}

func testAnOutboxItemIsKeptWithAllThatItHas(t *testing.T, s *seam) {
	o := &alerting.OutboxItem{
		Alert: alerting.AlertID{Integration: third, Folded: "a"}, Path: "/p", Body: "{}", EventType: ilert.Comment, QueuedAt: in(1), Unproven: true,
		Claimed: true, Tries: 2, NextTry: in(3), Cause: alerting.Cause{Filter: "f", Topic: "t", Payload: []byte("x"), ReceivedAt: in(4), Properties: "[]"},
	}
	second := queued(doors, 0)
	s.save(alerting.Changes{Outbox: []*alerting.OutboxItem{o, second}})
	assert.Positive(t, o.ID)
	assert.Greater(t, second.ID, o.ID, "in the order of arrival")
	s.restart()
	assert.Equal(t, o, s.item(o.ID))
	o.Claimed, o.Tries, o.NextTry = false, 9, in(9)
	s.save(alerting.Changes{Outbox: []*alerting.OutboxItem{o}})
	assert.Equal(t, o, s.item(o.ID))
	s.save(alerting.Changes{NoOutbox: []int64{o.ID, 1000}})
	assert.Nil(t, s.item(o.ID))
	assert.NotNil(t, s.item(second.ID))
}

func testALetterIsKeptWithAllThatItHas(t *testing.T, s *seam) {
	l := &alerting.Letter{
		Filter: "f", Topic: "t", Payload: []byte("x"), Properties: []decision.Property{{Key: "k", Value: "<v>"}}, ReceivedAt: in(1), DiedAt: in(2),
		Reason: "no", Tries: 3, Kind: alerting.Sent, Alert: alerting.AlertID{Integration: third, Folded: "a"}, EventType: ilert.Alert, OvertakenBy: ilert.Resolve,
	}
	s.save(alerting.Changes{Letters: []*alerting.Letter{l, died(0)}})
	assert.EqualValues(t, 1, l.ID)
	s.restart()
	assert.Equal(t, l, s.letter(1))

	again := *l
	again.Reason, again.DiedAt, again.Retry, again.Kept, again.Topic = "still", in(5), true, "why", "another"
	s.save(alerting.Changes{Letters: []*alerting.Letter{&again}})
	again.Topic = "t"
	assert.Equal(t, &again, s.letter(1))
	s.save(alerting.Changes{Letters: []*alerting.Letter{{ID: 77, Reason: "nobody's"}}})
	assert.Nil(t, s.letter(77))
	s.save(alerting.Changes{Retry: []int64{2, 77}})
	assert.True(t, s.letter(2).Retry)

	s.save(alerting.Changes{NoLetters: []int64{2, 77}})
	assert.Nil(t, s.letter(2))
	third := died(0)
	s.save(alerting.Changes{Letters: []*alerting.Letter{third}})
	assert.EqualValues(t, 3, third.ID, "people have written down the ID of another one")
}

func testRowsBelongToTheirCaller(t *testing.T, s *seam) {
	a, o, l := waiting("a", 0), queued(doors, 0), died(0)
	a.Cause.Payload, o.Cause.Payload, l.Payload = []byte("x"), []byte("x"), []byte("x")
	id, name := alerting.GroupID{Rule: "r"}, alerting.MemberID{Group: alerting.GroupID{Rule: "r"}, Name: "m"}
	g := &alerting.Group{ID: id, Buckets: []alerting.Bucket{{1}}}
	s.save(alerting.Changes{
		Alerts: []*alerting.Alert{a}, Outbox: []*alerting.OutboxItem{o}, Letters: []*alerting.Letter{l}, Groups: []*alerting.Group{g},
		Members: map[alerting.MemberID]alerting.GroupMember{name: {At: start}},
	})
	for range 2 { // what was handed in, and what was handed out
		a.Rule, a.Cause.Payload[0], o.Path, o.Cause.Payload[0], l.Topic, l.Payload[0], g.Size, g.Buckets[0][0] = "z", 'z', "z", 'z', "z", 'z', 9, 9
		if g.Members != nil {
			g.Members["m"].Told = true
		}
		a, o, l, g = s.alert(a.ID), s.item(o.ID), s.letter(l.ID), s.group(id)
		assert.Equal(t, []any{"r", "x", "/p", "x", "t", "x"}, []any{a.Rule, string(a.Cause.Payload), o.Path, string(o.Cause.Payload), l.Topic, string(l.Payload)})
		assert.Zero(t, g.Size)
		assert.Equal(t, []alerting.Bucket{{1}}, g.Buckets)
		assert.False(t, g.Members["m"].Told)
	}
}

func testLoadLeavesWhatIsReadAlone(t *testing.T, s *seam) {
	a := waiting("a", 0)
	a.Storm = alerting.InStorm
	s.save(alertsOf(a))
	a.Size = 7
	rows := alerting.Rows{Alerts: map[alerting.AlertID]*alerting.Alert{a.ID: a}}
	s.view(func(tx alerting.Tx) error {
		return tx.Load(t.Context(), alerting.Keys{
			Storms: []alerting.StormQuery{{Rule: "r", Limit: 1}}, Rules: []alerting.RuleQuery{{Rule: "r", Epoch: 1, Limit: 1}},
		}, &rows)
	})
	assert.Equal(t, 7, rows.Alerts[a.ID].Size)
	assert.Equal(t, []alerting.AlertID{a.ID}, rows.Rules["r"].Alerts)
}
