package sqlite_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
)

func TestAnOlderStoreKeepsItsMembersAndItsFleet(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	db := raw(t, path)
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, os.DirFS("migrations"))
	require.NoError(t, err)
	_, err = provider.UpTo(t.Context(), 12)
	require.NoError(t, err)
	execute(t, db, `INSERT INTO window_group (rule, grp, spec, buckets, integration_key, folded_key, hold, size, untold, peak, latest, last_true, check_at)
		VALUES ('site', 'open', '{"Length":60000000000,"Held":true}', '[]', '', 'a', 0, 1, 0, 2, 1, 1, 0),
		       ('site', 'none', '{"Length":60000000000,"Held":true}', '[]', '', '', 0, 0, 0, 0, 1, 0, 0)`)
	execute(t, db, `INSERT INTO member (rule, grp, member, at, told) VALUES ('site', 'open', 'd', 1, 1), ('site', 'none', 'd', 1, 0)`)
	execute(t, db, `INSERT INTO device (guid, seen_at) VALUES ('d', `+strconv.FormatInt(start.UnixMilli(), 10)+`)`)

	s := reopen(t, path)
	open, none := alerting.GroupID{Rule: "site", Group: "open"}, alerting.GroupID{Rule: "site", Group: "none"}
	rows := load(t, s, alerting.Keys{Groups: []alerting.GroupID{open, none}, Fleet: alerting.FleetQuery{SeenAfter: start.Add(-1), NewAfter: start.Add(-1)}})
	at := time.UnixMilli(1)
	assert.Equal(t, map[string]*alerting.GroupMember{"d": {At: at, Told: true, State: alerting.MemberHeld}}, rows.Groups[open].Members)
	assert.Equal(t, map[string]*alerting.GroupMember{"d": {At: at}}, rows.Groups[none].Members)
	assert.Equal(t, alerting.FleetCount{Size: 1, Oldest: at}, rows.Fleet, "it has been known for long")
}
