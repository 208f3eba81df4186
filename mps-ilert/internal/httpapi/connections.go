package httpapi

import (
	"container/list"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/mps-events/mps-events/internal/loglimit"
)

// connections bounds the number of open connections of an HTTP server: one more closes the one
// that has done nothing for longest, so that slow clients keep nobody else away, nor take all
// files that the process may open.
type connections struct {
	max    int
	closed func() // is called for each that it closes
	lines  *loglimit.Logger

	mu   sync.Mutex
	all  map[net.Conn]*list.Element
	last list.List // of net.Conn, the one that did something last at the back
}

// guard makes a server close the connections beyond a number, and log no more than a line a minute
// of what clients cause.
func guard(server *http.Server, maxOpen int, closed func(), lines *loglimit.Logger) {
	c := &connections{max: maxOpen, closed: closed, lines: lines, all: map[net.Conn]*list.Element{}}
	server.ConnState = c.changed
	server.ErrorLog = log.New(errorLines{lines}, "", 0)
}

// changed takes in that a connection is new, has sent a whole header, was answered or is gone.
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, known := c.all[conn]
	switch {
	case state == http.StateNew:
		c.all[conn] = c.last.PushBack(conn)
		if len(c.all) > c.max {
			c.closeOldest()
		}
	case !known: // closed by us
	case state == http.StateClosed || state == http.StateHijacked:
		c.forget(element)
	default:
		c.last.MoveToBack(element)
	}
}

func (c *connections) closeOldest() {
	oldest := c.last.Front()
	conn := c.forget(oldest)
	_ = conn.Close() // it is of no use any more
	c.closed()
	c.lines.Warn("connections", "too many HTTP connections: the one that has done nothing for longest is closed", slog.Int("max_connections", c.max))
}

func (c *connections) forget(element *list.Element) net.Conn {
	conn := c.last.Remove(element).(net.Conn)
	delete(c.all, conn)
	return conn
}

// errorLines logs what the HTTP server says of its clients.
type errorLines struct{ lines *loglimit.Logger }

func (e errorLines) Write(text []byte) (int, error) {
	e.lines.Warn("http", "HTTP", slog.String("error", strings.TrimSpace(string(text))))
	return len(text), nil
}
