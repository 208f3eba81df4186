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
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// Link is one network connection to a broker; each reconnect makes a new one. Packets and
// acknowledgements are written to the Link that they belong to, so they can never reach the next
// connection by mistake.
//
// It is the net.Conn that paho uses. paho writes a packet in several pieces
// between Lock and Unlock, hence the lock.
type Link struct {
	net.Conn
	sync.Mutex
	incoming
	meter     *silenceMeter
	greeted   bool   // Read has begun to read the broker's first packet
	reference string // the Server Reference of the broker's CONNACK
	failure   atomic.Pointer[error]
	useful    atomic.Bool // the broker has acknowledged something
	serial    uint64
	pings     pings
}

var links atomic.Uint64

// Serial returns the number of the link in the order in which this process made its links, from 1.
func (l *Link) Serial() uint64 { return l.serial }

// newLink returns the Link of a network connection. It passes PUBACKs to pubacks, or leaves them to
// paho if that is nil.
func newLink(conn net.Conn, pubacks func(*Link, []Puback)) *Link {
	l := &Link{Conn: conn, meter: &silenceMeter{Reader: conn}, serial: links.Add(1)}
	if pubacks == nil {
		l.incoming = newIncoming(l.meter, nil)
	} else {
		l.incoming = newIncoming(l.meter, func(acks []Puback) {
			l.useful.Store(true)
			pubacks(l, acks)
		})
	}
	return l
}

// Read reads the stream for paho.
func (l *Link) Read(p []byte) (int, error) {
	if !l.greeted {
		l.greeted = true
		var err error
		if l.reference, err = l.serverReference(); err != nil {
			return 0, l.note(err)
		}
	}
	n, err := l.incoming.Read(p)
	return n, l.note(err)
}

// note keeps the first error, which is the cause of all later ones, and returns err.
func (l *Link) note(err error) error {
	if err != nil && !errors.Is(err, net.ErrClosed) { // ErrClosed: this process closed the link
		l.failure.CompareAndSwap(nil, &err)
	}
	return err
}

// cause returns the error that broke the connection, or nil if there was none.
func (l *Link) cause() error {
	if err := l.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// WritePackets writes one or more ready packets in one call to the
// operating system. It blocks while the broker does not read, at most until the
// connection is closed, and may be called concurrently. It returns before the
// broker has the bytes.
func (l *Link) WritePackets(packets []byte) error {
	if len(packets) == 0 {
		return nil // a WebSocket would send an empty message
	}
	l.Lock()
	defer l.Unlock()
	_, err := l.Write(packets)
	return l.note(err)
}

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
