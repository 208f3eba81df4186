package broker

import (
	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// separateIDs is a hook that works around a fault of mochi: it refuses a SUBSCRIBE if mochi has used
// the same packet identifier for a message to that client, although each side has identifiers
// of its own (MQTT 5.0, section 2.2.1). The hook negates the identifiers of SUBSCRIBE and
// UNSUBSCRIBE for mochi, which uses the same high numbers last.
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
