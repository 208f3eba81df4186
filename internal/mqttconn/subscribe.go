package mqttconn

import (
	"hash/fnv"

	"github.com/eclipse/paho.golang/paho"

	"github.com/mps-events/mps-events/internal/mqtttopic"
)

// subscribePackets returns the SUBSCRIBE packets for all subscriptions. A broker may
// send a message once for each subscription that it matches (MQTT 5.0, section 3.3.4). A
// subscription identifier holds for a whole packet, so filters that overlap are in different
// packets: the copies of a message then have different identifiers. The identifiers are computed
// from the filters, so that a subscription which an earlier configuration left in the session
// has another identifier.
func subscribePackets(all []paho.SubscribeOptions, limits Limits) []*paho.Subscribe {
	if !limits.SubscriptionIDs {
		return []*paho.Subscribe{{Subscriptions: all}}
	}
	var groups []*paho.Subscribe
next:
	for _, one := range all {
		for _, group := range groups {
			if !overlapsAny(group.Subscriptions, one.Topic) {
				group.Subscriptions = append(group.Subscriptions, one)
				continue next
			}
		}
		groups = append(groups, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{one}})
	}
	for _, group := range groups {
		id := subscriptionID(group.Subscriptions)
		group.Properties = &paho.SubscribeProperties{SubscriptionIdentifier: &id}
	}
	return groups
}

func overlapsAny(subscriptions []paho.SubscribeOptions, filter string) bool {
	for _, s := range subscriptions {
		if mqtttopic.Overlap(s.Topic, filter) {
			return true
		}
	}
	return false
}

// subscriptionID returns the identifier of subscriptions, between 1 and maxID.
func subscriptionID(subscriptions []paho.SubscribeOptions) int {
	const maxID = 268_435_455
	h := fnv.New64a()
	for _, s := range subscriptions {
		_, _ = h.Write([]byte(s.Topic + "\x00")) // hashes do not fail
	}
	return int(h.Sum64()%maxID) + 1
}
