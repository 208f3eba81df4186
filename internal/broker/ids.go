package broker

import (
	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// separateIDs mends that mochi refuses a SUBSCRIBE whose packet identifier it has used
// itself for a message that waits for this client: the two sides number their packets
// each for itself (MQTT 5.0, section 2.2.1). Within mochi a client's identifiers for
// subscribing count down from the other end, where its own come last.
type separateIDs struct{ mochi.HookBase }

func (separateIDs) ID() string { return "separate-ids" }

func (separateIDs) Provides(b byte) bool {
	return b == mochi.OnPacketRead || b == mochi.OnPacketEncode
}

func (separateIDs) OnPacketRead(_ *mochi.Client, p packets.Packet) (packets.Packet, error) {
	if p.FixedHeader.Type == packets.Subscribe || p.FixedHeader.Type == packets.Unsubscribe {
		p.PacketID = -p.PacketID
	}
	return p, nil
}

func (separateIDs) OnPacketEncode(_ *mochi.Client, p packets.Packet) packets.Packet {
	if p.FixedHeader.Type == packets.Suback || p.FixedHeader.Type == packets.Unsuback {
		p.PacketID = -p.PacketID
	}
	return p
}
