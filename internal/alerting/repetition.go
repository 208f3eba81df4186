package alerting

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
)

// That ilert has taken a notice does not prove that ilert shows the alert: the answer is the same while the alert source
// is in maintenance or disabled, and a person may have closed the alert since. So an alert that stays true is sent
// again after some time, although nothing has changed. Such a repeat goes behind everything else.

const (
	// lowRepeats is the factor by which the interval of alerts that are not of HIGH priority is longer.
	lowRepeats = 6
	// repeatSpread is the part of the interval over which the repeats of alerts are spread that were sent at one time.
	repeatSpread = 8
)

// repeatInterval returns the interval after which the alert is repeated, and zero or less for never.
func (w *work) repeatInterval(a *Alert) time.Duration {
	switch {
	case a.Repeat != 0:
		return a.Repeat
	case a.Priority == high:
		return w.engine.repeat
	default:
		return lowRepeats * w.engine.repeat
	}
}

// repeatDelay returns the part of the spread of an interval that belongs to the alert. It is the same each time.
func (a *Alert) repeatDelay(interval time.Duration) time.Duration {
	sum := sha256.Sum256([]byte(a.ID.Folded))
	share := float64(binary.BigEndian.Uint32(sum[:])) / math.MaxUint32
	return time.Duration(share * float64(interval) / repeatSpread).Truncate(time.Millisecond)
}

// isRepeated reports whether the alert is one that is to be repeated: ilert has taken it as it is, and nobody looks
// after it. A storm stands for its members.
func (a *Alert) isRepeated() bool {
	return a.Desired == ilert.Alert && a.Told == ilert.Alert && !a.Pending && !a.Claimed && a.Storm != InStorm && a.Shown != ShownAccepted
}

// scheduleRepeat sets the time at which an alert that has changed is repeated, unless it has one. It takes the time
// back if the alert is not to be repeated.
func (w *work) scheduleRepeat(a *Alert) {
	interval := w.repeatInterval(a)
	switch {
	case interval <= 0 || !a.isRepeated():
		a.RepeatAt = time.Time{}
	case a.RepeatAt.IsZero():
		a.RepeatAt, a.Tries = a.ToldAt.Add(interval+a.repeatDelay(interval)), 0
	}
}

// putOffRepeat puts off the repeat of an alert that a person has silenced until the silence is over, and of one that looks
// look after. It reports whether the alert must not be repeated now.
func (w *work) putOffRepeat(a *Alert, now time.Time) bool {
	interval := w.repeatInterval(a)
	if interval <= 0 { // as the rule or the configuration have it now
		a.RepeatAt = time.Time{}
		w.keep(a)
		return true
	}
	if a.Shown != ShownClosed && now.Before(w.engine.lookedUntil[a.ID.Integration]) {
		a.RepeatAt = now.Add(interval).Truncate(time.Millisecond)
		w.keep(a)
		return true
	}
	until := time.Time{}
	for _, s := range w.activeSilences() {
		if s.matches(a.ID.Folded) && s.EndsAt.After(until) {
			until = s.EndsAt
		}
	}
	if !until.After(now) {
		return false
	}
	a.RepeatAt = until.Add(a.repeatDelay(interval))
	w.keep(a)
	return true
}

// claimRepeat claims the repeat of an alert. It returns false, and puts the repeat off, if another alert is open that
// explains this one.
func (w *work) claimRepeat(a *Alert, now time.Time) (n Notice, some bool, err error) {
	if slices.ContainsFunc(a.unless(), func(id AlertID) bool { return w.explains(id, a) }) {
		interval := w.repeatInterval(a)
		a.RepeatAt = now.Add(interval + a.repeatDelay(interval)).Truncate(time.Millisecond)
		w.keep(a)
		return n, false, nil
	}
	due := a.RepeatAt
	if a.Storm == IsStorm {
		n, some = w.claimStorm(a, true, now)
	} else {
		n, err = w.claimAlert(a, true, now)
		some = true
	}
	n.Since, n.TraceParent = due, ""
	if some {
		e := entryOf(Repeated, a)
		e.Due = due
		w.note(&origin{arrived: now}, e)
	}
	return n, some, err
}

// explains reports whether an alert is open at ilert that explains another one, and not the other way round, too.
func (w *work) explains(id AlertID, a *Alert) bool {
	other := w.alert(id)
	return other.open() && other.Told != Nothing && !slices.Contains(other.unless(), a.ID)
}

// settleRepeat settles the repeat of the alert, which may have changed while the request was under way. A repeat that
// ilert has not taken is due again; whether it has arrived makes no difference.
func (a *Alert) settleRepeat(answer *Answer) {
	switch answer.Result {
	case Taken:
		if a.Told == ilert.Alert || a.isUnsure() {
			a.ToldAt = answer.At
			a.noteOpened(false, answer.At)
		}
		a.RepeatAt, a.Tries = time.Time{}, 0
	case Refused:
		a.ToldAt, a.RepeatAt = answer.At, time.Time{} // the next one is due after a whole interval
	default:
		if !a.Pending {
			a.Tries++
			a.RepeatAt = answer.Retry
		}
	}
}

// UseRepeat sets the interval after which an alert of HIGH priority that stays true is sent again; others wait six times
// as long, and those of a rule with an interval of its own for that. Zero turns it off. UseRepeat spreads what has become
// due while no engine was open, so that a start does not send it at once.
func (e *Engine) UseRepeat(ctx context.Context, at time.Time, interval time.Duration) error {
	at = at.Truncate(time.Millisecond)
	var page []*Alert
	for after := (AlertID{}); ; after = page[maxPage-1].ID {
		err := e.update(ctx, func(w *work) (err error) {
			e.repeat = interval // here, since only transactions read it
			if page, err = w.tx.FindAlerts(ctx, after, maxPage); err != nil {
				return err
			}
			for _, a := range w.adopt(page) {
				w.rescheduleRepeat(a, at)
			}
			return nil
		})
		if err != nil || len(page) < maxPage {
			return err
		}
	}
}

// rescheduleRepeat schedules the repeat of an alert by the present interval.
func (w *work) rescheduleRepeat(a *Alert, at time.Time) {
	was := a.RepeatAt
	interval := w.repeatInterval(a)
	if latest := a.ToldAt.Add(interval + interval/repeatSpread); was.After(latest) && a.Shown != ShownClosed { // the interval was longer
		a.RepeatAt = time.Time{}
	}
	if w.scheduleRepeat(a); !a.RepeatAt.IsZero() && a.RepeatAt.Before(at) {
		a.RepeatAt = at.Add(a.repeatDelay(interval))
	}
	if !a.RepeatAt.Equal(was) {
		w.keep(a)
	}
}
