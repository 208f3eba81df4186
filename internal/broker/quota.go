package broker

import (
	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// noSendQuota makes each client one that announced no Receive Maximum, because mochi's own
// counting of unacknowledged messages stops clients for ever, and loses messages.
//
// mochi gives a client with a Receive Maximum a send quota. When that is used up it keeps the
// next messages back, and after each packet of the client it looks for them with
// Inflight.NextImmediate. That method takes a read lock, and GetAll within it takes the same
// lock again: a publisher that asks for the write lock between the two waits for the first and
// is waited for by the second, and with it everybody who reaches that client. What is sent
// from there mochi also forgets at once, so it never comes again if the connection breaks.
//
// Without a quota each message goes to the socket at once and stays under way until the client
// acknowledges it: that is what a session resends. The price is that a client gets more
// unacknowledged messages than its Receive Maximum allows, up to maxInflight; those that are
// slower than the messages arrive are held back by TCP, and then hold up whoever publishes to
// them until their keep-alive ends. What the broker itself takes, and announces in its CONNACK,
// stays as it was.
//
// Both values are needed: a client that takes over a session gets a new quota from its
// properties, after OnConnect.
type noSendQuota struct{ mochi.HookBase }

func (noSendQuota) ID() string { return "no-send-quota" }

func (noSendQuota) Provides(b byte) bool { return b == mochi.OnConnect }

func (noSendQuota) OnConnect(client *mochi.Client, _ packets.Packet) error {
	client.Properties.Props.ReceiveMaximum = 0
	client.State.Inflight.ResetSendQuota(0)
	return nil
}

const (
	// maxInflight is the number of messages of QoS 1 and 2 that are kept for one client until it
	// acknowledges them, connected or not; mochi drops those that come on top. No client can have
	// more: each has a packet identifier.
	maxInflight = 1<<16 - 1
	// maxWritesPending is the number of packets that wait for one client's socket; mochi drops
	// those that come on top. It is above maxInflight, so that messages of QoS 1 alone never
	// reach it.
	maxWritesPending = 1 << 16
	// maxPacket is the size of the largest packet in bytes, for which mochi makes room as soon as
	// anybody announces it.
	maxPacket = 1 << 20
)

func capabilities() *mochi.Capabilities {
	c := mochi.NewDefaultServerCapabilities()
	c.MaximumInflight, c.MaximumClientWritesPending, c.MaximumPacketSize = maxInflight, maxWritesPending, maxPacket
	return c
}
