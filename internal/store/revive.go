package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

// Revival is a dead letter that somebody has asked to be taken in again.
type Revival struct {
	Letter  Letter
	Message Message // what the letter means now
	// Keep says why the letter stays; empty if it can be taken in again. Revive sets it, too.
	Keep string
}

// ToRetry returns up to most dead letters that somebody has asked to be taken in again.
func (s *Store) ToRetry(ctx context.Context, most int) ([]Letter, error) {
	return s.letters(ctx, `SELECT `+letterColumns+` FROM dead_letter WHERE retry = 1 ORDER BY id LIMIT ?`, most)
}

// Revive decides dead letters anew against the present state, as of a time. Of what ilert
// refused of an alert it sends the alert's newest state, if that still is what the letter said.
// A letter that cannot be taken in again stays, and says why.
func (s *Store) Revive(ctx context.Context, at time.Time, revivals []Revival) error {
	return s.change(ctx, func(c *change) error {
		for i := range revivals {
			if err := c.revive(&revivals[i], at.Truncate(time.Millisecond)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *change) revive(r *Revival, at time.Time) error {
	l, m := &r.Letter, &r.Message
	err := c.row(`SELECT overtaken_by FROM dead_letter WHERE id = ?`, l.ID).Scan(&l.overtakenBy)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // purged meanwhile
	}
	if err != nil {
		return err
	}
	m.Filter = l.Filter // under which it was received
	o := origin{message: m, at: at, arrived: at, revived: true}
	switch {
	case r.Keep != "":
	case l.Kind == OfAlert:
		r.Keep, err = c.reviveAlert(l, &o)
	case l.Kind == Unread && l.Filter == Rules:
		r.Keep = "it is of an earlier version, which did not keep its integration key"
	case l.overtakenBy != "":
		r.Keep = fmt.Sprintf("%s of the same alert key has come since", l.overtakenBy)
	case m.Decision.Dead != "":
		r.Keep = short(m.Decision.Dead)
		err = c.exec(`UPDATE dead_letter SET reason = ?, died_at = ? WHERE id = ?`, r.Keep, millis(at), l.ID)
	default:
		r.Keep, err = c.reviveMessage(m, &o)
	}
	if err != nil {
		return err
	}
	if r.Keep != "" {
		return c.exec(`UPDATE dead_letter SET retry = 0, kept = ? WHERE id = ?`, r.Keep, l.ID)
	}
	c.count.of(l.Filter).Dead--
	c.countFate(&o)
	var bytes int64
	err = c.row(`DELETE FROM dead_letter WHERE id = ? RETURNING bytes`, l.ID).Scan(&bytes)
	c.shrink(deadLetters, bytes)
	return err
}

// reviveMessage does what a message does that had no effect yet.
func (c *change) reviveMessage(m *Message, o *origin) (keep string, err error) {
	c.see(m)
	c.countMatches(m)
	o.at = m.when()
	if err := c.do(o); err != nil {
		return "", err
	}
	if o.stale > 0 && o.stale == len(m.Decision.Effects) {
		return "what has come since says otherwise of its alert", nil
	}
	return "", nil
}

// reviveAlert sends the state of an alert again that ilert refused, if it is still so.
func (c *change) reviveAlert(l *Letter, o *origin) (keep string, err error) {
	a, err := c.load(key{l.IntegrationKey, l.foldedKey})
	if err == nil {
		a, err = c.expire(a, o)
	}
	if err != nil {
		return "", err
	}
	resolves := l.EventType == ilert.Resolve
	switch {
	case resolves && a == nil:
		return "its alert has been resolved since, or is not known any more", nil
	case resolves && a.open():
		return "its alert has been raised again since", nil
	case !resolves && !a.open():
		return "its alert has ended since", nil
	case l.EventType == ilert.Accept && a.told == nothing:
		return "ilert does not know its alert", nil
	case a.pending, a.storm == inStorm, l.EventType == ilert.Alert && a.told != nothing && a.toldAt.After(l.DiedAt), l.EventType == ilert.Accept && a.desired == ilert.Accept:
		o.merged = true
		return "", nil
	case l.EventType == ilert.Accept:
		a.accept(o, c.count)
	case resolves:
		a.endsAt = time.Time{}
		a.want(ilert.Resolve, o)
	default:
		a.want(a.desired, o)
		if r, raises := raisingOf(o.message.Decision, a.key); raises && r.windowed == a.windowed {
			a.say(r)
		}
	}
	c.keep(a)
	return "", nil
}

// raisingOf returns what a decision says of an alert, and false if it does not raise it.
func raisingOf(d decision.Decision, k key) (r raising, raises bool) {
	for _, effect := range d.Effects {
		switch e := effect.(type) {
		case decision.Raise:
			r = raising{Raise: e}
		case decision.Hit:
			r = raising{Raise: e.Raise, windowed: true, group: e.Group}
		default:
			continue
		}
		if keyOf(r.Key) == k {
			return r, true
		}
	}
	return r, false
}
