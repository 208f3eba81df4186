package consumer

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/eclipse/paho.golang/packets"

	"github.com/mps-events/mps-events/internal/ilert"
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
	rules.Ignore: store.None, rules.Raise: store.Raise, rules.End: store.End, rules.Send: store.Send, rules.Dead: store.Dead,
}

func (c *Consumer) decide(m message) store.Message {
	filter, wanted := c.filterOf(m.Topic)
	if !wanted {
		return store.Message{Filter: filter, Effect: store.None}
	}
	d := c.meaning(m)
	if d.Action == rules.Dead {
		c.config.Logger.Warn("a message cannot be understood, and is kept as a dead letter", slog.String("topic", m.Topic), slog.String("reason", d.Reason))
	}
	change := store.Message{
		Filter:         filter,
		Topic:          m.Topic,
		Payload:        m.Payload,
		ReceivedAt:     m.at,
		Effect:         effects[d.Action],
		IntegrationKey: d.Alert.IntegrationKey,
		AlertKey:       d.Alert.Key,
		Summary:        d.Alert.Summary,
		Details:        d.Alert.Details,
		Priority:       string(d.Alert.Priority),
		Reason:         d.Reason,
	}
	if d.Action == rules.Send {
		change.Path, change.Body = c.config.MQTTPath, bodyOf(d.Alert)
		change.IntegrationKey = c.lane(d.Alert.IntegrationKey)
	}
	return change
}

// meaning is what the rules say, but for the heartbeats of others.
func (c *Consumer) meaning(m message) rules.Decision {
	if c.config.HeartbeatTopic == "" || !mqttconn.Matches(c.config.HeartbeatTopic, m.Topic) {
		return c.config.rules.Decide(rules.Message{Topic: m.Topic, Payload: m.Payload})
	}
	key, err := heartbeatOf(m.Payload)
	if err != nil {
		return rules.Decision{Action: rules.Dead, Reason: "heartbeat: " + err.Error()}
	}
	select {
	case c.pings <- key:
	default: // more than anybody needs
	}
	return rules.Decision{Action: rules.Ignore}
}

// bodyOf is the request that says a, but for the integration key.
func bodyOf(a rules.Alert) []byte {
	body, err := json.Marshal(ilert.Event{
		EventType: ilert.Type(a.Type), Summary: a.Summary, AlertKey: a.Key, Details: a.Details, Priority: string(a.Priority),
		Images: a.Images, Links: a.Links, CustomDetails: a.CustomDetails,
	})
	if err != nil {
		panic(err) // what is JSON in it has been read as such
	}
	return body
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
	for _, filter := range c.config.filters() {
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
