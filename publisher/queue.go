package publisher

import (
	"sync"
	"time"

	"github.com/mps-events/mps-events/internal/mqttconn"
)

// queue holds accepted packets until the broker has acknowledged them, and counts them. Packets
// are numbered in order of Publish and stand in that order:
//
//	underWay | waiting | only on disk | later
//
// A packet goes under way from the front of waiting and leaves the queue when the broker has
// acknowledged it, or when it is dropped. Without a spool, and with one while the broker keeps
// up, no packet is only on disk and later is empty: see ondisk.go. No method blocks.
//
// The packet identifier is computed from the packet's place in the sequence of all packets
// that ever went under way. So it remains the same over reconnects, as MQTT 5.0,
// section 4.4, requires, and an acknowledgement finds its packet without a map.
type queue struct {
	mu         sync.Mutex
	stats      Stats // but for Pending
	losses     losses
	capacity   int
	maxBytes   int
	dropNewest bool
	closed     bool
	flushes    map[chan struct{}]uint64 // channels of the callers that wait in Flush, and the numbers that they wait for

	lastNumber uint64 // number of the packet that was accepted last
	lastID     uint64 // number in the id of that packet: it counts the packets that this process has accepted
	underWay   deque
	settled    int // number of packets in underWay that are done
	waiting    deque
	later      deque
	disk       onDisk

	firstUnderWay uint64 // place in the sequence of underWay's front

	// Of the current connection; link is nil without one.
	link    *mqttconn.Link
	broken  bool // writing to link has failed; disconnected will follow
	limits  mqttconn.Limits
	qos     byte
	next    int // underWay[:next] has been written to link
	unacked int // number of these packets that the broker has not acknowledged

	suspects suspects // of the current connection, too

	sender waker
}

func newQueue(capacity, maxBytes int, dropNewest bool) *queue {
	return &queue{
		capacity: capacity, maxBytes: maxBytes, dropNewest: dropNewest, flushes: map[chan struct{}]uint64{},
		losses: losses{waker: newWaker()}, sender: newWaker(),
	}
}

// waker wakes a goroutine that has marked itself as idle. Both happen under the queue's lock.
type waker struct {
	idle   bool
	signal chan struct{} // has room for one
}

func newWaker() waker { return waker{idle: true, signal: make(chan struct{}, 1)} }

// wake wakes the goroutine if it is idle.
func (w *waker) wake() {
	if !w.idle {
		return
	}
	w.idle = false
	select {
	case w.signal <- struct{}{}:
	default: // the goroutine has not received the last signal yet
	}
}

// add accepts p, and drops older packets if there is no room otherwise. The caller must not use
// p afterwards, even if add returns an error.
func (q *queue) add(p *packet) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		q.countRejected(&q.stats.RejectedBy.Closed)
		recycle(p)
		return ErrClosed
	}
	if q.disk.spooling && !q.fits(p) {
		q.release()
	}
	for !q.fits(p) {
		if !q.makeRoom() {
			q.countRejected(&q.stats.RejectedBy.Full)
			recycle(p)
			return ErrFull
		}
	}
	wasHalfFull := q.halfFull()
	q.stats.Accepted++
	q.lastNumber++
	p.number = q.lastNumber
	q.lastID++
	p.setID(q.lastID)
	if q.disk.count > 0 {
		q.later.push(p)
	} else {
		q.waiting.push(p)
	}
	q.wakeSender()
	q.disk.wake(q.halfFull() && !wasHalfFull)
	return nil
}

// wakeSender wakes the sender if there is a connection.
func (q *queue) wakeSender() {
	if q.link != nil {
		q.sender.wake()
	}
}

// held returns the number of packets in memory that have not left the queue. A packet that is
// done keeps its place in underWay as long as an older one is there, but does not count.
func (q *queue) held() int { return q.underWay.len() - q.settled + q.waiting.len() + q.later.len() }

// heldBytes returns the bytes that all packets in memory take.
func (q *queue) heldBytes() int { return q.underWay.bytes + q.waiting.bytes + q.later.bytes }

// fits reports whether there is room for p.
func (q *queue) fits(p *packet) bool {
	return q.held() < q.capacity && q.heldBytes()+p.memory() <= q.maxBytes
}

// makeRoom drops the oldest packet in memory that is neither under way nor only on disk. It
// returns false if there is none, or if Config.DropNewest is set.
func (q *queue) makeRoom() bool {
	oldest := &q.waiting
	if q.disk.count > 0 {
		oldest = &q.later
	}
	if q.dropNewest || oldest.len() == 0 {
		return false
	}
	p := oldest.pop()
	q.disk.noteDropped(p.number)
	recycle(p)
	q.countDropped(&q.stats.DroppedBy.Overflow, 1)
	q.finishFlushes()
	return true
}

// rejectIfClosed stands in for add in a publisher without a broker, which counts only the events
// that it rejects.
func (q *queue) rejectIfClosed() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		q.countRejected(&q.stats.RejectedBy.Closed)
		return ErrClosed
	}
	return nil
}

// startFlush returns a channel that finishFlushes closes when all packets that are accepted now
// have left the queue.
func (q *queue) startFlush() chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	done := make(chan struct{})
	q.flushes[done] = q.lastNumber
	q.finishFlushes()
	return done
}

// cancelFlush removes a channel of startFlush for which nobody waits any more.
func (q *queue) cancelFlush(done chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.flushes, done)
}

// finishFlushes wakes the callers of Flush whose packets have left the queue.
func (q *queue) finishFlushes() {
	if len(q.flushes) == 0 {
		return
	}
	oldest := q.oldestNumber()
	for done, upTo := range q.flushes {
		if upTo < oldest {
			close(done)
			delete(q.flushes, done)
		}
	}
}

// oldestNumber returns the number of the oldest packet in the queue or, if it is empty, of the
// next one.
func (q *queue) oldestNumber() uint64 {
	switch {
	case q.underWay.len() > 0:
		return q.underWay.at(0).number
	case q.waiting.len() > 0:
		return q.waiting.at(0).number
	case q.disk.count > 0:
		return q.disk.from
	default: // later is empty if no event is only on disk
		return q.lastNumber + 1
	}
}

// close makes add return ErrClosed.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}

// snapshot returns the counters as they are at one moment.
func (q *queue) snapshot() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.stats
	s.Pending = uint64(q.held()) + q.disk.count
	if p := q.oldestHeld(); p != nil && p.time > 0 {
		s.OldestPending = max(time.Since(time.UnixMilli(p.time)), 0)
	}
	return s
}

// oldestHeld returns the oldest packet in memory, or nil if there is none.
func (q *queue) oldestHeld() *packet {
	for _, part := range []*deque{&q.underWay, &q.waiting, &q.later} {
		if part.len() > 0 {
			return part.at(0) // it is not done: trim has removed those that are
		}
	}
	return nil
}
