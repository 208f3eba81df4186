package mqttconn

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// dialTimeout limits the time for a TCP connection, its TLS and its WebSocket.
const dialTimeout = 10 * time.Second

// dialFunc is the type of net.Dialer.DialContext.
type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// dial connects to the server in the way of the scheme of its URL.
func (c *Conn) dial(ctx context.Context, server Server) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var secure *tls.Config
	if server.URL.Scheme == "mqtts" || server.URL.Scheme == "wss" {
		var err error
		if secure, err = c.config.TLS.Config(); err != nil {
			return nil, err
		}
	}
	switch server.URL.Scheme {
	case "mqtt":
		return c.config.dial(ctx, "tcp", server.URL.Host)
	case "mqtts":
		conn, err := c.config.dial(ctx, "tcp", server.URL.Host)
		if err != nil {
			return nil, err
		}
		secure.ServerName = server.URL.Hostname()
		if server.URL.Port() == "443" { // the port of HTTPS: AWS recognizes MQTT by this name
			secure.NextProtos = []string{"mqtt"}
		}
		client := tls.Client(conn, secure)
		if err := client.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, err
		}
		return client, nil
	default:
		d := websocket.Dialer{TLSClientConfig: secure, Subprotocols: []string{"mqtt"}, Proxy: http.ProxyFromEnvironment, NetDialContext: c.config.dial}
		ws, response, err := d.DialContext(ctx, cmp.Or(server.dialed, server.URL).String(), nil) //nolint:bodyclose // gorilla needs no Close, as its documentation says
		if err != nil {
			if response != nil { // its text is left out, because it may quote the query
				err = fmt.Errorf("%w (HTTP status %d %s)", err, response.StatusCode, http.StatusText(response.StatusCode))
			}
			return nil, err
		}
		return WebSocketConn(ws), nil
	}
}

// WebSocketConn returns a WebSocket as a stream. Each write is one binary message, as section 6
// of MQTT 5.0 requires. It closes the WebSocket when a text message comes. One goroutine may read
// and another may write at the same time.
func WebSocketConn(ws *websocket.Conn) net.Conn { return &webSocketConn{Conn: ws} }

// webSocketConn is a WebSocket as a stream.
type webSocketConn struct {
	*websocket.Conn
	message io.Reader // rest of the message that is being read
	// writeDeadline is the deadline of the next Write. The WebSocket keeps its own in a plain field, which only the
	// goroutine that writes may touch, while a net.Conn takes a deadline from any.
	writeDeadline atomic.Pointer[time.Time]
}

func (c *webSocketConn) Read(p []byte) (int, error) {
	for {
		if c.message == nil {
			kind, message, err := c.NextReader()
			if err != nil {
				return 0, err
			}
			if kind != websocket.BinaryMessage {
				return 0, c.refuseText()
			}
			c.message = message
		}
		n, err := c.message.Read(p)
		if err == io.EOF {
			c.message, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// refuseText closes the WebSocket because of a text message.
func (c *webSocketConn) refuseText() error {
	const why = "a WebSocket text message came, but MQTT wants binary ones"
	_ = c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseUnsupportedData, why), time.Now().Add(time.Second))
	_ = c.Close()
	return errors.New(why)
}

func (c *webSocketConn) Write(p []byte) (int, error) {
	if deadline := c.writeDeadline.Load(); deadline != nil {
		_ = c.Conn.SetWriteDeadline(*deadline) // never fails
	}
	if err := c.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (c *webSocketConn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

func (c *webSocketConn) SetWriteDeadline(t time.Time) error {
	c.writeDeadline.Store(&t)
	return nil
}
