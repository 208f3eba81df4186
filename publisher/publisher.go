// Package publisher brings events to an MQTT 5 broker and never makes the caller wait for
// the broker.
//
// Publish costs a copy into bounded memory. One goroutine owns the connection. It
// keeps as many QoS 1 publishes under way as the broker allows, and sees each
// acknowledgement; events that were not acknowledged when a connection broke are
// sent again on the next. Every event that is not delivered is counted, and
// Accepted = Acknowledged + Dropped + Pending holds in every snapshot.
//
// The user property "id" of an event is a random name of the process, "-", and a number. The
// numbers of a process begin with 1 and rise by exactly 1 for each accepted event, so that a
// subscriber can tell which events never came. An event that Publish refuses with an error takes
// no number. An event that is accepted and then dropped takes one, so Stats.Dropped of these
// numbers never come either. An event keeps its id when it is sent again, and in the spool, from
// which the next process sends it.
//
// No event stops the others. A broker may end the connection because of one event's size or
// topic, again on each connection on which the event is sent. After a few of these, at QoS 1,
// connections begin in turn with the suspected event and with another one. The Publisher drops
// the suspected event, with the reason EndsConnection, if only the others are acknowledged, or if
// the broker says that it will never take it. It drops none because the broker is away, or ends
// connections at random or after some events: an event that is alone is tried again until
// another one comes.
package publisher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/mqttconn"
	"github.com/mps-events/mps-events/publisher/internal/journal"
)

var (
	// ErrFull is the error of Publish when Config.Capacity or MaxBufferedBytes is reached
	// and no older event makes room: with Config.DropNewest, or when all are under way.
	ErrFull = errors.New("publisher: queue full")
	// ErrClosed is the error of Publish after Shutdown.
	ErrClosed = errors.New("publisher: closed")
)

// UndeliveredError is the error of Shutdown when events are lost by it.
type UndeliveredError struct {
	Count uint64 // number of events that were accepted, but neither acknowledged nor dropped
	Err   error  // reason why Shutdown stopped waiting
}

func (e *UndeliveredError) Error() string {
	return fmt.Sprintf("publisher: %d events undelivered: %v", e.Count, e.Err)
}

// Unwrap returns the reason, such as context.DeadlineExceeded.
func (e *UndeliveredError) Unwrap() error { return e.Err }

// MaxEventBytes is the size of the largest event that Publish accepts: its JSON with topic and
// user properties. MPS's events have 98 to 201 bytes of JSON.
const MaxEventBytes = 64 << 10

// Publisher is a connection to a broker and the queue of events for it. Its methods may be
// called concurrently.
type Publisher struct {
	config  *struct{ *Config } // this type keeps fmt from printing the secrets
	encoder encoder
	queue   *queue
	conn    *mqttconn.Conn // nil without an address
	keeper  *keeper        // nil without a spool
	up      atomic.Bool    // Hooks.Connected was called last, not Hooks.Disconnected

	// Used by the handlers of the connection, which are called one at a time.
	status       statusTrial
	searchLogged time.Time

	stop         context.CancelFunc // of the workers
	workers      sync.WaitGroup
	stopReporter context.CancelFunc // called last: the reporter reports what the workers have lost
	reporter     sync.WaitGroup
	stopping     atomic.Bool
	stopped      chan struct{} // closed when result is there
	result       error
}

// sessionExpiry is the time for which the broker keeps the session after a connection broke. It
// is longer than the delay of the Last Will, which would come early with the end of the session.
const sessionExpiry = 5 * time.Minute

// New returns a Publisher that connects in the background. The error names the
// field of config, or the file, that is wrong; a broker that is away is no error.
// The caller ends it with Shutdown, which closes Config.Spool too.
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
		config:       &struct{ *Config }{&config},
		encoder:      newEncoder(config, topic),
		queue:        newQueue(config.Capacity, config.MaxBufferedBytes, config.DropNewest),
		stop:         func() {},
		stopReporter: func() {},
		stopped:      make(chan struct{}),
	}
	if len(servers) == 0 {
		p.startReporter()
		return p, nil
	}
	if config.Spool != nil {
		disk := journal.Of(config.Spool)
		p.queue.restore(disk.Range())
		p.keeper = newKeeper(p.queue, disk, config.Logger)
	}
	connect := mqttconn.Config{
		Servers:        servers,
		TLS:            mqttconn.TLSFiles{CA: config.CAFile, Cert: config.CertFile, Key: config.KeyFile, TrustAnyServer: config.DangerouslyTrustAnyServer},
		ClientID:       config.ClientID,
		Username:       config.Username,
		Password:       config.Password,
		KeepAlive:      config.KeepAlive,
		SessionExpiry:  sessionExpiry,
		EndSession:     true,
		ReceiveMaximum: 1, // nothing is received
		Logger:         config.Logger,
		Handlers:       mqttconn.Handlers{Up: p.connected, Down: p.disconnected, Pubacks: p.queue.acknowledge},
	}
	if config.Status {
		connect.Will, connect.Goodbye = config.will(), config.plannedOffline
	}
	if p.conn, err = mqttconn.Open(connect); err != nil {
		return nil, fmt.Errorf("publisher: %w", err)
	}
	p.startReporter()
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	p.workers.Go(func() { p.send(ctx) })
	if p.keeper != nil {
		p.workers.Go(func() { p.keeper.run(ctx) })
	}
	return p, nil
}

// startReporter starts the goroutine of the reporter.
func (p *Publisher) startReporter() {
	ctx, stopReporter := context.WithCancel(context.Background())
	p.stopReporter = stopReporter
	p.reporter.Go(func() { newReporter(p.queue, *p.config.Config).run(ctx) })
}

// Publish accepts one event for delivery. It never blocks, copies what it keeps,
// and in the steady state does not allocate. It returns ErrFull, ErrClosed, or an
// error that names the field of ev that cannot be published. After nil the event
// is delivered, or counted in Stats as dropped. Events of one goroutine arrive in order, except
// that others may overtake an event that is suspected of EndsConnection.
func (p *Publisher) Publish(ev event.Event) error {
	if err := ev.Validate(); err != nil {
		err = fmt.Errorf("publisher: %w", err)
		p.queue.countRejectedEvent(&p.queue.stats.RejectedBy.Invalid, err)
		return err
	}
	if p.conn == nil {
		return p.queue.rejectIfClosed()
	}
	if ev.Timestamp == 0 {
		ev.Timestamp = time.Now().UnixMilli()
	}
	packet := packetPool.Get().(*packet)
	p.encoder.encode(packet, &ev)
	if len(packet.body)+maxIDDigits > MaxEventBytes {
		err := fmt.Errorf("publisher: event: %d bytes with topic and properties, more than %d: shorten its texts", len(packet.body)+maxIDDigits, MaxEventBytes)
		p.queue.countRejectedEvent(&p.queue.stats.RejectedBy.TooLarge, err)
		recycle(packet)
		return err
	}
	return p.queue.add(packet)
}

// Flush waits until every event that was accepted before the call is acknowledged or
// dropped. If ctx ends first, it returns the error of ctx.
func (p *Publisher) Flush(ctx context.Context) error {
	done := p.queue.startFlush()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		p.queue.cancelFlush(done)
	}
	select {
	case <-done: // it may have been closed before ctx ended
		return nil
	default:
		return ctx.Err()
	}
}

// overtime is the time after the end of its context in which Shutdown may still disconnect from
// the broker and write to the spool.
const overtime = time.Second

// Shutdown makes Publish return ErrClosed, waits like Flush until all events are
// delivered or ctx ends, and disconnects. It returns an *UndeliveredError if
// events are lost. Events in the spool are not, since the next process delivers them: once the
// spool holds all events, Shutdown waits no longer than a second for a broker that is away.
// Later calls wait for the first and return its result, or the error of their own ctx
// if that ends before. Shutdown returns at most a second after the end of ctx,
// and then no goroutine is left, unless the Logger, a hook or the spool's disk hangs.
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
	draining, stopWaiting := context.WithCancel(ctx)
	if p.keeper != nil {
		p.workers.Go(func() { p.awaitOnDisk(draining, stopWaiting) })
	}
	why := p.Flush(draining)
	stopWaiting()
	ended := make(chan uint64, 1)
	go func() { ended <- p.end(ctx) }()
	var undelivered uint64
	select {
	case undelivered = <-ended:
	case <-after(ctx, overtime):
		undelivered = p.undelivered()
	}
	if undelivered > 0 {
		p.result = &UndeliveredError{Count: undelivered, Err: why}
	}
	return p.result
}

// end stops all goroutines, closes the spool and returns the number of events that are lost.
func (p *Publisher) end(ctx context.Context) (undelivered uint64) {
	if p.conn != nil {
		_ = p.conn.Close(ctx) // it cuts the connection if necessary, which unblocks the sender
	}
	p.stop()
	p.workers.Wait()
	if p.keeper != nil {
		_ = p.keeper.write(p.queue.newestNumber()) // write logs its error
	}
	if p.config.Spool != nil {
		if err := p.config.Spool.Close(); err != nil {
			p.config.Logger.Error("closing the spool", slog.Any("error", err))
		}
	}
	p.stopReporter()
	p.reporter.Wait()
	return p.undelivered()
}

// undelivered returns the number of events that would be lost if the process ended now.
func (p *Publisher) undelivered() uint64 {
	if p.keeper != nil {
		return p.queue.unwritten()
	}
	return p.Stats().Pending
}

// after returns a channel that is closed when more has passed since the end of ctx.
func after(ctx context.Context, more time.Duration) <-chan struct{} {
	late := make(chan struct{})
	context.AfterFunc(ctx, func() { time.AfterFunc(more, func() { close(late) }) })
	return late
}

// Stats returns a consistent snapshot of the counters.
func (p *Publisher) Stats() Stats { return p.queue.snapshot() }

// send writes events to the connection until ctx ends, and is the only goroutine that does so.
// All events that are accepted during one write go out in the next, so that a busy publisher
// writes many packets at a time, and an idle one does not wait.
func (p *Publisher) send(ctx context.Context) {
	buf := make([]byte, 0, batchBytes+MaxEventBytes)
	for {
		packets, link, n := p.queue.takeBatch(buf)
		if n == 0 {
			select {
			case <-p.queue.sender.signal:
				continue
			case <-ctx.Done():
				return
			}
		}
		if err := link.WritePackets(packets); err != nil {
			_ = link.Close() // the reader of link notices, and disconnected tells the queue
			p.queue.writeFailed(link)
			continue
		}
		p.queue.written(link)
	}
}

// connected begins to send on a new connection.
func (p *Publisher) connected(link *mqttconn.Link, limits mqttconn.Limits) {
	if p.config.Status && p.status.begin(p.config.Logger, p.config.statusTopic()) {
		_ = link.WritePackets(p.config.online(limits)) // if this fails, later writes to link fail as well
	}
	qos := byte(1)
	if p.config.QoS == AtMostOnce {
		qos = 0
	}
	if searching := p.queue.connected(link, limits, qos); searching && time.Since(p.searchLogged) >= time.Minute {
		p.searchLogged = time.Now()
		p.config.Logger.Warn("the MQTT broker ends connections while the same events are under way: looking for the event at fault; the others wait meanwhile")
	}
	if p.up.CompareAndSwap(false, true) && p.config.Hooks.Connected != nil {
		p.config.Hooks.Connected(link.RemoteAddr().String())
	}
}

// disconnected stops sending on link.
func (p *Publisher) disconnected(link *mqttconn.Link, ending mqttconn.Ending) {
	if ended, inVain := p.queue.disconnected(link, ending); ended {
		p.status.end(inVain)
	}
	if p.up.CompareAndSwap(true, false) && p.config.Hooks.Disconnected != nil {
		p.config.Hooks.Disconnected()
	}
}

// packetPool holds packets that are not in use.
var packetPool = sync.Pool{New: func() any { return &packet{body: make([]byte, 0, usualBodySize)} }}

// recycle puts p into packetPool, unless it is large: an ordinary event in its memory would
// count as a large one.
func recycle(p *packet) {
	if cap(p.body) <= 2*usualBodySize {
		packetPool.Put(p)
	}
}
