package mqttconn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/log"
)

// errSilent is the cause of a connection that we end.
var errSilent = errors.New("the broker has said nothing")

// pinger asks a broker that says nothing whether it is there, and gives it up when it
// has said nothing at all for twice the keep-alive. paho's own would give up one that is
// busy acknowledging, because its answer to the ping comes late.
type pinger struct {
	most time.Duration // a broker may ask for a shorter keep-alive, not for a longer one or none
}

var _ paho.Pinger = pinger{}

func (p pinger) Run(ctx context.Context, conn net.Conn, keepAlive uint16) error {
	link, ok := conn.(*Link)
	if !ok {
		return errors.New("mqttconn: the pinger knows only Links")
	}
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
		if silent := link.silence(); silent >= 2*interval {
			return link.note(fmt.Errorf("%w for %v", errSilent, silent.Round(time.Millisecond)))
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
func (pinger) PingResp()           {}
func (pinger) SetDebug(log.Logger) {}

// ping writes a PINGREQ. The caller holds the lock. A broker that does not read may keep
// it waiting; patience ends that, and with it the connection.
func (l *Link) ping(patience time.Duration) error {
	if err := l.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := l.Write([]byte{packets.PINGREQ << 4, 0}); err != nil {
		return err
	}
	return l.SetWriteDeadline(time.Time{})
}

// ear is the reader below a Link, which knows when the broker was last heard.
type ear struct {
	io.Reader
	heard atomic.Int64 // Unix nanoseconds
}

func (e *ear) Read(p []byte) (int, error) {
	n, err := e.Reader.Read(p)
	e.heard.Store(time.Now().UnixNano())
	return n, err
}

// silence is how long the broker has said nothing.
func (l *Link) silence() time.Duration { return time.Since(time.Unix(0, l.ear.heard.Load())) }
