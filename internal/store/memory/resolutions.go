package memory

import (
	"context"
	"slices"

	"github.com/mps-events/mps-events/internal/alerting"
)

// FindResolutions returns the ends of alerts that come after one in the order of identities.
func (t *tx) FindResolutions(_ context.Context, after alerting.AlertID, limit int) (all []alerting.Resolution, err error) {
	for id, one := range t.ends {
		if compareIDs(id, after) > 0 {
			all = append(all, one)
		}
	}
	slices.SortFunc(all, func(a, b alerting.Resolution) int { return compareIDs(a.ID, b.ID) })
	return upTo(all, limit), nil
}

func (t *tx) saveResolutions(changes *alerting.Changes) {
	for _, id := range changes.NoResolutions {
		remove(t.rows, t.ends, id)
	}
	for id, one := range t.ends {
		if !changes.ResolutionsBefore.IsZero() && moment(one.At) <= moment(changes.ResolutionsBefore) {
			remove(t.rows, t.ends, id)
		}
	}
	for _, one := range changes.Resolutions {
		one.Since, one.At = kept(one.Since), kept(one.At)
		put(t.rows, t.ends, one.ID, one)
	}
}
