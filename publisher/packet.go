package publisher

import (
	"encoding/binary"
	"strconv"

	"github.com/mps-events/mps-events/event"
)

// packet is one accepted event as the MQTT 5 PUBLISH that carries it, encoded
// when it is accepted and sent as it is, but for the fixed header and the packet
// identifier, which differ from one attempt to the next (section 3.3).
type packet struct {
	body   []byte // topic, properties, payload
	idAt   int    // where in body a packet identifier goes: behind the topic
	number uint64 // how many had been accepted when this one was, itself included
	tried  bool   // it has been written before, on whichever connection
	done   bool   // it is acknowledged, while an older one is not yet
}

// Identifiers of properties, MQTT 5.0, section 2.2.2.2.
const (
	propertyContentType = 3
	propertyUser        = 38
)

const publishType = 3 << 4

// stationery is what all packets of one publisher have in common.
type stationery struct {
	topic      string
	properties []byte // content type and source, encoded
	idPrefix   string // makes the ids of this process unlike those of the last one
}

func newStationery(topic, source, idPrefix string) stationery {
	properties := appendString([]byte{propertyContentType}, "application/json")
	return stationery{topic, appendUser(properties, "source", source), idPrefix}
}

// encode makes p carry e under the given id. It reuses the memory of p.
func (s *stationery) encode(p *packet, e *event.Event, id uint64) {
	var scratch [64]byte
	idText := strconv.AppendUint(append(scratch[:0], s.idPrefix...), id, 36)
	length := len(s.properties) + userSize("id", len(idText))
	if e.Outcome != "" {
		length += userSize("outcome", len(e.Outcome))
	}
	if e.HTTPStatus != 0 {
		length += userSize("httpstatus", len("500")) // Validate asks for three digits
	}
	if e.TraceParent != "" {
		length += userSize("traceparent", len(e.TraceParent))
	}

	p.body = appendString(p.body[:0], s.topic)
	p.idAt = len(p.body)
	p.body = binary.AppendUvarint(p.body, uint64(length))
	p.body = append(p.body, s.properties...)
	p.body = appendUser(p.body, "id", idText)
	if e.Outcome != "" {
		p.body = appendUser(p.body, "outcome", e.Outcome)
	}
	if e.HTTPStatus != 0 {
		p.body = appendUser(p.body, "httpstatus", strconv.AppendInt(scratch[:0], int64(e.HTTPStatus), 10))
	}
	if e.TraceParent != "" {
		p.body = appendUser(p.body, "traceparent", e.TraceParent)
	}
	p.body = e.AppendJSON(p.body)
	p.tried, p.done = false, false
}

// appendTo appends the whole PUBLISH to dst. At QoS 0 id is not used.
func (p *packet) appendTo(dst []byte, qos byte, id uint16) []byte {
	header := byte(publishType) | qos<<1
	if p.tried && qos > 0 {
		header |= 1 << 3 // DUP
	}
	dst = append(dst, header)
	dst = binary.AppendUvarint(dst, uint64(p.remaining(qos))) // MQTT's variable byte integer is the same
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

// size is the packet's length on the wire, which Maximum Packet Size limits.
func (p *packet) size(qos byte) int {
	var buf [binary.MaxVarintLen64]byte
	n := p.remaining(qos)
	return 1 + binary.PutUvarint(buf[:], uint64(n)) + n
}

// userSize is the encoded length of a user property: its identifier, and two
// strings with two bytes of length each.
func userSize(key string, valueLength int) int { return 1 + 2 + len(key) + 2 + valueLength }

func appendUser[T ~string | ~[]byte](dst []byte, key string, value T) []byte {
	dst = append(dst, propertyUser)
	return appendString(appendString(dst, key), value)
}

func appendString[T ~string | ~[]byte](dst []byte, s T) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(s)))
	return append(dst, s...)
}
