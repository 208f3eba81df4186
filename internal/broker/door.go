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

// patience is the time in which a client has to ask for what it wants: to send its request for a
// WebSocket, and then its CONNECT. After that its keep-alive counts.
const patience = 10 * time.Second

// door lets clients in at one address. mochi's own listeners wait in Close, without
// end, for a connection that never said CONNECT; and its WebSocket one listens in
// the background and drops the error when the address is taken.
type door struct {
	id       string
	listener net.Listener
	guard    *webguard.Guard // of MQTT by WebSocket; nil is plain MQTT

	mu     sync.Mutex
	closed bool
	open   map[net.Conn]struct{}
	inside sync.WaitGroup
}

var _ listeners.Listener = (*door)(nil)

func newDoor(id string, listener net.Listener, guard *webguard.Guard) *door {
	return &door{id: id, listener: listener, guard: guard, open: map[net.Conn]struct{}{}}
}

func (d *door) Init(*slog.Logger) error { return nil }
func (d *door) ID() string              { return d.id }
func (d *door) Address() string         { return d.listener.Addr().String() }

func (d *door) Protocol() string {
	if d.guard != nil {
		return "ws"
	}
	return "tcp"
}

// Serve lets clients in until Close.
func (d *door) Serve(establish listeners.EstablishFn) {
	if d.guard != nil {
		d.serveWebSocket(establish)
		return
	}
	for {
		conn, err := d.listener.Accept()
		if err != nil {
			return
		}
		go d.admit(conn, establish)
	}
}

func (d *door) serveWebSocket(establish listeners.EstablishFn) {
	upgrader := websocket.Upgrader{
		Subprotocols: []string{"mqtt"},
		CheckOrigin:  func(*http.Request) bool { return true }, // the guard has looked
	}
	server := &http.Server{
		ReadTimeout: patience, WriteTimeout: patience, MaxHeaderBytes: 16 << 10,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := cmp.Or(d.guard.CheckHost(r), d.guard.CheckOrigin(r)); err != nil {
				http.Error(w, err.Error(), http.StatusForbidden)
				return
			}
			if ws, err := upgrader.Upgrade(w, r, nil); err == nil { // ends the server's time-outs
				d.admit(mqttconn.WebSocketConn(ws), establish)
			}
		}),
	}
	_ = server.Serve(d.listener)
	_ = server.Close() // who is not upgraded yet
}

// admit hands a client to mochi and returns when it has left.
func (d *door) admit(conn net.Conn, establish listeners.EstablishFn) {
	defer conn.Close()
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return
	}
	d.open[conn] = struct{}{}
	d.inside.Add(1)
	d.mu.Unlock()
	defer d.inside.Done()
	_ = conn.SetDeadline(time.Now().Add(patience)) // until mochi sets that of the keep-alive
	_ = establish(d.id, conn)                      // its error is the client's
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.open, conn)
}

// Close lets nobody in any more, cuts every connection, whatever it is at, and
// waits until mochi has let go of them.
func (d *door) Close(listeners.CloseFn) {
	_ = d.listener.Close()
	d.mu.Lock()
	d.closed = true
	for conn := range d.open {
		_ = conn.Close()
	}
	d.mu.Unlock()
	d.inside.Wait()
}
