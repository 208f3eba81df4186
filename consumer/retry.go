package consumer

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/eclipse/paho.golang/packets"

	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/rules"
	"github.com/mps-events/mps-events/internal/store"
)

// retryEvery is how often the store is asked for dead letters that an administrator
// wants to be taken in again.
const retryEvery = 2 * time.Second

// revive takes dead letters in again, by the rules of today, until ctx ends.
func (c *Consumer) revive(ctx context.Context) {
	ticker := time.NewTicker(retryEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		letters, err := c.store.ToRetry(ctx, batch)
		if err == nil && len(letters) > 0 {
			messages := make([]store.Message, len(letters))
			set := c.rules.Load()
			for i, l := range letters {
				messages[i] = c.again(set, l)
			}
			if err = c.store.Revive(ctx, letters, messages); err == nil {
				c.config.Logger.Info("dead letters taken in again", slog.Int("messages", len(letters)))
				c.outlived(ctx, set)
				c.rouse()
			}
		}
		if err != nil && ctx.Err() == nil {
			c.config.Logger.Warn("dead letters cannot be taken in again yet", slog.Any("error", err))
		}
	}
}

// again is what a dead letter means now.
func (c *Consumer) again(set *ruleset, l store.Letter) store.Message {
	switch l.Filter {
	case store.Rules:
		return c.resend(l)
	case HTTPFilter:
	default:
		p := &packets.Publish{Topic: l.Topic, Payload: l.Payload, Properties: &packets.Properties{}}
		for _, one := range l.Properties {
			p.Properties.User = append(p.Properties.User, packets.User{Key: one.Key, Value: one.Value})
		}
		return c.decide(set, message{Publish: p, at: l.ReceivedAt})
	}
	m, _, err := c.letterOf(l.Payload, l.ReceivedAt)
	if err != nil {
		return dead(l, err)
	}
	return m
}

// resend is what of an alert's own ilert refused, as it was.
func (c *Consumer) resend(l store.Letter) store.Message {
	var e ilert.Event
	if err := json.Unmarshal(l.Payload, &e); err != nil {
		return dead(l, err)
	}
	return store.Message{
		Filter: l.Filter, Topic: l.Topic, Payload: l.Payload, ReceivedAt: l.ReceivedAt,
		Decision: rules.Decision{Effects: []rules.Effect{rules.Send{Path: ilert.EventsPath, Event: e}}},
	}
}

// dead is a letter that stays one.
func dead(l store.Letter, err error) store.Message {
	return store.Message{Filter: l.Filter, Topic: l.Topic, Payload: l.Payload, ReceivedAt: l.ReceivedAt, Decision: rules.Decision{Dead: err.Error()}}
}
