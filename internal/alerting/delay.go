package alerting

import "time"

// A rule with For raises alerts that wait for some time, because a message may end them. That time is listened time: while
// the broker is away, a message that ends the alert cannot come, and the Last Wills that a broker publishes before it
// stops would be alerts. After a long pause, and after a start of the process, an alert waits for the whole time again.
// An alert that no message has raised waits by plain time, and so do all alerts of an engine that neither Listen nor Pause
// was called for.

// heardSince returns the listened time at which the change happened, and false if its alerts wait by plain time.
func (w *work) heardSince(o *origin) (heard time.Duration, listens bool) {
	w.engine.memory.Lock()
	defer w.engine.memory.Unlock()
	l := w.engine.listening // a copy
	if !l.used || o.message == nil {
		return 0, false
	}
	at := o.arrived
	if !o.revived {
		at = o.message.ReceivedAt // with the reading of a monotonic clock
	}
	at = at.Add(o.at.Sub(o.arrived))
	l.advance(at)
	late := max(l.At.Sub(at), 0).Truncate(time.Millisecond)
	return max(l.Clock-late, 0), true
}

// wait makes the alert, which was raised, wait for the time of its rule.
func (a *Alert) wait(r raising, o *origin) {
	a.NextTry = o.at.Add(r.For)
	if r.listens {
		a.Delay, a.Heard = r.For, r.heard
	}
}

// waitLess makes the alert, which ilert does not know, wait no longer than for the time of another rule.
func (a *Alert) waitLess(r raising, o *origin) {
	a.NextTry = earlier(a.NextTry, o.at.Add(r.For))
	switch {
	case a.Delay == 0:
	case r.For == 0 || !r.listens:
		a.Delay, a.Heard = 0, 0
	case r.heard+r.For < a.Heard+a.Delay:
		a.Delay, a.Heard = r.For, r.heard
	}
}

// isDelayed reports whether the alert waits for the end of its Delay.
func (a *Alert) isDelayed() bool { return a.Delay > 0 }

// endDelay lets an alert be sent whose Delay may be over. If a pause has made it longer, the alert waits on.
func (w *work) endDelay(a *Alert, now time.Time) {
	if a == nil || !a.isDelayed() {
		return
	}
	w.engine.memory.Lock()
	l := w.engine.listening
	w.engine.memory.Unlock()
	if !l.used { // NextTry says when to send it
		a.Delay, a.Heard = 0, 0
		w.keep(a)
		return
	}
	a.Heard = max(a.Heard, l.Grace, l.started)
	a.NextTry = l.wallTime(a.Heard + a.Delay)
	if a.Heard+a.Delay <= l.Clock {
		a.NextTry = earlier(a.NextTry, now.Truncate(time.Millisecond))
		a.Delay, a.Heard = 0, 0
	}
	w.keep(a)
}

// wallTime returns the time at which the listened time will be clock, if the engine listens until then.
func (l *listening) wallTime(clock time.Duration) time.Time {
	return l.At.Add(clock - l.Clock).Round(0).Truncate(time.Millisecond)
}

// delayClock returns the listened time up to which delayed alerts are due.
func (w *work) delayClock() time.Duration {
	w.engine.memory.Lock()
	defer w.engine.memory.Unlock()
	switch l := &w.engine.listening; {
	case !l.used:
		return neverDue // nothing is delayed any more
	case !l.running:
		return 0
	default:
		return l.Clock
	}
}

// noteNextDelay remembers when a delayed alert is due next. What the transaction changes after that comes later.
func (w *work) noteNextDelay(due Due) {
	next := due.NextDelay
	if next == 0 {
		next = neverDue
	}
	w.onCommit(func() { w.engine.nextDelay = next })
}

// saveDelays makes the engine remember the delayed alerts that have changed. Their times must not be later than the
// listened time that the store has.
func (w *work) saveDelays() {
	next := neverDue
	for id := range w.touched {
		if a := w.rows.Alerts[id]; a != nil && a.isDelayed() {
			next = min(next, a.Heard+a.Delay)
		}
	}
	if next == neverDue {
		return
	}
	w.saveListening()
	w.onCommit(func() { w.engine.nextDelay = min(w.engine.nextDelay, next) })
}

// isDelayDue reports whether Claim has to look at delayed alerts. The caller has locked the memory.
func (e *Engine) isDelayDue() bool {
	return e.nextDelay != neverDue && (!e.listening.used || e.listening.running && e.listening.Clock >= e.nextDelay)
}
