package publisher

import (
	"crypto/rand"
	"encoding/binary"
	"slices"
	"strconv"
	"time"

	"github.com/mps-events/mps-events/event"
)

// packet is one accepted event as the MQTT 5 PUBLISH that carries it. It is encoded
// when it is accepted. Only three parts differ from one attempt to send it to
// the next: the fixed header, the packet identifier (section 3.3) and the time for which the
// broker may still keep the event (section 3.3.2.3.3).
type packet struct {
	body     []byte // topic, properties, payload
	idAt     int    // place in body at which the packet identifier is inserted: after the topic
	expiryAt int    // place in body of the Message Expiry Interval; 0 if there is none
	deadline time.Time
	time     int64   // time of the event in Unix milliseconds
	number   uint64  // place in the order of Publish, from 1
	tried    bool    // the packet was written before, on any connection
	done     bool    // the packet is acknowledged or dropped, but an older one is not yet
	history  history // see suspects
}

// usualBodySize is the size that is enough for the body of an ordinary event with all properties.
const usualBodySize = 384

// memory returns the bytes that p takes in memory: those of its body, and 128 for its other
// fields and its place in the queue.
func (p *packet) memory() int { return cap(p.body) + 128 }

// Identifiers of properties, MQTT 5.0, section 2.2.2.2.
const (
	propertyMessageExpiry = 2
	propertyContentType   = 3
	propertyUser          = 38
)

const publishType = 3 << 4

// encoder makes the packets of one publisher. Its fields are the parts that all of them share.
type encoder struct {
	topic       topicTemplate
	properties  []byte // the encoded properties that never change
	lengthSize  int    // bytes that the length of all properties probably takes
	idPrefix    string // makes the ids of this process differ from those of others
	expiry      time.Duration
	cloudEvents bool
}

// newEncoder returns the encoder of a publisher.
func newEncoder(c Config, topic topicTemplate) encoder {
	s := encoder{topic: topic, idPrefix: rand.Text()[:12] + "-", expiry: c.MessageExpiry, cloudEvents: c.CloudEvents}
	if s.expiry > 0 {
		seconds := uint32(s.expiry / time.Second) // appendTo writes those that are left
		s.properties = binary.BigEndian.AppendUint32(append(s.properties, propertyMessageExpiry), seconds)
	}
	s.properties = appendString(append(s.properties, propertyContentType), "application/json")
	s.properties = appendUser(s.properties, "source", c.Source)
	if s.cloudEvents {
		s.properties = appendUser(s.properties, "specversion", "1.0")
	}
	const idAndOutcome, oneByte = 50, 127
	if s.lengthSize = 1; len(s.properties)+idAndOutcome > oneByte {
		s.lengthSize = 2
	}
	return s
}

// encode sets p to the packet of e with the given id. It reuses the memory of p.
func (s *encoder) encode(p *packet, e *event.Event, id uint64) {
	*p = packet{body: p.body[:0], time: e.Timestamp}
	p.body = append(p.body, 0, 0)
	p.body = s.topic.append(p.body, e)
	p.idAt = len(p.body)
	binary.BigEndian.PutUint16(p.body, uint16(p.idAt-2))

	// The length of the properties stands before them, and the number of its own bytes depends
	// on it: lengthSize is right for nearly all events.
	p.body = append(p.body, make([]byte, s.lengthSize)...)
	p.body = s.appendProperties(p.body, e, id)
	length := len(p.body) - p.idAt - s.lengthSize
	var prefix [binary.MaxVarintLen32]byte
	n := binary.PutUvarint(prefix[:], uint64(length))
	if n != s.lengthSize {
		p.body = slices.Replace(p.body, p.idAt, p.idAt+s.lengthSize, prefix[:n]...)
	}
	copy(p.body[p.idAt:], prefix[:n])
	if s.expiry > 0 {
		p.expiryAt = p.idAt + n + 1
		p.deadline = time.Now().Add(s.expiry)
	}
	p.body = e.AppendJSON(p.body)
}

// appendProperties appends the encoded properties of e.
func (s *encoder) appendProperties(dst []byte, e *event.Event, id uint64) []byte {
	var text [64]byte
	dst = append(dst, s.properties...)
	dst = appendUser(dst, "id", strconv.AppendUint(append(text[:0], s.idPrefix...), id, 32))
	if e.Outcome != "" {
		dst = appendUser(dst, "outcome", e.Outcome)
	}
	if e.HTTPStatus != 0 {
		dst = appendUser(dst, "httpstatus", strconv.AppendInt(text[:0], int64(e.HTTPStatus), 10))
	}
	if e.TraceParent != "" {
		dst = appendUser(dst, "traceparent", e.TraceParent)
	}
	if e.Actor != "" {
		dst = appendUser(dst, "actor", e.Actor)
	}
	if s.cloudEvents {
		dst = appendUser(dst, "type", append(append(text[:0], "openamt."...), e.Type...))
		dst = appendUser(dst, "time", time.UnixMilli(e.Timestamp).UTC().AppendFormat(text[:0], time.RFC3339Nano))
	}
	return dst
}

// appendTo appends the whole PUBLISH to dst. At QoS 0 it does not use id.
func (p *packet) appendTo(dst []byte, qos byte, id uint16) []byte {
	header := byte(publishType) | qos<<1
	if p.tried && qos > 0 {
		header |= 1 << 3 // DUP
	}
	dst = append(dst, header)
	dst = binary.AppendUvarint(dst, uint64(p.remaining(qos))) // MQTT's variable byte integer has the same form
	if p.expiryAt > 0 {
		left := max(time.Until(p.deadline).Round(time.Second)/time.Second, 1)
		binary.BigEndian.PutUint32(p.body[p.expiryAt:], uint32(left))
	}
	dst = append(dst, p.body[:p.idAt]...)
	if qos > 0 {
		dst = binary.BigEndian.AppendUint16(dst, id)
	}
	return append(dst, p.body[p.idAt:]...)
}

// remaining returns the Remaining Length of the packet: the length without its fixed header.
func (p *packet) remaining(qos byte) int {
	if qos > 0 {
		return len(p.body) + 2
	}
	return len(p.body)
}

// topic returns the topic that p is published to.
func (p *packet) topic() string { return string(p.body[2:p.idAt]) }

// size returns the length of the packet on the wire, which Maximum Packet Size limits.
func (p *packet) size(qos byte) int {
	var buf [binary.MaxVarintLen64]byte
	n := p.remaining(qos)
	return 1 + binary.PutUvarint(buf[:], uint64(n)) + n
}

// expired reports whether the Message Expiry Interval of p is over.
func (p *packet) expired() bool { return p.expiryAt > 0 && !time.Now().Before(p.deadline) }

// appendUser appends a user property.
func appendUser[T ~string | ~[]byte](dst []byte, key string, value T) []byte {
	dst = append(dst, propertyUser)
	return appendString(appendString(dst, key), value)
}

// appendString appends a string of MQTT with its length before it.
func appendString[T ~string | ~[]byte](dst []byte, s T) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(s)))
	return append(dst, s...)
}
