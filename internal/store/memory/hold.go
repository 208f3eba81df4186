package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/mps-events/mps-events/internal/alerting"
)

// FindWaiting returns alerts that wait.
func (t *tx) FindWaiting(_ context.Context, queries []alerting.WaitingQuery) ([][]*alerting.Alert, error) {
	all := make([][]*alerting.Alert, len(queries))
	for i, query := range queries {
		compare := compareWaiting
		if query.DependsOn != (alerting.AlertID{}) {
			compare = func(a, b *alerting.Alert) int { return compareIDs(a.ID, b.ID) }
		}
		var found []*alerting.Alert
		for _, part := range t.pending {
			for _, a := range part {
				if answers(a, query) && (query.After == nil || compare(a, query.After) > 0) {
					found = append(found, a)
				}
			}
		}
		slices.SortFunc(found, compare)
		for _, a := range upTo(found, query.Limit) {
			all[i] = append(all[i], copyAlert(a))
		}
	}
	return all, nil
}

// answers reports whether an alert that is pending answers a query.
func answers(a *alerting.Alert, query alerting.WaitingQuery) bool {
	on := query.DependsOn
	if on == (alerting.AlertID{}) {
		return !a.Claimed
	}
	return a.ID.Integration == on.Integration && slices.Contains(a.DependsOn(), on.Folded)
}

// compareWaiting compares alerts that wait by the order of alerting.WaitingQuery.
func compareWaiting(a, b *alerting.Alert) int {
	return cmp.Or(compareKeys(a.ID.Integration, b.ID.Integration), cmp.Compare(a.Class(), b.Class()), compareDue(a, b))
}

// dependedOn returns the alerts on which an alert depends that waits.
func (r *rows) dependedOn() []alerting.AlertID {
	some := map[alerting.AlertID]struct{}{}
	for key, part := range r.pending {
		for _, a := range part {
			for _, folded := range a.DependsOn() {
				some[alerting.AlertID{Integration: key, Folded: folded}] = struct{}{}
			}
		}
	}
	return slices.SortedFunc(maps.Keys(some), compareIDs)
}

func (t *tx) saveOrders(changes *alerting.Changes) {
	for _, id := range changes.NoSilences {
		remove(t.rows, t.silences, id)
	}
	for _, s := range changes.Silences {
		if s.ID == 0 {
			t.lastSilence++
			s.ID = t.lastSilence
			added := *s
			added.CreatedAt, added.EndsAt = kept(s.CreatedAt), kept(s.EndsAt)
			put(t.rows, t.silences, s.ID, added)
		} else if there, is := t.silences[s.ID]; is {
			there.EndsAt = kept(s.EndsAt)
			put(t.rows, t.silences, s.ID, there)
		}
	}
	for _, id := range changes.NoClosings {
		remove(t.rows, t.closings, id)
	}
	for _, c := range changes.Closings {
		t.lastClosing++
		c.ID = t.lastClosing
		put(t.rows, t.closings, c.ID, c)
	}
}

// inOrder returns rows in the order of their IDs.
func inOrder[V any](rows map[int64]V) (all []V) {
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		all = append(all, rows[id])
	}
	return all
}
