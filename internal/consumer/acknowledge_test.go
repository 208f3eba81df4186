package consumer_test

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
)

// scripted is a broker that sends only the messages that a test writes, and records every
// acknowledgement.
type scripted struct {
	t          *testing.T
	addr       string
	connects   chan *packets.Connect
	subscribed chan net.Conn // each connection, once there is a subscription on it
	answers    chan answer   // in order
}

// answer is a PUBACK, or a PUBCOMP, which is how a client answers a PUBREL at once.
type answer struct {
	conn net.Conn
	kind byte
	id   uint16
}

func (s scripted) Addr() string { return s.addr }

func script(t *testing.T) scripted {
	t.Helper()
	const plenty = 100
	s := scripted{t, "", make(chan *packets.Connect, plenty), make(chan net.Conn, plenty), make(chan answer, plenty)}
	s.addr = brokertest.Script{
		Connected: func(c *packets.Connect) { s.connects <- c },
		Received: func(conn net.Conn, p *packets.ControlPacket) {
			switch content := p.Content.(type) {
			case *packets.Subscribe:
				write(t, conn, &packets.Suback{PacketID: content.PacketID, Properties: &packets.Properties{}, Reasons: []byte{1}})
				s.subscribed <- conn
			case *packets.Puback:
				s.answers <- answer{conn, packets.PUBACK, content.PacketID}
			case *packets.Pubcomp:
				s.answers <- answer{conn, packets.PUBCOMP, content.PacketID}
			}
		},
	}.Serve(t)
	return s
}

func write(t *testing.T, w io.Writer, packet io.WriterTo) {
	t.Helper()
	_, err := packet.WriteTo(w)
	assert.NoError(t, err)
}

// publish writes QoS 1 messages with these packet identifiers, all at once.
func (s scripted) publish(conn net.Conn, ids ...uint16) {
	s.t.Helper()
	var all bytes.Buffer
	for _, id := range ids {
		write(s.t, &all, &packets.Publish{
			QoS: 1, PacketID: id, Topic: "mps/events", Properties: &packets.Properties{}, Payload: []byte(call(event.Request, "1")),
		})
	}
	_, err := conn.Write(all.Bytes())
	require.NoError(s.t, err)
}

// expect waits for the next answers on conn.
func (s scripted) expect(conn net.Conn, kind byte, ids ...uint16) {
	s.t.Helper()
	for _, id := range ids {
		select {
		case got := <-s.answers:
			require.Equal(s.t, answer{conn, kind, id}, got)
		case <-time.After(brokertest.Wait):
			require.FailNow(s.t, "no answer", "%d", id)
		}
	}
}

// expectNone fails if the consumer has acknowledged anything by now. Its answer to
// a PUBREL comes behind all that it has written before.
func (s scripted) expectNone(conn net.Conn) {
	s.t.Helper()
	const id = 9999
	write(s.t, conn, &packets.Pubrel{PacketID: id, Properties: &packets.Properties{}})
	s.expect(conn, packets.PUBCOMP, id)
}

func TestMessagesAreAcknowledgedInOrderAndNotBeforeTheyAreStored(t *testing.T) {
	s, ilert := script(t), record(t)
	cfg := config(t, s, ilert)
	c := start(t, cfg).ready(t)
	conn := <-s.subscribed
	repair := breakStore(t, `BEFORE INSERT ON tally`)
	s.publish(conn, 1)
	c.failing(t, "store: ")
	s.publish(conn, 2, 3, 4, 5, 6, 7, 8, 9, 10) // wait behind the first
	s.expectNone(conn)
	repair()
	s.expect(conn, packets.PUBACK, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
	var stored int
	require.NoError(t, openStore(t).QueryRowContext(t.Context(), `SELECT received FROM tally`).Scan(&stored))
	assert.Equal(t, 10, stored)
	c.ready(t)
}

// A packet identifier belongs to its connection: on the next one it may be that of another
// message, which is not stored yet.
func TestAMessageIsAcknowledgedOnNoOtherConnection(t *testing.T) {
	s, ilert := script(t), record(t)
	cfg := config(t, s, ilert)
	c := start(t, cfg).ready(t)
	first := <-s.subscribed
	repair := breakStore(t, `BEFORE INSERT ON tally`)
	s.publish(first, 1)
	c.failing(t, "store: ")
	s.publish(first, 2, 3)
	s.expectNone(first)
	require.NoError(t, first.Close())
	second := <-s.subscribed
	s.publish(second, 11, 12)
	s.expectNone(second)
	repair()
	s.expect(second, packets.PUBACK, 11, 12)
	s.expectNone(second)
}

func TestTheBrokerIsToldHowManyMessagesMayBeUnderWayAndHowLong(t *testing.T) {
	s, ilert := script(t), record(t)
	start(t, config(t, s, ilert)).ready(t)
	connect := <-s.connects
	require.NotNil(t, connect.Properties.ReceiveMaximum)
	assert.Equal(t, uint16(1024), *connect.Properties.ReceiveMaximum)
	require.NotNil(t, connect.Properties.MaximumPacketSize)
	assert.Equal(t, uint32(256<<10), *connect.Properties.MaximumPacketSize)
}
