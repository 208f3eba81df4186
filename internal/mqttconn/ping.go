package mqttconn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/log"
)

// pinger asks a broker that says nothing whether it is there, and gives it up when it
// has said nothing for twice the keep-alive to a connection that was being read. paho's own would give up one that is
// busy acknowledging, because its answer to the ping comes late.
type pinger struct {
	most time.Duration // a broker may ask for a shorter keep-alive, not for a longer one or none
	pong func()        // is called for each answer
}

var _ paho.Pinger = pinger{}

func (p pinger) Run(ctx context.Context, conn net.Conn, keepAlive uint16) error {
	link, ok := conn.(*Link)
	if !ok {
		return errors.New("mqttconn: the pinger knows only Links")
	}
	return link.note(p.watch(ctx, link, keepAlive))
}

func (p pinger) watch(ctx context.Context, link *Link, keepAlive uint16) error {
	interval := p.most
	if asked := time.Duration(keepAlive) * time.Second; asked > 0 {
		interval = min(interval, asked)
	}
	ticker := time.NewTicker(interval / 2)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
		if silent := link.ear.silence(); silent >= 2*interval {
			return fmt.Errorf("the broker has said nothing for %v", silent.Round(time.Millisecond))
		}
		// Who writes now need not ask; and to wait for one whom the broker keeps waiting
		// would be to wait for the broker.
		if link.TryLock() {
			err := link.ping(2 * interval)
			link.Unlock()
			if err != nil {
				return err
			}
		}
	}
}

func (pinger) PacketSent()         {}
func (pinger) PacketReceived()     {}
func (p pinger) PingResp()         { p.pong() }
func (pinger) SetDebug(log.Logger) {}

// ping writes a PINGREQ. The caller holds the lock. A broker that does not read may keep
// it waiting; patience ends that, and with it the connection.
func (l *Link) ping(patience time.Duration) error {
	if err := l.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	l.asked.add(nil)
	if _, err := l.Write([]byte{packets.PINGREQ << 4, 0}); err != nil {
		return err
	}
	return l.SetWriteDeadline(time.Time{})
}

// ear is the reader below a Link, which knows for how long the broker has been silent.
type ear struct {
	io.Reader
	mu    sync.Mutex
	since time.Time // when the Read began that waits for the broker; zero while none does
}

func (e *ear) Read(p []byte) (int, error) {
	e.listen(time.Now())
	defer e.listen(time.Time{})
	return e.Reader.Read(p)
}

func (e *ear) listen(since time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.since = since
}

// silence returns for how long the broker has said nothing to somebody who listened. While
// a handler is busy nobody reads, and what the broker says meanwhile is not heard.
func (e *ear) silence() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.since.IsZero() {
		return 0
	}
	return time.Since(e.since)
}
