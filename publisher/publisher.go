// Package publisher brings events to an MQTT 5 broker without ever making the
// caller wait for it.
//
// Publish costs a copy into bounded memory. One goroutine owns the connection,
// keeps as many QoS 1 publishes under way as the broker allows, and learns of
// each acknowledgement; what was not acknowledged when a connection broke is
// sent again on the next. Every event that is not delivered is counted, and
// Accepted = Acknowledged + Dropped + Pending holds in every snapshot.
package publisher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.golang/packets"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/mqttconn"
)

var (
	// ErrFull is returned by Publish when Config.Capacity events are held and none
	// makes room: with Config.DropNewest, or when all are under way to the broker.
	ErrFull = errors.New("publisher: queue full")
	// ErrClosed is returned by Publish after Shutdown.
	ErrClosed = errors.New("publisher: closed")
)

// UndeliveredError is returned by Shutdown when events stayed behind.
type UndeliveredError struct {
	Count uint64 // accepted, but neither acknowledged nor dropped
	Err   error  // why Shutdown stopped waiting
}

func (e *UndeliveredError) Error() string {
	return fmt.Sprintf("publisher: %d events undelivered: %v", e.Count, e.Err)
}

// Unwrap returns the reason, such as context.DeadlineExceeded.
func (e *UndeliveredError) Unwrap() error { return e.Err }

// MaxEventBytes is the largest event that Publish accepts, as JSON with topic and
// user properties. MPS's own are 98 to 201 bytes of JSON.
const MaxEventBytes = 64 << 10

// Stats counts events since New. Accepted = Acknowledged + Dropped + Pending.
type Stats struct {
	Accepted     uint64 // Publish returned nil
	Acknowledged uint64 // by the broker; at QoS 0, handed to the operating system
	Dropped      uint64 // made room for a newer one, expired, too large for the broker or refused by it
	Pending      uint64 // not yet one of these two
	Rejected     uint64 // Publish returned ErrFull; not in Accepted
}

// Publisher publishes events. Its methods may be called concurrently.
type Publisher struct {
	config     Config
	stationery stationery
	queue      *queue
	lastID     atomic.Uint64
	conn       *mqttconn.Conn // nil without an address

	stop     context.CancelFunc
	workers  sync.WaitGroup
	losses   chan string // holds one: why events are being lost
	stopping atomic.Bool
	stopped  chan struct{} // closed when result is there
	result   error
}

// New returns a Publisher that connects in the background. The error names the
// field of config, or the file, that is wrong; a broker that is away is no error.
// Call Shutdown in the end.
func New(config Config) (*Publisher, error) {
	config, servers, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	topic, err := parseTopic(config.Topic)
	if err != nil {
		return nil, fmt.Errorf("publisher: Topic %q (MPS_MQTT_TOPIC): %w", config.Topic, err)
	}
	p := &Publisher{
		config:     config,
		stationery: newStationery(config, topic),
		queue:      newQueue(config.Capacity, config.DropNewest),
		stop:       func() {},
		losses:     make(chan string, 1),
		stopped:    make(chan struct{}),
	}
	if len(servers) == 0 {
		return p, nil
	}
	p.conn, err = mqttconn.Open(mqttconn.Config{
		Servers:   servers,
		TLS:       mqttconn.TLSFiles{CA: config.CAFile, Cert: config.CertFile, Key: config.KeyFile},
		ClientID:  config.ClientID,
		Username:  config.Username,
		Password:  config.Password,
		KeepAlive: config.KeepAlive,
		Logger:    config.Logger,
		Handlers:  mqttconn.Handlers{Up: p.up, Down: p.down, Puback: p.puback},
	})
	if err != nil {
		return nil, fmt.Errorf("publisher: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	p.workers.Go(func() { p.send(ctx) })
	p.workers.Go(func() { p.reportLosses(ctx) })
	return p, nil
}

// Publish accepts one event for delivery. It never blocks, copies what it keeps,
// and allocates nothing in the steady state. It returns ErrFull, ErrClosed, or an
// error that names the field of ev that cannot be published; after nil the event
// is delivered, or counted in Stats. Events of one goroutine arrive in order.
func (p *Publisher) Publish(ev event.Event) error {
	if err := ev.Validate(); err != nil {
		return fmt.Errorf("publisher: %w", err)
	}
	if ev.Timestamp == 0 {
		ev.Timestamp = time.Now().UnixMilli()
	}
	packet := blanks.Get().(*packet)
	p.stationery.encode(packet, &ev, p.lastID.Add(1))
	if len(packet.body) > MaxEventBytes {
		err := fmt.Errorf("publisher: event: %d bytes with its properties, more than %d", len(packet.body), MaxEventBytes)
		recycle(packet)
		return err
	}
	if p.conn == nil {
		recycle(packet)
		return p.queue.whenOpen()
	}
	dropped, err := p.queue.add(packet)
	if dropped != nil {
		recycle(dropped)
		p.lost("the queue is full")
	}
	return err
}

// Flush waits until all that was accepted before the call is acknowledged or
// dropped, or until ctx ends, and then returns the error of ctx.
func (p *Publisher) Flush(ctx context.Context) error {
	done := p.queue.flushed()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		p.queue.abandon(done)
		return ctx.Err()
	}
}

// Shutdown makes Publish return ErrClosed, waits as Flush does until all is
// delivered or ctx ends, and disconnects. It returns an *UndeliveredError if
// events stayed behind. Later calls wait for the first and return its result, or
// the error of their own ctx if that ends before. No goroutine is left when the
// first returns.
func (p *Publisher) Shutdown(ctx context.Context) error {
	if p.stopping.Swap(true) {
		select {
		case <-p.stopped:
			return p.result
		default:
		}
		select {
		case <-p.stopped:
			return p.result
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	defer close(p.stopped)
	p.queue.close()
	err := p.Flush(ctx)
	p.stop()
	if p.conn != nil {
		_ = p.conn.Close(ctx) // cuts the connection if need be, which frees the sender
	}
	p.workers.Wait()
	if pending := p.Stats().Pending; pending > 0 {
		p.result = &UndeliveredError{Count: pending, Err: err}
	}
	return p.result
}

// Stats returns a consistent snapshot of the counters.
func (p *Publisher) Stats() Stats { return p.queue.snapshot() }

// send is the one goroutine that writes events to the connection. Whatever has
// come together while it wrote goes out in the next write, so that a busy
// publisher writes many packets at once and an idle one writes at once.
func (p *Publisher) send(ctx context.Context) {
	buf := make([]byte, 0, batch+MaxEventBytes)
	for {
		packets, link, n := p.queue.take(buf)
		if n == 0 {
			select {
			case <-p.queue.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		if err := link.WritePackets(packets); err != nil {
			// The reader will notice too; until the next connection is up, there
			// is nothing to write to.
			_ = link.Close()
			p.queue.disconnected(link)
			continue
		}
		p.queue.written(link)
	}
}

func (p *Publisher) up(link *mqttconn.Link, limits mqttconn.Limits) {
	qos := byte(1)
	if p.config.AtMostOnce {
		qos = 0
	}
	p.queue.connected(link, limits, qos)
}

func (p *Publisher) down() { p.queue.disconnected(nil) }

// refused is the first reason code that means failure, MQTT 5.0, section 2.4.
const refused = 0x80

func (p *Publisher) puback(ack *packets.Puback) {
	p.queue.acknowledge(ack.PacketID, ack.ReasonCode >= refused)
	if ack.ReasonCode >= refused {
		p.lost(ack.Reason())
	}
}

// lost has the loss of an event logged, without waiting for the log.
func (p *Publisher) lost(why string) {
	select {
	case p.losses <- why:
	default:
	}
}

// reportLosses logs that events are lost, once a minute at most.
func (p *Publisher) reportLosses(ctx context.Context) {
	for {
		select {
		case why := <-p.losses:
			p.logLosses(why)
		case <-ctx.Done():
			select {
			case why := <-p.losses:
				p.logLosses(why)
			default:
			}
			return
		}
		select {
		case <-time.After(time.Minute):
		case <-ctx.Done():
		}
	}
}

func (p *Publisher) logLosses(why string) {
	s := p.Stats()
	p.config.Logger.Warn("events are lost (total since the start)", slog.String("reason", why),
		slog.Uint64("dropped", s.Dropped), slog.Uint64("rejected", s.Rejected), slog.Uint64("pending", s.Pending))
}

// blanks are packets to be encoded into.
var blanks = sync.Pool{New: func() any { return new(packet) }}

func recycle(p *packet) {
	const unusual = 4 << 10 // one large event must not make all later ones large
	if cap(p.body) <= unusual {
		blanks.Put(p)
	}
}
