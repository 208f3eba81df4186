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

// connections bounds the open connections of an HTTP server. One more closes the connection that
// has been idle for longest, so that slow clients neither keep others away nor use up the files
// that the process may open.
type connections struct {
	max    int
	closed func() // called for each connection that it closes
	lines  *loglimit.Logger

	mu   sync.Mutex
	all  map[net.Conn]*list.Element
	last list.List // of net.Conn, the most recently active at the back
}

// guard makes a server close connections beyond a number, and limits its log to a line a minute.
func guard(server *http.Server, maxOpen int, closed func(), lines *loglimit.Logger) {
	c := &connections{max: maxOpen, closed: closed, lines: lines, all: map[net.Conn]*list.Element{}}
	server.ConnState = c.changed
	server.ErrorLog = log.New(errorLines{lines}, "", 0)
}

// changed notes that a connection is new, has sent a whole header, was answered, or is closed.
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
	case !known: // closeOldest has closed it
	case state == http.StateClosed || state == http.StateHijacked:
		c.forget(element)
	default:
		c.last.MoveToBack(element)
	}
}

// closeOldest closes the connection that has been idle for longest.
func (c *connections) closeOldest() {
	oldest := c.last.Front()
	conn := c.forget(oldest)
	_ = conn.Close() // an error changes nothing
	c.closed()
	c.lines.Warn("connections", "too many HTTP connections: the one that has done nothing for longest is closed", slog.Int("max_connections", c.max))
}

// forget removes a connection and returns it.
func (c *connections) forget(element *list.Element) net.Conn {
	conn := c.last.Remove(element).(net.Conn)
	delete(c.all, conn)
	return conn
}

// errorLines is the writer of the HTTP server's log about its clients.
type errorLines struct{ lines *loglimit.Logger }

// Write logs a line.
func (e errorLines) Write(text []byte) (int, error) {
	e.lines.Warn("http", "HTTP", slog.String("error", strings.TrimSpace(string(text))))
	return len(text), nil
}
