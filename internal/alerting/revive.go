package alerting

import (
	"context"
	"fmt"
	"time"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

// Revival is a dead letter that somebody has asked to take in again.
type Revival struct {
	Letter  Letter
	Message Message // what the letter means now
	// Keep is the reason why the letter stays; empty if it can be taken in again. Revive sets it, too.
	Keep string
}

// Revive decides dead letters anew against the present state, as of a time. Of what ilert
// refused of an alert it sends the alert's newest state, if that still is what the letter said.
// A letter that cannot be taken in again stays, and says why.
func (e *Engine) Revive(ctx context.Context, at time.Time, revivals []Revival) error {
	at = at.Truncate(time.Millisecond)
	return e.update(ctx, func(w *work) error {
		var messages []Message
		k := Keys{Volumes: true}
		for i := range revivals {
			r := &revivals[i]
			messages = append(messages, r.Message)
			k.Letters = append(k.Letters, r.Letter.ID)
			if r.Letter.Kind == OfAlert {
				k.Alerts = append(k.Alerts, r.Letter.Alert)
			}
			w.noteDevice(&r.Message)
		}
		if err := w.load(k); err != nil {
			return err
		}
		if err := w.plan(messages); err != nil {
			return err
		}
		for i := range revivals {
			if err := w.revive(&revivals[i], at); err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *work) revive(r *Revival, at time.Time) (err error) {
	l := w.rows.Letters[r.Letter.ID]
	if l == nil {
		return nil // purged meanwhile
	}
	m := &r.Message
	m.Filter = l.Filter // under which it was received
	o := origin{message: m, at: at, arrived: at, revived: true}
	keep := r.Keep
	switch {
	case keep != "":
	case l.Kind == OfAlert:
		keep = w.reviveAlert(l, &o)
	case l.Kind == Unread && l.Filter == FilterRules:
		keep = "it is of an earlier version, which did not keep its integration key"
	case l.OvertakenBy != "":
		keep = fmt.Sprintf("%s of the same alert key has come since", l.OvertakenBy)
	case m.Decision.Dead != "":
		keep = shorten(m.Decision.Dead)
		l.Reason, l.DiedAt = keep, at
	default:
		keep, err = w.reviveMessage(m, &o)
	}
	if err != nil {
		return err
	}
	r.Keep = keep
	if keep != "" {
		l.Retry, l.Kept = false, keep
		w.changes.Letters = append(w.changes.Letters, l)
		return nil
	}
	w.counts.of(l.Filter).Dead--
	w.countFate(&o)
	w.dropLetter(l.ID, l.Bytes())
	return nil
}

// reviveMessage does what a message does that had no effect yet.
func (w *work) reviveMessage(m *Message, o *origin) (keep string, err error) {
	w.countMatches(m)
	o.at = m.when()
	if err := w.applyEffects(m.Decision.Effects, o); err != nil {
		return "", err
	}
	if o.stale > 0 && o.stale == len(m.Decision.Effects) && !o.waits && !o.merged {
		return "what has come since says otherwise of its alert", nil
	}
	return "", nil
}

// reviveAlert sends the state of an alert again that ilert refused, if it is still so.
func (w *work) reviveAlert(l *Letter, o *origin) (keep string) {
	a := w.endOverdue(l.Alert, o)
	resolves := l.EventType == ilert.Resolve
	switch {
	case resolves && a == nil:
		return "its alert has been resolved since, or is not known any more"
	case resolves && a.open():
		return "its alert has been raised again since"
	case !resolves && !a.open():
		return "its alert has ended since"
	case l.EventType == ilert.Accept && a.Told == Nothing:
		return "ilert does not know its alert"
	case a.Pending, a.Storm == InStorm, l.EventType == ilert.Alert && a.Told != Nothing && a.ToldAt.After(l.DiedAt), l.EventType == ilert.Accept && a.Desired == ilert.Accept:
		o.merged = true
		return ""
	case l.EventType == ilert.Accept:
		a.accept(o, w.counts)
	case resolves:
		a.EndsAt = time.Time{}
		a.setDesired(ilert.Resolve, o)
	default:
		a.setDesired(a.Desired, o)
		if r, raises := raisingOf(o.message.Decision, a.ID); raises && r.windowed == a.Windowed {
			a.setText(r)
		}
	}
	w.keep(a)
	return ""
}

// raisingOf returns what a decision says of an alert, and false if it does not raise it.
func raisingOf(d decision.Decision, id AlertID) (r raising, raises bool) {
	for _, effect := range d.Effects {
		switch e := effect.(type) {
		case decision.Raise:
			r = raising{Raise: e}
		case decision.Hit:
			r = raising{Raise: e.Raise, windowed: true, group: e.Group}
		default:
			continue
		}
		if idOf(r.Key) == id {
			return r, true
		}
	}
	return r, false
}
