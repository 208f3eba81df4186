package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/session/state"

	"github.com/mps-events/mps-events/publisher"
)

// A contestant is a way to bring events to a broker.
type contestant struct {
	name    string
	connect func(ctx context.Context, address string, qos byte, sample sample) (sender, error)
}

// A sender is a connection of a contestant.
type sender interface {
	// publish sends n events, the last of them sample.last, and returns when all are acknowledged, or
	// at QoS 0 written.
	publish(ctx context.Context, n int) error
	close()
}

const (
	nameOfOurs     = "mps-events publisher"
	nameOfAutopaho = "autopaho, memory queue"
)

// All others are compared with the first one.
var contestants = []contestant{
	{"bare socket", connectBare},
	{nameOfOurs, connectPublisher},
	{"paho.golang, 64 callers", connectPaho},
	{nameOfAutopaho, connectAutopaho},
}

// bare is a socket to which ready packets are written, with only their identifiers filled in, and
// whose answers are counted.
type bare struct {
	conn           *rawConn
	qos            byte
	ordinary, last []byte
	identifierAt   int
}

func connectBare(_ context.Context, address string, qos byte, sample sample) (sender, error) {
	conn, err := connect(address)
	if err != nil {
		return nil, err
	}
	b := &bare{conn: conn, qos: qos, ordinary: encode(sample.ordinary, qos), last: encode(sample.last, qos)}
	b.identifierAt = bytes.Index(b.ordinary, []byte(sample.ordinary.Topic)) + len(sample.ordinary.Topic)
	return b, nil
}

func (b *bare) publish(_ context.Context, n int) error {
	const perWrite = 64 << 10
	size := len(b.ordinary)
	batch := bytes.Repeat(b.ordinary, perWrite/size)
	window := n
	var acked atomic.Int64
	progress, failed := make(chan struct{}, 1), make(chan error, 1)
	if b.qos > 0 {
		window = b.conn.receiveMaximum
		go func() { failed <- b.count(n, &acked, progress) }()
	}
	for sent := 0; sent < n-1; {
		k := min(n-1-sent, len(batch)/size, window-(sent-int(acked.Load())))
		if k == 0 {
			select {
			case <-progress:
				continue
			case err := <-failed:
				return err
			}
		}
		if b.qos > 0 {
			for i := range k {
				identifier := uint16((sent+i)%65535) + 1
				binary.BigEndian.PutUint16(batch[i*size+b.identifierAt:], identifier)
			}
		}
		if _, err := b.conn.Write(batch[:k*size]); err != nil {
			return err
		}
		sent += k
	}
	if b.qos == 0 {
		_, err := b.conn.Write(b.last)
		return err
	}
	for int(acked.Load()) < n-1 { // then the identifier of the last packet is free
		select {
		case <-progress:
		case err := <-failed:
			return err
		}
	}
	if _, err := b.conn.Write(b.last); err != nil {
		return err
	}
	return <-failed
}

// count reads n acknowledgements.
func (b *bare) count(n int, acked *atomic.Int64, progress chan<- struct{}) error {
	for total := 0; total < n; {
		header, remaining, err := readHeader(b.conn.in)
		if err != nil {
			return err
		}
		if header != packets.PUBACK<<4 {
			return errors.New("the broker sent something else than an acknowledgement")
		}
		if _, err := b.conn.in.Discard(remaining); err != nil {
			return err
		}
		total++
		if b.conn.in.Buffered() == 0 || total == n {
			acked.Store(int64(total))
			select {
			case progress <- struct{}{}:
			default:
			}
		}
	}
	return nil
}

func (b *bare) close() { _ = b.conn.Close() }

func readHeader(in *bufio.Reader) (header byte, remaining int, err error) {
	if header, err = in.ReadByte(); err != nil {
		return 0, 0, err
	}
	n, err := binary.ReadUvarint(in) // MQTT's variable byte integer has the same form
	return header, int(n), err
}

// ours is the publisher of this module, with a queue so large that it drops nothing.
type ours struct{ *publisher.Publisher }

func connectPublisher(ctx context.Context, address string, qos byte, _ sample) (sender, error) {
	pub, err := publisher.New(publisher.Config{Address: address, Topic: topic, QoS: publisher.QoS(strconv.Itoa(int(qos))), Capacity: maxEvents, DropNewest: true})
	if err != nil {
		return nil, err
	}
	if err := pub.Publish(ordinary); err != nil { // Flush then waits for the connection
		return nil, err
	}
	return ours{pub}, pub.Flush(ctx)
}

func (o ours) publish(ctx context.Context, n int) error {
	for range n - 1 {
		if err := o.Publish(ordinary); err != nil {
			return err
		}
	}
	if err := o.Publish(last); err != nil {
		return err
	}
	return o.Flush(ctx)
}

func (o ours) close() { _ = o.Shutdown(context.Background()) }

// pahoCallers is a client of paho.golang with as many goroutines as it needs to be fast.
type pahoCallers struct {
	client         *paho.Client
	ordinary, last *paho.Publish
}

func connectPaho(ctx context.Context, address string, qos byte, sample sample) (sender, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	client := paho.NewClient(paho.ClientConfig{Conn: packets.NewThreadSafeConn(conn)})
	if _, err := client.Connect(ctx, &paho.Connect{ClientID: "paho", CleanStart: true, KeepAlive: 60}); err != nil {
		return nil, err
	}
	return &pahoCallers{client, pahoPublish(sample.ordinary, qos), pahoPublish(sample.last, qos)}, nil
}

func pahoPublish(p *packets.Publish, qos byte) *paho.Publish {
	out := paho.PublishFromPacketPublish(p)
	out.QoS, out.PacketID, out.Retain = qos, 0, false
	return out
}

func (p *pahoCallers) publish(ctx context.Context, n int) error {
	const callers = 64
	var wg sync.WaitGroup
	var failed error
	var once sync.Once
	var started atomic.Int64
	for range callers {
		wg.Go(func() {
			for int(started.Add(1)) < n {
				event := *p.ordinary // a copy, because paho writes the identifier into it
				if _, err := p.client.Publish(ctx, &event); err != nil {
					once.Do(func() { failed = err })
					return
				}
			}
		})
	}
	wg.Wait()
	if failed != nil {
		return failed
	}
	_, err := p.client.Publish(ctx, p.last)
	return err
}

func (p *pahoCallers) close() { _ = p.client.Disconnect(&paho.Disconnect{}) }

// autopahoQueue is a client of autopaho with its queue for a broker that may be away.
type autopahoQueue struct {
	manager        *autopaho.ConnectionManager
	ordinary, last *paho.Publish
	session        *countingSession
}

func connectAutopaho(ctx context.Context, address string, qos byte, sample sample) (sender, error) {
	session := &countingSession{State: state.NewInMemory(), progress: make(chan struct{}, 1)}
	manager, err := autopaho.NewConnection(context.WithoutCancel(ctx), autopaho.ClientConfig{
		ServerUrls:   []*url.URL{{Scheme: "mqtt", Host: address}},
		KeepAlive:    60,
		ClientConfig: paho.ClientConfig{ClientID: "autopaho", Session: session},
	})
	if err != nil {
		return nil, err
	}
	a := &autopahoQueue{manager: manager, ordinary: pahoPublish(sample.ordinary, qos), last: pahoPublish(sample.last, qos), session: session}
	return a, manager.AwaitConnection(ctx)
}

func (a *autopahoQueue) publish(ctx context.Context, n int) error {
	for range n - 1 {
		if err := a.manager.PublishViaQueue(ctx, &autopaho.QueuePublish{Publish: a.ordinary}); err != nil {
			return err
		}
	}
	if err := a.manager.PublishViaQueue(ctx, &autopaho.QueuePublish{Publish: a.last}); err != nil {
		return err
	}
	if a.last.QoS == 0 {
		return nil // the listener waits for the last event
	}
	for int(a.session.acked.Load()) < n {
		select {
		case <-a.session.progress:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (a *autopahoQueue) close() { _ = a.manager.Disconnect(context.Background()) }

// countingSession is autopaho's session with a counter of acknowledgements, which autopaho does not
// report.
type countingSession struct {
	*state.State
	acked    atomic.Int64
	progress chan struct{} // has room for one
}

func (s *countingSession) PacketReceived(p *packets.ControlPacket, publishes chan<- *packets.Publish) error {
	err := s.State.PacketReceived(p, publishes)
	if p.Type == packets.PUBACK {
		s.acked.Add(1)
		select {
		case s.progress <- struct{}{}:
		default:
		}
	}
	return err
}
