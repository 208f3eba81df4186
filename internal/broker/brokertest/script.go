package brokertest

import (
	"net"
	"sync"
	"testing"

	"github.com/eclipse/paho.golang/packets"
	"github.com/stretchr/testify/require"
)

// Script is a broker that does exactly what a test tells it to, for behaviour that no real broker
// shows on demand.
type Script struct {
	// Connected is called for each CONNECT; it may be nil.
	Connected func(*packets.Connect)
	// Connack is the answer to each CONNECT.
	Connack packets.Connack
	// Received is called for each packet after the CONNECT, in order on each connection. If
	// it is nil, the broker hangs: it reads nothing more.
	Received func(conn net.Conn, p *packets.ControlPacket)
}

// Serve runs the script on a free port until the test ends, and returns its
// address.
func (s Script) Serve(t testing.TB) string {
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
	return listener.Addr().String()
}

// talk serves one connection.
func (s Script) talk(conn net.Conn, stopped <-chan struct{}) {
	go func() {
		<-stopped
		_ = conn.Close()
	}()
	first, err := packets.ReadPacket(conn)
	if err != nil {
		return
	}
	if connect, ok := first.Content.(*packets.Connect); ok && s.Connected != nil {
		s.Connected(connect)
	}
	connack := s.Connack
	if connack.Properties == nil {
		connack.Properties = &packets.Properties{}
	}
	if _, err := (&packets.ControlPacket{FixedHeader: packets.FixedHeader{Type: packets.CONNACK}, Content: &connack}).WriteTo(conn); err != nil {
		return
	}
	if s.Received == nil {
		<-stopped
		return
	}
	for {
		p, err := packets.ReadPacket(conn)
		if err != nil {
			return
		}
		s.Received(conn, p)
	}
}

// OnPublish returns a function for Script.Received that calls received for each PUBLISH only.
func OnPublish(received func(conn net.Conn, p *packets.Publish)) func(net.Conn, *packets.ControlPacket) {
	return func(conn net.Conn, p *packets.ControlPacket) {
		if publish, ok := p.Content.(*packets.Publish); ok {
			received(conn, publish)
		}
	}
}

// Puback acknowledges a PUBLISH with a reason code.
func Puback(conn net.Conn, id uint16, reason byte) {
	p := packets.NewControlPacket(packets.PUBACK)
	p.Content.(*packets.Puback).PacketID = id
	p.Content.(*packets.Puback).ReasonCode = reason
	_, _ = p.WriteTo(conn)
}
