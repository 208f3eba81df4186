package mqttconn

import (
	"errors"
	"net/url"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
)

// Will is the retained message that the broker publishes when the connection has ended without
// a DISCONNECT and is not back within Delay. A broker that does not retain messages gets no Will.
type Will struct {
	Topic       string
	ContentType string
	Payload     func() []byte // called for every connection
	// Delay is the time before the broker publishes the Will, in whole seconds. It must be
	// shorter than the session expiry: the broker publishes the Will at the latest when the
	// session ends.
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

// adaptWill lowers the QoS of the Will, or leaves it out, if the broker has refused the CONNECT for
// the Will. It reports whether it has changed anything.
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

// goodbye writes the packets of Config.Goodbye and returns the DISCONNECT of Close, after which
// the broker does not publish the Will. autopaho calls it just before it writes the DISCONNECT,
// also on a connection that has just come up.
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
