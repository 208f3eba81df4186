package consumer

import (
	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/sources"
)

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
	d.Print = sources.Print(content...)
	return d
}
