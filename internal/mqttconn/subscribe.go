package mqttconn

import (
	"hash/fnv"

	"github.com/eclipse/paho.golang/paho"
)

// subscribePackets returns the SUBSCRIBE packets for all subscriptions. A broker may
// send a message once for each subscription that it matches (MQTT 5.0, section 3.3.4). A
// subscription identifier holds for a whole packet, so each filter has a packet of its own: the
// copies of a message then have different identifiers. The identifier is computed from the filter
// alone, so that a filter keeps it when others come and go, and a subscription which an earlier
// configuration left in the session has another one.
func subscribePackets(all []paho.SubscribeOptions, limits Limits) []*paho.Subscribe {
	if !limits.SubscriptionIDs {
		return []*paho.Subscribe{{Subscriptions: all}}
	}
	packets := make([]*paho.Subscribe, len(all))
	for i, one := range all {
		id := subscriptionID(one.Topic)
		packets[i] = &paho.Subscribe{
			Subscriptions: []paho.SubscribeOptions{one}, Properties: &paho.SubscribeProperties{SubscriptionIdentifier: &id},
		}
	}
	return packets
}

// subscriptionID returns the subscription identifier of a filter, between 1 and maxID.
func subscriptionID(filter string) int {
	const maxID = 268_435_455
	h := fnv.New64a()
	_, _ = h.Write([]byte(filter)) // hashes do not fail
	return int(h.Sum64()%maxID) + 1
}
