package store_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/store"
)

func TestASecondProcessIsKeptAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	first, err := store.Open(t.Context(), path)
	require.NoError(t, err)
	_, err = store.Open(t.Context(), path)
	require.EqualError(t, err, "store: "+path+": another process uses it")
	require.NoError(t, first.Close())
	again, err := store.Open(t.Context(), path)
	require.NoError(t, err)
	require.NoError(t, again.Close())
}

func TestNobodyElseCanReadIt(t *testing.T) {
	b := open(t)
	b.apply(raise("a"))
	files, err := filepath.Glob(filepath.Join(filepath.Dir(b.path), "*"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		info, err := os.Stat(file)
		require.NoError(t, err)
		assert.Zero(t, info.Mode().Perm()&0o077, file)
	}
}

func TestAStoreFromANewerVersionIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s, err := store.Open(t.Context(), path)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)`)
	require.NoError(t, err)
	require.NoError(t, db.Close())
	_, err = store.Open(t.Context(), path)
	assert.ErrorContains(t, err, "version 99, this program knows up to 3: use a newer program")
}
