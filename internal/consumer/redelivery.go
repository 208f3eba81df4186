package consumer

import (
	"crypto/sha256"
	"encoding/binary"
	"io"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
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
