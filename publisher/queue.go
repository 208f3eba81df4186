package publisher

import (
	"sync"

	"github.com/mps-events/mps-events/internal/mqttconn"
)

// queue holds what has been accepted until the broker has acknowledged it, and
// counts. Packets wait in order of Publish, then go under way in that order, and
// leave in the order of acknowledgements. Nothing in it blocks.
//
// The packet identifier is derived from a packet's place in the sequence of all
// that ever went under way. So it stays the same over reconnects, as MQTT 5.0,
// section 4.4, asks for, and an acknowledgement finds its packet without a map.
type queue struct {
	mu         sync.Mutex
	stats      Stats
	waiting    deque
	underWay   deque
	capacity   int
	dropNewest bool
	closed     bool
	flushes    map[chan struct{}]uint64 // who waits in Flush, and up to which number

	firstUnderWay uint64 // place in the sequence of underWay's front

	// Of the current connection; link is nil without one.
	link    *mqttconn.Link
	limits  mqttconn.Limits
	qos     byte
	next    int // underWay[:next] has been written to link
	unacked int // how many of these the broker has not acknowledged

	idle bool          // the sender has nothing to do and waits for wake
	wake chan struct{} // holds one
}

// maxUnderWay is the number of packet identifiers: 1 to 65535.
const maxUnderWay = 65535

func newQueue(capacity int, dropNewest bool) *queue {
	return &queue{capacity: capacity, dropNewest: dropNewest, flushes: map[chan struct{}]uint64{}, idle: true, wake: make(chan struct{}, 1)}
}

// add accepts p. When the queue is full it returns in place of p the packet that
// was dropped, so that its memory can be used again.
func (q *queue) add(p *packet) (dropped *packet, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return p, ErrClosed
	}
	if q.waiting.len()+q.underWay.len() >= q.capacity {
		if q.dropNewest || q.waiting.len() == 0 {
			q.stats.Rejected++
			return p, ErrFull
		}
		dropped = q.waiting.pop()
		q.stats.Dropped++
	}
	q.stats.Accepted++
	p.number = q.stats.Accepted
	q.waiting.push(p)
	q.left()
	q.rouse()
	return dropped, nil
}

// whenOpen is add for a publisher without a broker: there is nothing to count.
func (q *queue) whenOpen() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrClosed
	}
	return nil
}

// batch is about how many bytes go into one write.
const batch = 64 << 10

// take appends whole packets to dst, about a batch of them, marks them as written to
// the returned link and returns how many. The oldest come first: after a
// reconnect these are the ones that were under way. None means wait for wake.
func (q *queue) take(dst []byte) (packets []byte, link *mqttconn.Link, n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.link != nil && len(dst) < batch && (q.qos == 0 || q.unacked < q.limits.ReceiveMaximum) {
		p := q.following()
		if p == nil {
			break
		}
		id := uint16((q.firstUnderWay+uint64(q.next))%maxUnderWay) + 1
		q.next++
		if !p.done && (p.expired() || q.limits.MaximumPacketSize > 0 && p.size(q.qos) > q.limits.MaximumPacketSize) {
			p.done = true
			q.stats.Dropped++
		}
		if p.done {
			continue
		}
		dst = p.appendTo(dst, q.qos, id)
		p.tried = true
		q.unacked++
		n++
	}
	q.trim()
	q.idle = n == 0
	return dst, q.link, n
}

// following returns the packet to write next, brought under way if it was
// waiting, or nil.
func (q *queue) following() *packet {
	if q.next < q.underWay.len() {
		return q.underWay.at(q.next)
	}
	if q.waiting.len() == 0 || q.underWay.len() == maxUnderWay {
		return nil
	}
	p := q.waiting.pop()
	q.underWay.push(p)
	return p
}

// trim lets go of the oldest packets under way that are done. After a reconnect
// some of them may not have been passed by next again.
func (q *queue) trim() {
	for q.underWay.len() > 0 && q.underWay.at(0).done {
		recycle(q.underWay.pop())
		q.firstUnderWay++
		q.next = max(q.next-1, 0)
	}
	q.left()
}

// written says that the packets last taken are in the hands of the operating
// system, which at QoS 0 is all the acknowledgement there will be.
func (q *queue) written(link *mqttconn.Link) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.link != link || q.qos > 0 {
		return
	}
	for i := range q.next {
		if p := q.underWay.at(i); !p.done {
			p.done = true
			q.stats.Acknowledged++
		}
	}
	q.unacked = 0
	q.trim()
}

// acknowledge settles the packet with identifier id, accepted or refused by the
// broker. An identifier that is not under way is ignored.
func (q *queue) acknowledge(id uint16, refused bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	front := q.firstUnderWay % maxUnderWay
	place := int((uint64(id) - 1 + maxUnderWay - front) % maxUnderWay)
	if id == 0 || q.qos == 0 || place >= q.next || q.underWay.at(place).done {
		return
	}
	q.underWay.at(place).done = true
	q.unacked--
	if refused {
		q.stats.Dropped++
	} else {
		q.stats.Acknowledged++
	}
	q.trim()
	q.rouse()
}

// connected begins a connection: what is under way has to be written again.
func (q *queue) connected(link *mqttconn.Link, limits mqttconn.Limits, qos byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.link, q.limits, q.qos = link, limits, min(qos, limits.MaximumQoS)
	q.next, q.unacked = 0, 0
	q.rouse()
}

// disconnected ends the connection of link, or whichever is up if link is nil.
func (q *queue) disconnected(link *mqttconn.Link) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if link == nil || link == q.link {
		q.link = nil
	}
}

// rouse wakes the sender if it waits.
func (q *queue) rouse() {
	if q.idle && q.link != nil {
		q.idle = false
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
}

// flushed returns a channel that is closed once all accepted so far has left.
func (q *queue) flushed() chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	done := make(chan struct{})
	q.flushes[done] = q.stats.Accepted
	q.left()
	return done
}

// abandon forgets one who no longer waits for flushed.
func (q *queue) abandon(done chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.flushes, done)
}

// left tells those who wait in Flush, after packets have left the queue.
func (q *queue) left() {
	if len(q.flushes) == 0 {
		return
	}
	oldest := q.stats.Accepted + 1
	if q.underWay.len() > 0 {
		oldest = q.underWay.at(0).number
	} else if q.waiting.len() > 0 {
		oldest = q.waiting.at(0).number
	}
	for done, upTo := range q.flushes {
		if upTo < oldest {
			close(done)
			delete(q.flushes, done)
		}
	}
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}

func (q *queue) snapshot() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.stats
	s.Pending = s.Accepted - s.Acknowledged - s.Dropped
	return s
}

// deque is a first-in-first-out ring that grows to what it has to hold.
type deque struct {
	ring  []*packet // its length is a power of two
	front int
	count int
}

func (d *deque) len() int { return d.count }

func (d *deque) at(i int) *packet { return d.ring[(d.front+i)&(len(d.ring)-1)] }

func (d *deque) push(p *packet) {
	if d.count == len(d.ring) {
		ring := make([]*packet, max(64, 2*len(d.ring)))
		for i := range d.count {
			ring[i] = d.at(i)
		}
		d.ring, d.front = ring, 0
	}
	d.ring[(d.front+d.count)&(len(d.ring)-1)] = p
	d.count++
}

func (d *deque) pop() *packet {
	p := d.at(0)
	d.ring[d.front] = nil
	d.front = (d.front + 1) & (len(d.ring) - 1)
	d.count--
	return p
}
