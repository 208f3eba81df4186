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
// before it is accepted, but for the number in its id, which setID inserts. Only three parts differ from one attempt to send it to
// the next: the fixed header, the packet identifier (section 3.3) and the time for which the
// broker may still keep the event (section 3.3.2.3.3).
type packet struct {
	body     []byte // topic, properties, payload
	idAt     int    // place in body at which the packet identifier is inserted: after the topic
	numberAt int    // place in body at which setID inserts the number of the user property id
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

// idPrefixSize is the length of the part of an id that all events of a process share.
const idPrefixSize = 13

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
	s := encoder{topic: topic, idPrefix: rand.Text()[:idPrefixSize-1] + "-", expiry: c.MessageExpiry, cloudEvents: c.CloudEvents}
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

// maxIDDigits is the length of the longest number in an id.
const maxIDDigits = 20

// encode sets p to the packet of e, whose id setID has to complete. It reuses the memory of p.
func (s *encoder) encode(p *packet, e *event.Event) {
	*p = packet{body: p.body[:0], time: e.Timestamp}
	p.body = append(p.body, 0, 0)
	p.body = s.topic.append(p.body, e)
	p.idAt = len(p.body)
	binary.BigEndian.PutUint16(p.body, uint16(p.idAt-2))

	// The length of the properties stands before them, and the number of its own bytes depends
	// on it: lengthSize is right for nearly all events.
	p.body = append(p.body, make([]byte, s.lengthSize)...)
	if s.expiry > 0 {
		p.expiryAt = p.idAt + s.lengthSize + 1
		p.deadline = time.Now().Add(s.expiry)
	}
	p.body = append(p.body, s.properties...)
	p.body = appendUser(p.body, "id", s.idPrefix)
	p.numberAt = len(p.body)
	p.body = s.appendProperties(p.body, e)
	p.setLength(s.lengthSize, len(p.body)-p.idAt-s.lengthSize)
	p.body = e.AppendJSON(p.body)
	const idRoom = maxIDDigits + 1 // for setID, which must not allocate
	if size := len(p.body) + idRoom; cap(p.body) < size {
		p.body = append(make([]byte, 0, size), p.body...) // append alone would double a large event
	}
}

// setLength writes the length of all properties in place of the bytes, size in number, that hold it.
func (p *packet) setLength(size, length int) {
	var prefix [binary.MaxVarintLen32]byte
	n := binary.PutUvarint(prefix[:], uint64(length))
	if n == size {
		copy(p.body[p.idAt:], prefix[:n])
		return
	}
	p.body = slices.Replace(p.body, p.idAt, p.idAt+size, prefix[:n]...)
	p.numberAt += n - size
	if p.expiryAt > 0 {
		p.expiryAt += n - size
	}
}

// setID completes the id that encode has begun with a number.
func (p *packet) setID(number uint64) {
	var text [maxIDDigits]byte
	digits := strconv.AppendUint(text[:0], number, 10)
	p.body = slices.Insert(p.body, p.numberAt, digits...)
	const lengthOfLength = 2 // the bytes before a string that hold its length
	id := p.body[p.numberAt-idPrefixSize-lengthOfLength:]
	binary.BigEndian.PutUint16(id, uint16(idPrefixSize+len(digits)))
	length, size := binary.Uvarint(p.body[p.idAt:])
	p.setLength(size, int(length)+len(digits))
}

// appendProperties appends the encoded properties of e, but for the id.
func (s *encoder) appendProperties(dst []byte, e *event.Event) []byte {
	var text [64]byte
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
