package mqttconn

import (
	"hash/fnv"

	"github.com/eclipse/paho.golang/paho"

	"github.com/mps-events/mps-events/internal/mqtttopic"
)

// subscribePackets returns the SUBSCRIBE packets that make all subscriptions. A broker may
// send a message once for each subscription that it matches (MQTT 5.0, section 3.3.4), and a
// subscription identifier goes for a whole packet: filters that overlap stand in different
// ones, so that the copies of a message can be told from several messages. The identifiers
// follow from the filters, so that a subscription which an earlier configuration left in the
// session has another one.
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

// subscriptionID returns an identifier between 1 and the largest, 268,435,455.
func subscriptionID(subscriptions []paho.SubscribeOptions) int {
	const most = 268_435_455
	h := fnv.New64a()
	for _, s := range subscriptions {
		_, _ = h.Write([]byte(s.Topic + "\x00")) // hashes do not fail
	}
	return int(h.Sum64()%most) + 1
}
