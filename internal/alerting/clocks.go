package alerting

import (
	"context"
	"slices"
	"time"
)

// Clock is the clock of a source that is behind the consumer's.
type Clock struct {
	Source  string
	Behind  time.Duration // 0: it is not behind, and need not be kept
	HeardAt time.Time     // when a message of the source came
}

// Clocks returns the clocks that are kept, in the order of HeardAt.
func (e *Engine) Clocks() []Clock {
	e.memory.Lock()
	defer e.memory.Unlock()
	return slices.Clone(e.clocks)
}

// KeepClocks keeps clocks for the next process. It forgets a clock whose Behind is 0.
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
