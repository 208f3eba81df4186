package alerting_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/store/memory"
)

func TestReceiptsAreBounded(t *testing.T) {
	const limit, batch = 1 << 9, 1 << 6
	t.Cleanup(alerting.BoundReceipts(limit))
	e := open(t, memory.New(), alerting.DefaultBounds)
	apply := func(subscription uint32, from, n uint64) (duplicates uint64) {
		messages := make([]alerting.Message, n)
		for i := range messages {
			messages[i] = message()
			messages[i].Delivery = alerting.Delivery{Link: 1, Subscription: subscription, Print: from + uint64(i)}
		}
		require.NoError(t, e.Apply(t.Context(), messages))
		tallies, err := e.Tallies(t.Context())
		require.NoError(t, err)
		return tallies["f"].Duplicate
	}
	for n := uint64(0); n < 2*limit; n += batch {
		apply(1, 1+n, batch)
	}
	assert.Zero(t, apply(2, 1, 1), "it is forgotten")
	assert.EqualValues(t, 1, apply(2, 2*limit, 1))
}
