package sqlite_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/store/memory"
	"github.com/mps-events/mps-events/internal/store/sqlite"
	"github.com/mps-events/mps-events/internal/store/storetest"
)

func TestSQLiteDoesAsMemoryDoes(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			plain, path := memory.New(), filepath.Join(t.TempDir(), "store.db")
			open := func(t *testing.T) alerting.Store {
				t.Helper()
				s, err := sqlite.Open(t.Context(), path)
				require.NoError(t, err)
				return s
			}
			storetest.Model(t, seed,
				storetest.Backend{Store: plain, Reopen: func(*testing.T) alerting.Store { return plain }},
				storetest.Backend{Store: open(t), Reopen: open})
		})
	}
}
