package mqttconn

import (
	"errors"
	"io"
	"sync"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/session/state"
)

// Handlers holds the functions that a Conn calls; any may be nil. None of them may
// call the Conn. Pubacks is called in the broker's order, one call at a time, and so is
// Message; a handler that blocks stops the reading. Down may be called more than
// once for a connection.
type Handlers struct {
	// Up is called for each new connection, before anything is read from it.
	Up func(link *Link, limits Limits)
	// Failed is called for each attempt to connect or to subscribe that has failed.
	Failed func(error)
	// Subscribed is called when the broker has accepted the Subscriptions on a connection.
	Subscribed func()
	// Down is called when the connection of a link is lost or closed.
	Down func(*Link, Ending)
	// Pubacks is called with acknowledgements of packets that the owner wrote to the link: with
	// all that have arrived together. It may not keep the slice.
	Pubacks func(*Link, []Puback)
	// Message is called for each PUBLISH that arrives, with the link on which the owner
	// acknowledges it with AppendAck.
	Message func(*Link, *packets.Publish)
	// Answered is called with done when the broker has answered an Ask. It is called
	// in order with Message, which has got all messages that the broker sent before its answer.
	Answered func(done func())
}

// session is paho's session without its acknowledgements, which paho would send on a timer: the
// owner acknowledges messages.
type session struct {
	*state.State
	handlers     Handlers
	disconnected func(*packets.Disconnect) // called for the broker's DISCONNECT
	link         *Link                     // link of the newest connection
	messages     chan<- *packets.Publish   // paho's channel of messages for received
	limits       Limits

	mu sync.Mutex
	up bool
}

// ConAckReceived begins a connection.
func (s *session) ConAckReceived(w io.Writer, connect *packets.Connect, connack *packets.Connack) error {
	if err := s.State.ConAckReceived(w, connect, connack); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.link, s.limits, s.up = w.(*Link), limitsOf(connack), true
	s.messages = nil // paho makes another one
	if s.handlers.Up != nil {
		s.handlers.Up(s.link, s.limits)
	}
	return nil
}

// ConnectionLost ends a connection; p is the broker's DISCONNECT, or nil.
func (s *session) ConnectionLost(p *packets.Disconnect) error {
	if p != nil {
		s.disconnected(p)
	}
	s.mu.Lock()
	s.up = false
	if s.link != nil && s.handlers.Down != nil {
		s.handlers.Down(s.link, endingOf(s.link, p))
	}
	s.mu.Unlock()
	return s.State.ConnectionLost(p)
}

// subscribed calls the handler Subscribed or, with an error, Failed. If link has been lost
// meanwhile, it does nothing and returns false: the next connection subscribes again.
func (s *session) subscribed(link *Link, err error) (current bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.up || s.link != link:
		return false
	case err != nil && s.handlers.Failed != nil:
		s.handlers.Failed(err)
	case err == nil && s.handlers.Subscribed != nil:
		s.handlers.Subscribed()
	}
	return true
}

// current returns the link that is connected, or nil.
func (s *session) current() (*Link, Limits) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.up {
		return nil, Limits{}
	}
	return s.link, s.limits
}

// received handles every PUBLISH. paho calls it from one goroutine of each
// connection, and makes no new connection before that goroutine has ended; so the message came by
// link.
func (s *session) received(p paho.PublishReceived) (bool, error) {
	if p.Packet.QoS == answerQoS {
		if done := s.link.pings.takeAnswered(); done != nil && s.handlers.Answered != nil {
			s.handlers.Answered(done)
		}
		return true, nil
	}
	if s.handlers.Message != nil {
		s.handlers.Message(s.link, p.Packet.Packet())
	}
	return true, nil
}

// answerQoS is the QoS of the marks that pong puts among the messages. No message has it.
const answerQoS = 3

// PacketReceived handles the packets that belong to the session, such as a SUBACK.
func (s *session) PacketReceived(packet *packets.ControlPacket, messages chan<- *packets.Publish) error {
	if publish, ok := packet.Content.(*packets.Publish); ok && publish.QoS == answerQoS {
		return errors.New("mqtt: a PUBLISH at QoS 3")
	}
	s.messages = messages
	return s.State.PacketReceived(packet, messages)
}

// pong handles a PINGRESP. It puts a mark after the messages that came before the PINGRESP.
// paho calls it from the goroutine that calls PacketReceived.
func (s *session) pong() {
	if s.link.pings.answer() && s.messages != nil {
		s.messages <- &packets.Publish{QoS: answerQoS, Properties: &packets.Properties{}}
	}
}

// Ack does nothing: paho calls it when its handlers return, but the owner acknowledges messages.
func (s *session) Ack(*packets.Publish) error { return nil }

// Limits holds the properties of a broker's CONNACK, with the defaults of
// MQTT 5.0, section 3.2.2.3.
type Limits struct {
	SessionPresent    bool
	ReceiveMaximum    int  // QoS 1 publishes under way at a time
	MaximumPacketSize int  // bytes; 0 is no limit
	MaximumQoS        byte // 0, 1 or 2
	RetainAvailable   bool
	SubscriptionIDs   bool // the broker supports subscription identifiers
}

// limitsOf returns the Limits in a CONNACK.
func limitsOf(connack *packets.Connack) Limits {
	limits := Limits{SessionPresent: connack.SessionPresent, ReceiveMaximum: 65535, MaximumQoS: 2, RetainAvailable: true, SubscriptionIDs: true}
	p := connack.Properties
	if p == nil {
		return limits
	}
	if p.ReceiveMaximum != nil && *p.ReceiveMaximum > 0 {
		limits.ReceiveMaximum = int(*p.ReceiveMaximum)
	}
	if p.MaximumPacketSize != nil {
		limits.MaximumPacketSize = int(*p.MaximumPacketSize)
	}
	if p.MaximumQOS != nil {
		limits.MaximumQoS = *p.MaximumQOS
	}
	if p.RetainAvailable != nil {
		limits.RetainAvailable = *p.RetainAvailable != 0
	}
	if p.SubIDAvailable != nil {
		limits.SubscriptionIDs = *p.SubIDAvailable != 0
	}
	return limits
}

// AppendAck appends the acknowledgement of p to dst, for the link that p came by: a PUBACK at
// QoS 1, nothing at QoS 0. For QoS 2, which comes only by a subscription that an earlier client
// left in the session, it appends a PUBREC; paho does the rest of that exchange.
func AppendAck(dst []byte, p *packets.Publish) []byte {
	kind := packets.PUBACK
	switch p.QoS {
	case 0:
		return dst
	case 2:
		kind = packets.PUBREC
	}
	return append(dst, kind<<4, 2, byte(p.PacketID>>8), byte(p.PacketID))
}
