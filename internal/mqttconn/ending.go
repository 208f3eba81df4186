package mqttconn

import (
	"fmt"

	"github.com/eclipse/paho.golang/packets"
)

// Ending is the way in which a connection ended.
type Ending struct {
	// ByBroker is true if the broker ended it, with a DISCONNECT or without a word, or fell
	// silent until we gave it up. It is false in Close.
	ByBroker bool
	// Reason is the reason code of the broker's DISCONNECT, MQTT 5.0, section 3.14.2.1; 0
	// without one.
	Reason byte
}

// BlamesPacket reports whether the broker ended the connection, by its own account, for
// a packet that it will never take. "Not authorized" is none of these: rights may come back,
// and a broker may mean another packet.
func (e Ending) BlamesPacket() bool {
	switch e.Reason {
	case packets.DisconnectMalformedPacket, packets.DisconnectTopicNameInvalid,
		packets.DisconnectPacketTooLarge, packets.DisconnectPayloadFormatInvalid:
		return true
	}
	return false
}

// ExcusesPackets reports whether the broker ended the connection, by its own account, for a
// reason that lies in no packet.
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

// String returns the way in words.
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

// endingOf returns how the connection of link ended; disconnect is the broker's last word,
// or nil.
func endingOf(link *Link, disconnect *packets.Disconnect) Ending {
	if disconnect != nil {
		return Ending{ByBroker: true, Reason: disconnect.ReasonCode}
	}
	return Ending{ByBroker: link.cause() != nil}
}
