package storetest

import (
	"time"

	"github.com/mps-events/mps-events/internal/alerting"
)

// orders does what a person may ask for of alerts.
func (m *model) orders() {
	m.t.Helper()
	switch m.r.IntN(4) {
	case 0, 1:
		s := alerting.Silence{Pattern: pick(m, "a", "*", "*g", "C", "storm/*"), Creator: "ada", CreatedAt: m.now(), EndsAt: m.now().Add(time.Duration(m.r.IntN(900)) * time.Second)}
		same(m, "silence", func(b *book) (int64, error) { return alerting.Beside(b.store).AddSilence(b.t.Context(), s) })
	case 2:
		ids := []int64{int64(m.r.IntN(20)), int64(m.r.IntN(20)), int64(m.r.IntN(20))}
		same(m, "unknown silences", func(b *book) ([]int64, error) {
			return alerting.Beside(b.store).RemoveSilences(b.t.Context(), b.now, ids)
		})
	default:
		key := m.key()
		m.each("close "+key.Alert, func(b *book) error { return alerting.Beside(b.store).AskToClose(b.t.Context(), key, "ada") })
	}
	if m.r.IntN(4) > 0 {
		same(m, "followed", func(b *book) (alerting.Followed, error) { return b.FollowOrders(b.t.Context(), b.now) })
	}
}
