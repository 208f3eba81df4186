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

// held returns the number of packets in memory that have not left. One that has, while an
// older one is under way, only keeps its place there.
func (q *queue) held() int { return q.underWay.len() - q.settled + q.waiting.len() + q.later.len() }

// heldBytes returns the memory that they take.
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
	s.Pending = uint64(q.held()) + q.disk.count
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
