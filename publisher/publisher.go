// Package publisher brings events to an MQTT 5 broker without ever making the
// caller wait for it.
//
// Publish costs a copy into bounded memory. One goroutine owns the connection,
// keeps as many QoS 1 publishes under way as the broker allows, and learns of
// each acknowledgement; what was not acknowledged when a connection broke is
// sent again on the next. Every event that is not delivered is counted, and
// Accepted = Acknowledged + Dropped + Pending holds in every snapshot.
//
// One event stops no other. A broker may end the connection for an event, because of its
// size or its topic, on each connection that it is sent on. After a few of these at QoS 1
// connections begin in turn with the event under suspicion and with another one, and the
// one at fault is dropped, with the reason EndsConnection, if only the others are
// acknowledged, or if the broker says that it will never take it. A broker that is away, or
// ends connections at random or after some events, has no event dropped: an event that is alone
// is tried again until another one comes.
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
	// ErrFull is returned by Publish when Config.Capacity or MaxBufferedBytes is reached
	// and no older event makes room: with Config.DropNewest, or when all are under way.
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

// Publisher publishes events. Its methods may be called concurrently.
type Publisher struct {
	config     *struct{ *Config } // so that fmt does not follow it to the secrets
	stationery stationery
	queue      *queue
	lastID     atomic.Uint64
	conn       *mqttconn.Conn // nil without an address
	keeper     *keeper        // nil without a spool
	up         atomic.Bool    // what Hooks have been told

	// Used by the handlers of the connection, which are called one at a time.
	status       statusTrial
	searchLogged time.Time

	stop     context.CancelFunc // of the workers
	workers  sync.WaitGroup
	mute     context.CancelFunc // of the reporter, which reports what they have lost
	reporter sync.WaitGroup
	stopping atomic.Bool
	stopped  chan struct{} // closed when result is there
	result   error
}

// sessionExpiry is the time for which a broker remembers what is under way when a connection
// breaks, and with it the Last Will, which must not come before its delay.
const sessionExpiry = 5 * time.Minute

// New returns a Publisher that connects in the background. The error names the
// field of config, or the file, that is wrong; a broker that is away is no error.
// Call Shutdown in the end; it closes Config.Spool too.
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
		config:     &struct{ *Config }{&config},
		stationery: newStationery(config, topic),
		queue:      newQueue(config.Capacity, config.MaxBufferedBytes, config.DropNewest),
		stop:       func() {},
		mute:       func() {},
		stopped:    make(chan struct{}),
	}
	if len(servers) == 0 {
		p.startReporter()
		return p, nil
	}
	if config.Spool != nil {
		disk := journal.Of(config.Spool)
		p.queue.recover(disk.Range())
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

func (p *Publisher) startReporter() {
	ctx, mute := context.WithCancel(context.Background())
	p.mute = mute
	p.reporter.Go(func() { newReporter(p.queue, *p.config.Config).run(ctx) })
}

// Publish accepts one event for delivery. It never blocks, copies what it keeps,
// and allocates nothing in the steady state. It returns ErrFull, ErrClosed, or an
// error that names the field of ev that cannot be published; after nil the event
// is delivered, or counted in Stats. Events of one goroutine arrive in order, but for
// one that is under suspicion of EndsConnection: others may overtake it.
func (p *Publisher) Publish(ev event.Event) error {
	if err := ev.Validate(); err != nil {
		err = fmt.Errorf("publisher: %w", err)
		p.queue.rejectEvent(&p.queue.stats.RejectedBy.Invalid, err)
		return err
	}
	if p.conn == nil {
		return p.queue.whenOpen()
	}
	if ev.Timestamp == 0 {
		ev.Timestamp = time.Now().UnixMilli()
	}
	packet := blanks.Get().(*packet)
	p.stationery.encode(packet, &ev, p.lastID.Add(1))
	if len(packet.body) > MaxEventBytes {
		err := fmt.Errorf("publisher: event: %d bytes with topic and properties, more than %d: shorten its texts", len(packet.body), MaxEventBytes)
		p.queue.rejectEvent(&p.queue.stats.RejectedBy.TooLarge, err)
		recycle(packet)
		return err
	}
	return p.queue.add(packet)
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
	}
	select {
	case <-done: // just now, or before ctx ended
		return nil
	default:
		return ctx.Err()
	}
}

// overtime is the time after the end of its context in which Shutdown may still say goodbye to
// the broker and write to the spool.
const overtime = time.Second

// Shutdown makes Publish return ErrClosed, waits as Flush does until all is
// delivered or ctx ends, and disconnects. It returns an *UndeliveredError if
// events stayed behind, but for those that the spool holds for the next process: once it
// holds all, Shutdown waits no longer than a second for a broker that is away.
// Later calls wait for the first and return its result, or the error of their own ctx
// if that ends before. Shutdown returns a second after the end of ctx at the latest,
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
	draining, enough := context.WithCancel(ctx)
	if p.keeper != nil {
		p.workers.Go(func() { p.awaitKept(draining, enough) })
	}
	why := p.Flush(draining)
	enough()
	ended := make(chan uint64, 1)
	go func() { ended <- p.end(ctx) }()
	var behind uint64
	select {
	case behind = <-ended:
	case <-after(ctx, overtime):
		behind = p.behind()
	}
	if behind > 0 {
		p.result = &UndeliveredError{Count: behind, Err: why}
	}
	return p.result
}

// end stops everything and returns how many events are lost by that.
func (p *Publisher) end(ctx context.Context) (behind uint64) {
	if p.conn != nil {
		_ = p.conn.Close(ctx) // cuts the connection if need be, which frees the sender
	}
	p.stop()
	p.workers.Wait()
	if p.keeper != nil {
		_ = p.keeper.write(p.queue.newest()) // it reports by itself
	}
	if p.config.Spool != nil {
		if err := p.config.Spool.Close(); err != nil {
			p.config.Logger.Error("closing the spool", slog.Any("error", err))
		}
	}
	p.mute()
	p.reporter.Wait()
	return p.behind()
}

// behind returns the number of events that would be lost if the process ended now.
func (p *Publisher) behind() uint64 {
	if p.keeper != nil {
		return p.queue.unwritten()
	}
	return p.Stats().Pending
}

// after returns a channel that is closed some time after the end of ctx.
func after(ctx context.Context, more time.Duration) <-chan struct{} {
	late := make(chan struct{})
	context.AfterFunc(ctx, func() { time.AfterFunc(more, func() { close(late) }) })
	return late
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
			case <-p.queue.sender.rung:
				continue
			case <-ctx.Done():
				return
			}
		}
		if err := link.WritePackets(packets); err != nil {
			_ = link.Close() // whoever reads from it notices, too, and tells the queue
			p.queue.writeFailed(link)
			continue
		}
		p.queue.written(link)
	}
}

func (p *Publisher) connected(link *mqttconn.Link, limits mqttconn.Limits) {
	if p.config.Status && p.status.allowed(p.config.Logger, p.config.statusTopic()) {
		_ = link.WritePackets(p.config.online(limits)) // if it fails, so will all else on this link
	}
	qos := byte(1)
	if p.config.QoS == AtMostOnce {
		qos = 0
	}
	if searching := p.queue.connected(link, limits, qos); searching && time.Since(p.searchLogged) >= time.Minute {
		p.searchLogged = time.Now()
		p.config.Logger.Warn("the MQTT broker ends connections while the same events are under way: looking for one at fault, others wait meanwhile")
	}
	if p.up.CompareAndSwap(false, true) && p.config.Hooks.Connected != nil {
		p.config.Hooks.Connected(link.RemoteAddr().String())
	}
}

func (p *Publisher) disconnected(link *mqttconn.Link, ending mqttconn.Ending) {
	if ended, inVain := p.queue.disconnected(link, ending); ended {
		p.status.ended(inVain)
	}
	if p.up.CompareAndSwap(true, false) && p.config.Hooks.Disconnected != nil {
		p.config.Hooks.Disconnected()
	}
}

// blanks are packets to be encoded into.
var blanks = sync.Pool{New: func() any { return &packet{body: make([]byte, 0, usualBody)} }}

// recycle lets p be encoded into again, unless it is large: an ordinary event in it would
// count as a large one.
func recycle(p *packet) {
	if cap(p.body) <= 2*usualBody {
		blanks.Put(p)
	}
}
