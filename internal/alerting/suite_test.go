package alerting_test

import (
	"testing"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/store/memory"
	"github.com/mps-events/mps-events/internal/store/storetest"
)

// A transaction that asks for a row which it has not planned begins anew. That is right, but slow.
func TestEachTransactionPlansItsRows(t *testing.T) {
	t.Cleanup(alerting.StrictPlans())
	storetest.Run(t, func(*testing.T) storetest.Backend {
		store := memory.New()
		return storetest.Backend{Store: store, Reopen: func(*testing.T) alerting.Store { return store }}
	})
}
