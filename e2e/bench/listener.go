package main

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/eclipse/paho.golang/packets"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/publisher"
)

// A sample is the packets that all contestants send.
type sample struct {
	ordinary *packets.Publish
	last     *packets.Publish // the last packet, which has another topic
}

// topic is the topic of the publisher: events of different types have different topics.
const topic = "mps/{type}"

var (
	ordinary = event.Connected("4c4c4544-004b-4210-8033-b6c04f504633")
	last     = func() event.Event { e := ordinary; e.Type = event.Fail; return e }()
)

// capture lets the publisher send both events and returns them as the broker delivers them.
func capture(address string) (sample, error) {
	l, err := listen(address, everything, 0)
	if err != nil {
		return sample{}, err
	}
	defer l.conn.Close()
	pub, err := publisher.New(publisher.Config{Address: address, Topic: topic})
	if err != nil {
		return sample{}, err
	}
	var received []*packets.Publish
	for _, e := range []event.Event{ordinary, last} {
		if err := pub.Publish(e); err != nil {
			return sample{}, err
		}
		p, err := packets.ReadPacket(l.conn.in)
		if err != nil {
			return sample{}, err
		}
		publish, ok := p.Content.(*packets.Publish)
		if !ok {
			return sample{}, fmt.Errorf("a %s and no PUBLISH", p.PacketType())
		}
		received = append(received, publish)
	}
	return sample{ordinary: received[0], last: received[1]}, pub.Shutdown(context.Background())
}

// A listener is a subscriber that does as little work as possible: it acknowledges messages, and
// reads only their topics.
type listener struct{ conn *rawConn }

func listen(address, filter string, qos byte) (*listener, error) {
	conn, err := connect(address)
	if err != nil {
		return nil, err
	}
	answer, err := conn.ask(&packets.Subscribe{PacketID: 1, Properties: &packets.Properties{}, Subscriptions: []packets.SubOptions{{Topic: filter, QoS: qos}}})
	if err != nil {
		return nil, err
	}
	if suback, ok := answer.(*packets.Suback); !ok || len(suback.Reasons) != 1 || suback.Reasons[0] != qos {
		return nil, fmt.Errorf("the broker refuses the subscription: %v", answer)
	}
	return &listener{conn: conn}, nil
}

// await waits for a message on a topic.
func (l *listener) await(topic string) error {
	in := l.conn.in
	var acks []byte
	for {
		header, remaining, err := readHeader(in)
		if err != nil {
			return err
		}
		if header>>4 == packets.PUBLISH {
			body, err := in.Peek(remaining)
			if err != nil {
				return err
			}
			end := 2 + int(binary.BigEndian.Uint16(body))
			if header&0x06 != 0 {
				acks = append(acks, packets.PUBACK<<4, 2, body[end], body[end+1])
			}
			if string(body[2:end]) == topic {
				return nil
			}
		}
		if _, err := in.Discard(remaining); err != nil {
			return err
		}
		if in.Buffered() == 0 && len(acks) > 0 {
			if _, err := l.conn.Write(acks); err != nil {
				return err
			}
			acks = acks[:0]
		}
	}
}
