package publisher

import (
	"sync"
	"time"

	"github.com/mps-events/mps-events/internal/mqttconn"
)

// queue holds what has been accepted until the broker has acknowledged it, and
// counts. Packets are numbered in order of Publish and stand in that order:
//
//	underWay | waiting | only on disk | later
//
// They go under way from the front of waiting and leave when the broker has
// acknowledged them. Without a spool, and with one while the broker keeps up,
// nothing is only on disk and later is empty: see ondisk.go. Nothing in it
// blocks.
//
// The packet identifier is derived from a packet's place in the sequence of all
// that ever went under way. So it stays the same over reconnects, as MQTT 5.0,
// section 4.4, asks for, and an acknowledgement finds its packet without a map.
type queue struct {
	mu         sync.Mutex
	stats      Stats // but for Pending
	losses     losses
	capacity   int
	maxBytes   int
	dropNewest bool
	closed     bool
	flushes    map[chan struct{}]uint64 // who waits in Flush, and up to which number

	lastNumber uint64 // of what was accepted last
	underWay   deque
	settled    int // those of underWay that are done
	waiting    deque
	later      deque
	disk       onDisk

	firstUnderWay uint64 // place in the sequence of underWay's front

	// Of the current connection; link is nil without one.
	link    *mqttconn.Link
	broken  bool // writing to link has failed; how it ended is not known yet
	limits  mqttconn.Limits
	qos     byte
	next    int // underWay[:next] has been written to link
	unacked int // how many of these the broker has not acknowledged

	suspects suspects // of the current connection, too

	sender bell
}

// maxIDs is the number of packet identifiers: 1 to 65535.
const maxIDs = 65535

// mayGoUnderWay reports whether one more packet may be under way. They cannot be dropped,
// so half of the memory is left to newer ones.
func (q *queue) mayGoUnderWay(p *packet) bool {
	n := q.underWay.len()
	return n == 0 || n < min(q.capacity/2, maxIDs) && q.underWay.bytes+p.memory() <= q.maxBytes/2
}

func newQueue(capacity, maxBytes int, dropNewest bool) *queue {
	return &queue{
		capacity: capacity, maxBytes: maxBytes, dropNewest: dropNewest, flushes: map[chan struct{}]uint64{},
		losses: losses{bell: newBell()}, sender: newBell(),
	}
}

// bell wakes a goroutine that has said that it is idle. Both is done under the lock.
type bell struct {
	idle bool
	rung chan struct{} // holds one
}

func newBell() bell { return bell{idle: true, rung: make(chan struct{}, 1)} }

func (b *bell) ring() {
	if !b.idle {
		return
	}
	b.idle = false
	select {
	case b.rung <- struct{}{}:
	default: // rung before, and not heard yet
	}
}

// add accepts p, and drops older packets if it has no room otherwise. It takes over p in
// any case.
func (q *queue) add(p *packet) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		q.reject(&q.stats.RejectedBy.Closed)
		recycle(p)
		return ErrClosed
	}
	if q.disk.spooling && !q.fits(p) {
		q.release()
	}
	for !q.fits(p) {
		if !q.makeRoom() {
			q.reject(&q.stats.RejectedBy.Full)
			recycle(p)
			return ErrFull
		}
	}
	wasCrowded := q.crowded()
	q.stats.Accepted++
	q.lastNumber++
	p.number = q.lastNumber
	if q.disk.count > 0 {
		q.later.push(p)
	} else {
		q.waiting.push(p)
	}
	q.rouseSender()
	q.disk.rouse(q.crowded() && !wasCrowded)
	return nil
}

// rouseSender wakes the sender, if there is a connection to send by.
func (q *queue) rouseSender() {
	if q.link != nil {
		q.sender.ring()
	}
}

// held is how many packets are in memory.
func (q *queue) held() int { return q.underWay.len() + q.waiting.len() + q.later.len() }

// heldBytes is the memory of the packets in memory.
func (q *queue) heldBytes() int { return q.underWay.bytes + q.waiting.bytes + q.later.bytes }

// fits reports whether there is room for p.
func (q *queue) fits(p *packet) bool {
	return q.held() < q.capacity && q.heldBytes()+p.memory() <= q.maxBytes
}

// makeRoom drops the oldest packet that is neither under way nor on disk, and
// reports false if there is none or if it is not the oldest that has to go.
func (q *queue) makeRoom() bool {
	oldest := &q.waiting
	if q.disk.count > 0 {
		oldest = &q.later
	}
	if q.dropNewest || oldest.len() == 0 {
		return false
	}
	p := oldest.pop()
	q.disk.void(p.number)
	recycle(p)
	q.drop(&q.stats.DroppedBy.Overflow, 1)
	q.left()
	return true
}

// whenOpen is add for a publisher without a broker: only what is rejected counts.
func (q *queue) whenOpen() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		q.reject(&q.stats.RejectedBy.Closed)
		return ErrClosed
	}
	return nil
}

// batch is about how many bytes go into one write.
const batch = 64 << 10

// take appends whole packets to dst, about a batch of them, marks them as written to
// the returned link and returns how many. The oldest come first: after a
// reconnect these are the ones that were under way. None means wait for sender.
func (q *queue) take(dst []byte) (packets []byte, link *mqttconn.Link, n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.link != nil && !q.broken && len(dst) < batch && (q.qos == 0 || q.unacked < min(q.limits.ReceiveMaximum, q.suspects.limit)) {
		place, ok := q.following()
		if !ok {
			break
		}
		p := q.underWay.at(place)
		id := uint16((q.firstUnderWay+uint64(place))%maxIDs) + 1
		if place == q.next {
			q.next++
		}
		switch {
		case p.done:
		case p.expired():
			q.settle(p)
			q.drop(&q.stats.DroppedBy.Expired, 1)
		case q.limits.MaximumPacketSize > 0 && p.size(q.qos) > q.limits.MaximumPacketSize:
			q.settle(p)
			q.drop(&q.stats.DroppedBy.TooLarge, 1)
		default:
			dst = p.appendTo(dst, q.qos, id)
			p.tried = true
			q.unacked++
			n++
			continue
		}
		q.trim()
	}
	q.sender.idle = n == 0
	return dst, q.link, n
}

// following returns the place under way of the packet to write next, which is brought
// there if it was waiting; false if there is none.
func (q *queue) following() (place int, ok bool) {
	if place, ok = q.chooseControl(); ok {
		q.suspects.control = place
		return place, true
	}
	if q.next < q.underWay.len() {
		return q.next, true
	}
	if q.waiting.len() == 0 || !q.mayGoUnderWay(q.waiting.at(0)) {
		return 0, false
	}
	q.bringUnderWay()
	return q.next, true
}

// bringUnderWay takes the oldest waiting packet among those that are under way.
func (q *queue) bringUnderWay() {
	q.underWay.push(q.waiting.pop())
	q.disk.rouse(q.wantsLoad())
}

// settle ends the way of a packet that is under way.
func (q *queue) settle(p *packet) {
	p.done = true
	q.settled++
}

// trim lets go of the oldest packets under way that are done. After a reconnect
// some of them may not have been passed by next again.
func (q *queue) trim() {
	for q.underWay.len() > 0 && q.underWay.at(0).done {
		recycle(q.underWay.pop())
		q.settled--
		q.firstUnderWay++
		q.next = max(q.next-1, 0)
	}
	if q.disk.spooling {
		if load := q.wantsLoad(); load || q.forgettable() {
			q.disk.rouse(load)
		}
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
			q.settle(p)
			q.stats.Acknowledged++
		}
	}
	q.unacked = 0
	q.trim()
}

// acknowledge settles what the broker has accepted or refused on link. An identifier
// that is not under way there is ignored.
func (q *queue) acknowledge(link *mqttconn.Link, acks []mqttconn.Puback) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if link != q.link {
		return // written to a connection that is given up: it is sent again
	}
	front := q.firstUnderWay % maxIDs
	for _, ack := range acks {
		place := int((uint64(ack.ID) - 1 + maxIDs - front) % maxIDs)
		if ack.ID == 0 || q.qos == 0 || place >= q.next && place != q.suspects.control || q.underWay.at(place).done {
			continue
		}
		q.settle(q.underWay.at(place))
		q.passed(place)
		q.unacked--
		if ack.Refused() {
			q.losses.refusal = ack
			q.drop(&q.stats.DroppedBy.Refused, 1)
		} else {
			q.stats.Acknowledged++
		}
	}
	q.trim()
	q.widen()
	q.rouseSender()
}

// connected begins a connection: what is under way has to be written again. Only
// in the same session is that a repeat, MQTT 5.0, section 3.3.1.1.
func (q *queue) connected(link *mqttconn.Link, limits mqttconn.Limits, qos byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.link, q.limits, q.qos = link, limits, min(qos, limits.MaximumQoS)
	q.broken, q.next, q.unacked = false, 0, 0
	for i := range q.underWay.len() {
		p := q.underWay.at(i)
		p.tried = p.tried && limits.SessionPresent
	}
	q.beginTrial()
	q.rouseSender()
}

// writeFailed stops the writing to link.
func (q *queue) writeFailed(link *mqttconn.Link) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.broken = q.broken || link == q.link
}

// disconnected ends the connection of link.
func (q *queue) disconnected(link *mqttconn.Link, ending mqttconn.Ending) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if link == q.link && link != nil {
		q.link = nil
		q.endTrial(ending)
	}
}

// flushed returns a channel that is closed once all accepted so far has left.
func (q *queue) flushed() chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	done := make(chan struct{})
	q.flushes[done] = q.lastNumber
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
	oldest := q.oldest()
	for done, upTo := range q.flushes {
		if upTo < oldest {
			close(done)
			delete(q.flushes, done)
		}
	}
}

// oldest is the number of the oldest event that is here, or of the next one.
func (q *queue) oldest() uint64 {
	switch {
	case q.underWay.len() > 0:
		return q.underWay.at(0).number
	case q.waiting.len() > 0:
		return q.waiting.at(0).number
	case q.disk.count > 0:
		return q.disk.from
	default: // nothing is later than what is on disk if nothing is there
		return q.lastNumber + 1
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
	s.Pending = uint64(q.held()-q.settled) + q.disk.count
	if p := q.oldestHeld(); p != nil && p.time > 0 {
		s.OldestPending = max(time.Since(time.UnixMilli(p.time)), 0)
	}
	return s
}

// oldestHeld returns the oldest packet in memory; nil if there is none.
func (q *queue) oldestHeld() *packet {
	for _, part := range []*deque{&q.underWay, &q.waiting, &q.later} {
		if part.len() > 0 {
			return part.at(0) // which is not done: trim has seen to that
		}
	}
	return nil
}
