package mqttconn

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/eclipse/paho.golang/packets"
)

// Puback is a broker's acknowledgement of a QoS 1 publish.
type Puback struct {
	ID   uint16
	Code byte // reason code, MQTT 5.0, section 3.4.2.1
}

// Refused reports that the broker has not taken the message.
func (p Puback) Refused() bool { return p.Code >= 0x80 }

// Reason is the reason code in words.
func (p Puback) Reason() string {
	return fmt.Sprintf("%s (reason code 0x%02X)", (&packets.Puback{ReasonCode: p.Code}).Reason(), p.Code)
}

// incoming is the stream of packets from the broker as paho reads it, without the
// PUBACKs. These are most of what a broker sends to a publisher. Read here they cost a
// tenth of what they cost in paho, which also reports none of an asynchronous publish;
// and all that have come together are handed on at once, so that what they make room
// for goes out in one write.
type incoming struct {
	buffer  *bufio.Reader
	pubacks func([]Puback) // nil leaves all to paho
	acks    []Puback
	rest    int // bytes of the packet that paho is reading
}

func newIncoming(r io.Reader, pubacks func([]Puback)) incoming {
	const size = 64 << 10
	return incoming{buffer: bufio.NewReaderSize(r, size), pubacks: pubacks}
}

func (in *incoming) Read(p []byte) (int, error) {
	if in.pubacks == nil {
		return in.buffer.Read(p)
	}
	if in.rest == 0 {
		if err := in.nextPacket(); err != nil {
			return 0, err
		}
	}
	n, err := in.buffer.Read(p[:min(len(p), in.rest)])
	in.rest -= n
	return n, err
}

// nextPacket brings the stream to the next packet that is no PUBACK.
func (in *incoming) nextPacket() error {
	defer in.deliver()
	for {
		header, length, err := in.header()
		if err != nil {
			return err
		}
		in.rest = header + length
		first, _ := in.peek(1)
		// One with properties beyond all measure is left to paho, which ignores it.
		if first[0] != packets.PUBACK<<4 || length < 2 || in.rest > in.buffer.Size() {
			return nil
		}
		packet, err := in.peek(in.rest)
		if err != nil {
			return err
		}
		ack := Puback{ID: binary.BigEndian.Uint16(packet[header:])}
		if length > 2 { // a missing code means success
			ack.Code = packet[header+2]
		}
		in.acks = append(in.acks, ack)
		_, _ = in.buffer.Discard(in.rest) // it has just been peeked at
		in.rest = 0
	}
}

// header returns the length of the next packet's fixed header and of the rest of the
// packet: MQTT 5.0, sections 2.1.4 and 1.5.5.
func (in *incoming) header() (header, length int, err error) {
	const longest = 5
	for header = 2; header <= longest; header++ {
		peeked, err := in.peek(header)
		if err != nil {
			return 0, 0, err
		}
		last := peeked[header-1]
		length |= int(last&0x7F) << (7 * (header - 2))
		if last < 0x80 {
			return header, length, nil
		}
	}
	return 0, 0, fmt.Errorf("mqtt: a packet's length has more than %d bytes", longest-1)
}

// serverReference looks ahead at the broker's first packet: paho keeps to itself what a
// CONNACK says of another server.
func (in *incoming) serverReference() (string, error) {
	header, length, err := in.header()
	if err != nil || header+length > in.buffer.Size() {
		return "", err
	}
	first, err := in.peek(header + length)
	if err != nil || first[0] != packets.CONNACK<<4 {
		return "", err
	}
	packet, err := packets.ReadPacket(bytes.NewReader(first))
	if err != nil {
		return "", err
	}
	if connack, ok := packet.Content.(*packets.Connack); ok && connack.Properties != nil {
		return connack.Properties.ServerReference, nil
	}
	return "", nil
}

// peek looks ahead. Nothing waits to be handed on while that blocks.
func (in *incoming) peek(n int) ([]byte, error) {
	if in.buffer.Buffered() < n {
		in.deliver()
	}
	return in.buffer.Peek(n)
}

// deliver hands on what has come together.
func (in *incoming) deliver() {
	if len(in.acks) > 0 {
		in.pubacks(in.acks)
		in.acks = in.acks[:0]
	}
}
