package broker

import (
	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// noSendQuota is a hook that removes the Receive Maximum of each client, because mochi's counting
// of unacknowledged messages makes clients hang for ever, and loses messages.
//
// mochi gives a client with a Receive Maximum a send quota. When the quota is used up, mochi holds
// further messages back, and looks for them after each packet of the client with
// Inflight.NextImmediate. That method takes a read lock and calls GetAll, which takes the same lock
// again: if a publisher asks for the write lock between the two, it waits for the first and the
// second waits for it, and so does everyone who publishes to that client. mochi also forgets a
// message that it sends there at once, so it does not send it again if the connection breaks.
//
// Without a quota each message goes to the socket at once, and remains in the session until the
// client acknowledges it. The disadvantage is that a client gets more unacknowledged messages than
// its Receive Maximum allows, up to maxInflight. TCP holds back messages for a slow client, which
// then delays everyone who publishes to it until its keep-alive ends. The Receive Maximum that
// the broker announces in its CONNACK does not change.
//
// Both values are set, because a client that takes over a session gets a new quota from its
// properties after OnConnect.
type noSendQuota struct{ mochi.HookBase }

func (noSendQuota) ID() string { return "no-send-quota" }

func (noSendQuota) Provides(b byte) bool { return b == mochi.OnConnect }

func (noSendQuota) OnConnect(client *mochi.Client, _ packets.Packet) error {
	client.Properties.Props.ReceiveMaximum = 0
	client.State.Inflight.ResetSendQuota(0)
	return nil
}

const (
	// maxInflight is the number of unacknowledged messages of QoS 1 and 2 that mochi keeps for one
	// client, connected or not; mochi drops further ones. There are no more packet identifiers.
	maxInflight = 1<<16 - 1
	// maxWritesPending is the number of packets that may wait for one client's socket; mochi drops
	// further ones. It is above maxInflight, so that messages of QoS 1 alone never reach it.
	maxWritesPending = 1 << 16
	// maxPacket is the size of the largest packet in bytes. mochi allocates the announced size of a
	// packet before it arrives.
	maxPacket = 1 << 20
)

// capabilities returns mochi's default capabilities with the limits above, but for the unacknowledged messages of a client.
func capabilities(inflight uint16) *mochi.Capabilities {
	c := mochi.NewDefaultServerCapabilities()
	c.MaximumInflight, c.MaximumClientWritesPending, c.MaximumPacketSize = inflight, maxWritesPending, maxPacket
	return c
}
