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

// Refused reports whether the broker has refused the message.
func (p Puback) Refused() bool { return p.Code >= 0x80 }

// Reason returns the reason code in words.
func (p Puback) Reason() string {
	return fmt.Sprintf("%s (reason code 0x%02X)", (&packets.Puback{ReasonCode: p.Code}).Reason(), p.Code)
}

// incoming is the stream of packets from the broker to paho, without the PUBACKs, which it
// passes to a function. Most packets that a broker sends to a publisher are PUBACKs. Reading them
// here takes a tenth of paho's time, and paho reports none of an asynchronous publish. All PUBACKs
// that have arrived together are passed on at once, so that the packets for which they make room
// go out in one write.
type incoming struct {
	buffer  *bufio.Reader
	pubacks func([]Puback) // nil leaves the PUBACKs to paho
	acks    []Puback
	rest    int // bytes of the current packet that paho has not read yet
}

func newIncoming(r io.Reader, pubacks func([]Puback)) incoming {
	const size = 64 << 10
	return incoming{buffer: bufio.NewReaderSize(r, size), pubacks: pubacks}
}

// Read reads the rest of the current packet, or the beginning of the next one that is no PUBACK.
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

// nextPacket moves the stream to the next packet that is no PUBACK.
func (in *incoming) nextPacket() error {
	defer in.deliver()
	for {
		header, length, err := in.header()
		if err != nil {
			return err
		}
		in.rest = header + length
		first, _ := in.peek(1)
		// A PUBACK that is longer than the buffer is left to paho, which ignores it.
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
		_, _ = in.buffer.Discard(in.rest) // cannot fail after peek
		in.rest = 0
	}
}

// header returns the length of the next packet's fixed header and of the rest of the
// packet: MQTT 5.0, sections 2.1.4 and 1.5.5.
func (in *incoming) header() (header, length int, err error) {
	const maxHeader = 5
	for header = 2; header <= maxHeader; header++ {
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
	return 0, 0, fmt.Errorf("mqtt: a packet's length has more than %d bytes", maxHeader-1)
}

// serverReference returns the Server Reference in the broker's CONNACK, which paho does not
// report. It looks ahead at the first packet and leaves it in the stream.
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

// peek returns the next n bytes and leaves them in the stream. Before it blocks, it passes on the
// PUBACKs.
func (in *incoming) peek(n int) ([]byte, error) {
	if in.buffer.Buffered() < n {
		in.deliver()
	}
	return in.buffer.Peek(n)
}

// deliver passes on the PUBACKs that have arrived.
func (in *incoming) deliver() {
	if len(in.acks) > 0 {
		in.pubacks(in.acks)
		in.acks = in.acks[:0]
	}
}
