package alerting

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mps-events/mps-events/internal/decision"
)

// Silence is the wish of a person that the alerts with some keys are not sent for a time.
type Silence struct {
	ID        int64
	Pattern   string // an alert key in which * stands for any characters
	Comment   string
	Creator   string
	CreatedAt time.Time
	EndsAt    time.Time
}

// Closing is the wish of a person that an alert ends.
type Closing struct {
	ID      int64
	Alert   AlertID
	Creator string
}

const (
	// MaxSilences is the number of silences that may be active, and the number of silences that a store keeps.
	MaxSilences = 1000
	// silenceMemory is the time for which a silence is kept after its end, so that people can look at it.
	silenceMemory = 24 * time.Hour
)

// Matches reports whether an alert key matches the pattern. Case, and blanks around the key, do not matter.
func (s *Silence) Matches(key string) bool { return s.matches(decision.Key{Alert: key}.Folded().Alert) }

// matches reports whether a folded alert key matches the pattern. Each * but the last takes as few characters as
// possible, so that a pattern takes little time, whatever it is.
func (s *Silence) matches(folded string) bool {
	part, rest, star := strings.Cut(strings.ToLower(strings.TrimSpace(s.Pattern)), "*")
	if !star {
		return folded == part
	}
	left, begins := strings.CutPrefix(folded, part)
	if !begins {
		return false
	}
	for {
		if part, rest, star = strings.Cut(rest, "*"); !star {
			return strings.HasSuffix(left, part)
		}
		_, behind, found := strings.Cut(left, part)
		if !found {
			return false
		}
		left = behind
	}
}

// AddSilence asks the engine that works on the store to send no alert that matches the pattern until the silence ends.
// It returns the ID of the silence.
func (e *Engine) AddSilence(ctx context.Context, s Silence) (id int64, err error) {
	err = e.update(ctx, func(w *work) error {
		if err := w.load(Keys{Orders: true}); err != nil {
			return err
		}
		added, active := s, 0
		for _, other := range w.rows.Silences {
			if other.EndsAt.After(s.CreatedAt) {
				active++
			} else if len(w.rows.Silences)-len(w.changes.NoSilences) >= MaxSilences {
				w.changes.NoSilences = append(w.changes.NoSilences, other.ID)
			}
		}
		if active >= MaxSilences {
			return fmt.Errorf("%d silences are active, which is the limit: remove some, or add one with a pattern for many keys", active)
		}
		w.changes.Silences = append(w.changes.Silences, &added)
		w.onCommit(func() { id = added.ID })
		return nil
	})
	return id, err
}

// RemoveSilences ends silences at a time. It returns those of the IDs by which no silence is active.
func (e *Engine) RemoveSilences(ctx context.Context, at time.Time, ids []int64) (unknown []int64, err error) {
	err = e.update(ctx, func(w *work) error {
		if err := w.load(Keys{Orders: true}); err != nil {
			return err
		}
		unknown = nil
		for _, id := range ids {
			i := slices.IndexFunc(w.rows.Silences, func(s Silence) bool { return s.ID == id && s.EndsAt.After(at) })
			if i < 0 {
				unknown = append(unknown, id)
				continue
			}
			w.rows.Silences[i].EndsAt = at
			w.changes.Silences = append(w.changes.Silences, &w.rows.Silences[i])
		}
		return nil
	})
	return unknown, err
}

// Silences returns the silences that the store has, in the order of their IDs: the active ones, and those that ended
// within the last day.
func (e *Engine) Silences(ctx context.Context) (all []Silence, err error) {
	err = e.view(ctx, func(w *work) error {
		err := w.load(Keys{Orders: true})
		all = w.rows.Silences
		return err
	})
	return all, err
}

// ActiveSilences returns the silences that the engine follows now.
func (e *Engine) ActiveSilences() []Silence {
	e.memory.Lock()
	defer e.memory.Unlock()
	return slices.Clone(e.holds.silences)
}

// AlertsWithKey returns the alerts that have an alert key, of all integration keys, as of a time.
func (e *Engine) AlertsWithKey(ctx context.Context, now time.Time, key string) ([]AlertState, error) {
	alerts, err := e.store.AlertsWithKey(ctx, idOf(decision.Key{Alert: key}).Folded)
	if err != nil {
		return nil, err
	}
	return e.describe(ctx, now, alerts)
}

// AskToClose asks the engine that works on the store to end an alert.
func (e *Engine) AskToClose(ctx context.Context, key decision.Key, creator string) error {
	return e.update(ctx, func(w *work) error {
		w.changes.Closings = append(w.changes.Closings, Closing{Alert: idOf(key), Creator: creator})
		return nil
	})
}

// Followed is the result of FollowOrders.
type Followed struct {
	Closed   []Closing // whose alerts have ended
	Silences bool      // other silences are active than before
}

// FollowOrders does what people have asked for since its last call, as of a time: it learns of silences, and closes
// alerts.
func (e *Engine) FollowOrders(ctx context.Context, now time.Time) (done Followed, err error) {
	now = now.Round(0)
	some := false
	err = e.view(ctx, func(w *work) error {
		if err := w.load(Keys{Orders: true}); err != nil {
			return err
		}
		active, old := sortSilences(w.rows.Silences, now)
		some = len(w.rows.Closings)+len(old) > 0 || !sameSilences(active, e.ActiveSilences())
		return nil
	})
	if err != nil || !some {
		return Followed{}, err
	}
	err = e.update(ctx, func(w *work) error {
		done = Followed{}
		if err := w.load(Keys{Orders: true}); err != nil {
			return err
		}
		var k Keys
		for _, c := range w.rows.Closings {
			k.Alerts = append(k.Alerts, c.Alert)
		}
		if err := w.loadAll(k); err != nil {
			return err
		}
		active, old := sortSilences(w.rows.Silences, now)
		w.setSilences(active)
		done.Silences, w.changes.NoSilences = w.silences != nil, old
		for _, c := range w.rows.Closings {
			w.changes.NoClosings = append(w.changes.NoClosings, c.ID)
			if w.close(c.Alert, now) {
				done.Closed = append(done.Closed, c)
			}
		}
		return nil
	})
	return done, err
}

// sortSilences returns the silences that are active at a time, and the IDs of those that ended long before.
func sortSilences(all []Silence, now time.Time) (active []Silence, old []int64) {
	active = []Silence{}
	for _, s := range all {
		switch {
		case s.EndsAt.After(now):
			active = append(active, s)
		case s.EndsAt.Add(silenceMemory).Before(now):
			old = append(old, s.ID)
		}
	}
	return active, old
}

func sameSilences(a, b []Silence) bool {
	return slices.EqualFunc(a, b, func(a, b Silence) bool { return a.ID == b.ID && a.EndsAt.Equal(b.EndsAt) })
}

// close ends an alert by hand, and reports whether it was open. A storm ends only with its members.
func (w *work) close(id AlertID, now time.Time) bool {
	w.endWithRule(id, now)
	a := w.alert(id)
	if !a.open() || a.Storm == IsStorm {
		return false
	}
	at := now.Truncate(time.Millisecond)
	w.end(a, &origin{at: at, arrived: at, by: ByPerson})
	return true
}
