// Command cira-server is a TCP server similar to CIRA: a device connects, sends its guid
// and remains connected. No HTTP call shows that, so the server publishes an event when
// a device connects, and one with the reason when it disconnects.
//
//	MPS_MQTT_ADDRESS=mqtt://localhost:1883 go run ./examples/cira-server
//	(echo 4c4c4544-004b-4210-8033-b6c04f504633; sleep 5) | nc localhost 4433
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/publisher"
)

// maxIdle is the longest time for which a device may be silent; a test shortens it.
var maxIdle = 5 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, "localhost:4433", os.Stdout)
	stop()
	if err != nil {
		log.Fatal(err)
	}
}

// run serves on addr until ctx ends.
func run(ctx context.Context, addr string, stdout io.Writer) error {
	pub, err := publisher.FromEnv()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	_, _ = fmt.Fprintln(stdout, "listening on", listener.Addr())

	var devices sync.WaitGroup
	all := &fleet{pub: pub, newest: map[string]net.Conn{}}
	for {
		conn, err := listener.Accept()
		if err != nil {
			break
		}
		devices.Go(func() { serve(ctx, conn, all) })
	}
	devices.Wait() // their last events come before the publisher's end
	ending, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return pub.Shutdown(ending)
}

// fleet holds the newest connection of each device. A device that has lost its network connects
// again before the server notices the end of the old connection. That end makes no event: after
// the event of the new connection it would make the device look disconnected.
type fleet struct {
	pub    *publisher.Publisher
	mu     sync.Mutex
	newest map[string]net.Conn
}

// connected publishes the event of a new connection.
func (f *fleet) connected(guid string, conn net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock() // after Publish, so that the events have the order of the connections
	f.newest[guid] = conn
	publish(f.pub, event.Connected(guid))
}

// disconnected publishes the event of the end of a connection, if it is the newest of the device.
func (f *fleet) disconnected(guid string, conn net.Conn, reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.newest[guid] == conn {
		delete(f.newest, guid)
		publish(f.pub, event.Disconnected(guid, reason))
	}
}

// serve serves the connection of one device, which sends its guid in the first line, and then any
// lines.
func serve(ctx context.Context, conn net.Conn, all *fleet) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	lines := bufio.NewReader(conn)
	guid, err := line(conn, lines)
	if err != nil {
		return // without a guid no device has connected
	}
	all.connected(guid, conn)
	for err == nil {
		_, err = line(conn, lines)
	}
	all.disconnected(guid, conn, reason(ctx, err))
}

// line reads the next line of a device.
func line(conn net.Conn, lines *bufio.Reader) (string, error) {
	if err := conn.SetReadDeadline(time.Now().Add(maxIdle)); err != nil {
		return "", err
	}
	text, err := lines.ReadSlice('\n') // a line that is longer than the buffer is an error
	return strings.TrimSpace(string(text)), err
}

// reason returns the reason why a connection has ended, in one of a few texts, so that they can
// be counted.
func reason(ctx context.Context, err error) string {
	switch {
	case ctx.Err() != nil:
		return "server stops"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "keep-alive timed out"
	case errors.Is(err, io.EOF):
		return "closed by the device"
	default:
		return "connection lost"
	}
}

func publish(pub *publisher.Publisher, e event.Event) {
	if err := pub.Publish(e); err != nil {
		slog.Warn("no event", "guid", e.GUID, "error", err)
	}
}
