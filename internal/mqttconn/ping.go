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

// pinger pings the broker, and ends the connection when the broker has sent nothing for twice the
// keep-alive while the connection was being read. paho's pinger would end the connection to a
// broker that is busy acknowledging, because its answer to the ping comes late.
type pinger struct {
	maxInterval time.Duration // the broker may ask for a shorter keep-alive, not for a longer one or none
	pong        func()        // called for each answer
}

var _ paho.Pinger = pinger{}

func (p pinger) Run(ctx context.Context, conn net.Conn, keepAlive uint16) error {
	link, ok := conn.(*Link)
	if !ok {
		return errors.New("mqttconn: the pinger got a connection that is no Link")
	}
	return link.note(p.watch(ctx, link, keepAlive))
}

// watch pings the broker until ctx ends or the connection fails.
func (p pinger) watch(ctx context.Context, link *Link, keepAlive uint16) error {
	interval := p.maxInterval
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
		if silent := link.meter.silence(); silent >= 2*interval {
			return fmt.Errorf("the broker has sent nothing for %v", silent.Round(time.Millisecond))
		}
		// While another goroutine writes, no ping is needed. Waiting for the lock could mean waiting
		// for a broker that does not read.
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

// ping writes a PINGREQ. The caller holds the lock. If the broker does not read, ping fails after
// the timeout, which ends the connection.
func (l *Link) ping(timeout time.Duration) error {
	if err := l.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	l.pings.add(nil)
	if _, err := l.Write([]byte{packets.PINGREQ << 4, 0}); err != nil {
		return err
	}
	return l.SetWriteDeadline(time.Time{})
}

// silenceMeter is the reader below a Link. It measures the silence of the broker.
type silenceMeter struct {
	io.Reader
	mu    sync.Mutex
	since time.Time // time at which the Read began that waits for the broker; zero if none waits
}

func (m *silenceMeter) Read(p []byte) (int, error) {
	m.listen(time.Now())
	defer m.listen(time.Time{})
	return m.Reader.Read(p)
}

// listen sets the time since which a Read waits.
func (m *silenceMeter) listen(since time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.since = since
}

// silence returns the time for which a Read has waited for the broker. It is 0 while a handler is
// busy: then nobody reads, and the broker may have sent something.
func (m *silenceMeter) silence() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.since.IsZero() {
		return 0
	}
	return time.Since(m.since)
}
