package consumer

import (
	"crypto/sha256"
	"encoding/binary"
	"io"
	"net/url"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/mqttconn"
)

// fingerprint returns a hash of the id that the publisher gave a message, and 0 if it gave none.
func fingerprint(properties []decision.Property) uint64 {
	var source, id string
	for _, p := range properties {
		switch p.Key {
		case "source":
			source = p.Value
		case "id":
			id = p.Value
		}
	}
	if id == "" || source == "" { // an id is unique within its source
		return 0
	}
	return printOf(source, id)
}

// deliveryOf describes how the broker has sent a message. It is empty for a dead letter that is
// taken in again.
func deliveryOf(m message) alerting.Delivery {
	if m.link == nil {
		return alerting.Delivery{}
	}
	content := []string{m.Topic, string(m.Payload)}
	d := alerting.Delivery{Link: m.link.Serial(), PacketID: m.PacketID, Again: m.Duplicate}
	if m.Properties != nil {
		for _, user := range m.Properties.User {
			content = append(content, user.Key, user.Value)
		}
		if id := m.Properties.SubscriptionIdentifier; id != nil {
			d.Subscription = uint32(*id)
		}
	}
	d.Print = printOf(content...)
	return d
}

// printOf returns a hash of texts that is never 0.
func printOf(texts ...string) uint64 {
	h := sha256.New()
	for _, text := range texts {
		_ = binary.Write(h, binary.BigEndian, uint64(len(text))) // hashes do not fail
		_, _ = io.WriteString(h, text)
	}
	var sum [sha256.Size]byte
	return max(binary.BigEndian.Uint64(h.Sum(sum[:0])), 1)
}

// heard counts the messages of the newest link.
type heard struct {
	link *mqttconn.Link
	n    uint64
}

// acknowledge acknowledges messages in the order of their arrival, with one write for each
// connection. A connection that has ended needs no error: the broker sends these messages again
// on the next.
func (c *Consumer) acknowledge(messages []message) {
	var packets []byte
	for i, m := range messages {
		if c.heard.link != m.link {
			c.heard = heard{link: m.link}
		}
		c.heard.n++
		packets = mqttconn.AppendAck(packets, m.Publish)
		last := i == len(messages)-1 || messages[i+1].link != m.link
		if last {
			c.ask(m.link, packets)
			packets = packets[:0]
		}
	}
}

// ask writes acknowledgements. When the broker has read them, the store may forget the messages
// that the broker cannot send again: those of this link, and those of all links if the broker has
// sent nothing more.
func (c *Consumer) ask(link *mqttconn.Link, acknowledgements []byte) {
	mark, at := c.alerts.Receipts(), c.heard
	_ = link.Ask(acknowledgements, func() {
		c.alerts.Confirm(mark, link.Serial(), c.heard == at)
	})
}

// askFirst asks on a new link which messages the broker may send again.
func (c *Consumer) askFirst(link *mqttconn.Link) {
	if c.heard.link == nil || c.heard.link.Serial() < link.Serial() {
		c.heard = heard{link: link}
	}
	c.ask(link, nil)
}

// session returns the name of the session at the broker.
func (c checked) session() string {
	hosts := url.Values{}
	for _, server := range c.servers {
		hosts.Add("at", server.URL.Host)
	}
	return c.ClientID + "?" + hosts.Encode()
}
