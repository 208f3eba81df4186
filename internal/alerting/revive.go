package alerting

import (
	"context"
	"fmt"
	"time"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

// Revival is a dead letter that a person has asked to take in again.
type Revival struct {
	Letter  Letter
	Message Message // of the letter, with what the rules decide now
	// Keep is the reason why the letter stays; empty if it can be taken in again. The caller may set it before
	// Revive, and Revive sets it.
	Keep string
}

// Revive takes dead letters in again, as of a time. For a letter about an alert it sends the newest state of the
// alert, if that is still the state that ilert refused. A letter that it cannot take in stays, with the reason.
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
		if err := w.loadAll(k); err != nil {
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
	keep, first := r.Keep, len(w.entries)
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
	w.onCommit(func() { r.Keep = keep })
	if keep != "" {
		l.Retry, l.Kept = false, keep
		w.changes.Letters = append(w.changes.Letters, l)
		return nil
	}
	w.counts.of(l.Filter).Dead--
	w.countFate(&o)
	w.noteMessage(m, o.fate(), first, at)
	w.dropLetter(l.ID, l.Bytes())
	return nil
}

// reviveMessage applies the effects of a message that had none yet, and returns the reason why its letter stays, or "".
func (w *work) reviveMessage(m *Message, o *origin) (keep string, err error) {
	w.countMatches(m)
	o.at = m.when()
	if err := w.applyEffects(m.Decision.Effects, o); err != nil {
		return "", err
	}
	if o.staleEffects > 0 && o.staleEffects == len(m.Decision.Effects) && !o.waits && !o.merged {
		return "what has come since says otherwise of its alert", nil
	}
	return "", nil
}

// reviveAlert makes the state of an alert that ilert refused wait again, if the alert is still in it. It returns the
// reason why the letter stays, or "".
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
	w.noteAlert(Reminded, a, o)
	w.keep(a)
	return ""
}

// raisingOf returns the effect of a decision that raises an alert, and false if there is none.
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
