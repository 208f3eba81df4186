package publisher

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/eclipse/paho.golang/packets"

	"github.com/mps-events/mps-events/internal/mqttconn"
)

const (
	statusDelay  = 30 * time.Second // time after which the broker publishes the Last Will
	statusExpiry = 24 * time.Hour   // of "offline" by Shutdown: a server that never comes back leaves nothing
	statusType   = "application/json"
)

// statusTrial is the search for the reason of connections that the broker ends: it may be the
// status message, which is the first on each connection, so that no event is ever acknowledged.
type statusTrial struct {
	inVain   int  // number of connections in a row on which no event was acknowledged
	withheld bool // the status message was not sent on this connection
	atFault  bool // a connection without the message was good after several with it that were in vain
}

// begin begins a connection and reports whether it may start with the status message on topic.
// After several connections in vain, every other one starts without it.
func (s *statusTrial) begin(log *slog.Logger, topic string) bool {
	if !s.atFault && s.inVain == suspectEnds {
		log.Warn("the MQTT broker ends each connection: trying without the status message as well", slog.String("topic", topic))
	}
	s.withheld = s.atFault || s.inVain >= suspectEnds && (s.inVain-suspectEnds)%2 == 0
	return !s.withheld
}

// end ends a connection, which was in vain if the broker acknowledged no event on it.
func (s *statusTrial) end(inVain bool) {
	if inVain {
		s.inVain++
		return
	}
	s.atFault = s.atFault || s.withheld && s.inVain >= suspectEnds
	s.inVain = 0
}

func (c Config) statusTopic() string { return "mps/status/" + c.ClientID }

// will returns the message that the broker publishes when this server goes away without a
// DISCONNECT.
func (c Config) will() *mqttconn.Will {
	return &mqttconn.Will{
		Topic:       c.statusTopic(),
		ContentType: statusType,
		Payload:     func() []byte { return statusJSON("offline", false) },
		Delay:       statusDelay,
	}
}

// online returns the packet that begins a connection.
func (c Config) online(limits mqttconn.Limits) []byte {
	return c.statusPacket(limits, statusJSON("online", false), 0)
}

// plannedOffline returns the packet that Shutdown sends.
func (c Config) plannedOffline(limits mqttconn.Limits) []byte {
	return c.statusPacket(limits, statusJSON("offline", true), statusExpiry)
}

// statusJSON returns the payload of a status message.
func statusJSON(status string, planned bool) []byte {
	payload, err := json.Marshal(struct {
		Status    string `json:"status"`
		Planned   bool   `json:"planned"`
		Timestamp int64  `json:"timestamp"`
	}{status, planned, time.Now().UnixMilli()})
	if err != nil {
		panic(err) // texts, numbers and truth values have a JSON form
	}
	return payload
}

// statusPacket returns a retained PUBLISH of the payload. Its QoS is 0: if a broken connection
// loses the message, the Will and the next connection correct it. It is empty if the broker
// retains no messages or takes none of that length.
func (c Config) statusPacket(limits mqttconn.Limits, payload []byte, expiry time.Duration) []byte {
	if !limits.RetainAvailable {
		return nil
	}
	publish := packets.Publish{
		Topic: c.statusTopic(), Payload: payload, Retain: true,
		Properties: &packets.Properties{ContentType: statusType},
	}
	if expiry > 0 {
		seconds := uint32(expiry / time.Second)
		publish.Properties.MessageExpiry = &seconds
	}
	var packet bytes.Buffer
	_, _ = publish.WriteTo(&packet) // to memory
	if limits.MaximumPacketSize > 0 && packet.Len() > limits.MaximumPacketSize {
		return nil // the broker would end the connection, each time
	}
	return packet.Bytes()
}
