package mqttconn

import (
	"context"
	"net"
)

// SetDial puts another network in the place of TCP.
func (c *Config) SetDial(dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	c.dial = dial
}

// Dialed is the URL that a WebSocket's handshake asks for.
func (s Server) Dialed() string { return s.dialed.String() }
