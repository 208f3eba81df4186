package publisher

import (
	"crypto/rand"
	"encoding/binary"
	"slices"
	"strconv"
	"time"

	"github.com/mps-events/mps-events/event"
)

// packet is one accepted event as the MQTT 5 PUBLISH that carries it, encoded
// when it is accepted and sent as it is, but for what differs from one attempt to
// the next: the fixed header, the packet identifier (section 3.3) and how long the
// event may still be kept (section 3.3.2.3.3).
type packet struct {
	body     []byte // topic, properties, payload
	idAt     int    // where in body a packet identifier goes: behind the topic
	expiryAt int    // where in body the Message Expiry Interval stands; 0 is nowhere
	deadline time.Time
	time     int64  // the event's own, in Unix milliseconds
	number   uint64 // how many had been accepted when this one was, itself included
	tried    bool   // it has been written before, on whichever connection
	done     bool   // it is acknowledged, while an older one is not yet
	record   record // see suspects
}

// usualBody is room for the body of an ordinary event with all its properties.
const usualBody = 384

// memory returns the bytes that a packet takes while it is held: those of its body, and
// 128 for the rest of it and for its place in the queue.
func (p *packet) memory() int { return cap(p.body) + 128 }

// Identifiers of properties, MQTT 5.0, section 2.2.2.2.
const (
	propertyMessageExpiry = 2
	propertyContentType   = 3
	propertyUser          = 38
)

const publishType = 3 << 4

// stationery is the part that all packets of one publisher have in common.
type stationery struct {
	topic       topicTemplate
	properties  []byte // those that never change, encoded
	guess       int    // how many bytes the length of all properties takes
	idPrefix    string // makes the ids of this process unlike those of the last one
	expiry      time.Duration
	cloudEvents bool
}

func newStationery(c Config, topic topicTemplate) stationery {
	s := stationery{topic: topic, idPrefix: rand.Text()[:12] + "-", expiry: c.MessageExpiry, cloudEvents: c.CloudEvents}
	if s.expiry > 0 {
		seconds := uint32(s.expiry / time.Second) // appendTo writes what is left of them
		s.properties = binary.BigEndian.AppendUint32(append(s.properties, propertyMessageExpiry), seconds)
	}
	s.properties = appendString(append(s.properties, propertyContentType), "application/json")
	s.properties = appendUser(s.properties, "source", c.Source)
	if s.cloudEvents {
		s.properties = appendUser(s.properties, "specversion", "1.0")
	}
	const idAndOutcome, oneByte = 50, 127
	if s.guess = 1; len(s.properties)+idAndOutcome > oneByte {
		s.guess = 2
	}
	return s
}

// encode makes p carry e under the given id. It reuses the memory of p.
func (s *stationery) encode(p *packet, e *event.Event, id uint64) {
	*p = packet{body: p.body[:0], time: e.Timestamp}
	p.body = append(p.body, 0, 0)
	p.body = s.topic.append(p.body, e)
	p.idAt = len(p.body)
	binary.BigEndian.PutUint16(p.body, uint16(p.idAt-2))

	// The length of the properties stands before them and takes as many bytes as it
	// needs, which is guessed.
	p.body = append(p.body, make([]byte, s.guess)...)
	p.body = s.appendProperties(p.body, e, id)
	length := len(p.body) - p.idAt - s.guess
	var prefix [binary.MaxVarintLen32]byte
	n := binary.PutUvarint(prefix[:], uint64(length))
	if n != s.guess {
		p.body = slices.Replace(p.body, p.idAt, p.idAt+s.guess, prefix[:n]...)
	}
	copy(p.body[p.idAt:], prefix[:n])
	if s.expiry > 0 {
		p.expiryAt = p.idAt + n + 1
		p.deadline = time.Now().Add(s.expiry)
	}
	p.body = e.AppendJSON(p.body)
}

func (s *stationery) appendProperties(dst []byte, e *event.Event, id uint64) []byte {
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

// appendTo appends the whole PUBLISH to dst. At QoS 0 id is not used.
func (p *packet) appendTo(dst []byte, qos byte, id uint16) []byte {
	header := byte(publishType) | qos<<1
	if p.tried && qos > 0 {
		header |= 1 << 3 // DUP
	}
	dst = append(dst, header)
	dst = binary.AppendUvarint(dst, uint64(p.remaining(qos))) // MQTT's variable byte integer is the same
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

// remaining is the packet's Remaining Length: all but its fixed header.
func (p *packet) remaining(qos byte) int {
	if qos > 0 {
		return len(p.body) + 2
	}
	return len(p.body)
}

// topic returns the topic that p is published to.
func (p *packet) topic() string { return string(p.body[2:p.idAt]) }

// size is the packet's length on the wire, which Maximum Packet Size limits.
func (p *packet) size(qos byte) int {
	var buf [binary.MaxVarintLen64]byte
	n := p.remaining(qos)
	return 1 + binary.PutUvarint(buf[:], uint64(n)) + n
}

// expired says that nobody may be given p any more.
func (p *packet) expired() bool { return p.expiryAt > 0 && !time.Now().Before(p.deadline) }

func appendUser[T ~string | ~[]byte](dst []byte, key string, value T) []byte {
	dst = append(dst, propertyUser)
	return appendString(appendString(dst, key), value)
}

func appendString[T ~string | ~[]byte](dst []byte, s T) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(s)))
	return append(dst, s...)
}
