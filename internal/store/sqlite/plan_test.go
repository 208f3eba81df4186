package sqlite

import (
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/ilert"
)

// everything calls each method of a transaction that the engine calls often, with each kind of row and query.
func everything(t *testing.T, tx alerting.Tx) {
	t.Helper()
	ctx, now, key := t.Context(), time.UnixMilli(1), ilert.LiteralKey("k")
	id, group := alerting.AlertID{Integration: key, Folded: "a"}, alerting.GroupID{Rule: "r", Group: "g"}
	require.NoError(t, tx.Save(ctx, &alerting.Changes{
		Alerts: []*alerting.Alert{{ID: id, Rule: "r", Desired: ilert.Alert, Pending: true, Unless: `["u"]`}}, NoAlerts: []alerting.AlertID{id}, EndedBefore: now,
		NoGroups: []alerting.GroupID{group}, NoMembers: []alerting.MemberID{{Group: group}},
		Outbox: []*alerting.OutboxItem{{Alert: id, Body: "{}"}, {ID: 1, Alert: id}}, NoOutbox: []int64{2},
		Proven:  map[ilert.IntegrationKey]time.Time{key: now},
		Letters: []*alerting.Letter{{Kind: alerting.Sent, Alert: id}, {ID: 1}}, NoLetters: []int64{2}, Retry: []int64{3},
		Silences: []*alerting.Silence{{}, {ID: 1}}, NoSilences: []int64{2}, Closings: []alerting.Closing{{Alert: id}}, NoClosings: []int64{2},
		NoRuleEnds: []alerting.RuleEnd{{Rule: "r"}}, NoRules: []string{"r"}, NoDevices: []string{"d"},
		NoArrivals: 1, NoReceipts: []int64{1}, NoRequests: now, NoHolds: now, Subscribed: map[string][]string{"c": nil},
		Awaited: []*alerting.Awaited{{ID: group}}, NoAwaited: []alerting.GroupID{group}, Listening: new(alerting.Listening),
	}))
	require.NoError(t, tx.Save(ctx, &alerting.Changes{Overtaken: []alerting.Overtaking{{Alert: id, Contradict: []ilert.Type{ilert.Alert}}}}))
	require.NoError(t, tx.Load(ctx, alerting.Keys{
		Alerts: []alerting.AlertID{id, {Folded: "none"}}, Groups: []alerting.GroupID{group},
		Storms: []alerting.StormQuery{{Key: key, Rule: "r"}}, Rules: []alerting.RuleQuery{{Rule: "r", Epoch: 1}},
		Prefixes: []alerting.PrefixQuery{{Prefix: id}},
		Outbox:   []int64{1}, Behind: []alerting.OutboxRef{{ID: 1, Alert: id}}, Letters: []int64{1}, Proven: []ilert.IntegrationKey{key},
		Devices: []string{"d"}, Fleet: alerting.FleetQuery{SeenAfter: now}, Volumes: true, Orders: true, Busy: []ilert.IntegrationKey{key},
	}, new(alerting.Rows)))
	_, err := tx.FindDue(ctx, now, 1, 1, 1)
	require.NoError(t, err)
	_, err = tx.FindWork(ctx, now, []alerting.LaneQuery{{Key: key, Any: 1, Singles: 1, Minute: 1}})
	require.NoError(t, err)
	_, err = tx.FindWaiting(ctx, []alerting.WaitingQuery{{DependsOn: id, Limit: 1}, {Limit: 1}, {After: &alerting.Alert{ID: id}, Limit: 1}})
	require.NoError(t, err)
	_, err = tx.JoinStorms(ctx, now, []alerting.StormJoin{{Key: key, Rule: "r", Limit: 1}})
	require.NoError(t, err)
	for _, which := range []alerting.LetterQuery{{Oldest: true}, {Oldest: true, Before: now}, {Retry: true}, {IDs: []int64{1}}, {After: 1, UpTo: 2}} {
		_, err = tx.FindLetters(ctx, which)
		require.NoError(t, err)
	}
	for _, which := range []alerting.OutboxQuery{{Unproven: true}, {Unproven: true, Before: now}, {Key: &key, UpTo: 1}} {
		_, err = tx.FindOutbox(ctx, which)
		require.NoError(t, err)
	}
}

// A statement that reads a whole table, or all alerts of an integration key, is fast enough in tests, and too slow
// when many alerts wait.
func TestStatementsFindTheirRowsByIndices(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "store.db"))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	require.NoError(t, s.Update(t.Context(), func(tx alerting.Tx) error {
		everything(t, tx)
		return nil
	}))
	_, err = s.WaitingKeys(t.Context(), alerting.LetterQuery{})
	require.NoError(t, err)
	_, _, err = s.NextDue(t.Context())
	require.NoError(t, err)
	slow := regexp.MustCompile(`SCAN (alert|ended|window_group|member|device|dead_letter|outbox|lane|awaited)($| USING COVERING INDEX)|SEARCH alert USING PRIMARY KEY \(integration_key=\?\)`)
	seen := 0
	for _, c := range []*connection{s.writer, s.reader} {
		for _, text := range slices.Collect(maps.Keys(c.ready)) {
			// The first of these statements stops at the first row, the others have no rows to find.
			if strings.Contains(text, "SELECT EXISTS (SELECT 1 FROM dead_letter") || !strings.Contains(text, "WHERE") && !strings.Contains(text, "SELECT") {
				continue
			}
			seen++
			require.NoError(t, (&tx{conn: c}).each(func(r *row) {
				const detail = 3
				assert.NotRegexp(t, slow, r.values[detail], text)
			}, "EXPLAIN QUERY PLAN "+text, make([]any, 100)...))
		}
	}
	assert.Greater(t, seen, 50)
}
