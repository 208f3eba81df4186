package mqttconn

import (
	"errors"
	"io"
	"sync"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/session/state"
)

// Handlers are what the owner of a connection is told; any may be nil. None may
// call the Conn. Pubacks is called in the broker's order, one at a time, and so is
// Message; a handler that blocks stops the reading. Down may be called more than
// once for a connection.
type Handlers struct {
	// Up is told of each new connection, before anything is read from it.
	Up func(link *Link, limits Limits)
	// Failed is told of each attempt to connect or to subscribe that has failed.
	Failed func(error)
	// Subscribed is told when the Subscriptions of a connection are in force.
	Subscribed func()
	// Down is told when the connection of a link is lost or closed, and how.
	Down func(*Link, Ending)
	// Pubacks is told of the acknowledgements of what the owner wrote to the link
	// by itself, all at once that have come together. It may not keep the slice.
	Pubacks func(*Link, []Puback)
	// Message is told of each PUBLISH that arrives, and of the link on which it is
	// to be acknowledged with AppendAck.
	Message func(*Link, *packets.Publish)
	// Answered is told that the broker has answered an Ask, and gets its done. It is called
	// in order with Message, which has got all that the broker sent before its answer.
	Answered func(done func())
}

// session is paho's session, but that acknowledging is the owner's own: paho sends its
// acknowledgements on a timer.
type session struct {
	*state.State
	handlers     Handlers
	disconnected func(*packets.Disconnect) // is told of the broker's own
	link         *Link                     // of the newest connection
	messages     chan<- *packets.Publish   // by which paho hands on what received gets
	limits       Limits

	mu sync.Mutex
	up bool
}

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

// subscribed tells the owner how the subscribing on link has ended, and reports
// true, unless link has been lost meanwhile: then the next one will tell.
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

// current returns the link that is up, or nil.
func (s *session) current() (*Link, Limits) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.up {
		return nil, Limits{}
	}
	return s.link, s.limits
}

// received gets every PUBLISH. paho calls it from one goroutine of each
// connection, and makes no new connection before that has ended; so link is the
// one that the message came by.
func (s *session) received(p paho.PublishReceived) (bool, error) {
	if p.Packet.QoS == answerQoS {
		if done := s.link.asked.takeAnswered(); done != nil && s.handlers.Answered != nil {
			s.handlers.Answered(done)
		}
		return true, nil
	}
	if s.handlers.Message != nil {
		s.handlers.Message(s.link, p.Packet.Packet())
	}
	return true, nil
}

// answerQoS marks what pong puts among the messages. No message has it.
const answerQoS = 3

// PacketReceived gets what belongs to the session, a SUBACK among it.
func (s *session) PacketReceived(packet *packets.ControlPacket, messages chan<- *packets.Publish) error {
	if publish, ok := packet.Content.(*packets.Publish); ok && publish.QoS == answerQoS {
		return errors.New("mqtt: a PUBLISH at QoS 3")
	}
	s.messages = messages
	return s.State.PacketReceived(packet, messages)
}

// pong takes note of a PINGRESP, and hands it on behind the messages that came before it.
// paho calls it from the goroutine that calls PacketReceived.
func (s *session) pong() {
	if s.link.asked.answer() && s.messages != nil {
		s.messages <- &packets.Publish{QoS: answerQoS, Properties: &packets.Properties{}}
	}
}

// Ack would be paho's acknowledgement, sent when its handlers return.
func (s *session) Ack(*packets.Publish) error { return nil }

// Limits are what a broker said of itself in its CONNACK, with the defaults of
// MQTT 5.0, section 3.2.2.3, where it said nothing.
type Limits struct {
	SessionPresent    bool
	ReceiveMaximum    int  // QoS 1 publishes under way at a time
	MaximumPacketSize int  // bytes; 0 is no limit
	MaximumQoS        byte // 0, 1 or 2
	RetainAvailable   bool
	SubscriptionIDs   bool // whether a message says by which subscription it comes
}

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

// AppendAck appends the acknowledgement of p to dst, to be written to the link that
// p came by: a PUBACK at QoS 1, nothing at QoS 0. QoS 2, which only a subscription
// that an earlier client left in the session can bring, gets its PUBREC; the rest
// of that exchange is paho's.
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
