package alerting

import (
	"context"
	"slices"
	"time"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

// State is the state of an alert in words for people.
type State string

// The states.
const (
	StateOpen     State = "open"      // ilert took it
	StateAccepted State = "accepted"  // ilert took it, and that a person looks after it
	StateEnding   State = "ending"    // its end waits to be sent
	StateWaiting  State = "waits"     // it waits to be sent, for the first time or again
	StateDelayed  State = "delayed"   // it waits until its condition has held for long enough
	StateHeld     State = "held"      // it waits until another alert ends, see AlertState.HeldBy
	StateSilenced State = "silenced"  // it waits until a silence ends, see AlertState.Silence
	StateUnderWay State = "under way" // a request is under way
	StateRefused  State = "refused"   // ilert called it invalid: see the dead letters
)

// AlertState is an alert that is open or waits.
type AlertState struct {
	Key   decision.Key
	Rule  string // empty if no rule has raised it
	Storm bool   // it is the storm of the rule
	// Members is the number of members of its window, or of the storm.
	Members  int
	Priority string
	State    State
	ToldAt   time.Time // when ilert took it last; zero if it has not yet
	// Of an alert that waits: since when, the number of requests, and the time of the next. Until is zero if the time for
	// which a delayed alert waits rests, because no message can come.
	Since time.Time
	Tries int
	Until time.Time
	// EndHeldUntil is the time at which the alert ends, unless it is raised again before; zero if no end is held.
	EndHeldUntil time.Time
	// Ending is true if the alert should not be open any more.
	Ending bool
	// HeldBy is the key of the alert that holds it, in lower case; empty if none does.
	HeldBy string
	// Silence is the silence that holds it; nil if none does. It ends at Until.
	Silence *Silence
}

// Alerts returns up to limit alerts that are open or wait, of one rule or of all (""), as of a time, in
// the order of their identities. It reads beside Update and does not hold it up.
func (e *Engine) Alerts(ctx context.Context, now time.Time, rule string, limit int) ([]AlertState, error) {
	alerts, err := e.store.Alerts(ctx, rule, limit)
	if err != nil {
		return nil, err
	}
	return e.describe(ctx, now, alerts)
}

// describe describes alerts as of a time.
func (e *Engine) describe(ctx context.Context, now time.Time, alerts []AlertWithMembers) (all []AlertState, err error) {
	silences, err := e.Silences(ctx)
	for i := range alerts {
		a := alerts[i].describe(now)
		if at := slices.IndexFunc(silences, func(s Silence) bool { return s.ID == alerts[i].Silence }); at >= 0 {
			a.Silence, a.Until = &silences[at], silences[at].EndsAt
		}
		all = append(all, a)
	}
	return all, err
}

func (a *AlertWithMembers) describe(now time.Time) AlertState {
	s := AlertState{
		Key: decision.Key{Integration: a.ID.Integration, Alert: a.AlertKey}, Rule: a.Rule, Members: a.Members,
		Priority: a.Priority, State: a.state(now), ToldAt: a.ToldAt, Tries: a.Tries, EndHeldUntil: a.EndHeldUntil,
		HeldBy: a.HeldBy, Ending: !a.open(),
	}
	if a.Storm == IsStorm { // no rule raises it, so its group is the rule that it speaks for
		s.Storm, s.Rule = true, a.Group
	}
	if a.Pending {
		s.Since, s.Until = a.Cause.ReceivedAt, a.NextTry
	}
	if a.isDelayed() && a.NextTry.Before(now) {
		s.Until = time.Time{}
	}
	return s
}

func (a *Alert) state(now time.Time) State {
	unknown := a.Told == Nothing || a.isUnsure()
	switch {
	case a.Claimed:
		return StateUnderWay
	case !a.Pending && (a.Desired == ilert.Resolve || unknown):
		return StateRefused
	case a.Silence != 0:
		return StateSilenced
	case a.HeldBy != "":
		return StateHeld
	case a.Desired == ilert.Resolve:
		return StateEnding
	case a.IsEndHeldUnsent(), a.isDelayed(), a.Told == Nothing && a.Tries == 0 && a.NextTry.After(now):
		return StateDelayed
	case unknown:
		return StateWaiting
	case a.Desired == ilert.Accept:
		return StateAccepted
	default:
		return StateOpen
	}
}

// Status counts what the store holds, as of a time. It reads beside Update and does not hold it up.
func (e *Engine) Status(ctx context.Context, now time.Time) (Status, error) {
	return e.store.Status(ctx, now)
}

// Alert returns the row of an alert, or nil if there is none.
func (e *Engine) Alert(ctx context.Context, k decision.Key) (a *Alert, err error) {
	id := idOf(k)
	err = e.view(ctx, func(w *work) error {
		err := w.load(Keys{Alerts: []AlertID{id}})
		a = w.rows.Alerts[id]
		return err
	})
	return a, err
}

// AnyRaised reports whether an alert should be open that has the integration key of a key, and a key that begins so.
func (e *Engine) AnyRaised(ctx context.Context, begins decision.Key) (raised bool, err error) {
	err = e.view(ctx, func(w *work) error {
		prefix := prefixOf(begins)
		err := w.load(Keys{Prefixes: []PrefixQuery{{Prefix: prefix, Limit: maxPage}}})
		raised = slices.ContainsFunc(w.rows.Prefixes[prefix].Alerts, func(id AlertID) bool { return w.isRaised(id) })
		return err
	})
	return raised, err
}

// IsRaised reports whether the alert should be open, whether ilert knows it or not. It may be nil.
func (a *Alert) IsRaised() bool { return a.open() }

// IsWaiting reports whether the alert waits and ilert does not know it. It may be nil.
func (a *Alert) IsWaiting() bool { return a != nil && a.Pending && a.Told == Nothing }

// isRaised reports whether an alert that was loaded should be open.
func (w *work) isRaised(id AlertID) bool {
	a := w.rows.Alerts[id]
	return a != nil && a.Desired != ilert.Resolve
}

// Counted holds the counts of the window of a group.
type Counted struct {
	Window  decision.Window // as the rule had it at the last hit
	Reached                 // of its condition
	Or      Reached         // of its other condition
	Health  Health          // of the group whose alert should be open
	Row     int             // hits since the last Break
	Raised  bool            // its alert should be open
	// EndHeldUntil is the time at which a held end ends the alert; zero if no end is held.
	EndHeldUntil time.Time
}

// Counted returns the counts of the window of a group at the last message, and false if there is no such window.
func (e *Engine) Counted(ctx context.Context, rule, group string) (n Counted, exists bool, err error) {
	err = e.view(ctx, func(w *work) error {
		id := GroupID{rule, group}
		if err := w.load(Keys{Groups: []GroupID{id}}); err != nil || w.rows.Groups[id] == nil {
			return err
		}
		g := w.rows.Groups[id]
		k := Keys{Alerts: []AlertID{g.Alert}}
		if g.Window.Fleet {
			k.Fleet = fleetQuery(g.Latest)
		}
		if err := w.load(k); err != nil {
			return err
		}
		exists = true
		n = Counted{Window: g.Window, Raised: w.isRaised(g.Alert)}
		if n.Raised {
			n.EndHeldUntil = w.rows.Alerts[g.Alert].EndHeldUntil
		}
		if n.Raised && g.Window.Healthy > 0 {
			n.Health = g.health()
		}
		n.Reached, n.Or = g.reached(n.Raised, func() int { return w.rows.Fleet.Size })
		hits, _ := g.sums(g.Window.Longest(), g.Latest)
		n.Row = min(g.Row, hits)
		return nil
	})
	return n, exists, err
}
