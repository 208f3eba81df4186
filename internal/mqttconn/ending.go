package mqttconn

import (
	"errors"
	"fmt"
	"os"

	"github.com/eclipse/paho.golang/packets"
)

// Ending is the way in which a connection ended.
type Ending struct {
	// ByBroker is true if the broker ended it, with a DISCONNECT or without a word, and
	// false if we did, for a broker that is silent or in Close.
	ByBroker bool
	// Reason is the reason code of the broker's DISCONNECT, MQTT 5.0, section 3.14.2.1; 0
	// without one.
	Reason byte
}

// BlamesPacket reports whether the broker ended the connection, by its own account, for
// a packet that it was sent.
func (e Ending) BlamesPacket() bool {
	switch e.Reason {
	case packets.DisconnectMalformedPacket, packets.DisconnectProtocolError, packets.DisconnectNotAuthorized,
		packets.DisconnectTopicNameInvalid, packets.DisconnectPacketTooLarge, packets.DisconnectPayloadFormatInvalid:
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
		return "closed without a reason"
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
	cause := link.cause()
	ours := cause == nil || errors.Is(cause, errSilent) || errors.Is(cause, os.ErrDeadlineExceeded)
	return Ending{ByBroker: !ours}
}
