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
	at time.Time
}

const (
	// receiveMaximum is how many messages the broker may have under way to us.
	receiveMaximum = 1024
	// maximumPacketSize is how long a message may be, in bytes with its topic and
	// properties: 256 kB, or receiveMaximum of them could fill the memory. MPS's are
	// below 400.
	maximumPacketSize = 256 << 10
	// batch is how many of them one transaction takes in at most.
	batch = 256
)

// takeIn stores whatever waits in one transaction, and then acknowledges it.
// While the store fails nothing more is read and nothing acknowledged.
func (c *Consumer) takeIn(ctx context.Context) {
	var messages []message
	var changes []store.Message
	for {
		messages, changes = messages[:0], changes[:0]
		select {
		case m := <-c.incoming:
			messages = append(messages, m)
		case <-ctx.Done():
			return
		}
		for more := true; more && len(messages) < batch; {
			select {
			case m := <-c.incoming:
				messages = append(messages, m)
			default:
				more = false
			}
		}
		for _, m := range messages {
			changes = append(changes, c.decide(m))
		}
		if !c.apply(ctx, changes) {
			return
		}
		c.config.Logger.Debug("stored", slog.Int("messages", len(messages)))
		acknowledge(messages)
		c.rouse()
	}
}

var effects = map[rules.Action]store.Effect{
	rules.Ignore: store.None, rules.Raise: store.Raise, rules.End: store.End, rules.Dead: store.Dead,
}

func (c *Consumer) decide(m message) store.Message {
	filter, wanted := c.filterOf(m.Topic)
	if !wanted {
		return store.Message{Filter: filter, Effect: store.None}
	}
	d := c.config.rules.Decide(m.Payload)
	if d.Action == rules.Dead {
		c.config.Logger.Warn("a message is no event, and kept as a dead letter", slog.String("topic", m.Topic), slog.String("reason", d.Reason))
	}
	return store.Message{
		Filter:     filter,
		Topic:      m.Topic,
		Payload:    m.Payload,
		ReceivedAt: m.at,
		Effect:     effects[d.Action],
		AlertKey:   d.AlertKey,
		Summary:    d.Summary,
		Priority:   string(d.Priority),
		Reason:     d.Reason,
	}
}

// apply tries until the store has taken the changes, and reports false when ctx
// ended first.
func (c *Consumer) apply(ctx context.Context, changes []store.Message) bool {
	for tries := 0; ; tries++ {
		err := c.store.Apply(ctx, changes)
		if err == nil {
			c.report(storing, nil)
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		c.report(storing, err)
		select {
		case <-time.After(backoff(tries)):
		case <-ctx.Done():
			return false
		}
	}
}

// acknowledge acknowledges messages in the order of their arrival, with one write
// for each connection that they came by. A connection that has gone needs no
// error: the broker sends these messages again on the next.
func acknowledge(messages []message) {
	var packets []byte
	for i, m := range messages {
		packets = mqttconn.AppendAck(packets, m.Publish)
		last := i == len(messages)-1 || messages[i+1].link != m.link
		if last && len(packets) > 0 {
			_ = m.link.WritePackets(packets)
			packets = packets[:0]
		}
	}
}

// filterOf names the topic filter that a topic is counted under: the first of the
// configured ones that matches. The session may hold a subscription that an
// earlier configuration made; what comes by that is not wanted.
func (c *Consumer) filterOf(topic string) (filter string, wanted bool) {
	for _, filter := range c.config.Topics {
		if mqttconn.Matches(filter, topic) {
			return filter, true
		}
	}
	return "(an earlier subscription)", false
}

// rouse tells the delivery that there may be something to tell.
func (c *Consumer) rouse() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}
