package alerting

import (
	"context"
	"slices"
)

// Clocks returns the clocks that are kept, in the order in which their sources were heard of.
func (e *Engine) Clocks() []Clock {
	e.memory.Lock()
	defer e.memory.Unlock()
	return slices.Clone(e.clocks)
}

// KeepClocks keeps what is known of clocks, for the next process.
func (e *Engine) KeepClocks(ctx context.Context, clocks []Clock) error {
	return e.update(ctx, func(w *work) error {
		w.changes.Clocks = clocks
		w.onCommit(func() {
			for _, clock := range clocks {
				e.clocks = slices.DeleteFunc(e.clocks, func(c Clock) bool { return c.Source == clock.Source })
				if clock.Behind != 0 {
					e.clocks = append(e.clocks, clock)
				}
			}
			slices.SortStableFunc(e.clocks, func(a, b Clock) int { return a.HeardAt.Compare(b.HeardAt) })
		})
		return nil
	})
}
