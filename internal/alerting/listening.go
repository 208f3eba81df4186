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
	used    bool          // Listen or Pause was called: the clock counts in this process
	begun   bool          // Listen was called
	started time.Duration // the Clock when Listen was first called
}

// Listen starts the listened clock at a time, after a pause.
func (e *Engine) Listen(at time.Time) {
	e.memory.Lock()
	defer e.memory.Unlock()
	l := &e.listening
	if pause := at.Sub(l.At); l.At.IsZero() || pause < 0 || pause >= maxPause {
		l.Grace = l.Clock
	}
	if !l.begun {
		l.begun, l.started = true, l.Clock
	}
	l.At, l.running, l.used = at, true, true
}

// Pause stops the listened clock until Listen is called.
func (e *Engine) Pause() {
	e.memory.Lock()
	defer e.memory.Unlock()
	e.listening.running, e.listening.used = false, true
}

// Listened counts the time up to at as listened, unless the clock is stopped. The caller must have applied all messages
// that came before. It reports whether a group has been silent, or an alert delayed, for long enough, so that Claim has
// something to do.
func (e *Engine) Listened(ctx context.Context, at time.Time) (due bool, err error) {
	e.memory.Lock()
	l := &e.listening
	l.advance(at)
	due = e.isSilenceDue() || e.isDelayDue()
	unsaved := l.Clock-l.saved.Clock >= keepListeningInterval || l.Grace != l.saved.Grace
	e.memory.Unlock()
	if unsaved {
		err = e.KeepListening(ctx)
	}
	return due, err
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
		w.saveListening()
		return nil
	})
}

func (w *work) saveListening() {
	w.engine.memory.Lock()
	now := w.engine.listening.Listening
	w.engine.memory.Unlock()
	w.changes.Listening = &now
	w.onCommit(func() { w.engine.listening.saved = now })
}

// NeedsListening reports whether a rule waits for messages, or an alert is delayed, so that the listened time matters.
func (e *Engine) NeedsListening() bool {
	e.memory.Lock()
	defer e.memory.Unlock()
	return len(e.awaited.groups) > 0 || e.nextDelay != neverDue
}

// isSilenceDue reports whether Claim has to look at groups that were silent. The caller has locked the memory.
func (e *Engine) isSilenceDue() bool {
	return len(e.awaited.groups) > 0 && e.listening.Clock >= e.awaited.next
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

// NextListened returns the time at which a group will have been silent, or an alert delayed, for long enough, or earlier,
// if the engine listens until then. It returns false if the engine waits for neither, or does not listen.
func (e *Engine) NextListened() (at time.Time, waiting bool) {
	e.memory.Lock()
	defer e.memory.Unlock()
	next := e.nextDelay
	if len(e.awaited.groups) > 0 {
		next = min(next, e.awaited.next)
	}
	if !e.listening.running || next == neverDue {
		return at, false
	}
	return e.listening.At.Add(next - e.listening.Clock), true
}
