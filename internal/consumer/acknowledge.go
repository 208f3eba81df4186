package consumer

import "github.com/mps-events/mps-events/internal/mqttconn"

// heard counts the messages of the newest link.
type heard struct {
	link    *mqttconn.Link
	n       uint64
	batches uint64 // in which they were stored
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
			c.heard.batches++
			c.ask(m.link, packets)
			packets = packets[:0]
		}
	}
}

// ask writes acknowledgements and asks the broker for an answer behind them. When the answer comes, the
// store may forget the messages that the broker cannot send again: those of this link, and those of
// all links if the broker has sent nothing more.
func (c *Consumer) ask(link *mqttconn.Link, acknowledgements []byte) {
	mark, at := c.alerts.Receipts(), c.heard
	_ = link.Ask(acknowledgements, func() {
		c.alerts.Confirm(mark, link.Serial(), c.heard == at)
	})
}

// askFirst asks on a new link without acknowledgements: before the answer come the messages that the
// broker sends again.
func (c *Consumer) askFirst(link *mqttconn.Link) {
	if c.heard.link == nil || c.heard.link.Serial() < link.Serial() {
		c.heard = heard{link: link}
	}
	c.ask(link, nil)
}
