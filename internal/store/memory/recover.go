package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/mps-events/mps-events/internal/alerting"
)

// Recover prepares the rows for a new engine.
func (t *tx) Recover(_ context.Context, memory *alerting.Memory) error {
	if err := t.writable(); err != nil {
		return err
	}
	for _, a := range t.alerts {
		if a.Claimed {
			a = copyAlert(a)
			a.Claimed = false
			t.putAlert(a)
		}
	}
	for _, o := range t.outbox {
		if o.Claimed {
			o = copyItem(o)
			o.Claimed = false
			t.putItem(o)
		}
	}
	for k := range t.lanes {
		remove(t.rows, t.lanes, k)
	}
	for k := range t.pending {
		t.derive(k)
	}
	for k := range t.queues {
		t.derive(k)
	}
	t.remember(memory)
	return nil
}

// remember copies the rows that an engine keeps in memory.
func (t *tx) remember(m *alerting.Memory) {
	*m = alerting.Memory{Subscriptions: map[string][]string{}, Epoch: t.epoch}
	for _, id := range slices.Sorted(maps.Keys(t.arrivals)) {
		a := t.arrivals[id]
		a.Prints = slices.Clone(a.Prints)
		m.Arrivals = append(m.Arrivals, a)
	}
	for _, id := range slices.Sorted(maps.Keys(t.receipts)) {
		r := t.receipts[id]
		r.Receipts = copyBytes(r.Receipts)
		m.Receipts = append(m.Receipts, r)
	}
	for one, n := range t.requests {
		m.Requests = append(m.Requests, alerting.Requests{Key: one.key, At: one.at, N: n})
	}
	slices.SortFunc(m.Requests, func(a, b alerting.Requests) int { return cmp.Or(a.At.Compare(b.At), compareKeys(a.Key, b.Key)) })
	for k, until := range t.holds {
		m.Holds = append(m.Holds, alerting.Hold{Key: k, Until: until})
	}
	slices.SortFunc(m.Holds, func(a, b alerting.Hold) int { return compareKeys(a.Key, b.Key) })
	for _, c := range t.clocks {
		m.Clocks = append(m.Clocks, c)
	}
	slices.SortFunc(m.Clocks, func(a, b alerting.Clock) int {
		return cmp.Or(a.HeardAt.Compare(b.HeardAt), strings.Compare(a.Source, b.Source))
	})
	for client, filters := range t.subscribed {
		m.Subscriptions[client] = slices.Clone(filters)
	}
	for _, end := range t.ruleEnds {
		m.RuleEnds = append(m.RuleEnds, end)
	}
	t.rememberAwaited(m)
	_, m.NextDelay = t.dueDelays(0, 0)
	slices.SortFunc(m.RuleEnds, func(a, b alerting.RuleEnd) int { return cmp.Compare(a.Epoch, b.Epoch) })
	m.Silences, m.DependedOn = inOrder(t.silences), t.dependedOn()
}
