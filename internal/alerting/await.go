package alerting

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

// Await sets the rules that wait for groups, with their integration keys, and the groups that they wait for from the
// start, as of a time. It forgets the groups of other rules, and those that a rule does not name any more, and ends their
// alerts.
func (e *Engine) Await(ctx context.Context, at time.Time, rules map[string]ilert.IntegrationKey, expected []decision.Heard) error {
	o := &origin{at: at.Truncate(time.Millisecond), arrived: at.Truncate(time.Millisecond), by: ByRule}
	named := make(map[GroupID]struct{}, len(expected))
	for i := range expected {
		named[GroupID{expected[i].Absence.Rule, expected[i].Group}] = struct{}{}
	}
	for more := true; more; {
		err := e.update(ctx, func(w *work) (err error) {
			if more, err = w.forgetAwaited(rules, named, o); err != nil || more {
				return err
			}
			for i := range expected {
				w.expect(&expected[i])
			}
			w.moveAwaited(rules)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// forgetAwaited forgets a page of the groups that no rule waits for any more, and reports whether there may be more.
func (w *work) forgetAwaited(rules map[string]ilert.IntegrationKey, named map[GroupID]struct{}, o *origin) (more bool, err error) {
	gone := w.findAwaited(func(a *Awaited) bool {
		_, there := rules[a.ID.Rule]
		_, expected := named[a.ID]
		return !there || a.Expected && !expected
	})
	gone = gone[:min(len(gone), maxPage)]
	var k Keys
	for _, a := range gone {
		w.planAwaited(&k, a.ID, nil)
	}
	if err := w.loadAll(k); err != nil {
		return false, err
	}
	for _, a := range gone {
		if a.State == Silent {
			w.endSilence(a.ID.Rule, a.alertID(), o)
		}
		w.awaited[a.ID] = nil
		w.noteForgotten(a, "no rule waits for it any more", o)
	}
	return len(gone) == maxPage, nil
}

// findAwaited returns the rows of awaited groups for which is returns true, in the order of their identities.
func (w *work) findAwaited(is func(*Awaited) bool) (all []*Awaited) {
	w.engine.memory.Lock()
	defer w.engine.memory.Unlock()
	for _, a := range w.engine.awaited.groups {
		if is(a) {
			all = append(all, a)
		}
	}
	slices.SortFunc(all, func(a, b *Awaited) int {
		return cmp.Or(strings.Compare(a.ID.Rule, b.ID.Rule), strings.Compare(a.ID.Group, b.ID.Group))
	})
	return all
}

// expect waits for a group from now on, if the engine does not wait for it yet. The condition and the texts of a group
// that is silent stay, as those of its alert do.
func (w *work) expect(h *decision.Heard) {
	id := GroupID{h.Absence.Rule, h.Group}
	before := w.awaitedRow(id)
	now := Awaited{ID: id, Heard: w.listenedClock()}
	if before != nil {
		now = *before
	}
	now.Expected = true
	if now.State != Silent {
		now.set(h, w.awaitedBytesLeft())
	}
	if before == nil || !before.Expected || !before.sameRule(&now) || before.Body != now.Body {
		w.keepAwaited(&now)
	}
}

func (w *work) listenedClock() time.Duration {
	w.engine.memory.Lock()
	defer w.engine.memory.Unlock()
	return w.engine.listening.Clock
}

// moveAwaited gives the groups of a rule its present integration key. A group whose alert was raised by another key is
// awaited again, because that alert ends.
func (w *work) moveAwaited(rules map[string]ilert.IntegrationKey) {
	for _, a := range w.findAwaited(func(a *Awaited) bool { return a.Integration != rules[a.ID.Rule] }) {
		if row := w.awaitedRow(a.ID); row != nil && row.Integration != rules[a.ID.Rule] {
			moved := *row
			moved.Integration = rules[a.ID.Rule]
			if moved.State == Silent {
				moved.State = Awaiting
			}
			w.keepAwaited(&moved)
		}
	}
}

// AwaitedGroups returns the number of groups that rules wait for, and the number of messages since the engine was opened
// whose groups it does not wait for, because that would exceed the bounds.
func (e *Engine) AwaitedGroups() (groups int, beyond int64) {
	e.memory.Lock()
	defer e.memory.Unlock()
	return len(e.awaited.groups), e.awaited.beyond
}

// AwaitedUntil returns the time until which a rule waits for a group, if the engine listens until then. It returns false
// if the rule does not wait for the group.
func (e *Engine) AwaitedUntil(rule, group string) (until time.Time, waits bool) {
	e.memory.Lock()
	defer e.memory.Unlock()
	a := e.awaited.groups[GroupID{rule, group}]
	if a == nil || a.State != Awaiting {
		return until, false
	}
	l := e.listening
	return l.At.Add(a.due(l.Grace) - l.Clock), true
}
