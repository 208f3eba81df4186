package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/store/sqlite"
)

var (
	start      = time.UnixMilli(1795321902892)
	configured ilert.IntegrationKey
	doors      = ilert.EnvKey("DOORS_KEY")
	third      = ilert.LiteralKey("third")
)

// open opens a new store, whose path has characters with a meaning in the URL of a file.
func open(t *testing.T) (s *sqlite.Store, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "store ?%.db")
	s = reopen(t, path)
	t.Cleanup(func() { checkVolumes(t, path) })
	return s, path
}

// checkVolumes asserts that the volumes are those of the rows.
func checkVolumes(t *testing.T, path string) {
	t.Helper()
	rows, err := raw(t, path).QueryContext(context.Background(), `
		SELECT name, count, bytes FROM volume EXCEPT SELECT * FROM (
			SELECT 'dead_letter', count(*), coalesce(sum(bytes), 0) FROM dead_letter
			UNION ALL SELECT 'outbox', count(*), coalesce(sum(bytes), 0) FROM outbox
			UNION ALL SELECT 'unproven', count(*), coalesce(sum(unproven), 0) FROM outbox WHERE unproven > 0)`)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var name, count, bytes string
		require.NoError(t, rows.Scan(&name, &count, &bytes))
		assert.Fail(t, "not what the rows are", "volume of %s: %s rows of %s bytes", name, count, bytes)
	}
	require.NoError(t, rows.Err())
}

func reopen(t *testing.T, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	return s
}

func save(t *testing.T, s *sqlite.Store, c *alerting.Changes) {
	t.Helper()
	require.NoError(t, s.Update(t.Context(), func(tx alerting.Tx) error { return tx.Save(t.Context(), c) }))
}

func load(t *testing.T, s *sqlite.Store, keys alerting.Keys) (rows alerting.Rows) {
	t.Helper()
	require.NoError(t, s.View(t.Context(), func(tx alerting.Tx) error { return tx.Load(t.Context(), keys, &rows) }))
	return rows
}

func waiting(id alerting.AlertID) *alerting.Alert {
	return &alerting.Alert{ID: id, AlertKey: id.Folded, Rule: "r", Desired: ilert.Alert, Pending: true, NextTry: start, Priority: "LOW", Body: "{}"}
}

// raw opens the file beside the store, without the store's pragmas.
func raw(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path}).String())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	db.SetMaxOpenConns(1)
	return db
}

func execute(t *testing.T, db *sql.DB, text string) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), text)
	require.NoError(t, err, text)
}

func TestRowsComeBackAsTheyWereSaved(t *testing.T) {
	s, _ := open(t)
	cause := alerting.Cause{Filter: "f", Topic: "t", Payload: []byte("p\x00q"), ReceivedAt: start, Properties: `[{"Key":"k","Value":"v"}]`}
	alert := &alerting.Alert{
		ID: alerting.AlertID{Integration: doors, Folded: "a\x00b"}, AlertKey: "A\x00b", Rule: "r", Windowed: true, Group: "g", Epoch: 3,
		Desired: ilert.Accept, Told: alerting.Unsure, ToldAt: start.Add(1e6), Body: `{"summary":"s"}`, Priority: "HIGH",
		AgeAt: start.Add(2e6), EndsAt: start.Add(3e6), Report: alerting.Report{At: start.Add(4e6), Source: "s"},
		Version: 1 << 60, Pending: true, Listing: true, Claimed: true, Tries: 4, NextTry: start.Add(5e6),
		Storm: alerting.Apart, Size: 6, Untold: 7, MaxListed: 8, Cause: cause,
	}
	plain := &alerting.Alert{ID: alerting.AlertID{Folded: "plain"}}
	gone := alerting.AlertID{Integration: third, Folded: "gone"}
	unknown := alerting.AlertID{Integration: third, Folded: "unknown"}
	group := &alerting.Group{
		ID: alerting.GroupID{Rule: "r", Group: "g"}, Alert: alert.ID, Hold: time.Minute, Epoch: 2,
		Window: decision.Window{Rule: "r", Length: time.Hour, AtLeast: 3, Ratio: 0.5, Held: true}, Buckets: []alerting.Bucket{{1, 2, 3}, {2, 0, 1}},
		Latest: start, LastTrue: start.Add(1e6), CheckAt: start.Add(2e6), Size: 1, Untold: 2, Peak: 3,
		Members: map[string]*alerting.GroupMember{},
	}
	noGroup := alerting.GroupID{Rule: "r", Group: "none"}
	item := &alerting.OutboxItem{
		Alert: alerting.AlertID{Integration: third, Folded: "c"}, Path: "/p", Body: "{}", EventType: ilert.Resolve, QueuedAt: start, Unproven: true,
		Tries: 1, NextTry: start, Cause: cause,
	}
	letter := &alerting.Letter{
		Filter: "f", Topic: "t", Payload: []byte("p"), Properties: []decision.Property{{Key: "k", Value: "v"}}, ReceivedAt: start, DiedAt: start.Add(1e6),
		Reason: "no", Tries: 2, Kind: alerting.Sent, Alert: alert.ID, EventType: ilert.Alert, OvertakenBy: ilert.Resolve,
	}
	changes := &alerting.Changes{
		Alerts: []*alerting.Alert{alert, plain}, Ended: map[alerting.AlertID]alerting.Report{gone: {At: start, Source: "s"}},
		Groups: []*alerting.Group{group}, Members: map[alerting.MemberID]alerting.GroupMember{},
		Outbox: []*alerting.OutboxItem{item}, Letters: []*alerting.Letter{letter},
		Devices: []alerting.Device{{GUID: "d", SeenAt: start}},
	}
	for i := range 100 { // more than one statement writes
		name := strings.Repeat("m", i+1)
		m := alerting.GroupMember{At: start.Add(time.Duration(i) * time.Second), Told: i%2 == 0}
		changes.Members[alerting.MemberID{Group: group.ID, Name: name}] = m
		group.Members[name] = &m
	}
	save(t, s, changes)
	require.NotZero(t, item.ID)
	require.NotZero(t, letter.ID)
	rows := load(t, s, alerting.Keys{
		Alerts: []alerting.AlertID{alert.ID, plain.ID, gone, unknown}, Groups: []alerting.GroupID{group.ID, noGroup},
		Outbox: []int64{item.ID, 99}, Letters: []int64{letter.ID, 99}, Devices: []string{"d", "e"}, Fleet: start.Add(-1), Volumes: true,
		Proven: []ilert.IntegrationKey{third},
	})
	assert.Equal(t, alerting.Rows{
		Alerts:  map[alerting.AlertID]*alerting.Alert{alert.ID: alert, plain.ID: plain, gone: nil, unknown: nil},
		Ended:   changes.Ended,
		Groups:  map[alerting.GroupID]*alerting.Group{group.ID: group, noGroup: nil},
		Outbox:  map[int64]*alerting.OutboxItem{item.ID: item},
		Letters: map[int64]*alerting.Letter{letter.ID: letter},
		Proven:  map[ilert.IntegrationKey]bool{third: false},
		Devices: map[string]time.Time{"d": start},
		Fleet:   1,
		Volumes: alerting.Volumes{
			Letters: alerting.Volume{Rows: 1, Bytes: 27}, Outbox: alerting.Volume{Rows: 1, Bytes: 36}, Unproven: alerting.Volume{Rows: 1, Bytes: 36},
		},
		LastLetter: 1, LastItem: 1,
	}, rows)

	save(t, s, &alerting.Changes{
		NoAlerts: []alerting.AlertID{alert.ID}, NoGroups: []alerting.GroupID{group.ID}, NoOutbox: []int64{item.ID}, NoLetters: []int64{letter.ID},
		NoDevices: []string{"d"}, EndedBefore: start,
	})
	rows = load(t, s, alerting.Keys{
		Alerts: []alerting.AlertID{alert.ID, gone}, Groups: []alerting.GroupID{group.ID}, Outbox: []int64{item.ID}, Letters: []int64{letter.ID},
		Devices: []string{"d"}, Volumes: true,
	})
	rows.LastLetter, rows.LastItem = 0, 0
	assert.Equal(t, alerting.Rows{
		Alerts: map[alerting.AlertID]*alerting.Alert{alert.ID: nil, gone: nil}, Groups: map[alerting.GroupID]*alerting.Group{group.ID: nil},
	}, rows)
}

func TestTheMemoryOfAnEngineComesBack(t *testing.T) {
	s, path := open(t)
	want := alerting.Memory{
		Arrivals:      []alerting.Arrival{{At: start, Prints: []uint64{1, 1 << 63}}},
		Receipts:      []alerting.ReceiptRow{{ID: 7, Session: "s", Receipts: []byte("r")}},
		Requests:      []alerting.Requests{{Key: doors, At: start, N: 3}},
		Holds:         []alerting.Hold{{Key: third, Until: start}},
		Clocks:        []alerting.Clock{{Source: "m", Behind: time.Minute, HeardAt: start}},
		Subscriptions: map[string][]string{"c": {"a/#", "b/#"}},
		RuleEnds:      []alerting.RuleEnd{{Rule: "r", Epoch: 4, At: start, Arrived: start, Source: "m", MaxSkew: time.Minute, Windows: true, Kept: &doors}},
		Epoch:         5,
	}
	later := alerting.RuleEnd{Rule: "q", Epoch: 5, At: start, Arrived: start}
	arrival := want.Arrivals[0]
	save(t, s, &alerting.Changes{
		Arrival: &arrival, Receipt: &want.Receipts[0], Requests: want.Requests, Holds: want.Holds, Clocks: want.Clocks,
		Subscribed: want.Subscriptions, RuleEnds: []alerting.RuleEnd{want.RuleEnds[0], later},
	})
	save(t, s, &alerting.Changes{NoRuleEnds: []alerting.RuleEnd{later}})
	want.Arrivals[0].ID = arrival.ID
	require.NoError(t, s.Close())
	var have alerting.Memory
	require.NoError(t, reopen(t, path).Update(t.Context(), func(tx alerting.Tx) error { return tx.Recover(t.Context(), &have) }))
	assert.Equal(t, want, have)
}

func TestWhatWaitsIsFoundWhenItIsDue(t *testing.T) {
	s, _ := open(t)
	one, two := waiting(alerting.AlertID{Integration: doors, Folded: "one"}), waiting(alerting.AlertID{Integration: doors, Folded: "two"})
	two.NextTry = start.Add(time.Minute)
	item := &alerting.OutboxItem{Alert: alerting.AlertID{Integration: doors}, Body: "{}", NextTry: start.Add(-time.Minute)}
	other := &alerting.OutboxItem{Alert: alerting.AlertID{Integration: third}, Body: "{}", NextTry: start, Unproven: true}
	save(t, s, &alerting.Changes{
		Alerts: []*alerting.Alert{one, two}, Outbox: []*alerting.OutboxItem{item, other},
		Lanes: map[ilert.IntegrationKey]*alerting.LaneHold{doors: {Singles: start.Add(-time.Second)}},
	})
	at, some, err := s.NextDue(t.Context())
	require.NoError(t, err)
	assert.True(t, some)
	assert.Equal(t, start.Add(-time.Second), at)
	require.NoError(t, s.Update(t.Context(), func(tx alerting.Tx) error {
		keys, err := lanesDue(t.Context(), tx, start, 10)
		require.NoError(t, err)
		assert.Equal(t, []ilert.IntegrationKey{doors, third}, keys)
		work, err := tx.FindWork(t.Context(), start, []alerting.LaneQuery{{Key: doors, Any: 10, Singles: 10, Minute: 1}, {Key: third, Minute: 0}})
		require.NoError(t, err)
		assert.Equal(t, []alerting.LaneWork{{Alerts: []*alerting.Alert{one}, Head: item, Waiting: 1}, {Head: other}}, work)
		joined, err := tx.JoinStorms(t.Context(), two.NextTry, []alerting.StormJoin{{Key: doors, Rule: "r", Limit: 10}, {Key: third, Rule: "r", Limit: 10}})
		require.NoError(t, err)
		assert.Equal(t, []int{2, 0}, joined)
		return tx.Save(t.Context(), &alerting.Changes{NoOutbox: []int64{item.ID, other.ID}, Proven: map[ilert.IntegrationKey]time.Time{third: start}})
	}))
	_, some, err = s.NextDue(t.Context())
	require.NoError(t, err)
	assert.False(t, some, "the members of a storm do not go alone")
	storm := alerting.StormQuery{Key: doors, Rule: "r", Limit: 1}
	rows := load(t, s, alerting.Keys{Storms: []alerting.StormQuery{storm}, Proven: []ilert.IntegrationKey{third}, Volumes: true})
	assert.Equal(t, map[alerting.StormQuery]alerting.StormMembers{storm: {Size: 2, Untold: 2, Members: []alerting.AlertID{one.ID}}}, rows.Storms)
	assert.Equal(t, alerting.InStorm, rows.Alerts[one.ID].Storm)
	assert.True(t, rows.Proven[third])
	assert.Zero(t, rows.Volumes)
	save(t, s, &alerting.Changes{RuleEnds: []alerting.RuleEnd{{Rule: "r", Epoch: 1, Arrived: start}}})
	at, some, err = s.NextDue(t.Context())
	require.NoError(t, err)
	assert.True(t, some)
	assert.Equal(t, start, at, "a page of the end of a rule is due at once")
}

func TestPeopleAreAnswered(t *testing.T) {
	s, _ := open(t)
	save(t, s, &alerting.Changes{
		Alerts: []*alerting.Alert{waiting(alerting.AlertID{Folded: "a"}), waiting(alerting.AlertID{Integration: doors, Folded: "b"})},
		Outbox: []*alerting.OutboxItem{
			{Alert: alerting.AlertID{Integration: third}, Body: "{}", QueuedAt: start, Unproven: true, Cause: alerting.Cause{Topic: "z"}},
			{Alert: alerting.AlertID{Integration: third}, Body: "{}", QueuedAt: start, Unproven: true, Cause: alerting.Cause{Topic: "a"}},
		},
		Letters: []*alerting.Letter{{Filter: "f", Reason: "No JSON", DiedAt: start.Add(time.Hour)}, {Filter: "g", DiedAt: start, Retry: true}},
		Tallies: map[string]alerting.Tally{"f": {Received: 3, Dead: 2}}, Matched: map[string]uint64{"r": 2, "s": 1},
	})
	save(t, s, &alerting.Changes{Tallies: map[string]alerting.Tally{"f": {Dead: ^uint64(0), Purged: 1}}})
	status, err := s.Status(t.Context(), start)
	require.NoError(t, err)
	assert.Equal(t, alerting.Status{
		Tallies: map[string]alerting.Tally{"f": {Received: 3, Dead: 1, Purged: 1}}, Matches: map[string]uint64{"r": 2, "s": 1},
		Waiting: 2, Oldest: start, UnprovenKeys: 1, Unproven: 2, OldestUnproven: start, Outbox: 2, OutboxBytes: 16,
	}, status)
	alerts, err := s.Alerts(t.Context(), "r", 1)
	require.NoError(t, err)
	assert.Equal(t, []alerting.AlertWithMembers{{Alert: *waiting(alerting.AlertID{Folded: "a"})}}, alerts)
	letters, err := s.Letters(t.Context(), alerting.LetterQuery{Reason: "no json", IDs: []int64{1, 2}})
	require.NoError(t, err)
	assert.Equal(t, []alerting.Letter{{ID: 1, Filter: "f", Reason: "No JSON", DiedAt: start.Add(time.Hour)}}, letters)
	keys, err := s.WaitingKeys(t.Context(), alerting.LetterQuery{})
	require.NoError(t, err)
	assert.Equal(t, []alerting.WaitingKey{{Key: third, Unproven: true, Items: 2, Since: start, Topic: "z"}}, keys)
	require.NoError(t, s.View(t.Context(), func(tx alerting.Tx) error {
		found, err := tx.FindLetters(t.Context(), alerting.LetterQuery{Oldest: true, Limit: 1})
		require.NoError(t, err)
		assert.Equal(t, []alerting.Stored{{ID: 2, Filter: "g", Retry: true}}, found)
		found, err = tx.FindOutbox(t.Context(), alerting.OutboxQuery{Unproven: true, Key: &third, Topic: "a", UpTo: 9, Before: start.Add(1e6)})
		require.NoError(t, err)
		assert.Equal(t, []alerting.Stored{{ID: 2, Key: third, Unproven: true, Bytes: 8}}, found)
		rules, err := tx.FindRules(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []alerting.RuleCount{{Rule: "r", Open: 1}, {Rule: "r", Key: doors, Open: 1}, {Rule: "s"}}, rules)
		return nil
	}))
}

func TestATransactionThatFailsLeavesNothing(t *testing.T) {
	s, _ := open(t)
	failed := errors.New("failed")
	id := alerting.AlertID{Folded: "a"}
	changes := &alerting.Changes{Alerts: []*alerting.Alert{waiting(id)}, Letters: []*alerting.Letter{{Topic: "t"}}}
	err := s.Update(t.Context(), func(tx alerting.Tx) error {
		require.NoError(t, tx.Save(t.Context(), changes))
		return failed
	})
	require.ErrorIs(t, err, failed)
	assert.Panics(t, func() {
		_ = s.Update(t.Context(), func(tx alerting.Tx) error {
			require.NoError(t, tx.Save(t.Context(), changes))
			panic("in the middle")
		})
	})
	assert.Equal(t, alerting.Rows{Alerts: map[alerting.AlertID]*alerting.Alert{id: nil}}, load(t, s, alerting.Keys{Alerts: []alerting.AlertID{id}, Volumes: true}))
	_, some, err := s.NextDue(t.Context())
	require.NoError(t, err)
	assert.False(t, some)
}

func TestOnlyWaitingForTheTurnEndsWithTheContext(t *testing.T) {
	s, _ := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	id := alerting.AlertID{Folded: "a"}
	require.NoError(t, s.Update(ctx, func(tx alerting.Tx) error {
		cancel()
		require.ErrorIs(t, s.Update(ctx, func(alerting.Tx) error { return nil }), context.Canceled)
		return tx.Save(ctx, &alerting.Changes{Alerts: []*alerting.Alert{waiting(id)}})
	}))
	assert.NotNil(t, load(t, s, alerting.Keys{Alerts: []alerting.AlertID{id}}).Alerts[id])
}

// A View sees one moment. It does not hold up an Update, nor the other way round.
func TestAViewHoldsUpNoUpdate(t *testing.T) {
	s, _ := open(t)
	id := alerting.AlertID{Folded: "a"}
	keys := alerting.Keys{Alerts: []alerting.AlertID{id}}
	require.NoError(t, s.View(t.Context(), func(tx alerting.Tx) error {
		for range 2 {
			var rows alerting.Rows
			require.NoError(t, tx.Load(t.Context(), keys, &rows))
			assert.Nil(t, rows.Alerts[id])
			save(t, s, &alerting.Changes{Alerts: []*alerting.Alert{waiting(id)}})
		}
		require.ErrorContains(t, tx.Save(t.Context(), &alerting.Changes{NoAlerts: keys.Alerts}), "readonly")
		return nil
	}))
	assert.NotNil(t, load(t, s, keys).Alerts[id])
}

func TestAnUpdateThatSavesNothingLeavesTheDiskAlone(t *testing.T) {
	s, path := open(t)
	save(t, s, &alerting.Changes{Alerts: []*alerting.Alert{waiting(alerting.AlertID{Folded: "a"})}})
	before, err := os.Stat(path + "-wal")
	require.NoError(t, err)
	require.NoError(t, s.Update(t.Context(), func(tx alerting.Tx) error {
		var rows alerting.Rows
		require.NoError(t, tx.Load(t.Context(), alerting.Keys{Alerts: []alerting.AlertID{{Folded: "a"}}}, &rows))
		return tx.Save(t.Context(), &alerting.Changes{Lanes: map[ilert.IntegrationKey]*alerting.LaneHold{configured: nil, doors: {}}})
	}))
	after, err := os.Stat(path + "-wal")
	require.NoError(t, err)
	assert.Equal(t, []any{before.Size(), before.ModTime()}, []any{after.Size(), after.ModTime()})
}

func TestASecondProcessIsKeptAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	first, err := sqlite.Open(t.Context(), path)
	require.NoError(t, err)
	_, err = sqlite.Open(t.Context(), path)
	require.EqualError(t, err, "store: "+path+": another process uses it")
	require.NoError(t, first.Close())
	again, err := sqlite.Open(t.Context(), path)
	require.NoError(t, err)
	require.NoError(t, again.Close())
}

func TestAStoreIsReadAndPurgedBesideItsProcess(t *testing.T) {
	s, path := open(t)
	save(t, s, &alerting.Changes{Letters: []*alerting.Letter{{Topic: "t"}}})
	beside, err := sqlite.OpenBeside(t.Context(), path)
	require.NoError(t, err)
	letters, err := beside.Letters(t.Context(), alerting.LetterQuery{})
	require.NoError(t, err)
	require.Len(t, letters, 1)
	save(t, beside, &alerting.Changes{NoLetters: []int64{letters[0].ID}})
	require.NoError(t, beside.Close())
	assert.Zero(t, load(t, s, alerting.Keys{Volumes: true}).Volumes)
}

// newestVersion returns the number of the newest file of migrations.
func newestVersion(t *testing.T) int {
	t.Helper()
	return versionBefore(t, 0)
}

// versionBefore returns the number of the file of migrations that comes some files before the newest.
func versionBefore(t *testing.T, newer int) (n int) {
	t.Helper()
	files, err := filepath.Glob("migrations/*.sql") // in their order
	require.NoError(t, err)
	_, err = fmt.Sscanf(filepath.Base(files[len(files)-1-newer]), "%05d_", &n)
	require.NoError(t, err)
	return n
}

func TestOnlyAStoreOfThisVersionIsOpenedBesideItsProcess(t *testing.T) {
	dir := t.TempDir()
	_, err := sqlite.OpenBeside(t.Context(), filepath.Join(dir, "none.db"))
	require.EqualError(t, err, "store: there is no file "+filepath.Join(dir, "none.db")+": name the one of the daemon by --file; the daemon makes it at its first start")
	empty := filepath.Join(dir, "empty.db")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	_, err = sqlite.OpenBeside(t.Context(), empty)
	require.EqualError(t, err, "store: "+empty+": it is no store of mps-ilert")
	s, path := open(t)
	require.NoError(t, s.Close())
	execute(t, raw(t, path), fmt.Sprintf(`DELETE FROM goose_db_version WHERE version_id > %d`, versionBefore(t, 2)))
	_, err = sqlite.OpenBeside(t.Context(), path)
	require.EqualError(t, err, fmt.Sprintf("store: %s: its schema has version %d, this program knows version %d: use the program that the daemon runs",
		path, versionBefore(t, 2), newestVersion(t)))
}

func TestNobodyElseCanReadIt(t *testing.T) {
	s, path := open(t)
	save(t, s, &alerting.Changes{Letters: []*alerting.Letter{{Topic: "t"}}})
	files, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	require.NoError(t, err)
	require.Len(t, files, 5, "with the lock and the files that SQLite puts beside both")
	for _, file := range files {
		info, err := os.Stat(file)
		require.NoError(t, err)
		assert.Zero(t, info.Mode().Perm()&0o077, file)
	}
}

func TestAStoreFromANewerVersionIsRefused(t *testing.T) {
	s, path := open(t)
	require.NoError(t, s.Close())
	execute(t, raw(t, path), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)`)
	_, err := sqlite.Open(t.Context(), path)
	assert.EqualError(t, err, fmt.Sprintf("store: %s: its schema has version 99, this program knows up to %d: use a newer program", path, newestVersion(t)))
}

func TestAFileThatIsNoStoreIsRefusedAndLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	garbage := bytes.Repeat([]byte("this is no database"), 1000)
	require.NoError(t, os.WriteFile(path, garbage, 0o600))
	for range 2 { // the first attempt leaves no lock behind
		_, err := sqlite.Open(t.Context(), path)
		require.ErrorContains(t, err, "store: "+path+": the file is damaged, and left as it is")
	}
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(garbage, after), "untouched")
}

// A damaged page in the middle of the file shows only when SQLite reads it. From then on the store writes nothing
// more, even to pages that are good.
func TestADamagedPageStopsAllWriting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s := reopen(t, path)
	for range 20 {
		save(t, s, &alerting.Changes{Letters: []*alerting.Letter{{Payload: bytes.Repeat([]byte("x"), 3000)}}})
	}
	require.NoError(t, s.Close()) // writes all into the file itself
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	const page = 4096
	at := bytes.Index(content, []byte("xxxxx")) / page * page
	copy(content[at:at+page], bytes.Repeat([]byte{0xa5}, page))
	require.NoError(t, os.WriteFile(path, content, 0o600))
	s = reopen(t, path)

	_, err = s.Letters(t.Context(), alerting.LetterQuery{})
	require.ErrorContains(t, err, "the file is damaged, and left as it is")
	err = s.Update(t.Context(), func(tx alerting.Tx) error {
		return tx.Save(t.Context(), &alerting.Changes{Matched: map[string]uint64{"r": 1}})
	})
	require.ErrorContains(t, err, "the file is damaged", "though it needs another page")
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(content, after), "untouched")
}

func TestALockedFileIsUsedAgainOnceItIsFree(t *testing.T) {
	s, path := open(t)
	db := raw(t, path)
	execute(t, db, `BEGIN IMMEDIATE`)
	// The file has one writer. If each of the waiting transactions waited for the lock in its turn, the last one would
	// fail only after minutes.
	began := time.Now()
	var waiting sync.WaitGroup
	for range 8 {
		waiting.Go(func() {
			err := s.Update(t.Context(), func(alerting.Tx) error { return nil })
			assert.ErrorContains(t, err, "database is locked")
		})
	}
	waiting.Wait()
	assert.Less(t, time.Since(began), 20*time.Second, "eight times five seconds is more")
	execute(t, db, `ROLLBACK`)
	save(t, s, &alerting.Changes{Matched: map[string]uint64{"r": 1}})
}

// SQLite does not write to a file whose header asks for a newer version of SQLite to write with. Unlike permissions,
// that also stops root.
func TestAFileThatCannotBeWrittenSaysSo(t *testing.T) {
	s, path := open(t)
	save(t, s, &alerting.Changes{Letters: []*alerting.Letter{{Topic: "t"}}})
	require.NoError(t, s.Close())
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	const versionToWriteWith = 18
	content[versionToWriteWith] = 3
	require.NoError(t, os.WriteFile(path, content, 0o600))
	s = reopen(t, path)
	err = s.Update(t.Context(), func(tx alerting.Tx) error {
		return tx.Save(t.Context(), &alerting.Changes{Matched: map[string]uint64{"r": 1}})
	})
	require.ErrorContains(t, err, "store: attempt to write a readonly database")
	letters, err := s.Letters(t.Context(), alerting.LetterQuery{})
	require.NoError(t, err)
	assert.Len(t, letters, 1, "it can still be read")
	_, err = sqlite.Open(t.Context(), t.TempDir())
	require.ErrorContains(t, err, "is a directory")
}

func TestAStoreOfVersion1IsBroughtUpToDate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	db := raw(t, path)
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, os.DirFS("migrations"))
	require.NoError(t, err)
	_, err = provider.UpTo(t.Context(), 1)
	require.NoError(t, err)
	execute(t, db, `INSERT INTO outbox (id, integration_key, path, body, claimed, tries, next_try, filter, topic, payload, received_at, properties)
		VALUES (1, 'env:DOORS_KEY', '/p', '{"summary":"of a message"}', 0, 0, 0, 'http', 't', x'', 1, ''),
		       (2, '', '/p', '{"summary":"of ours"}', 0, 0, 0, 'http', 't', x'', 1, '')`)
	execute(t, db, `INSERT INTO dead_letter (id, filter, topic, payload, received_at, died_at, reason, tries, properties, retry)
		VALUES (1, 'rules', '/api/events', '{"eventType":"ALERT","summary":"s"}', 1, 2, 'no', 1, '', 0)`)
	execute(t, db, `INSERT INTO tally VALUES ('http', 2, 0, 0, 0, 0, 0, 0), ('rules', 1, 0, 0, 0, 0, 1, 0)`)
	execute(t, db, `INSERT INTO alert VALUES ('env:DOORS_KEY', 'a', 'A', 'r', 0, '', 'ALERT', '', 0, '{}', 'LOW', 0, 0, 0, '', 1, 1, 0, 1, 0, 1, 4, 0, 0, 0, 'http', 't', x'', 1, '')`)
	execute(t, db, `INSERT INTO window_group VALUES ('r', 'g', '{"Length":60000000000}', '[[1,2,3]]', '', 'b', 0, 0, 0, 0, 1, 0, 0)`)

	s := reopen(t, path)
	foreign := ilert.LiteralKey("env:DOORS_KEY") // a message has brought it, so it does not name a variable
	require.NoError(t, s.Update(t.Context(), func(tx alerting.Tx) error {
		var m alerting.Memory
		require.NoError(t, tx.Recover(t.Context(), &m))
		assert.Equal(t, alerting.Memory{Subscriptions: map[string][]string{}}, m)
		keys, err := lanesDue(t.Context(), tx, start, 10)
		require.NoError(t, err)
		assert.Equal(t, []ilert.IntegrationKey{configured, doors, foreign}, keys)
		work, err := tx.FindWork(t.Context(), start, []alerting.LaneQuery{{Key: doors, Singles: 1}})
		require.NoError(t, err)
		require.Len(t, work[0].Alerts, 1)
		assert.Equal(t, "A", work[0].Alerts[0].AlertKey)
		return nil
	}))
	group := alerting.GroupID{Rule: "r", Group: "g"}
	rows := load(t, s, alerting.Keys{
		Outbox: []int64{1, 2}, Groups: []alerting.GroupID{group}, Volumes: true, Rules: []alerting.RuleQuery{{Rule: "r", Epoch: 1, Limit: 10}},
	})
	assert.Equal(t, alerting.Volumes{
		Letters: alerting.Volume{Rows: 1, Bytes: 46}, Outbox: alerting.Volume{Rows: 2, Bytes: 62}, Unproven: alerting.Volume{Rows: 1, Bytes: 26},
	}, rows.Volumes)
	assert.Equal(t, foreign, rows.Outbox[1].Alert.Integration)
	assert.True(t, rows.Outbox[1].Unproven)
	assert.False(t, rows.Outbox[2].Unproven)
	assert.Equal(t, time.Minute, rows.Groups[group].Window.Length)
	assert.Equal(t, alerting.RulePage{
		Alerts: []alerting.AlertID{{Integration: doors, Folded: "a"}}, Groups: []alerting.GroupID{group},
	}, rows.Rules["r"])
	found, err := s.Letters(t.Context(), alerting.LetterQuery{})
	require.NoError(t, err)
	require.Len(t, found, 1)
	assert.Equal(t, "#rules", found[0].Filter)
}

// lanesDue returns the integration keys whose lanes are due.
func lanesDue(ctx context.Context, tx alerting.Tx, now time.Time, limit int) ([]ilert.IntegrationKey, error) {
	due, err := tx.FindDue(ctx, now, 0, limit)
	return due.Lanes, err
}
