package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/ilert"
)

var findTests = []func(*testing.T, *seam){
	testWhatIsDueIsFoundTheLongestFirst,
	testDelayedAlertsAreFoundInTheirOrder,
	testRulesAreFoundWithTheirOpenAlerts,
	testLettersAreChosen,
	testOutboxItemsAreChosen,
	testWhatWaitsBehindAnItemIsFound,
	testLettersAreOvertaken,
	testDevicesAreFoundTheLongestUnseenFirst,
}

func testWhatIsDueIsFoundTheLongestFirst(t *testing.T, s *seam) {
	var changes alerting.Changes
	for n := range 6 {
		changes.Alerts = append(changes.Alerts, &alerting.Alert{ID: alerting.AlertID{Folded: fmt.Sprint(n)}, AlertKey: fmt.Sprint(n), EndsAt: in(9 - n)})
		changes.Groups = append(changes.Groups, &alerting.Group{ID: alerting.GroupID{Rule: "r", Group: fmt.Sprint(n)}, CheckAt: in(9 - n)})
	}
	changes.Alerts = append(changes.Alerts, &alerting.Alert{ID: alerting.AlertID{Folded: "never"}})
	changes.Groups = append(changes.Groups, &alerting.Group{ID: alerting.GroupID{Rule: "never"}})
	changes.Members = map[alerting.MemberID]alerting.GroupMember{{Group: alerting.GroupID{Rule: "r", Group: "5"}, Name: "m"}: {At: start}}
	s.save(changes)
	assert.Equal(t, 4*time.Second, s.due())
	for limit, want := range map[int][]string{9: {"5", "4", "3", "2"}, 3: {"5", "4", "3"}, 0: nil} {
		s.view(func(tx alerting.Tx) error {
			due, err := tx.FindDue(t.Context(), in(7), 0, limit, 0)
			alerts, groups := due.Alerts, due.Groups
			require.NoError(t, err)
			assert.Equal(t, want, keysIn(alerts))
			var names []string
			for _, g := range groups {
				names = append(names, g.ID.Group)
			}
			assert.Equal(t, want, names)
			if len(groups) > 0 {
				assert.Contains(t, groups[0].Members, "m")
				assert.NotNil(t, groups[1].Members)
			}
			return nil
		})
	}
	changes.Alerts[0].EndsAt, changes.Groups[0].CheckAt = time.Time{}, in(1)
	s.save(alerting.Changes{Alerts: changes.Alerts[:1], NoAlerts: []alerting.AlertID{changes.Alerts[5].ID}, Groups: changes.Groups[:1]})
	assert.Equal(t, time.Second, s.due(), "a group")
}

func testDelayedAlertsAreFoundInTheirOrder(t *testing.T, s *seam) {
	find := func(listened time.Duration, limit int) (keys []string, next time.Duration) {
		t.Helper()
		s.view(func(tx alerting.Tx) error {
			due, err := tx.FindDue(t.Context(), start, listened, limit, 0)
			require.NoError(t, err)
			assert.Empty(t, due.Alerts)
			keys, next = keysIn(due.Delayed), due.NextDelay
			return nil
		})
		return keys, next
	}
	keys, next := find(time.Hour, 9)
	assert.Empty(t, keys)
	assert.Zero(t, next)
	var all []*alerting.Alert
	for n := range 4 {
		a := waiting(fmt.Sprint(n), n)
		a.Delay, a.Heard = time.Second, time.Duration(9-n)*time.Second
		all = append(all, a)
	}
	s.save(alertsOf(all...))
	s.save(alertsOf(waiting("other", 0)))
	for _, c := range []struct {
		listened time.Duration
		limit    int
		want     []string
		next     time.Duration
	}{
		{6 * time.Second, 9, nil, 7 * time.Second},
		{9 * time.Second, 9, []string{"3", "2", "1"}, 10 * time.Second},
		{9 * time.Second, 2, []string{"3", "2"}, 9 * time.Second},
		{10 * time.Second, 9, []string{"3", "2", "1", "0"}, 0},
	} {
		keys, next := find(c.listened, c.limit)
		assert.Equal(t, c.want, keys)
		assert.Equal(t, c.next, next)
	}
	all[3].Delay = 0
	s.save(alertsOf(all[3]))
	s.save(alerting.Changes{NoAlerts: []alerting.AlertID{all[2].ID}})
	keys, _ = find(10*time.Second, 9)
	assert.Equal(t, []string{"1", "0"}, keys)
	assert.Equal(t, 9*time.Second, s.recovered().NextDelay)
}

func testRulesAreFoundWithTheirOpenAlerts(t *testing.T, s *seam) {
	a, b, c, none := waiting("a", 0), waiting("b", 0), waiting("c", 0), waiting("none", 0)
	b.Desired, c.ID.Integration, none.Rule = ilert.Resolve, doors, ""
	over := waiting("over", 0)
	over.Rule, over.Desired = "over", ilert.Resolve
	s.save(alerting.Changes{
		Alerts: []*alerting.Alert{a, b, c, none, over}, Groups: []*alerting.Group{{ID: alerting.GroupID{Rule: "r", Group: "g"}}, {ID: alerting.GroupID{Rule: "w", Group: "g"}}},
		Matched: map[string]uint64{"m": 2, "r": 1},
	})
	want := []alerting.RuleCount{
		{Rule: "m"}, {Rule: "over", Key: configured}, {Rule: "r", Key: configured, Open: 1}, {Rule: "r", Key: doors, Open: 1}, {Rule: "w"},
	}
	s.view(func(tx alerting.Tx) error {
		rules, err := tx.FindRules(t.Context())
		require.NoError(t, err)
		assert.ElementsMatch(t, want, rules)
		return nil
	})
}

func storedIDs(all []alerting.Stored) (ids []int64) {
	for _, one := range all {
		ids = append(ids, one.ID)
	}
	return ids
}

func testLettersAreChosen(t *testing.T, s *seam) {
	var changes alerting.Changes
	for n := range 5 {
		l := died(9 - n)
		l.Topic, l.Reason, l.Filter = []string{"a", "b"}[n%2], []string{"No JSON", "too long"}[n%2], []string{"f", "f", "g"}[n%3]
		changes.Letters = append(changes.Letters, l)
	}
	s.save(changes)
	s.save(alerting.Changes{Retry: []int64{2, 4}})
	for name, c := range map[string]struct {
		which alerting.LetterQuery
		want  []int64
	}{
		"all":                  {alerting.LetterQuery{}, []int64{1, 2, 3, 4, 5}},
		"by ID":                {alerting.LetterQuery{IDs: []int64{5, 2, 77}}, []int64{2, 5}},
		"by ID and key":        {alerting.LetterQuery{IDs: []int64{5}, Keys: []string{"configured"}}, []int64{5}},
		"by key":               {alerting.LetterQuery{Keys: []string{"configured"}}, nil},
		"by topic":             {alerting.LetterQuery{Topic: "a"}, []int64{1, 3, 5}},
		"by filter and topic":  {alerting.LetterQuery{Filter: "f", Topic: "b"}, []int64{2, 4}},
		"by reason":            {alerting.LetterQuery{Reason: "jSoN"}, []int64{1, 3, 5}},
		"by another reason":    {alerting.LetterQuery{Reason: "%"}, nil},
		"by age":               {alerting.LetterQuery{Before: in(7)}, []int64{4, 5}},
		"by age, the oldest":   {alerting.LetterQuery{Before: in(8), Oldest: true, Limit: 2}, []int64{5, 4}},
		"some":                 {alerting.LetterQuery{Limit: 2}, []int64{1, 2}},
		"those that died":      {alerting.LetterQuery{Oldest: true, Limit: 3}, []int64{5, 4, 3}},
		"to be retried":        {alerting.LetterQuery{Retry: true}, []int64{2, 4}},
		"a page":               {alerting.LetterQuery{After: 1, UpTo: 4}, []int64{2, 3, 4}},
		"a page of some":       {alerting.LetterQuery{After: 1, UpTo: 4, Limit: 2}, []int64{2, 3}},
		"a page of some topic": {alerting.LetterQuery{After: 1, UpTo: 4, Topic: "b"}, []int64{2, 4}},
	} {
		s.view(func(tx alerting.Tx) error {
			stored, err := tx.FindLetters(t.Context(), c.which)
			require.NoError(t, err)
			assert.Equal(t, c.want, storedIDs(stored), name)
			for _, one := range stored {
				l := changes.Letters[one.ID-1]
				assert.Equal(t, alerting.Stored{ID: l.ID, Filter: l.Filter, Retry: l.ID == 2 || l.ID == 4, Bytes: l.Bytes()}, one)
			}
			return nil
		})
		letters, err := s.store.Letters(t.Context(), c.which)
		require.NoError(t, err)
		ids := ids(letters)
		if c.which.Oldest {
			slices.Sort(ids)
			slices.Sort(c.want)
		}
		assert.Equal(t, c.want, ids, name)
	}
}

func testOutboxItemsAreChosen(t *testing.T, s *seam) {
	fourth := ilert.LiteralKey("fourth")
	var changes alerting.Changes
	for n, k := range []ilert.IntegrationKey{configured, third, doors, third, fourth} {
		o := queued(k, n)
		o.Cause.Topic, o.Cause.Filter, o.Unproven = []string{"a", "b"}[n%2], []string{"f", "g"}[n/3], k == third
		changes.Outbox = append(changes.Outbox, o)
	}
	changes.Outbox[2].Claimed = true
	s.save(changes)
	first := changes.Outbox[0].ID
	for name, c := range map[string]struct {
		which alerting.OutboxQuery
		want  []int64 // numbers of the items in the order in which they were added, from 0
	}{
		"all":               {alerting.OutboxQuery{}, []int64{0, 1, 2, 3, 4}},
		"some":              {alerting.OutboxQuery{Limit: 2}, []int64{0, 1}},
		"by filter":         {alerting.OutboxQuery{Filter: "g"}, []int64{3, 4}},
		"by topic":          {alerting.OutboxQuery{Topic: "b"}, []int64{1, 3}},
		"by age":            {alerting.OutboxQuery{Before: in(2)}, []int64{0, 1}},
		"of a key":          {alerting.OutboxQuery{Key: &third}, []int64{1, 3}},
		"of the configured": {alerting.OutboxQuery{Key: &configured}, []int64{0}},
		"up to one":         {alerting.OutboxQuery{UpTo: first + 2}, []int64{0, 1, 2}},
		"proven":            {alerting.OutboxQuery{Proven: true}, []int64{0, 4}},
		"unproven":          {alerting.OutboxQuery{Unproven: true}, []int64{1, 3}},
		"unproven, a page":  {alerting.OutboxQuery{Unproven: true, UpTo: first + 2, Limit: 9}, []int64{1}},
		"all at once":       {alerting.OutboxQuery{Unproven: true, Key: &third, Topic: "b", Filter: "g", Before: in(9)}, []int64{3}},
	} {
		s.view(func(tx alerting.Tx) error {
			stored, err := tx.FindOutbox(t.Context(), c.which)
			require.NoError(t, err)
			var want []alerting.Stored
			for _, n := range c.want {
				o := changes.Outbox[n]
				want = append(want, alerting.Stored{ID: first + n, Filter: o.Cause.Filter, Key: o.Alert.Integration, Unproven: o.Unproven, Bytes: o.Bytes()})
			}
			assert.Equal(t, want, stored, name)
			return nil
		})
	}
}

func testWhatWaitsBehindAnItemIsFound(t *testing.T, s *seam) {
	a, b := alerting.AlertID{Integration: doors, Folded: "a"}, alerting.AlertID{Integration: doors, Folded: "b"}
	var changes alerting.Changes
	add := func(id alerting.AlertID, typ ilert.Type) {
		o := queued(id.Integration, 0)
		o.Alert, o.EventType = id, typ
		changes.Outbox = append(changes.Outbox, o)
	}
	add(a, ilert.Alert)
	add(a, ilert.Accept)
	add(b, ilert.Alert)
	add(alerting.AlertID{Folded: "a"}, ilert.Comment)
	add(alerting.AlertID{Integration: doors}, ilert.Comment)
	add(a, ilert.Resolve)
	for range 995 {
		add(b, ilert.Comment)
	}
	add(a, ilert.Alert) // the thousandth item of its integration key behind the first
	add(a, ilert.Comment)
	s.save(changes)
	first := alerting.OutboxRef{ID: changes.Outbox[0].ID, Alert: a}
	second := alerting.OutboxRef{ID: first.ID + 1, Alert: a}
	nameless := alerting.OutboxRef{ID: first.ID, Alert: alerting.AlertID{Integration: doors}}
	rows := s.load(alerting.Keys{Behind: []alerting.OutboxRef{first, second, nameless}})
	assert.Equal(t, []ilert.Type{ilert.Accept, ilert.Resolve, ilert.Alert}, rows.Behind[first])
	assert.Equal(t, []ilert.Type{ilert.Resolve, ilert.Alert, ilert.Comment}, rows.Behind[second])
	assert.Empty(t, rows.Behind[nameless])
}

func testLettersAreOvertaken(t *testing.T, s *seam) {
	a := alerting.AlertID{Integration: doors, Folded: "a"}
	var changes alerting.Changes
	for _, c := range []alerting.Letter{
		{Kind: alerting.Sent, Alert: a, EventType: ilert.Alert},
		{Kind: alerting.Sent, Alert: a, EventType: ilert.Accept},
		{Kind: alerting.Sent, Alert: a, EventType: ilert.Comment},
		{Kind: alerting.OfAlert, Alert: a, EventType: ilert.Alert},
		{Kind: alerting.Sent, Alert: alerting.AlertID{Folded: "a"}, EventType: ilert.Alert},
		{Kind: alerting.Sent, Alert: alerting.AlertID{Integration: doors}, EventType: ilert.Alert},
	} {
		changes.Letters = append(changes.Letters, &c)
	}
	s.save(changes)
	contradict := []ilert.Type{ilert.Alert, ilert.Accept}
	s.save(alerting.Changes{Overtaken: []alerting.Overtaking{
		{Alert: a, By: ilert.Resolve, Contradict: contradict}, {Alert: alerting.AlertID{Integration: doors}, By: ilert.Resolve, Contradict: contradict},
	}})
	for id, want := range map[int64]ilert.Type{1: ilert.Resolve, 2: ilert.Resolve, 3: "", 4: "", 5: "", 6: ""} {
		assert.Equal(t, want, s.letter(id).OvertakenBy, id)
	}
}

func testDevicesAreFoundTheLongestUnseenFirst(t *testing.T, s *seam) {
	s.save(alerting.Changes{Devices: []alerting.Device{{GUID: "a", SeenAt: in(3)}, {GUID: "b", SeenAt: in(1)}, {GUID: "c", SeenAt: in(2)}}})
	s.save(alerting.Changes{Devices: []alerting.Device{{GUID: "a", SeenAt: in(2)}, {GUID: "b", SeenAt: in(4)}}})
	s.restart()
	rows := s.load(alerting.Keys{Devices: []string{"a", "b", "x"}, Fleet: alerting.FleetQuery{SeenAfter: in(2), NewAfter: in(1)}})
	assert.Equal(t, map[string]time.Time{"a": in(3), "b": in(4)}, rows.Devices)
	assert.Equal(t, alerting.FleetCount{Size: 2, New: 1, Oldest: in(1)}, rows.Fleet, "b was seen for the first time earlier")
	s.view(func(tx alerting.Tx) error {
		for limit, want := range map[int][]string{9: {"c", "a"}, 1: {"c"}} {
			guids, total, err := tx.FindDevices(t.Context(), in(3), limit)
			require.NoError(t, err)
			assert.Equal(t, want, guids)
			assert.Equal(t, 3, total)
		}
		return nil
	})
	s.save(alerting.Changes{NoDevices: []string{"a", "x"}})
	assert.Equal(t, alerting.FleetCount{Size: 1, Oldest: in(1)}, s.load(alerting.Keys{Fleet: alerting.FleetQuery{SeenAfter: in(2), NewAfter: in(2)}}).Fleet)
}
