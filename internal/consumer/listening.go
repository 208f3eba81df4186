package consumer

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/mps-events/mps-events/internal/mqttconn"
)

// Rules that wait for messages measure silence by the time for which the consumer has listened, and
// alerts wait for their "for" by it. The broker proves that time: the consumer asks it now and then,
// and once the answer is read, all messages that the broker sent before it are stored. So no time
// counts while the broker is away, a connection hangs, or the store fails.

const (
	// maxBacklog is the time after which silence counts, even if the broker still sends what it has
	// kept for us.
	maxBacklog = 5 * time.Minute
	// maxQuiet is the number of messages between two answers from which on they may be those that the
	// broker has kept. It is small, because a broker may have only 20 messages under way to us, and
	// waits for our store before it sends the next.
	maxQuiet = 20
	// maxLive is the mean number of messages in a transaction up to which they are not those that the
	// broker has kept, however many they are: while one transaction is stored, the broker sends all
	// that it may have under way to us.
	maxLive = 4
)

// askInterval is the interval at which the consumer asks the broker. It is a variable because tests
// cannot wait for it.
var askInterval = time.Second

// listening is the state of the connection by which the consumer listens.
type listening struct {
	mu    sync.Mutex
	link  *mqttconn.Link // on which the topics are subscribed to; nil: none
	since time.Time
	asked time.Time // when the broker was asked that has not answered yet; zero: it has

	answered bool  // the broker has answered since
	heard    heard // before the last answer
	counts   bool  // silence counts
}

// listensOn notes that the topics are subscribed to on a link, or with nil that they are not any more.
func (c *Consumer) listensOn(link *mqttconn.Link) {
	l := &c.listening
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.link == link {
		return
	}
	l.link, l.since, l.asked = link, time.Now(), time.Time{}
	l.answered, l.counts = false, false
	c.alerts.Pause()
}

// proveListening asks the broker at an interval, while the listened time matters, until ctx ends.
func (c *Consumer) proveListening(ctx context.Context) {
	ticker := time.NewTicker(askInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if c.alerts.NeedsListening() {
			c.askBroker(ctx)
		}
	}
}

// askBroker asks the broker for an answer, unless it still owes one.
func (c *Consumer) askBroker(ctx context.Context) {
	const patience = time.Minute // a link with too many questions drops some
	l, at := &c.listening, time.Now()
	l.mu.Lock()
	link := l.link
	if link == nil || !l.asked.IsZero() && at.Sub(l.asked) < patience {
		l.mu.Unlock()
		return
	}
	l.asked = at
	l.mu.Unlock()
	_ = link.Ask(nil, func() { c.brokerAnswered(ctx, link, at) }) // a link that fails is replaced
}

// brokerAnswered notes that all messages are stored which the broker sent before a time. takeIn calls it.
func (c *Consumer) brokerAnswered(ctx context.Context, link *mqttconn.Link, at time.Time) {
	heard := heard{link: link}
	if c.heard.link == link {
		heard = c.heard
	}
	if !c.listening.proved(link, at, heard, c.alerts.Listen) {
		return
	}
	due, err := c.alerts.Listened(ctx, at)
	if err != nil && ctx.Err() == nil {
		c.lines.Warn("listening", "the time for which messages were waited for cannot be stored yet", slog.Any("error", err))
	}
	if due {
		c.wakeDelivery()
	}
}

// proved notes that all messages are stored which the broker sent before a time, and calls listen once
// silence counts. It returns false if the subscriptions were made, or lost, after that time.
func (l *listening) proved(link *mqttconn.Link, at time.Time, now heard, listen func(time.Time)) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.link != link || at.Before(l.since) {
		return false
	}
	n, batches := now.n-l.heard.n, now.batches-l.heard.batches
	quiet := l.answered && (n < maxQuiet || n <= maxLive*batches)
	l.asked, l.answered, l.heard = time.Time{}, true, now
	if !l.counts && (quiet || at.Sub(l.since) >= maxBacklog) {
		l.counts = true
		listen(at)
	}
	return true
}

// keepListening stores the listened time for the next process, if it matters.
func (c *Consumer) keepListening(ctx context.Context) {
	if !c.alerts.NeedsListening() {
		return
	}
	if err := c.alerts.KeepListening(ctx); err != nil {
		c.config.Logger.Warn("the time for which messages were waited for is not stored", slog.Any("error", err))
	}
}

// logTooMany logs that there are groups for which no rule waits because they are too many, if their
// messages are more than were logged. It returns the number of these messages.
func (c *Consumer) logTooMany(logged int64) int64 {
	groups, beyond := c.alerts.AwaitedGroups()
	if beyond != logged {
		c.lines.Warn("awaited", "rules with absent wait for too many groups: the silence of others is no alert",
			slog.Int("groups", groups), slog.Int64("messages_of_others_since_start", beyond))
	}
	return beyond
}
