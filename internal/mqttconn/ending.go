package mqttconn

import (
	"fmt"

	"github.com/eclipse/paho.golang/packets"
)

// Ending is the way in which a connection ended.
type Ending struct {
	// ByBroker is true if the broker ended the connection, with or without a DISCONNECT, or was
	// silent for too long. It is false for Close.
	ByBroker bool
	// Reason is the reason code of the broker's DISCONNECT (MQTT 5.0, section 3.14.2.1), or 0
	// if there was none.
	Reason byte
}

// BlamesPacket reports whether the reason code blames a packet that the broker will never take.
// "Not authorized" does not: the broker may authorize the packet later, or mean another packet.
func (e Ending) BlamesPacket() bool {
	switch e.Reason {
	case packets.DisconnectMalformedPacket, packets.DisconnectTopicNameInvalid,
		packets.DisconnectPacketTooLarge, packets.DisconnectPayloadFormatInvalid:
		return true
	}
	return false
}

// ExcusesPackets reports whether the reason code blames no packet.
func (e Ending) ExcusesPackets() bool {
	switch e.Reason {
	case packets.DisconnectServerBusy, packets.DisconnectServerShuttingDown, packets.DisconnectKeepAliveTimeout,
		packets.DisconnectSessionTakenOver, packets.DisconnectMessageRateTooHigh, packets.DisconnectQuotaExceeded,
		packets.DisconnectAdministrativeAction, packets.DisconnectUseAnotherServer, packets.DisconnectServerMoved,
		packets.DisconnectConnectionRateExceeded, packets.DisconnectMaximumConnectTime:
		return true
	}
	return false
}

// String returns the reason in words.
func (e Ending) String() string {
	switch {
	case e.Reason != 0:
		return fmt.Sprintf("%s (reason code 0x%02X)", (&packets.Disconnect{ReasonCode: e.Reason}).Reason(), e.Reason)
	case e.ByBroker:
		return "no reason given"
	default:
		return "closed by us"
	}
}

// endingOf returns the Ending of the connection of link; disconnect is the broker's DISCONNECT,
// or nil.
func endingOf(link *Link, disconnect *packets.Disconnect) Ending {
	if disconnect != nil {
		return Ending{ByBroker: true, Reason: disconnect.ReasonCode}
	}
	return Ending{ByBroker: link.cause() != nil}
}
