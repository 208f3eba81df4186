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
	for {
		conn, err := listener.Accept()
		if err != nil {
			break
		}
		devices.Go(func() { serve(ctx, conn, pub) })
	}
	devices.Wait() // their last events come before the publisher's end
	ending, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return pub.Shutdown(ending)
}

// serve is one device's connection: its guid in the first line, then whatever it says.
func serve(ctx context.Context, conn net.Conn, pub *publisher.Publisher) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	lines := bufio.NewReader(conn)
	guid, err := line(conn, lines)
	if err != nil {
		return // it never said who it is: nobody was connected
	}
	publish(pub, event.Connected(guid))
	for err == nil {
		_, err = line(conn, lines)
	}
	publish(pub, event.Disconnected(guid, reason(ctx, err)))
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
