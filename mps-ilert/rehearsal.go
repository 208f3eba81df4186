package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/rules"
	"github.com/mps-events/mps-events/internal/rules/rulefile"
	"github.com/mps-events/mps-events/internal/store"
)

// rehearsal is the daemon without broker, ilert and clock: messages come when they say,
// and ilert takes at once what it is told.
type rehearsal struct {
	rules    rules.Rules
	store    *store.Store
	now      time.Time
	next     time.Time // when there is something to do; zero is never
	audience audience
}

// audience looks on.
type audience interface {
	// comes shows a message that comes, before it does anything.
	comes(ctx context.Context, play *rehearsal, m decision.Message, d decision.Decision) error
	// done shows what it has done.
	done(ctx context.Context, play *rehearsal, d decision.Decision) error
	// told shows what ilert is told.
	told(at time.Time, n store.Notice)
}

func rehearse(ctx context.Context, r rules.Rules, a audience) (*rehearsal, error) {
	s, err := store.OpenInMemory(ctx)
	if err != nil {
		return nil, err
	}
	return &rehearsal{rules: r, store: s, audience: a}, nil
}

func (r *rehearsal) close() error { return r.store.Close() }

// receive lets a message come, and what is due before it be told.
func (r *rehearsal) receive(ctx context.Context, at time.Time, m decision.Message) (decision.Decision, error) {
	if err := r.until(ctx, at); err != nil {
		return decision.Decision{}, err
	}
	d := r.rules.Decide(m)
	if err := r.audience.comes(ctx, r, m, d); err != nil {
		return d, err
	}
	err := r.store.Apply(ctx, []store.Message{{Filter: "#", Topic: m.Topic, Payload: m.Payload, ReceivedAt: r.now, Decision: d}})
	if err == nil {
		err = errors.Join(r.audience.done(ctx, r, d), r.look(ctx))
	}
	if err != nil {
		return d, err
	}
	return d, r.until(ctx, r.now)
}

// look asks when there is something to do.
func (r *rehearsal) look(ctx context.Context) error {
	next, waiting, err := r.store.NextTry(ctx)
	if !waiting {
		next = time.Time{}
	}
	r.next = next
	return err
}

// until lets time pass, and what falls due be told.
func (r *rehearsal) until(ctx context.Context, end time.Time) error {
	for idle := 0; !r.next.IsZero() && !r.next.After(end); idle++ {
		if r.next.After(r.now) {
			r.now, idle = r.next, 0
		}
		notices, err := r.store.Claim(ctx, r.now, 100, store.Unlimited)
		if err != nil {
			return err
		}
		answers := make([]store.Answer, len(notices))
		for i, n := range notices {
			r.audience.told(r.now, n)
			answers[i] = store.Answer{Notice: n, Result: store.Told, At: r.now}
		}
		if len(notices) > 0 {
			idle = 0
		}
		if err := errors.Join(r.store.Settle(ctx, answers), r.look(ctx)); err != nil {
			return err
		}
		if idle > 1000 { // crowds take several looks
			return errors.New("a timer does not end")
		}
	}
	if end.After(r.now) {
		r.now = end
	}
	return nil
}

// testStart is when every test begins.
var testStart = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// examiner takes down what ilert is told.
type examiner struct{ all []rulefile.Told }

func (*examiner) comes(context.Context, *rehearsal, decision.Message, decision.Decision) error {
	return nil
}

func (*examiner) done(context.Context, *rehearsal, decision.Decision) error { return nil }

func (e *examiner) told(at time.Time, n store.Notice) {
	e.all = append(e.all, rulefile.Told{
		At: at.Sub(testStart), Type: n.Event.EventType, Key: n.Event.AlertKey, Priority: n.Event.Priority, Summary: n.Event.Summary, Details: n.Event.Details,
	})
}

// runTest lets the messages of a test come, and says how what ilert is told differs from
// what it should be.
func runTest(ctx context.Context, r rules.Rules, t rulefile.Test) (failure string, err error) {
	var told examiner
	dead, err := perform(ctx, r, t, &told)
	if err != nil || dead != "" {
		return dead, err
	}
	return difference(t.Want, told.all), nil
}

// perform lets the messages of a test come, and says which is dead, if one is.
func perform(ctx context.Context, r rules.Rules, t rulefile.Test, a audience) (dead string, err error) {
	play, err := rehearse(ctx, r, a)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, play.close()) }()
	play.now = testStart
	for _, m := range t.Messages {
		d, err := play.receive(ctx, testStart.Add(m.At), m.Message)
		if err != nil {
			return "", err
		}
		if d.Dead != "" {
			return fmt.Sprintf("the message at %v is dead: %s", m.At, d.Dead), nil
		}
	}
	return "", play.until(ctx, testStart.Add(t.Until))
}

// difference says how what was told differs from what should be; empty if it does not.
func difference(want, told []rulefile.Told) string {
	for i := range max(len(want), len(told)) {
		switch {
		case i >= len(told):
			return fmt.Sprintf("line %d: ilert should be told %s, and is told no more", want[i].Line, shown(want[i]))
		case i >= len(want):
			return "ilert is told " + shown(told[i]) + ", and should not be"
		case !fulfills(told[i], want[i]):
			return fmt.Sprintf("line %d: ilert should be told %s, and is told %s", want[i].Line, shown(want[i]), shown(told[i]))
		}
	}
	return ""
}

func fulfills(told, want rulefile.Told) bool {
	return told.Type == want.Type && (want.At < 0 || told.At == want.At) &&
		(want.Key == "" || told.Key == want.Key) && (want.Priority == "" || told.Priority == want.Priority) &&
		strings.Contains(told.Summary, want.Summary) && strings.Contains(told.Details, want.Details)
}

func shown(t rulefile.Told) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", t.Type)
	if t.Priority != "" {
		fmt.Fprintf(&b, " %s", t.Priority)
	}
	if t.Key != "" {
		fmt.Fprintf(&b, " %s", t.Key)
	}
	if t.At >= 0 {
		fmt.Fprintf(&b, " after %v", t.At)
	}
	if t.Summary != "" {
		fmt.Fprintf(&b, " %q", t.Summary)
	}
	if t.Details != "" {
		fmt.Fprintf(&b, " (%q)", t.Details)
	}
	return b.String()
}
