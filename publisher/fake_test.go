package publisher_test

import (
	"net"
	"sync"
	"testing"

	"github.com/eclipse/paho.golang/packets"
	"github.com/stretchr/testify/require"
)

// script is a broker that does exactly what a test says, for what no real broker
// can be brought to do on demand.
type script struct {
	connack  packets.Connack
	received func(conn net.Conn, p *packets.Publish) // called in order; nil never reads
}

// serve runs the script on a free port and returns its address.
func (s script) serve(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var clients sync.WaitGroup
	stopped := make(chan struct{})
	clients.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			clients.Go(func() {
				defer conn.Close()
				s.talk(conn, stopped)
			})
		}
	})
	t.Cleanup(func() {
		close(stopped)
		_ = listener.Close()
		clients.Wait()
	})
	return "mqtt://" + listener.Addr().String()
}

func (s script) talk(conn net.Conn, stopped <-chan struct{}) {
	go func() {
		<-stopped
		_ = conn.Close()
	}()
	if _, err := packets.ReadPacket(conn); err != nil {
		return
	}
	connack := s.connack
	if connack.Properties == nil {
		connack.Properties = &packets.Properties{}
	}
	if _, err := (&packets.ControlPacket{FixedHeader: packets.FixedHeader{Type: packets.CONNACK}, Content: &connack}).WriteTo(conn); err != nil {
		return
	}
	if s.received == nil {
		<-stopped
		return
	}
	for {
		p, err := packets.ReadPacket(conn)
		if err != nil {
			return
		}
		if publish, ok := p.Content.(*packets.Publish); ok {
			s.received(conn, publish)
		}
	}
}

func puback(conn net.Conn, id uint16, reason byte) {
	p := packets.NewControlPacket(packets.PUBACK)
	p.Content.(*packets.Puback).PacketID = id
	p.Content.(*packets.Puback).ReasonCode = reason
	_, _ = p.WriteTo(conn)
}
