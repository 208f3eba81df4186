package mqttconn

import (
	"hash/fnv"

	"github.com/eclipse/paho.golang/paho"
)

// subscribePackets returns the SUBSCRIBE packets that make all subscriptions. A broker may
// send a message once for each subscription that it matches (MQTT 5.0, section 3.3.4), and a
// subscription identifier goes for a whole packet: each filter has a packet of its own, so that
// the copies of a message can be told from several messages. The identifier follows from the
// filter alone. So a filter keeps it when others come and go, and a subscription which an
// earlier configuration left in the session has another one.
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

// subscriptionID returns an identifier between 1 and the largest, 268,435,455.
func subscriptionID(filter string) int {
	const most = 268_435_455
	h := fnv.New64a()
	_, _ = h.Write([]byte(filter)) // hashes do not fail
	return int(h.Sum64()%most) + 1
}
