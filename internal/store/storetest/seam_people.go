package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/ilert"
)

var peopleTests = []func(*testing.T, *seam){
	testStatusCountsWhatWaits,
	testAlertsAreListedWithTheirMembers,
	testIntegrationKeysThatWaitAreListed,
}

func testStatusCountsWhatWaits(t *testing.T, s *seam) {
	status := func(now time.Time) alerting.Status {
		t.Helper()
		all, err := s.store.Status(t.Context(), now)
		require.NoError(t, err)
		return all
	}
	assert.Equal(t, alerting.Status{Tallies: map[string]alerting.Tally{}, Matches: map[string]uint64{}}, status(start))
	due, later, tried, claimed := waiting("due", 5), waiting("later", 9), waiting("tried", 99), waiting("claimed", 0)
	tried.Tries, tried.Cause.ReceivedAt, claimed.Claimed, claimed.NextTry = 1, in(7), true, in(6)
	open, accepted, refused := waiting("open", 0), waiting("accepted", 0), waiting("refused", 0)
	unsure, unsureAccepted := waiting("unsure", 0), waiting("unsure accepted", 0)
	open.Told, accepted.Told, unsure.Told, unsureAccepted.Told = ilert.Alert, ilert.Accept, alerting.Unsure, alerting.UnsureAccepted
	for _, a := range []*alerting.Alert{open, accepted, unsure, unsureAccepted, refused} {
		a.Pending = false
	}
	s.save(alertsOf(due, later, tried, claimed, open, accepted, unsure, unsureAccepted, refused))
	all := status(in(8))
	assert.Equal(t, []uint64{2, 2, 1, 1}, []uint64{all.Open, all.Waiting, all.Later, all.Claimed})
	assert.Equal(t, in(5), all.Oldest)
	s.save(alerting.Changes{NoAlerts: []alerting.AlertID{due.ID}})
	assert.Equal(t, in(6), status(in(8)).Oldest, "also what is under way")
	assert.Equal(t, in(7), status(in(4)).Oldest, "since its message arrived")
	s.save(alerting.Changes{NoAlerts: []alerting.AlertID{tried.ID, claimed.ID}})
	assert.Zero(t, status(in(8)).Oldest)

	first, second, stranger := queued(doors, 3), queued(configured, 2), queued(third, 1)
	stranger.Unproven, stranger.QueuedAt = true, in(4)
	again, other := queued(third, 2), queued(ilert.LiteralKey("other"), 6)
	again.Unproven, other.Unproven = true, true
	s.save(alerting.Changes{Outbox: []*alerting.OutboxItem{first, second, stranger, again, other}})
	all = status(in(8))
	assert.Equal(t, in(3), all.Oldest, "the first of the outbox")
	assert.Equal(t, []uint64{2, 3, 5}, []uint64{all.UnprovenKeys, all.Unproven, all.Outbox})
	assert.Equal(t, in(2), all.OldestUnproven)
}

func testAlertsAreListedWithTheirMembers(t *testing.T, s *seam) {
	list := func(rule string, limit int) (all []alerting.AlertWithMembers) {
		t.Helper()
		all, err := s.store.Alerts(t.Context(), rule, limit)
		require.NoError(t, err)
		return all
	}
	assert.Empty(t, list("", 9))
	plain, counting, held, storm, lost := waiting("a", 0), waiting("b", 0), waiting("c", 0), waiting("d", 0), waiting("e", 0)
	elsewhere := waiting("0", 0)
	elsewhere.ID.Integration, elsewhere.Rule = doors, "other"
	counting.Windowed, held.Windowed, lost.Windowed = true, true, true
	counting.Group, held.Group, lost.Group = "counting", "held", "lost"
	storm.Storm, storm.Rule, storm.Group, storm.Size = alerting.IsStorm, "", "r", 7
	changes := alertsOf(elsewhere, lost, storm, held, counting, plain)
	changes.Members = map[alerting.MemberID]alerting.GroupMember{}
	for _, group := range []string{"counting", "held"} {
		g := &alerting.Group{ID: alerting.GroupID{Rule: "r", Group: group}}
		if group == "held" {
			g.Size = 5
		}
		changes.Groups = append(changes.Groups, g)
		for _, name := range []string{"x", "y"} {
			changes.Members[alerting.MemberID{Group: g.ID, Name: name}] = alerting.GroupMember{At: start}
		}
	}
	s.save(changes)
	want := []alerting.AlertWithMembers{
		{Alert: *plain}, {Alert: *counting, Members: 2}, {Alert: *held, Members: 5}, {Alert: *storm, Members: 7}, {Alert: *lost}, {Alert: *elsewhere},
	}
	assert.Equal(t, want, list("", 9))
	assert.Equal(t, want[:2], list("", 2))
	assert.Equal(t, want[:5], list("r", 9))
	assert.Equal(t, want[5:], list("other", 9))
	assert.Empty(t, list("nobody's", 9))
}

func testIntegrationKeysThatWaitAreListed(t *testing.T, s *seam) {
	fourth, fifth := ilert.LiteralKey("fourth"), ilert.LiteralKey("fifth")
	var changes alerting.Changes
	for n, k := range []ilert.IntegrationKey{doors, third, third, fourth, fifth, configured} {
		o := queued(k, 9-n)
		o.Unproven, o.Cause.Topic = k == third, []string{"t", "u"}[n%2]
		changes.Outbox = append(changes.Outbox, o)
	}
	changes.Outbox[0].Tries, changes.Outbox[3].Tries = 1, 4
	s.save(changes)
	list := func(which alerting.LetterQuery) []alerting.WaitingKey {
		t.Helper()
		all, err := s.store.WaitingKeys(t.Context(), which)
		require.NoError(t, err)
		return all
	}
	tried := alerting.WaitingKey{Key: fourth, Items: 1, Tries: 4, Since: in(6), Topic: "u"}
	unproven := alerting.WaitingKey{Key: third, Unproven: true, Items: 2, Since: in(7), Topic: "u"}
	all := list(alerting.LetterQuery{})
	require.Len(t, all, 2)
	all[1].Topic = "u" // either is
	assert.Equal(t, []alerting.WaitingKey{tried, unproven}, all, "the longest waiting first")
	assert.Equal(t, []alerting.WaitingKey{tried}, list(alerting.LetterQuery{Keys: []string{fourth.String(), "env:DOORS_KEY"}}))
	idle := alerting.WaitingKey{Key: fifth, Items: 1, Since: in(5), Topic: "t"}
	assert.Equal(t, []alerting.WaitingKey{idle}, list(alerting.LetterQuery{Keys: []string{fifth.String()}}), "a key that is named")
	assert.Equal(t, []alerting.WaitingKey{tried}, list(alerting.LetterQuery{Before: in(7)}))
	assert.Empty(t, list(alerting.LetterQuery{Filter: "other"}))
	assert.Empty(t, list(alerting.LetterQuery{IDs: []int64{1}}), "they choose no outbox items")
	some := list(alerting.LetterQuery{Topic: "u", Keys: []string{third.String()}})
	assert.Equal(t, []alerting.WaitingKey{{Key: third, Unproven: true, Items: 1, Since: in(8), Topic: "u"}}, some)
}
