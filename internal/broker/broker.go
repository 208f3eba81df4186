// Package broker runs a real MQTT broker inside the process, for the simulator and
// for tests: any client may connect, publish and subscribe, and nothing outlives
// the process. The broker is mochi, and is not meant for production.
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

// closeTimeout is the longest time that Close takes. A few milliseconds are enough unless mochi hangs.
const closeTimeout = 5 * time.Second

// ListenError is the error of Start when it cannot listen on one of its two addresses.
type ListenError struct {
	WebSocket bool // the address is that of the WebSocket, not that of plain MQTT
	Err       error
}

func (e *ListenError) Error() string { return e.Err.Error() }

// Unwrap returns the error of the operating system.
func (e *ListenError) Unwrap() error { return e.Err }

// Start starts a broker that listens for MQTT on tcp and, unless webSocket is empty, for MQTT by
// WebSocket on any path of that address. Port 0 takes a free port. A browser may reach the
// WebSocket by localhost, an IP address or one of hosts, from pages of the same host. If an
// address is in use, the error is a *ListenError.
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

// On starts a broker like Start, on listeners of the caller, such as those of TLS. The Broker
// closes them. Either may be nil.
func On(plain, webSocket net.Listener, hosts ...string) (*Broker, error) {
	return on(maxInflight, plain, webSocket, hosts...)
}

// StartWithQueue starts a broker like Start that keeps so many messages for a client, connected or not. It
// drops further ones without a word, as Mosquitto does beyond its max_queued_messages.
func StartWithQueue(tcp string, messages uint16) (*Broker, error) {
	plain, err := net.Listen("tcp", tcp)
	if err != nil {
		return nil, &ListenError{Err: err}
	}
	return on(messages, plain, nil)
}

// on starts a broker that keeps so many messages for a client.
func on(messages uint16, plain, webSocket net.Listener, hosts ...string) (*Broker, error) {
	server := mochi.New(&mochi.Options{Capabilities: capabilities(messages), Logger: slog.New(slog.DiscardHandler)})
	b := &Broker{server: server, gate: newGate()}
	b.close = sync.OnceValue(func() error { // mochi panics on a second Close
		b.gate.set(func() { b.gate.closed = false; clear(b.gate.dead) }) // nobody waits before it
		return closeWithin(closeTimeout, server.Close)
	})
	var errs []error
	for _, l := range []struct {
		id       string
		listener net.Listener
		guard    *webguard.Guard
		address  *string
	}{{"tcp", plain, nil, &b.tcp}, {"ws", webSocket, webguard.New(hosts...), &b.webSocket}} {
		if l.listener != nil {
			*l.address = l.listener.Addr().String()
			errs = append(errs, server.AddListener(newListener(l.id, l.listener, l.guard)))
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

// WebSocketAddr returns the host and port of MQTT by WebSocket, or "" if there
// is none.
func (b *Broker) WebSocketAddr() string { return b.webSocket }

// Close closes every connection and stops the broker. It returns an error after five seconds if a
// part of mochi still runs, which then goes on. Later calls return the first result.
func (b *Broker) Close() error { return b.close() }

// closeWithin calls closeServer and returns an error if it takes longer than d: mochi waits for
// every client.
func closeWithin(d time.Duration, closeServer func() error) error {
	closed := make(chan error, 1)
	go func() { closed <- closeServer() }()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case err := <-closed:
		return err
	case <-timer.C:
		return fmt.Errorf("broker: mochi has not ended the connections of all clients within %v: they end with the process", d)
	}
}
