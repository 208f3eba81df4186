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

var keptTests = []func(*testing.T, *seam){
	testVolumesAreThoseOfTheRows,
	testReportsOfEndedAlertsAreKeptForSomeTime,
	testProvenKeysAreKept,
	testTalliesMayFall,
	testAnEngineFindsItsMemory,
	testTheEndsOfRulesWaitInPages,
}

func testVolumesAreThoseOfTheRows(t *testing.T, s *seam) {
	volumes := func() alerting.Volumes { return s.load(alerting.Keys{Volumes: true}).Volumes }
	l, o, stranger := died(0), queued(doors, 0), queued(third, 0)
	l.Topic, l.Payload, l.Properties = "tä", []byte{0, 1, 2}, []decision.Property{{Key: "k", Value: "v"}}
	for _, item := range []*alerting.OutboxItem{o, stranger} {
		item.Body, item.Cause.Topic, item.Cause.Payload, item.Cause.Properties = "{ä}", "tä", []byte{0, 1}, "[12]"
	}
	stranger.Unproven = true
	s.save(alerting.Changes{Letters: []*alerting.Letter{l}, Outbox: []*alerting.OutboxItem{o, stranger}})
	letter, item := int64(3+3+len(`[{"Key":"k","Value":"v"}]`)), int64(4+3+2+4)
	unproven := item + int64(len("third"))
	assert.Equal(t, alerting.Volumes{Letters: alerting.Volume{Rows: 1, Bytes: letter}, Outbox: alerting.Volume{Rows: 2, Bytes: item + unproven}, Unproven: alerting.Volume{Rows: 1, Bytes: unproven}}, volumes())
	assert.Equal(t, []int64{letter, item, unproven}, []int64{l.Bytes(), o.Bytes(), stranger.Bytes()})
	s.restart()
	s.save(alerting.Changes{Letters: []*alerting.Letter{l}, Outbox: []*alerting.OutboxItem{o}})
	assert.Equal(t, letter, volumes().Letters.Bytes, "written again")
	assert.Equal(t, item+unproven, volumes().Outbox.Bytes)
	rows := s.load(alerting.Keys{Volumes: true})
	assert.Equal(t, []int64{l.ID, stranger.ID}, []int64{rows.LastLetter, rows.LastItem})
	status, err := s.store.Status(t.Context(), start)
	require.NoError(t, err)
	assert.Equal(t, []uint64{uint64(letter), 2, uint64(item + unproven), 1}, []uint64{status.LetterBytes, status.Outbox, status.OutboxBytes, status.Unproven})
	s.save(alerting.Changes{Proven: map[ilert.IntegrationKey]time.Time{third: start}})
	assert.Zero(t, volumes().Unproven)
	s.save(alerting.Changes{NoLetters: []int64{l.ID, l.ID + 1}, NoOutbox: []int64{o.ID, stranger.ID}})
	assert.Zero(t, volumes())
}

func testReportsOfEndedAlertsAreKeptForSomeTime(t *testing.T, s *seam) {
	a, b := alerting.AlertID{Folded: "a"}, alerting.AlertID{Integration: doors, Folded: "a"}
	both := alerting.Keys{Alerts: []alerting.AlertID{a, b}}
	reports := map[alerting.AlertID]alerting.Report{a: {At: in(1), Source: "s"}, b: {At: in(2), Source: "u"}}
	s.save(alerting.Changes{Ended: reports})
	s.restart()
	assert.Equal(t, reports, s.load(both).Ended)
	s.save(alerting.Changes{EndedBefore: in(1)})
	assert.Equal(t, map[alerting.AlertID]alerting.Report{b: reports[b]}, s.load(both).Ended)
	s.save(alerting.Changes{Ended: map[alerting.AlertID]alerting.Report{b: {At: in(3), Source: "v"}}})
	assert.Equal(t, "v", s.load(both).Ended[b].Source)
	s.save(alertsOf(&alerting.Alert{ID: b}))
	assert.Empty(t, s.load(both).Ended, "there is an alert again")
}

func testProvenKeysAreKept(t *testing.T, s *seam) {
	fourth, fifth := ilert.LiteralKey("fourth"), ilert.LiteralKey("fifth")
	keys := alerting.Keys{Proven: []ilert.IntegrationKey{third, fourth, fifth}}
	one, two, other := queued(third, 0), queued(third, 0), queued(fourth, 0)
	one.Unproven, two.Unproven, other.Unproven = true, true, true
	s.save(alerting.Changes{Outbox: []*alerting.OutboxItem{one, two, other}})
	s.save(alerting.Changes{Proven: map[ilert.IntegrationKey]time.Time{third: in(3)}})
	s.restart()
	assert.Equal(t, []bool{false, false, true}, []bool{s.item(one.ID).Unproven, s.item(two.ID).Unproven, s.item(other.ID).Unproven})
	assert.Equal(t, map[ilert.IntegrationKey]bool{third: true, fourth: false, fifth: false}, s.load(keys).Proven)
	s.save(alerting.Changes{Proven: map[ilert.IntegrationKey]time.Time{third: in(9), fourth: in(4), fifth: in(5)}})
	s.save(alerting.Changes{MaxProven: 2})
	assert.Equal(t, map[ilert.IntegrationKey]bool{third: false, fourth: true, fifth: true}, s.load(keys).Proven, "the first time counts")
}

func testTalliesMayFall(t *testing.T, s *seam) {
	tallies := func() map[string]alerting.Tally {
		status, err := s.store.Status(t.Context(), start)
		require.NoError(t, err)
		return status.Tallies
	}
	all := alerting.Tally{Received: 1, Ignored: 2, Duplicate: 3, Merged: 4, Delivered: 5, Dead: 6, Purged: 7}
	s.save(alerting.Changes{Tallies: map[string]alerting.Tally{"f": all, "g": {}}})
	assert.Equal(t, map[string]alerting.Tally{"f": all, "g": {}}, tallies())
	minus := ^uint64(0)
	s.save(alerting.Changes{Tallies: map[string]alerting.Tally{"f": {Dead: minus, Purged: 1}}})
	s.restart()
	all.Dead, all.Purged = 5, 8
	assert.Equal(t, all, tallies()["f"])
	a, o := waiting("a", 0), queued(doors, 0)
	a.Cause.Filter, o.Cause.Filter = "f", "f"
	done, nobody := waiting("b", 0), waiting("c", 0)
	done.Pending, nobody.Cause.Filter = false, ""
	s.save(alerting.Changes{Alerts: []*alerting.Alert{a, done, nobody}, Outbox: []*alerting.OutboxItem{o}})
	all.Pending = 2
	assert.Equal(t, map[string]alerting.Tally{"f": all, "g": {}}, tallies())
}

func testAnEngineFindsItsMemory(t *testing.T, s *seam) {
	assert.Zero(t, s.recovered().Epoch)
	one, two := &alerting.Arrival{At: in(1), Prints: []uint64{1, 1 << 63}}, &alerting.Arrival{At: in(2), Prints: []uint64{3}}
	s.save(alerting.Changes{
		Arrival: one, Receipt: &alerting.ReceiptRow{ID: 7, Session: "s", Receipts: []byte{0, 1}},
		Requests: []alerting.Requests{{Key: doors, At: in(2), N: 1}, {Key: configured, At: in(1), N: 2}},
		Holds:    []alerting.Hold{{Key: doors, Until: in(9)}, {Key: third, Until: in(2)}},
		Clocks:   []alerting.Clock{{Source: "b", Behind: time.Minute, HeardAt: in(1)}, {Source: "a", Behind: time.Hour, HeardAt: in(2)}},
		Sequences: []alerting.Sequence{
			{Source: "b", Process: "P", HeardAt: in(1), State: []byte("one")},
			{Source: "b", Process: "Q", HeardAt: in(2), State: []byte{0, 255}},
			{Source: "a", Process: "P", HeardAt: in(2), State: []byte{1}},
		},
		Subscribed: map[string][]string{
			"c": {"f", "g"}, "d": {"h"},
		},
	})
	s.save(alerting.Changes{
		Arrival: two, Receipt: &alerting.ReceiptRow{ID: 8, Session: "s", Receipts: []byte{2}},
		Requests: []alerting.Requests{{Key: doors, At: in(2), N: 3}}, Holds: []alerting.Hold{{Key: doors, Until: in(3)}},
		Sequences: []alerting.Sequence{{Source: "b", Process: "P", HeardAt: in(3), State: []byte("two")}},
		NoHolds:   in(2), Clocks: []alerting.Clock{{Source: "b", Behind: time.Second, HeardAt: in(3)}}, Subscribed: map[string][]string{"c": {"g", "i"}},
	})
	assert.Greater(t, two.ID, one.ID)
	s.restart()
	m := s.recovered()
	assert.Equal(t, []alerting.Arrival{*one, *two}, m.Arrivals)
	assert.Equal(t, []alerting.ReceiptRow{{ID: 7, Session: "s", Receipts: []byte{0, 1}}, {ID: 8, Session: "s", Receipts: []byte{2}}}, m.Receipts)
	assert.Equal(t, []alerting.Requests{{Key: configured, At: in(1), N: 2}, {Key: doors, At: in(2), N: 4}}, m.Requests)
	assert.Equal(t, []alerting.Hold{{Key: doors, Until: in(9)}}, m.Holds)
	assert.Equal(t, []alerting.Clock{{Source: "a", Behind: time.Hour, HeardAt: in(2)}, {Source: "b", Behind: time.Second, HeardAt: in(3)}}, m.Clocks)
	sequences := []alerting.Sequence{
		{Source: "a", Process: "P", HeardAt: in(2), State: []byte{1}},
		{Source: "b", Process: "Q", HeardAt: in(2), State: []byte{0, 255}},
		{Source: "b", Process: "P", HeardAt: in(3), State: []byte("two")},
	}
	assert.Equal(t, sequences, m.Sequences)
	assert.Equal(t, map[string][]string{"c": {"g", "i"}, "d": {"h"}}, m.Subscriptions)

	s.save(alerting.Changes{NoArrivals: one.ID, NoReceipts: []int64{7}, NoRequests: in(1), Clocks: []alerting.Clock{{Source: "a"}}, Sequences: []alerting.Sequence{{Source: "b", Process: "Q"}, {Source: "a", Process: "Q"}}, Subscribed: map[string][]string{"c": nil}})
	m = s.recovered()
	assert.Equal(t, []alerting.Arrival{*two}, m.Arrivals)
	assert.Len(t, m.Receipts, 1)
	assert.Len(t, m.Requests, 1)
	assert.Len(t, m.Clocks, 1)
	assert.Equal(t, []alerting.Sequence{sequences[0], sequences[2]}, m.Sequences)
	assert.Equal(t, map[string][]string{"d": {"h"}}, m.Subscriptions)
}

func testTheEndsOfRulesWaitInPages(t *testing.T, s *seam) {
	page := func(epoch int64, limit int) (alerts, groups int) {
		rows := s.load(alerting.Keys{Rules: []alerting.RuleQuery{{Rule: "r", Epoch: epoch, Limit: limit}}})
		for _, id := range rows.Rules["r"].Alerts {
			require.NotNil(t, rows.Alerts[id])
		}
		for _, id := range rows.Rules["r"].Groups {
			g := s.group(id)
			require.NotNil(t, g)
			assert.Len(t, g.Members, 1)
		}
		return len(rows.Rules["r"].Alerts), len(rows.Rules["r"].Groups)
	}
	var changes alerting.Changes
	changes.Members = map[alerting.MemberID]alerting.GroupMember{}
	for n := range 10 {
		a := &alerting.Alert{ID: alerting.AlertID{Folded: fmt.Sprint(n)}, Rule: "r", Epoch: int64(n % 2)}
		g := &alerting.Group{ID: alerting.GroupID{Rule: "r", Group: fmt.Sprint(n)}, Epoch: int64(n % 2)}
		changes.Alerts, changes.Groups = append(changes.Alerts, a), append(changes.Groups, g)
		changes.Members[alerting.MemberID{Group: g.ID, Name: "m"}] = alerting.GroupMember{At: start}
	}
	changes.Alerts = append(changes.Alerts, &alerting.Alert{ID: alerting.AlertID{Folded: "other's"}, Rule: "other"})
	s.save(changes)
	for limit, want := range map[int]int{3: 3, 5: 5, 100: 5} {
		alerts, groups := page(1, limit)
		assert.Equal(t, []int{want, want}, []int{alerts, groups})
	}
	alerts, groups := page(2, 100)
	assert.Equal(t, []int{10, 10}, []int{alerts, groups})
	alerts, groups = page(0, 100)
	assert.Equal(t, []int{0, 0}, []int{alerts, groups})

	ends := []alerting.RuleEnd{
		{Rule: "r", Epoch: 2, At: in(1), Arrived: in(3), Source: "s", MaxSkew: time.Minute, Windows: true, Kept: &third},
		{Rule: "other", Epoch: 3, At: in(2), Arrived: in(4), Kept: &configured},
		{Rule: "r", Epoch: 4, At: in(2), Arrived: in(4), Holds: true},
		{Epoch: 5, At: in(2), Arrived: in(4), Prefix: &alerting.AlertID{Integration: doors, Folded: "plc7/"}, From: "plc7/ä"},
		{Epoch: 6, At: in(2), Arrived: in(4), Prefix: &alerting.AlertID{}},
	}
	s.save(alerting.Changes{RuleEnds: ends[1:]})
	s.save(alerting.Changes{RuleEnds: ends[:1]})
	s.restart()
	assert.LessOrEqual(t, s.due(), 3*time.Second, "at once")
	m := s.recovered()
	assert.Equal(t, ends, m.RuleEnds)
	assert.EqualValues(t, 6, m.Epoch)
	s.save(alerting.Changes{NoRuleEnds: ends[:2]})
	assert.Equal(t, ends[2:], s.recovered().RuleEnds, "another end of the rule stays")
	s.save(alerting.Changes{NoRuleEnds: ends[2:]})
	assert.Equal(t, time.Duration(-1), s.due())
	m = s.recovered()
	assert.Empty(t, m.RuleEnds)
	assert.GreaterOrEqual(t, m.Epoch, int64(1), "those of alerts count, too")
}
