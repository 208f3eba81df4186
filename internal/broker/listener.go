package broker

import (
	"cmp"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/mochi-mqtt/server/v2/listeners"

	"github.com/mps-events/mps-events/internal/mqttconn"
	"github.com/mps-events/mps-events/internal/webguard"
)

// connectTimeout is the time in which a client must send its request for a WebSocket, and then its
// CONNECT. After that its keep-alive counts.
const connectTimeout = 10 * time.Second

// listener accepts the clients of one address. mochi's listeners are not used: their Close waits
// for ever for a connection that never sent CONNECT, and the one for WebSockets listens in the
// background and drops the error when the address is in use.
type listener struct {
	net.Listener
	id    string
	guard *webguard.Guard // of MQTT by WebSocket; nil for plain MQTT

	mu      sync.Mutex
	closed  bool
	open    map[net.Conn]struct{}
	clients sync.WaitGroup
}

var _ listeners.Listener = (*listener)(nil)

func newListener(id string, l net.Listener, guard *webguard.Guard) *listener {
	return &listener{Listener: l, id: id, guard: guard, open: map[net.Conn]struct{}{}}
}

func (l *listener) Init(*slog.Logger) error { return nil }
func (l *listener) ID() string              { return l.id }
func (l *listener) Address() string         { return l.Addr().String() }

func (l *listener) Protocol() string {
	if l.guard != nil {
		return "ws"
	}
	return "tcp"
}

// Serve accepts clients until Close.
func (l *listener) Serve(establish listeners.EstablishFn) {
	if l.guard != nil {
		l.serveWebSocket(establish)
		return
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go l.serveClient(conn, establish)
	}
}

// serveWebSocket accepts clients by WebSocket until Close.
func (l *listener) serveWebSocket(establish listeners.EstablishFn) {
	upgrader := websocket.Upgrader{
		Subprotocols: []string{"mqtt"},
		CheckOrigin:  func(*http.Request) bool { return true }, // the guard has checked it
	}
	server := &http.Server{
		ReadTimeout: connectTimeout, WriteTimeout: connectTimeout, MaxHeaderBytes: 16 << 10,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := cmp.Or(l.guard.CheckHost(r), l.guard.CheckOrigin(r)); err != nil {
				http.Error(w, err.Error(), http.StatusForbidden)
				return
			}
			if ws, err := upgrader.Upgrade(w, r, nil); err == nil { // ends the server's time-outs
				l.serveClient(mqttconn.WebSocketConn(ws), establish)
			}
		}),
	}
	_ = server.Serve(l.Listener)
	_ = server.Close() // ends connections that are not upgraded yet
}

// serveClient passes a client to mochi and returns when the client has disconnected.
func (l *listener) serveClient(conn net.Conn, establish listeners.EstablishFn) {
	defer conn.Close()
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.open[conn] = struct{}{}
	l.clients.Add(1)
	l.mu.Unlock()
	defer l.clients.Done()
	_ = conn.SetDeadline(time.Now().Add(connectTimeout)) // until mochi sets the deadline of the keep-alive
	_ = establish(l.id, conn)                            // the error is about the client
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, conn)
}

// Close stops accepting clients, closes every connection, and waits until mochi has left them.
func (l *listener) Close(listeners.CloseFn) {
	_ = l.Listener.Close()
	l.mu.Lock()
	l.closed = true
	for conn := range l.open {
		_ = conn.Close()
	}
	l.mu.Unlock()
	l.clients.Wait()
}
