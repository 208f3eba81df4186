package mqttconn

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
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
