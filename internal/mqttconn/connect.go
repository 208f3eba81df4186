package mqttconn

import (
	"errors"
	"net/url"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
)

// Will is what the broker publishes by itself, as a retained message, when the
// connection has gone without a goodbye and is not back within Delay. A broker that
// does not retain messages gets no Will.
type Will struct {
	Topic       string
	ContentType string
	Payload     func() []byte // asked for on every connection
	// Delay is in whole seconds. The session must outlast it: a broker publishes
	// the Will when the session ends, if that comes first.
	Delay time.Duration
}

// fillConnect completes the CONNECT packet for the server at u.
func (c *Conn) fillConnect(packet *paho.Connect, u *url.URL) (*paho.Connect, error) {
	username, password := c.config.Username, c.config.Password
	if user := c.serverAt(u).User; user != nil {
		username = user.Username()
		password, _ = user.Password()
	}
	packet.Username, packet.UsernameFlag = username, username != ""
	packet.Password, packet.PasswordFlag = []byte(password), password != ""
	if packet.Properties == nil {
		packet.Properties = &paho.ConnectProperties{}
	}
	packet.Properties.RequestProblemInfo = true
	if c.config.ReceiveMaximum > 0 {
		packet.Properties.ReceiveMaximum = paho.Uint16(c.config.ReceiveMaximum)
	}
	if c.config.MaximumPacketSize > 0 {
		packet.Properties.MaximumPacketSize = paho.Uint32(c.config.MaximumPacketSize)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if will := c.config.Will; will != nil && !c.noWill {
		delay := uint32(will.Delay / time.Second)
		packet.WillMessage = &paho.WillMessage{Topic: will.Topic, Payload: will.Payload(), QoS: c.willQoS, Retain: true}
		packet.WillProperties = &paho.WillProperties{ContentType: will.ContentType, WillDelayInterval: &delay}
	}
	return packet, nil
}

// adaptWill asks less of a broker that has refused the CONNECT for its Will, and
// reports whether it did.
func (c *Conn) adaptWill(err error) bool {
	var denied *autopaho.ConnackError
	if c.config.Will == nil || !errors.As(err, &denied) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case denied.ReasonCode == packets.ConnackRetainNotSupported && !c.noWill:
		c.noWill = true
	case denied.ReasonCode == packets.ConnackQoSNotSupported && c.willQoS > 0:
		c.willQoS = 0
	default:
		return false
	}
	return true
}

// goodbye is the DISCONNECT of Close, by which the broker forgets the Will. autopaho asks
// for it when it is about to write it, even to a connection that has just come up; what
// the owner has to say goes before it.
func (c *Conn) goodbye() *paho.Disconnect {
	if link, limits := c.session.current(); link != nil && c.config.Goodbye != nil {
		_ = link.WritePackets(c.config.Goodbye(limits))
	}
	packet := &paho.Disconnect{ReasonCode: packets.DisconnectNormalDisconnection}
	if c.config.EndSession && c.config.SessionExpiry > 0 {
		packet.Properties = &paho.DisconnectProperties{SessionExpiryInterval: paho.Uint32(0)}
	}
	return packet
}
