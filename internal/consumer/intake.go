package consumer

import (
	"context"
	"log/slog"
	"time"

	"github.com/eclipse/paho.golang/packets"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/mqttconn"
	"github.com/mps-events/mps-events/internal/mqtttopic"
)

// message is a PUBLISH that has arrived. A message of QoS 1 is acknowledged on link and nowhere
// else: acknowledgements of one connection mean nothing on the next.
type message struct {
	link *mqttconn.Link
	*packets.Publish
	at   time.Time
	done func() // if not nil, the rest is empty: takeIn calls it when it has acknowledged the messages before
}

const (
	// receiveMaximum is the number of messages that the broker may have under way to us.
	receiveMaximum = 1024
	// maximumPacketSize limits a message with its topic and properties: 256 kB, because
	// receiveMaximum longer ones could fill the memory. MPS's messages are below 400 bytes.
	maximumPacketSize = 256 << 10
	// maxBatch is the number of messages at which a transaction is full, and maxBatchBytes the number
	// of bytes.
	maxBatch      = 1024
	maxBatchBytes = 1 << 20
)

// takeIn stores the waiting messages of the broker and of Post in one transaction, and then
// acknowledges them. It waits for no more to come: while one transaction reaches the disk, the
// messages of the next arrive. While the store fails it reads no more and acknowledges nothing.
func (c *Consumer) takeIn(ctx context.Context) {
	defer close(c.intakeEnded)
	var messages []message
	var posts []posted
	var changes []alerting.Message
	for {
		var done func()
		messages, posts, done = c.gather(ctx, messages[:0], posts[:0])
		if ctx.Err() != nil {
			return
		}
		if len(messages)+len(posts) == 0 {
			done()
			continue
		}
		changes = changes[:0]
		set := c.rules.Load()
		for _, m := range messages {
			changes = append(changes, c.decide(set, m))
		}
		if !c.apply(ctx, changes, posts) {
			return
		}
		c.config.Logger.Debug("stored", slog.Int("messages", len(messages)), slog.Int("posts", len(posts)))
		c.acknowledge(messages)
		c.keepClocks(ctx)
		if done != nil {
			done()
		}
		c.endReplaced(ctx, set)
		c.wakeDelivery()
	}
}

// gather waits for a message of the broker or of Post and appends it, and all others that have
// come by then, to messages and posts. It stops at a message that has only a done, and returns
// that. It returns neither message nor done if ctx has ended.
func (c *Consumer) gather(ctx context.Context, messages []message, posts []posted) ([]message, []posted, func()) {
	var m message
	var p posted
	select {
	case m = <-c.incoming:
	case p = <-c.posts:
	case <-ctx.Done():
		return messages, posts, nil
	}
	for size := 0; ; {
		switch {
		case m.done != nil:
			return messages, posts, m.done
		case m.Publish != nil:
			messages, size = append(messages, m), size+len(m.Payload)
		default:
			posts, size = append(posts, p), size+len(p.event.Payload)
		}
		if len(messages)+len(posts) == maxBatch || size >= maxBatchBytes {
			return messages, posts, nil
		}
		m = message{}
		select {
		case m = <-c.incoming:
		case p = <-c.posts:
		default:
			return messages, posts, nil
		}
	}
}

// decide returns what the store should apply for a message.
func (c *Consumer) decide(set *ruleset, m message) alerting.Message {
	filter, wanted := filterOf(set.topics, m.Topic)
	if !wanted {
		return alerting.Message{Filter: filter, ReceivedAt: m.at, Delivery: deliveryOf(m)}
	}
	read := decision.Message{Topic: m.Topic, Payload: m.Payload, Properties: propertiesOf(m.Publish), Retain: m.Retain, ReceivedAt: m.at}
	isLetter := m.link == nil
	change := c.clocks.Message(read, filter, c.decisionOf(set, read), m.Duplicate || isLetter)
	change.Delivery = deliveryOf(m)
	c.omitted(m.Topic, change.Decision.Omitted)
	c.noteRules(m.Topic, change.Decision)
	if reason := change.Decision.Dead; reason != "" {
		text := "a message cannot be understood, and is kept as a dead letter"
		if c.config.DryRun {
			text = "dry run: a message cannot be understood, and would be kept as a dead letter"
		}
		c.lines.Warn("dead letter", text, slog.String("topic", m.Topic), slog.String("reason", reason))
	}
	return change
}

// propertiesOf returns the user properties of a packet.
func propertiesOf(p *packets.Publish) []decision.Property {
	if p.Properties == nil {
		return nil
	}
	all := make([]decision.Property, len(p.Properties.User))
	for i, user := range p.Properties.User {
		all[i] = decision.Property{Key: user.Key, Value: user.Value}
	}
	return all
}

// decisionOf returns the decision of the rules about a message. It passes the heartbeats of others
// on instead.
func (c *Consumer) decisionOf(set *ruleset, m decision.Message) decision.Decision {
	if c.config.HeartbeatTopic == "" || !mqtttopic.Matches(c.config.HeartbeatTopic, m.Topic) {
		return set.Decide(m)
	}
	if len(m.Payload) == 0 { // a retained message is cleared
		return decision.Decision{}
	}
	key, err := heartbeatOf(m.Payload)
	if err != nil {
		return decision.Decision{Dead: "heartbeat: " + err.Error()}
	}
	select {
	case c.pings <- key:
	default: // there are too many pings
	}
	return decision.Decision{}
}

// apply stores the changes, and tries again until the store takes them or ctx ends; then it
// returns false. It tries posts once: their callers hear at once that the store fails, and may
// post again.
func (c *Consumer) apply(ctx context.Context, changes []alerting.Message, posts []posted) bool {
	all := changes
	for _, p := range posts {
		all = append(all, p.event)
	}
	for tries := 0; ; tries++ {
		err := c.alerts.Apply(ctx, all)
		for _, p := range posts {
			p.stored <- err
		}
		all, posts = changes, nil
		if err == nil || len(changes) == 0 {
			c.reportFault(storing, err)
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		c.reportFault(storing, err)
		select {
		case <-time.After(min(backoff(tries), maxStoreBackoff)):
		case <-ctx.Done():
			return false
		}
	}
}

// filterOf returns the topic filter that a topic is counted under: the first of the configured
// ones that matches. The session may have a subscription of an earlier configuration. Its
// messages are not wanted, and are counted under a name that is no topic filter.
func filterOf(filters []string, topic string) (filter string, wanted bool) {
	for _, filter := range filters {
		if mqtttopic.Matches(filter, topic) {
			return filter, true
		}
	}
	return "#an earlier subscription", false
}

// wakeDelivery wakes deliver, because a notice may be due.
func (c *Consumer) wakeDelivery() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}
