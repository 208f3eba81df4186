package consumer_test

import (
	"context"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/store/sqlite"
)

// storePaths holds the path of the newest store of each test.
var storePaths sync.Map

// newStorePath returns a path for a store.
func newStorePath(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store.db")
	storePaths.Store(t, path)
	return path
}

// storePath returns the path of the test's newest store.
func storePath(t *testing.T) string {
	t.Helper()
	path, there := storePaths.Load(t)
	require.True(t, there)
	return path.(string)
}

// storeAt opens the SQLite store at a path.
func storeAt(path string) func(context.Context) (alerting.Store, error) {
	return func(ctx context.Context) (alerting.Store, error) { return sqlite.Open(ctx, path) }
}

// beside opens the test's store beside the consumer, as an administrator might.
func beside(t *testing.T) *alerting.Engine {
	t.Helper()
	s, err := sqlite.OpenBeside(t.Context(), storePath(t))
	require.NoError(t, err)
	return alerting.Beside(s)
}
