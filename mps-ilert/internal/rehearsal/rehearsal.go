// Package rehearsal plays messages by rules as the daemon would, without broker, ilert and clock:
// the messages bring the time, and ilert takes every event at once. It runs the tests in files of
// rules, and it explains what captured messages would do. It keeps its state in memory and sends
// nothing.
package rehearsal

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/mqtttopic"
	"github.com/mps-events/mps-events/internal/rules"
	"github.com/mps-events/mps-events/internal/sources"
	"github.com/mps-events/mps-events/internal/store/memory"
)

// Setup holds the rules of a rehearsal, and how the daemon would read messages.
type Setup struct {
	Rules rules.Rules
	// Topics are the topic filters by which messages come. A message without a source is of the server of its filter.
	Topics  []string
	MaxSkew time.Duration // see consumer.Config; 0: its default
}

// settling is the time that the daemon needs to know that the broker keeps no more messages for it, after each connection.
const settling = 2 * time.Second

// rehearsal is a store with rules and a clock that the messages set.
type rehearsal struct {
	Setup
	clocks   *sources.Clocks
	store    *alerting.Engine
	now      time.Time
	next     time.Time // the time at which something is due next; zero: never
	listens  time.Time // the time at which the store listens again; zero: it does, or there is no connection
	began    bool
	audience audience
}

// audience observes a rehearsal.
type audience interface {
	// begins receives a message before its effects.
	begins(ctx context.Context, play *rehearsal, m decision.Message, d decision.Decision) error
	// ends receives the decision about a message after its effects.
	ends(ctx context.Context, play *rehearsal, d decision.Decision) error
	// sends receives each event that ilert would be sent.
	sends(at time.Time, n alerting.Notice)
}

// rehearse begins a rehearsal.
func rehearse(ctx context.Context, by Setup, a audience) (*rehearsal, error) {
	s, err := alerting.Open(ctx, memory.New(), alerting.Bounds{})
	if err != nil {
		return nil, err
	}
	const day = 24 * time.Hour
	by.MaxSkew = cmp.Or(by.MaxSkew, time.Minute)
	return &rehearsal{Setup: by, clocks: sources.NewClocks(by.MaxSkew, day, slog.New(slog.DiscardHandler)), store: s, audience: a}, nil
}

// begin sets the clock of a rehearsal that has not begun. From then on the rules wait for messages.
func (r *rehearsal) begin(ctx context.Context, at time.Time) error {
	if r.began {
		return nil
	}
	expected, err := r.Rules.Expected()
	if err != nil {
		return err
	}
	r.now, r.began = at, true
	r.store.Listen(at)
	return errors.Join(r.store.Await(ctx, at, r.Rules.Awaiting(), expected), r.look(ctx))
}

// close frees the store.
func (r *rehearsal) close() error { return r.store.Close() }

// receive sends what is due before a message and then applies the message.
func (r *rehearsal) receive(ctx context.Context, at time.Time, m decision.Message) (decision.Decision, error) {
	if err := errors.Join(r.begin(ctx, at), r.until(ctx, at)); err != nil {
		return decision.Decision{}, err
	}
	m.ReceivedAt = r.now
	d := r.Rules.Decide(m)
	if err := r.audience.begins(ctx, r, m, d); err != nil {
		return d, err
	}
	err := r.store.Apply(ctx, []alerting.Message{r.clocks.Message(m, r.filterOf(m.Topic), d, false)})
	if err == nil {
		err = errors.Join(r.audience.ends(ctx, r, d), r.look(ctx))
	}
	if err != nil {
		return d, err
	}
	return d, r.until(ctx, r.now)
}

// filterOf returns the topic filter by which a message comes, or its topic if none matches.
func (r *rehearsal) filterOf(topic string) string {
	if i := slices.IndexFunc(r.Topics, func(filter string) bool { return mqtttopic.Matches(filter, topic) }); i >= 0 {
		return r.Topics[i]
	}
	return topic
}

// disconnect loses the connection to the broker.
func (r *rehearsal) disconnect(ctx context.Context, at time.Time) error {
	if err := errors.Join(r.begin(ctx, at), r.until(ctx, at)); err != nil {
		return err
	}
	r.listens = time.Time{}
	r.store.Pause()
	return r.look(ctx)
}

// connect restores the connection to the broker. The messages that the broker has kept come next.
func (r *rehearsal) connect(ctx context.Context, at time.Time) error {
	if err := errors.Join(r.begin(ctx, at), r.until(ctx, at)); err != nil {
		return err
	}
	r.clocks.ForgetLags()
	r.store.Pause() // if it had not been lost
	r.listens = r.now.Add(settling)
	return r.look(ctx)
}

// look asks the store for the time at which something is due next.
func (r *rehearsal) look(ctx context.Context) error {
	next, waiting, err := r.store.NextDue(ctx)
	if !waiting {
		next = time.Time{}
	}
	if silence, waits := r.store.NextListened(); waits && (next.IsZero() || silence.Before(next)) {
		next = silence
	}
	if !r.listens.IsZero() && (next.IsZero() || r.listens.Before(next)) {
		next = r.listens
	}
	r.next = next
	return err
}

// until lets time pass up to end, and sends what falls due.
func (r *rehearsal) until(ctx context.Context, end time.Time) error {
	for idle := 0; !r.next.IsZero() && !r.next.After(end); idle++ {
		if r.next.After(r.now) {
			r.now, idle = r.next, 0
		}
		if !r.listens.IsZero() && !r.listens.After(r.now) {
			r.store.Listen(r.listens)
			r.listens = time.Time{}
		}
		if _, err := r.store.Listened(ctx, r.now); err != nil {
			return err
		}
		notices, err := r.store.Claim(ctx, r.now, 100, alerting.Unlimited)
		if err != nil {
			return err
		}
		answers := make([]alerting.Answer, len(notices))
		for i, n := range notices {
			r.audience.sends(r.now, n)
			answers[i] = alerting.Answer{Notice: n, Result: alerting.Taken, At: r.now}
		}
		if len(notices) > 0 {
			idle = 0
		}
		if err := errors.Join(r.store.Settle(ctx, answers), r.look(ctx)); err != nil {
			return err
		}
		if idle > 1000 { // many alerts take several claims
			return errors.New("a timer does not end")
		}
	}
	if end.After(r.now) {
		r.now = end
	}
	_, err := r.store.Listened(ctx, r.now)
	return err
}
