package mqttconn

import (
	"context"
	"net"
)

// SetDial replaces TCP by another network.
func (c *Config) SetDial(dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	c.dial = dial
}

// Dialed returns the URL that the handshake of a WebSocket requests.
func (s Server) Dialed() string { return s.dialed.String() }
