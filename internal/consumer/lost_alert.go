package consumer

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

// lostAlertPrefix is the beginning of the keys of alerts about lost events.
const lostAlertPrefix = ownRule + "/lost/"

// noteNumber notes the number of a message, unless it may have been taken in before.
func (c *Consumer) noteNumber(m message, change alerting.Message, now time.Time) {
	if change.Topic == "" || m.Retain { // it is not wanted, or may be of any age
		return
	}
	one := numbered{filter: change.Filter, topic: m.Topic, payload: m.Payload, atMostOnce: m.QoS == 0}
	for _, p := range change.Properties {
		switch p.Key {
		case "source":
			one.source = p.Value
		case "id":
			one.id = p.Value
		}
	}
	if m.link != nil {
		one.link = m.link.Serial()
	}
	c.sequences.note(one, now)
}

// watchSequences makes takeIn look for lost events once a second, until ctx ends. Only takeIn knows that
// it has seen all messages which have come.
func (c *Consumer) watchSequences(ctx context.Context) {
	if c.config.Address == "" {
		return
	}
	ticker := time.NewTicker(min(time.Second, lostAfter))
	defer ticker.Stop()
	var asked atomic.Bool
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		c.mu.Lock()
		connected := !c.since.IsZero() && time.Since(c.since) >= lostAfter // or the missing ones may still come
		c.mu.Unlock()
		if !connected || !c.sequences.waits() || asked.Swap(true) {
			continue
		}
		select {
		case c.incoming <- message{done: func() { asked.Store(false); c.tellLosses(ctx, time.Now()) }}:
		default: // there are many messages, which may be the missing ones
			asked.Store(false)
		}
	}
}

// tellLosses raises the alerts about lost events. If the store fails, the next second tries again.
func (c *Consumer) tellLosses(ctx context.Context, now time.Time) {
	for _, l := range c.sequences.settle(now) {
		c.config.Logger.Warn("events of a server have never come: they are lost, see docs/lost-events.md",
			slog.String("source", l.source), slog.Uint64("events", l.events), slog.Time("since", l.since))
		if c.config.Mapping == nil && (c.config.IntegrationKey != "" || c.config.DryRun) {
			if err := c.alerts.Do(ctx, now, lostAlert(l)); err != nil {
				c.lines.Warn("lost", "the alert about lost events cannot be stored yet", slog.Any("error", err))
				continue
			}
			c.wakeDelivery()
		}
		c.sequences.said(l, now)
	}
	c.keepSequences(ctx)
}

// lostAlert returns the effect that raises the alert about the lost events of a source.
func lostAlert(l loss) decision.Effect {
	return decision.Raise{
		Rule: ownRule, Key: decision.Key{Alert: lostAlertPrefix + l.source}, Silence: lossSilence,
		Event: ilert.Event{
			Summary: fmt.Sprintf("Events of %s are lost: %d never came", l.source, l.events),
			Details: fmt.Sprintf("The server numbers its events, and %d numbers have not reached mps-ilert since %s although later ones have. "+
				"Alerts may be missing, or open although their end has happened. Usually the broker has dropped the events: Mosquitto does so, "+
				"and tells only its log, when more than max_queued_messages (1000 by default) wait for a subscriber; it also does at QoS 0 while "+
				"the subscriber is away, and when it is restarted without persistence. A low max_inflight_messages makes it worse. If the server has dropped them itself, its log says \"events are lost\". "+
				"docs/lost-events.md shows how to find the cause and to mend it.", l.events, l.since.UTC().Format(time.RFC3339)),
			Priority: ilert.Low,
		},
	}
}

// keepSequences stores the changes of sequences without a message. If that fails, the next messages try again.
func (c *Consumer) keepSequences(ctx context.Context) {
	rows := c.sequences.takeUnsaved()
	if len(rows) == 0 {
		return
	}
	if err := c.alerts.KeepSequences(ctx, rows); err != nil {
		c.sequences.putBack(rows)
	}
}
