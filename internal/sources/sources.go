// Package sources knows the servers that send messages: their names, the IDs that they give to messages, and how far
// their clocks are behind. It uses no clock and no network: its caller says when a message came. The daemon and the
// command check judge by it alike.
package sources

import (
	"crypto/sha256"
	"encoding/binary"
	"io"
	"time"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
)

// maxNameLength limits the name of a source, in bytes.
const maxNameLength = 128

// Message returns a message and the decision about it as the engine applies them: with the name of its source, and the
// time of its event corrected by the clock of the source. filter is the topic filter by which the message came. If the
// broker may have sent it before, it is again, and says nothing about a clock.
func (s *Clocks) Message(m decision.Message, filter string, d decision.Decision, again bool) alerting.Message {
	one := alerting.Message{
		Filter: filter, Topic: m.Topic, Payload: m.Payload, ReceivedAt: m.ReceivedAt, Source: nameOf(m.Properties, filter), MaxSkew: s.max,
		Properties: m.Properties, Fingerprint: fingerprint(m.Properties), Retained: m.Retain, Decision: d,
	}
	if d.At.IsZero() || m.Retain { // a retained message may be as old as its time says
		return one
	}
	if !again {
		s.note(one.Source, d.At, m.ReceivedAt)
	}
	one.Decision.At = d.At.Add(s.behindBy(one.Source))
	if m.ReceivedAt.Sub(d.At) > s.oldest {
		one.Decision.At = time.Time{}
	}
	return one
}

// nameOf returns the name of the server that sent a message, or else the topic filter.
func nameOf(properties []decision.Property, filter string) string {
	for _, p := range properties {
		if p.Key == "source" && p.Value != "" && len(p.Value) <= maxNameLength {
			return p.Value
		}
	}
	return filter
}

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
	return Print(source, id)
}

// Print returns a hash of texts that is never 0.
func Print(texts ...string) uint64 {
	h := sha256.New()
	for _, text := range texts {
		_ = binary.Write(h, binary.BigEndian, uint64(len(text))) // hashes do not fail
		_, _ = io.WriteString(h, text)
	}
	var sum [sha256.Size]byte
	return max(binary.BigEndian.Uint64(h.Sum(sum[:0])), 1)
}
