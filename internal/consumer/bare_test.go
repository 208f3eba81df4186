package consumer

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"net"
	"strconv"
	"testing"

	"github.com/eclipse/paho.golang/packets"
	"github.com/stretchr/testify/require"
)

// bare is an MQTT client that only publishes, or only acknowledges.
type bare struct {
	net.Conn
	in *bufio.Reader
}

func connectBare(b *testing.B, address, clientID string) bare {
	b.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(b, err)
	c := bare{conn, bufio.NewReaderSize(conn, 64<<10)}
	expiry, most := uint32(3600), uint16(receiveMaximum)
	c.ask(b, &packets.Connect{
		ProtocolName: "MQTT", ProtocolVersion: 5, ClientID: clientID, KeepAlive: 600,
		Properties: &packets.Properties{SessionExpiryInterval: &expiry, ReceiveMaximum: &most},
	})
	return c
}

func (c bare) ask(b *testing.B, p packets.Packet) {
	b.Helper()
	_, err := p.WriteTo(c)
	require.NoError(b, err)
	_, err = packets.ReadPacket(c.in)
	require.NoError(b, err)
}

// publish publishes n messages at QoS 1, with ids as package publisher makes them, and waits until all are acknowledged.
func (c bare) publish(b *testing.B, n int, payload func(n int) []byte) {
	b.Helper()
	acknowledged := make(chan error, 1)
	window := make(chan struct{}, 1000)
	go func() {
		for range n {
			if _, err := packets.ReadPacket(c.in); err != nil {
				acknowledged <- err
				return
			}
			<-window
		}
		acknowledged <- nil
	}()
	out, process := bufio.NewWriterSize(c, 32<<10), rand.Text()[:12]+"-"
	for i := range n {
		select {
		case window <- struct{}{}:
		default:
			require.NoError(b, out.Flush())
			window <- struct{}{}
		}
		user := []packets.User{{Key: "source", Value: "mps-1"}, {Key: "id", Value: process + strconv.Itoa(i+1)}}
		_, err := (&packets.Publish{QoS: 1, PacketID: uint16(i%65535) + 1, Topic: "mps/events", Properties: &packets.Properties{User: user}, Payload: payload(i)}).WriteTo(out)
		require.NoError(b, err)
	}
	require.NoError(b, out.Flush())
	require.NoError(b, <-acknowledged)
}

// drain acknowledges n messages, as many as have come with one write.
func (c bare) drain(b *testing.B, n int) {
	b.Helper()
	var answers []byte
	for range n {
		header, err := c.in.ReadByte()
		require.NoError(b, err)
		length, err := binary.ReadUvarint(c.in) // MQTT's variable byte integer is the same
		require.NoError(b, err)
		require.Equal(b, packets.PUBLISH, header>>4)
		topic, err := c.in.Peek(2)
		require.NoError(b, err)
		at := 2 + int(binary.BigEndian.Uint16(topic))
		packet, err := c.in.Peek(at + 2)
		require.NoError(b, err)
		answers = append(answers, packets.PUBACK<<4, 2, packet[at], packet[at+1])
		_, err = c.in.Discard(int(length))
		require.NoError(b, err)
		if c.in.Buffered() == 0 {
			_, err = c.Write(answers)
			require.NoError(b, err)
			answers = answers[:0]
		}
	}
	_, err := c.Write(answers)
	require.NoError(b, err)
}
