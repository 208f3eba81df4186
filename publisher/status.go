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
	statusDelay  = 30 * time.Second // before others learn that this server has gone away
	statusExpiry = 24 * time.Hour   // of a planned offline: a server that was taken down for good leaves nothing
	statusType   = "application/json"
)

// statusTrial finds out whether the broker ends connections for the status message, which goes
// first on each: then no event would ever be acknowledged.
type statusTrial struct {
	inVain   int  // connections in a row on which no event was acknowledged
	withheld bool // the status message was not sent on this connection
	atFault  bool // a connection without it was good, after several with it that were not
}

// allowed reports whether a new connection may begin with the status message on topic. After
// several in vain every other one goes without.
func (s *statusTrial) allowed(log *slog.Logger, topic string) bool {
	if !s.atFault && s.inVain == suspectEnds {
		log.Warn("the MQTT broker ends each connection: trying without the status message as well", slog.String("topic", topic))
	}
	s.withheld = s.atFault || s.inVain >= suspectEnds && (s.inVain-suspectEnds)%2 == 0
	return !s.withheld
}

// ended takes in how the connection has ended.
func (s *statusTrial) ended(inVain bool) {
	if inVain {
		s.inVain++
		return
	}
	s.atFault = s.atFault || s.withheld && s.inVain >= suspectEnds
	s.inVain = 0
}

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
