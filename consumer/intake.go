package consumer

import (
	"context"
	"log/slog"
	"time"

	"github.com/eclipse/paho.golang/packets"

	"github.com/mps-events/mps-events/internal/mqttconn"
	"github.com/mps-events/mps-events/internal/rules"
	"github.com/mps-events/mps-events/internal/store"
)

// message is one PUBLISH that has arrived. At QoS 1 it is acknowledged on link,
// and nowhere else: acknowledgements of one connection mean nothing on the next.
type message struct {
	link *mqttconn.Link
	*packets.Publish
	at   time.Time
	done func() // instead of all that: is called once what came before is acknowledged
}

const (
	// receiveMaximum is how many messages the broker may have under way to us.
	receiveMaximum = 1024
	// maximumPacketSize is how long a message may be, in bytes with its topic and
	// properties: 256 kB, or receiveMaximum of them could fill the memory. MPS's are
	// below 400.
	maximumPacketSize = 256 << 10
	// batch is how many of them one transaction takes in at most, and batchBytes how long
	// these may be together, but for the last.
	batch      = 1024
	batchBytes = 1 << 20
)

// takeIn stores whatever waits, of the broker and of Post, in one
// transaction, and then acknowledges it. Nothing waits for more to come: while one transaction reaches the disk the next one fills.
// While the store fails nothing more is read and nothing acknowledged.
func (c *Consumer) takeIn(ctx context.Context) {
	defer close(c.deaf)
	var messages []message
	var posts []posted
	var changes []store.Message
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
			change := c.decide(set, m)
			if own := change.Decision.At; !own.IsZero() {
				if !m.Retain && !m.Duplicate { // these have waited
					c.skew.note(change.Source, own, m.at)
				}
				if !m.Retain { // which may be as old as it says
					change.Decision.At = c.happened(change.Source, own, m.at)
				}
			}
			changes = append(changes, change)
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
		c.outlived(ctx, set)
		c.rouse()
	}
}

// gather waits for a message of the broker or of Post and adds it to those of its kind, and
// whatever else has come by then up to a done, which it returns. There is a done where there
// is no message, unless ctx has ended.
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
		if len(messages)+len(posts) == batch || size >= batchBytes {
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

func (c *Consumer) decide(set *ruleset, m message) store.Message {
	filter, wanted := filterOf(set.topics, m.Topic)
	if !wanted {
		return store.Message{Filter: filter, ReceivedAt: m.at, Delivery: deliveryOf(m)}
	}
	properties := propertiesOf(m.Publish)
	change := store.Message{
		Filter: filter, Topic: m.Topic, Payload: m.Payload, ReceivedAt: m.at,
		Source: sourceOf(m.Publish, filter), MaxSkew: c.config.MaxSkew,
		Properties: properties, Fingerprint: fingerprint(properties), Delivery: deliveryOf(m),
		Decision: c.meaning(set, rules.Message{Topic: m.Topic, Payload: m.Payload, Properties: properties}),
	}
	c.omitted(m.Topic, change.Decision.Omitted)
	if reason := change.Decision.Dead; reason != "" {
		text := "a message cannot be understood, and is kept as a dead letter"
		if c.config.DryRun {
			text = "dry run: a message cannot be understood, and would be kept as a dead letter"
		}
		c.lines.Warn("dead letter", text, slog.String("topic", m.Topic), slog.String("reason", reason))
	}
	return change
}

// happened is when something was, by a server's own account, as far as its clock can be
// trusted: as of ours if it is known to be behind, and not at all where it says what no
// broker would have kept so long.
func (c *Consumer) happened(source string, own, arrived time.Time) time.Time {
	if arrived.Sub(own) > max(c.config.SessionExpiry, 24*time.Hour) {
		return time.Time{} // it counts as of its arrival
	}
	return own.Add(c.skew.behind(source))
}

func propertiesOf(p *packets.Publish) []rules.Property {
	if p.Properties == nil {
		return nil
	}
	all := make([]rules.Property, len(p.Properties.User))
	for i, user := range p.Properties.User {
		all[i] = rules.Property{Key: user.Key, Value: user.Value}
	}
	return all
}

// meaning is what the rules say, but for the heartbeats of others.
func (c *Consumer) meaning(set *ruleset, m rules.Message) rules.Decision {
	if c.config.HeartbeatTopic == "" || !mqttconn.Matches(c.config.HeartbeatTopic, m.Topic) {
		return set.Decide(m)
	}
	if len(m.Payload) == 0 { // a retained message is cleared
		return rules.Decision{}
	}
	key, err := heartbeatOf(m.Payload)
	if err != nil {
		return rules.Decision{Dead: "heartbeat: " + err.Error()}
	}
	select {
	case c.pings <- key:
	default: // more than anybody needs
	}
	return rules.Decision{}
}

// apply tries until the store has taken the changes, and reports false when ctx ended first.
// What was posted is tried once: its callers hear at once that the store fails, and post again.
func (c *Consumer) apply(ctx context.Context, changes []store.Message, posts []posted) bool {
	all := changes
	for _, p := range posts {
		all = append(all, p.event)
	}
	for tries := 0; ; tries++ {
		err := c.store.Apply(ctx, all)
		for _, p := range posts {
			p.stored <- err
		}
		all, posts = changes, nil
		if err == nil || len(changes) == 0 {
			c.report(storing, err)
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		c.report(storing, err)
		select {
		case <-time.After(min(backoff(tries), mostStoreBackoff)):
		case <-ctx.Done():
			return false
		}
	}
}

// filterOf names the topic filter that a topic is counted under: the first of the
// configured ones that matches. The session may hold a subscription that an
// earlier configuration made; what comes by that is not wanted, and is counted under what
// is no topic filter.
func filterOf(filters []string, topic string) (filter string, wanted bool) {
	for _, filter := range filters {
		if mqttconn.Matches(filter, topic) {
			return filter, true
		}
	}
	return "#an earlier subscription", false
}

// rouse tells the delivery that there may be something to tell.
func (c *Consumer) rouse() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}
