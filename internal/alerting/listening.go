package alerting

import (
	"context"
	"time"
)

// Silence is measured in listened time: the time for which the engine would have got a message if one had come. While
// the broker is away, or the process does not run, nobody can tell silence from deafness.

const (
	// maxPause is the length of a pause from which on each group gets the whole time of its rule again. During a long
	// pause messages may have been lost, and publishers may need some time until they are connected again.
	maxPause = time.Minute
	// keepListeningInterval is the interval at which the store gets the listened time. What a process has not saved
	// when it is killed counts as not listened.
	keepListeningInterval = time.Minute
)

// Listening is the row of the listened time.
type Listening struct {
	Clock time.Duration // the sum of all times for which the engine has listened
	Grace time.Duration // the Clock at the end of the last long pause
	At    time.Time     // up to which Clock counts
}

// listening is the listened time in the engine's memory.
type listening struct {
	Listening
	running bool
	saved   Listening
}

// Listen starts the listened clock at a time, after a pause.
func (e *Engine) Listen(at time.Time) {
	e.memory.Lock()
	defer e.memory.Unlock()
	l := &e.listening
	if pause := at.Sub(l.At); l.At.IsZero() || pause < 0 || pause >= maxPause {
		l.Grace = l.Clock
	}
	l.At, l.running = at, true
}

// Pause stops the listened clock until Listen is called.
func (e *Engine) Pause() {
	e.memory.Lock()
	defer e.memory.Unlock()
	e.listening.running = false
}

// Listened counts the time up to at as listened, unless the clock is stopped. The caller must have applied all messages
// that came before. It reports whether a group has been silent for long enough, so that Claim has something to do.
func (e *Engine) Listened(ctx context.Context, at time.Time) (silent bool, err error) {
	e.memory.Lock()
	l := &e.listening
	l.advance(at)
	silent = len(e.awaited.groups) > 0 && l.Clock >= e.awaited.next
	unsaved := l.Clock-l.saved.Clock >= keepListeningInterval || l.Grace != l.saved.Grace
	e.memory.Unlock()
	if unsaved {
		err = e.KeepListening(ctx)
	}
	return silent, err
}

// advance moves a clock that runs forward to a time, in whole milliseconds, as the store keeps them.
func (l *listening) advance(at time.Time) {
	if d := at.Sub(l.At).Truncate(time.Millisecond); l.running && d > 0 {
		l.Clock, l.At = l.Clock+d, l.At.Add(d)
	}
}

// KeepListening saves the listened time for the next process.
func (e *Engine) KeepListening(ctx context.Context) error {
	return e.update(ctx, func(w *work) error {
		e.memory.Lock()
		now := e.listening.Listening
		e.memory.Unlock()
		w.changes.Listening = &now
		w.onCommit(func() { e.listening.saved = now })
		return nil
	})
}

// heardAt returns the listened time at which the message of a change came. It counts the time since the last proof that
// all messages were received, because the clock will count it, too.
func (w *work) heardAt(o *origin) time.Duration {
	at := o.arrived
	if o.message != nil {
		at = o.message.ReceivedAt // with the reading of a monotonic clock
	}
	w.engine.memory.Lock()
	defer w.engine.memory.Unlock()
	l := w.engine.listening // a copy
	l.advance(at)
	return l.Clock
}

// NextSilence returns the time at which a group will have been silent for long enough, or earlier, if the engine listens
// until then. It returns false if the engine waits for none.
func (e *Engine) NextSilence() (at time.Time, waiting bool) {
	e.memory.Lock()
	defer e.memory.Unlock()
	if len(e.awaited.groups) == 0 || e.awaited.next == neverDue {
		return at, false
	}
	return e.listening.At.Add(e.awaited.next - e.listening.Clock), true
}
