package store_test

import (
	"bytes"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/store"
)

func TestAFileThatIsNoStoreIsRefusedAndLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	garbage := bytes.Repeat([]byte("this is no database"), 1000)
	require.NoError(t, os.WriteFile(path, garbage, 0o600))
	_, err := store.Open(t.Context(), path)
	require.ErrorContains(t, err, "store: "+path+": the file is damaged, and left as it is")
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(garbage, after), "untouched")
}

// A page in the middle is bad. That shows only when it is read, and then nothing more is
// written, though other pages are good.
func TestADamagedPageStopsAllWriting(t *testing.T) {
	b := open(t)
	for range 20 {
		b.apply(dead(strings.Repeat("x", 3000), "no JSON"))
	}
	b.restart() // all is in the file itself
	content, err := os.ReadFile(b.path)
	require.NoError(t, err)
	const page = 4096
	at := bytes.Index(content, []byte("xxxxx")) / page * page
	copy(content[at:at+page], bytes.Repeat([]byte{0xa5}, page))
	require.NoError(t, os.WriteFile(b.path, content, 0o600))

	_, err = b.Purge(t.Context(), store.Letters{})
	require.ErrorContains(t, err, "the file is damaged, and left as it is")
	err = b.Apply(t.Context(), []store.Message{message()})
	require.ErrorContains(t, err, "the file is damaged", "though it needs another page")
	after, err := os.ReadFile(b.path)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(content, after), "untouched")
}

func TestALockedFileIsUsedAgainOnceItIsFree(t *testing.T) {
	b := open(t)
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: b.path}).String())
	require.NoError(t, err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(t.Context(), `BEGIN IMMEDIATE`)
	require.NoError(t, err)
	err = b.Apply(t.Context(), []store.Message{raise("a")})
	require.ErrorContains(t, err, "database is locked")
	_, err = db.ExecContext(t.Context(), `ROLLBACK`)
	require.NoError(t, err)
	b.apply(raise("a"))
	assert.Equal(t, []string{"ALERT a"}, b.told())
}

// The file has one writer: if each of those that wait in line waited for the lock in its turn,
// the last would learn of it after minutes.
func TestALockHoldsUpAllWhoWaitForItTogether(t *testing.T) {
	b := open(t)
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: b.path}).String())
	require.NoError(t, err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(t.Context(), `BEGIN IMMEDIATE`)
	require.NoError(t, err)
	began := time.Now()
	var waiting sync.WaitGroup
	for range 8 {
		waiting.Go(func() {
			assert.ErrorContains(t, b.Apply(t.Context(), []store.Message{raise("a")}), "database is locked")
		})
	}
	waiting.Wait()
	assert.Less(t, time.Since(began), 20*time.Second, "eight times five seconds is more")
	_, err = db.ExecContext(t.Context(), `ROLLBACK`)
	require.NoError(t, err)
	b.apply(raise("a"))
}
