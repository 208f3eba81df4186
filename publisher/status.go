package publisher

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/eclipse/paho.golang/packets"

	"github.com/mps-events/mps-events/internal/mqttconn"
)

const (
	statusDelay  = 30 * time.Second // before others learn that this server has gone away
	statusExpiry = 24 * time.Hour   // of a planned offline: a server that was taken down for good leaves nothing
	statusType   = "application/json"
)

func (c Config) statusTopic() string { return "mps/status/" + c.ClientID }

// will returns the message that the broker publishes when this server goes away without a word.
func (c Config) will() *mqttconn.Will {
	return &mqttconn.Will{
		Topic:       c.statusTopic(),
		ContentType: statusType,
		Payload:     func() []byte { return statusJSON("offline", false) },
		Delay:       statusDelay,
	}
}

func (c Config) online(to mqttconn.Limits) []byte {
	return c.statusPacket(to, statusJSON("online", false), 0)
}

func (c Config) plannedOffline(to mqttconn.Limits) []byte {
	return c.statusPacket(to, statusJSON("offline", true), statusExpiry)
}

func statusJSON(status string, planned bool) []byte {
	payload, err := json.Marshal(struct {
		Status    string `json:"status"`
		Planned   bool   `json:"planned"`
		Timestamp int64  `json:"timestamp"`
	}{status, planned, time.Now().UnixMilli()})
	if err != nil {
		panic(err) // it has nothing that could fail
	}
	return payload
}

// statusPacket is a retained PUBLISH at QoS 0: what a broken connection swallows of
// it, the Will and the next connection make good. It is empty for a broker that
// retains nothing or takes none so long.
func (c Config) statusPacket(to mqttconn.Limits, payload []byte, expiry time.Duration) []byte {
	if !to.RetainAvailable {
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
	if to.MaximumPacketSize > 0 && packet.Len() > to.MaximumPacketSize {
		return nil // the broker would cut the connection, each time
	}
	return packet.Bytes()
}
