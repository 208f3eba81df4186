package consumer

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/eclipse/paho.golang/packets"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

// retryInterval is the interval at which the consumer looks for dead letters that an administrator
// wants to be taken in again.
const retryInterval = 2 * time.Second

// revive takes dead letters in again, by the present rules, until ctx ends.
func (c *Consumer) revive(ctx context.Context) {
	ticker := time.NewTicker(retryInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		c.forgetFailures(ctx)
		if err := c.takeInAgain(ctx); err != nil && ctx.Err() == nil {
			c.config.Logger.Warn("dead letters cannot be taken in again yet", slog.Any("error", err))
		}
	}
}

// takeInAgain takes in the dead letters that an administrator has chosen, if there are any.
func (c *Consumer) takeInAgain(ctx context.Context) error {
	letters, err := c.alerts.ToRetry(ctx, maxBatch)
	if err != nil || len(letters) == 0 {
		return err
	}
	revivals := make([]alerting.Revival, len(letters))
	set := c.rules.Load()
	for i, l := range letters {
		revivals[i] = c.revivalOf(set, l)
	}
	if err := c.alerts.Revive(ctx, time.Now(), revivals); err != nil {
		return err
	}
	kept := 0
	for _, r := range revivals {
		if r.Keep != "" {
			kept++
		}
	}
	c.config.Logger.Info("dead letters taken in again", slog.Int("messages", len(letters)-kept))
	if kept > 0 {
		c.config.Logger.Warn("dead letters cannot be taken in again, and stay: mps-ilert store list says why", slog.Int("messages", kept))
	}
	c.endReplaced(ctx, set)
	c.wakeDelivery()
	return nil
}

// revivalOf returns the message of a dead letter by the present rules.
func (c *Consumer) revivalOf(set *ruleset, l alerting.Letter) alerting.Revival {
	r := alerting.Revival{Letter: l, Message: alerting.Message{Topic: l.Topic, Payload: l.Payload, ReceivedAt: l.ReceivedAt, Properties: l.Properties}}
	switch l.Filter {
	case alerting.FilterRules:
		var e ilert.Event
		err := json.Unmarshal(l.Payload, &e)
		r.Message.Decision = resend(l.Alert.Integration, l.Topic, e, err)
		return r
	case HTTPFilter:
		e, _, err := parseEvent(l.Payload) // the omissions were counted before
		key := l.Alert.Integration
		if l.Kind == alerting.Unread { // of an earlier version
			key = c.keyOf(e.IntegrationKey)
		}
		r.Message.Decision = resend(key, l.Topic, e, err)
		return r
	}
	if _, wanted := filterOf(set.topics, l.Topic); !wanted {
		r.Keep = fmt.Sprintf("nothing listens to topic %q now", l.Topic)
		return r
	}
	p := &packets.Publish{Topic: l.Topic, Payload: l.Payload, Properties: &packets.Properties{}}
	for _, one := range l.Properties {
		p.Properties.User = append(p.Properties.User, packets.User{Key: one.Key, Value: one.Value})
	}
	r.Message = c.decide(set, message{Publish: p, at: l.ReceivedAt})
	return r
}

// resend returns the decision to send an event as it is, unless it could not be read.
func resend(key ilert.IntegrationKey, path string, e ilert.Event, err error) decision.Decision {
	if err != nil {
		return decision.Decision{Dead: err.Error()}
	}
	return decision.Decision{Effects: []decision.Effect{decision.Send{IntegrationKey: key, Path: path, Event: e}}}
}
