package consumer

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/ilert"
)

// workers is the number of concurrent requests to ilert: enough for 2,800 a second of 20 ms each,
// with room for the time that the store takes.
const workers = 128

// deliver sends the due notices to ilert until ctx ends. It alone claims notices and settles
// answers; the requests run beside it, one at a time for each alert, because the store hands out
// no alert twice.
func (c *Consumer) deliver(ctx context.Context) {
	answers := make(chan alerting.Answer, workers)
	var requests sync.WaitGroup
	free := workers
	for ctx.Err() == nil {
		notices, next := c.due(ctx, free)
		free -= len(notices)
		for _, n := range notices {
			requests.Go(func() { answers <- c.sendNotice(ctx, n) })
		}
		select {
		case answer := <-answers:
			free += c.settle(ctx, collect(answer, answers))
		case <-c.wake:
		case <-next:
		case <-ctx.Done():
		}
	}
	requests.Wait()
	close(answers)
	if first, ok := <-answers; ok {
		c.settle(ctx, collect(first, answers))
	}
}

// due claims at most limit notices, and returns a channel that fires when the next is due.
func (c *Consumer) due(ctx context.Context, limit int) (notices []alerting.Notice, again <-chan time.Time) {
	if limit == 0 {
		return nil, nil // wait for an answer
	}
	now := time.Now()
	notices, err := c.alerts.Claim(ctx, now, limit, func(key ilert.IntegrationKey) alerting.Budget {
		return c.pace.explain(key, c.pace.budget(key, now), now)
	})
	for _, n := range notices {
		c.pace.take(n.IntegrationKey, now)
	}
	var next time.Time
	var waiting bool
	if err == nil && len(notices) < limit {
		next, waiting, err = c.alerts.NextDue(ctx)
	}
	switch {
	case err != nil:
		if ctx.Err() == nil {
			c.reportFault(claiming, err)
		}
		return notices, time.After(time.Second) // the claimed notices have to be sent
	case waiting:
		again = time.After(time.Until(next))
	case limit == workers && len(notices) == 0:
		c.forgetAllFailures()
	}
	c.reportFault(claiming, nil)
	return notices, again
}

// collect returns first and the answers that have come since.
func collect(first alerting.Answer, answers <-chan alerting.Answer) []alerting.Answer {
	all := []alerting.Answer{first}
	for {
		select {
		case answer, ok := <-answers:
			if !ok {
				return all
			}
			all = append(all, answer)
		default:
			return all
		}
	}
}

// settle stores answers and returns their number. While the store fails the alerts stay claimed;
// if ctx ends before it stores them, the next process finds them unanswered.
func (c *Consumer) settle(ctx context.Context, answers []alerting.Answer) int {
	for tries := 0; ; tries++ {
		err := c.alerts.Settle(context.WithoutCancel(ctx), answers)
		c.reportFault(settling, err)
		if err == nil || ctx.Err() != nil {
			return len(answers)
		}
		select {
		case <-time.After(min(backoff(tries), maxStoreBackoff)):
		case <-ctx.Done():
		}
	}
}

// sendNotice sends one notice and returns the answer. When ctx ends it still waits a moment for the
// answer, because an unknown one costs a repeated event.
func (c *Consumer) sendNotice(ctx context.Context, n alerting.Notice) (answer alerting.Answer) {
	grace, cancel := withGrace(ctx, 3*time.Second)
	defer cancel()
	e := n.Event
	began := time.Now()
	err := c.sendEvent(grace, n, e)
	answer = alerting.Answer{Notice: n, At: time.Now()}
	defer func() { c.decisions.told(&answer, err, answer.At.Sub(began)) }()
	if n.Unproven {
		c.pace.distrust(n.IntegrationKey, answer.At)
	}
	c.pace.answered(n.IntegrationKey, err, answer.At)
	answer.Hold = c.pace.askedHold(n.IntegrationKey, answer.At)
	answer.Retry = answer.At.Add(backoff(n.Tries))
	var failed *ilert.Error
	switch {
	case err == nil:
		answer.Result = alerting.Taken
		if !c.config.DryRun {
			c.config.Logger.Info("ilert has taken", slog.String("event_type", string(e.EventType)), slog.String("alert_key", e.AlertKey))
		}
		c.noteTaken(n.IntegrationKey)
		if n.Repeat {
			c.shown.repeated.Add(1)
		}
		return answer
	case !errors.As(err, &failed): // stopping
		answer.Result = alerting.Unknown
		return answer
	case failed.Class == ilert.Invalid:
		answer.Result, answer.Reason = alerting.Refused, failed.Error()
		c.lines.Warn("invalid", "ilert calls an event invalid", slog.String("alert_key", e.AlertKey), slog.Any("error", failed))
		return answer
	case failed.Uncertain:
		answer.Result = alerting.Unknown
	default:
		answer.Result = alerting.NotTaken
	}
	if failed.RetryAfter > 0 {
		answer.Retry = answer.At.Add(min(failed.RetryAfter, maxAsked))
	}
	c.noteNotTaken(n, failed)
	return answer
}

// sendEvent sends the event of a notice to ilert, or logs it in a dry run.
func (c *Consumer) sendEvent(ctx context.Context, n alerting.Notice, e ilert.Event) error {
	if !c.config.DryRun {
		secret, err := c.secretOf(n.IntegrationKey)
		if err != nil {
			return &ilert.Error{Class: ilert.Operator, Err: err}
		}
		e.IntegrationKey = secret
		return c.countRequest(func() error { return c.config.ilert.Send(ctx, n.Path, e, n.TraceParent) })
	}
	shown, err := json.Marshal(e)
	c.config.Logger.Info("dry run: ilert would be sent", slog.String("event", string(shown)))
	return err
}

const (
	firstBackoff = time.Second
	maxBackoff   = time.Minute
	// maxStoreBackoff limits the wait for our own disk, whose owner may just have freed space.
	maxStoreBackoff = 5 * time.Second
	// maxAsked limits the time for which ilert may ask us to wait: a mistake there must not
	// silence an alert for a year.
	maxAsked = 10 * time.Minute
)

// backoff returns a random wait before the next try, whose limit doubles with the tries (full
// jitter).
func backoff(tries int) time.Duration {
	return rand.N(min(firstBackoff<<min(tries, 10), maxBackoff))
}

// withGrace returns a context that ends some time after ctx does.
func withGrace(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	return longer, func() { stop(); cancel() }
}
