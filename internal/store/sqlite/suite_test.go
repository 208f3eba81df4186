package sqlite_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/store/sqlite"
	"github.com/mps-events/mps-events/internal/store/storetest"
)

func TestSQLite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Backend {
		t.Helper()
		s, path := open(t)
		return storetest.Backend{Store: s, Reopen: func(t *testing.T) alerting.Store {
			t.Helper()
			assert.NoError(t, s.Close())
			again, err := sqlite.Open(t.Context(), path)
			require.NoError(t, err)
			return again
		}}
	})
}
