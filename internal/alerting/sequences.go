package alerting

import (
	"context"
	"slices"
	"time"
)

// Sequence is the state, kept for the consumer, of the numbers that one process of a publisher gives its events.
type Sequence struct {
	Source  string // of the process
	Process string
	HeardAt time.Time // when an event of the process came
	State   []byte    // the consumer's own; nil: the sequence need not be kept
}

// Sequences returns the sequences that an earlier process has kept, in the order of HeardAt.
func (e *Engine) Sequences() []Sequence {
	e.memory.Lock()
	defer e.memory.Unlock()
	return slices.Clone(e.sequences)
}

// KeepSequences keeps sequences for the next process, without a message: see Apply. It forgets one whose State is nil.
func (e *Engine) KeepSequences(ctx context.Context, sequences []Sequence) error {
	return e.update(ctx, func(w *work) error {
		w.changes.Sequences = sequences
		return nil
	})
}
