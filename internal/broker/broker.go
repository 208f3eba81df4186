// Package broker is a real MQTT broker inside the process, for the simulator and
// for tests: any client may connect, publish and subscribe, and nothing outlives
// the process. It is mochi; no production broker is meant to be replaced by it.
package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"

	"github.com/mps-events/mps-events/internal/webguard"
)

// Broker is a running broker. Its methods may be called concurrently.
type Broker struct {
	tcp, webSocket string
	server         *mochi.Server
	gate           *gate
	close          func() error
}

// maxClose bounds Close. Where mochi is sound it needs milliseconds.
const maxClose = 5 * time.Second

// ListenError says which of the two addresses could not be listened on.
type ListenError struct {
	WebSocket bool // the WebSocket address, not that of plain MQTT
	Err       error
}

func (e *ListenError) Error() string { return e.Err.Error() }

// Unwrap returns the error of the operating system.
func (e *ListenError) Unwrap() error { return e.Err }

// Start listens for MQTT on tcp and, unless webSocket is empty, for MQTT by
// WebSocket on any path of that address. Port 0 takes a free port. A browser may reach the
// WebSocket by localhost, an address or one of hosts, from pages of the same host. The error is
// a *ListenError when an address is taken.
func Start(tcp, webSocket string, hosts ...string) (*Broker, error) {
	plain, err := net.Listen("tcp", tcp)
	if err != nil {
		return nil, &ListenError{Err: err}
	}
	if webSocket == "" {
		return On(plain, nil)
	}
	web, err := net.Listen("tcp", webSocket)
	if err != nil {
		_ = plain.Close()
		return nil, &ListenError{WebSocket: true, Err: err}
	}
	return On(plain, web, hosts...)
}

// On is Start with listeners of the caller's own, such as those of TLS, which the Broker
// closes; either may be nil.
func On(plain, webSocket net.Listener, hosts ...string) (*Broker, error) {
	server := mochi.New(&mochi.Options{Capabilities: capabilities(), Logger: slog.New(slog.DiscardHandler)})
	b := &Broker{server: server, gate: newGate()}
	b.close = sync.OnceValue(func() error { // mochi panics on a second Close
		b.gate.set(func() { b.gate.closed = false; clear(b.gate.dead) }) // nobody waits before it
		return closeWithin(maxClose, server.Close)
	})
	var errs []error
	for _, d := range []struct {
		id       string
		listener net.Listener
		guard    *webguard.Guard
		address  *string
	}{{"tcp", plain, nil, &b.tcp}, {"ws", webSocket, webguard.New(hosts...), &b.webSocket}} {
		if d.listener != nil {
			*d.address = d.listener.Addr().String()
			errs = append(errs, server.AddListener(newDoor(d.id, d.listener, d.guard)))
		}
	}
	for _, hook := range []mochi.Hook{new(auth.AllowHook), b.gate, new(separateIDs), new(noSendQuota)} {
		errs = append(errs, server.AddHook(hook, nil))
	}
	errs = append(errs, server.Serve())
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("broker: %w", errors.Join(err, b.Close()))
	}
	return b, nil
}

// Addr returns the host and port of plain MQTT, such as 127.0.0.1:1883.
func (b *Broker) Addr() string { return b.tcp }

// WebSocketAddr returns the host and port of MQTT by WebSocket, empty if there
// is none.
func (b *Broker) WebSocketAddr() string { return b.webSocket }

// Close cuts every connection and stops, or returns an error after five seconds if some part
// of mochi does not end; that part then stays behind. Later calls return the first result.
func (b *Broker) Close() error { return b.close() }

// closeWithin closes within d, which mochi does not promise: it waits for every client.
func closeWithin(d time.Duration, closeServer func() error) error {
	closed := make(chan error, 1)
	go func() { closed <- closeServer() }()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case err := <-closed:
		return err
	case <-timer.C:
		return fmt.Errorf("broker: mochi has not let go of every client within %v; what it holds ends with the process", d)
	}
}
