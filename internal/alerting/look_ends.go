package alerting

import (
	"context"
	"slices"
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
)

// lookAtEnds compares the ends of alerts that ilert has taken with what it shows: an alert that is still open is ended
// again.
func (e *Engine) lookAtEnds(ctx context.Context, now time.Time, look *Look, looked *Looked, ours map[*Source]int) error {
	var after AlertID
	for {
		var page []Resolution
		err := e.view(ctx, func(w *work) (err error) {
			page, err = w.tx.FindResolutions(ctx, after, maxPage)
			return err
		})
		if err != nil || len(page) == 0 {
			return err
		}
		some := slices.DeleteFunc(slices.Clone(page), func(r Resolution) bool { return !look.judges(&r) })
		for chunk := range slices.Chunk(some, max(maxPage/reviewShare, 1)) {
			err := e.update(ctx, func(w *work) error { return w.mendEnds(look, chunk, now, looked, ours) })
			if err != nil {
				return err
			}
		}
		after = page[len(page)-1].ID
	}
}

// judges reports whether the look shows what became of an end.
func (l *Look) judges(r *Resolution) bool {
	return l.Sources[r.ID.Integration] != nil && !l.isFresh(r.At)
}

// mendEnds sends the ends of a page again whose alerts are still open, and forgets the others.
func (w *work) mendEnds(look *Look, page []Resolution, now time.Time, looked *Looked, ours map[*Source]int) error {
	var k Keys
	for _, r := range page {
		k.Alerts = append(k.Alerts, look.siblings(r.ID)...)
	}
	if err := w.loadAll(k); err != nil {
		return err
	}
	for _, r := range page {
		s := look.Sources[r.ID.Integration]
		_, shown := s.Open[r.ID.Folded]
		again := slices.ContainsFunc(look.siblings(r.ID), func(id AlertID) bool { return w.alert(id) != nil })
		switch {
		case !shown || again:
			w.changes.NoResolutions = append(w.changes.NoResolutions, r.ID)
			continue
		case s.Well && look.isTimeAgain(r.Since, r.At):
			w.endAgain(&r, now)
			w.onCommit(func() { looked.Repairs.Resolved++ })
		}
		w.onCommit(func() {
			ours[s]++
			c := looked.Sources[r.ID.Integration]
			c.differs(r.Since)
			looked.Sources[r.ID.Integration] = c
		})
	}
	return nil
}

// siblings returns the identities that an alert has by all integration keys of its alert source.
func (l *Look) siblings(id AlertID) (all []AlertID) {
	for key, s := range l.Sources {
		if s == l.Sources[id.Integration] {
			all = append(all, AlertID{key, id.Folded})
		}
	}
	return all
}

// endAgain sends the end of an alert again.
func (w *work) endAgain(r *Resolution, now time.Time) {
	a := &Alert{
		ID: r.ID, AlertKey: r.AlertKey, Rule: r.Rule, Body: r.Body, Priority: r.Priority, Told: ilert.Alert,
		OpenedAt: r.Since, DiffersSince: r.Since, Shown: ShownOpen, Epoch: w.lastEpoch(),
	}
	if r.Storm {
		a.Rule, a.Group, a.Storm = "", r.Rule, IsStorm
	}
	o := &origin{at: now, arrived: now}
	w.noteAlert(StillOpen, a, o)
	a.setDesired(ilert.Resolve, o)
	w.changes.NoResolutions = append(w.changes.NoResolutions, r.ID)
	w.keep(a)
}

// keepResolution keeps the end of an alert that is deleted, if ilert may show the alert.
func (w *work) keepResolution(a *Alert) {
	if !w.engine.looks || a.OpenedAt.IsZero() {
		return
	}
	r := Resolution{
		ID: a.ID, AlertKey: a.AlertKey, Rule: a.Rule, Storm: a.Storm == IsStorm, Body: a.Body, Priority: a.Priority,
		Since: a.ToldAt, At: a.ToldAt,
	}
	if r.Storm {
		r.Rule = a.Group
	}
	if a.Shown == ShownOpen && !a.DiffersSince.IsZero() { // it was ended again
		r.Since = a.DiffersSince
	}
	w.changes.Resolutions = append(w.changes.Resolutions, r)
}
