// Command cira-server is a TCP server in the manner of CIRA: a device connects, says
// who it is and stays. No HTTP call shows that, so the server publishes by itself that
// the device is connected, and that it is not any more, and why.
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

// maxIdle is how long a device may be silent; a test shortens it.
var maxIdle = 5 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, "localhost:4433", os.Stdout)
	stop()
	if err != nil {
		log.Fatal(err)
	}
}

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

// fleet knows the newest connection of each device. One that has lost its network comes
// back before its old connection is known to be dead: the end of that is no news, and
// told after the new one it would let the device look gone.
type fleet struct {
	pub    *publisher.Publisher
	mu     sync.Mutex
	newest map[string]net.Conn
}

func (f *fleet) begins(guid string, conn net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock() // only now, so that the events have the order of the connections
	f.newest[guid] = conn
	publish(f.pub, event.Connected(guid))
}

func (f *fleet) ends(guid string, conn net.Conn, reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.newest[guid] == conn {
		delete(f.newest, guid)
		publish(f.pub, event.Disconnected(guid, reason))
	}
}

// serve is one device's connection: its guid in the first line, then whatever it says.
func serve(ctx context.Context, conn net.Conn, all *fleet) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	lines := bufio.NewReader(conn)
	guid, err := line(conn, lines)
	if err != nil {
		return // it never said who it is: nobody was connected
	}
	all.begins(guid, conn)
	for err == nil {
		_, err = line(conn, lines)
	}
	all.ends(guid, conn, reason(ctx, err))
}

func line(conn net.Conn, lines *bufio.Reader) (string, error) {
	if err := conn.SetReadDeadline(time.Now().Add(maxIdle)); err != nil {
		return "", err
	}
	text, err := lines.ReadSlice('\n') // a line that is longer than the buffer is an error
	return strings.TrimSpace(string(text)), err
}

// reason says why a connection has ended, in words that are the same for all devices,
// so that one may count them.
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
