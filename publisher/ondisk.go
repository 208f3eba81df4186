package publisher

import (
	"math"
	"time"

	"github.com/mps-events/mps-events/publisher/internal/journal"
)

// onDisk is the part of the queue that knows which events are on disk, and which of them are
// not in memory.
type onDisk struct {
	spooling bool   // there is a spool
	upTo     uint64 // every event up to this number has been written, or has left the queue
	writing  uint64 // value of upTo once the Commit under way succeeds

	count uint64 // number of events that are only on disk; they stand between waiting and later
	from  uint64 // lowest number that one of them may have

	firstRecord    uint64              // no record has a lower number
	lastRecord     uint64              // no record has a higher number
	droppedNumbers map[uint64]struct{} // numbers of events that were dropped from memory, but are on disk or on the way there

	idle   bool          // the keeper waits for signal
	signal chan struct{} // wakes the keeper; has room for one
}

// noteDropped notes that the event with this number was dropped from memory, so that it is not
// loaded from disk.
func (d *onDisk) noteDropped(number uint64) {
	if d.spooling && number <= max(d.upTo, d.writing) {
		d.droppedNumbers[number] = struct{}{}
	}
}

// wake wakes the keeper if it is idle or if the work is urgent.
func (d *onDisk) wake(urgent bool) {
	if !d.spooling || !urgent && !d.idle {
		return
	}
	d.idle = false
	select {
	case d.signal <- struct{}{}:
	default:
	}
}

// restore takes over the events that an earlier process left in the spool.
func (q *queue) restore(first, last, count uint64) {
	q.disk = onDisk{
		spooling: true, upTo: last, count: count, from: first, firstRecord: first, lastRecord: last,
		droppedNumbers: map[uint64]struct{}{}, signal: make(chan struct{}, 1),
	}
	q.lastNumber, q.stats.Accepted = last, count
}

// loadWindow returns the number of events, and of their bytes, that are loaded from disk before
// they are sent. The last event may exceed the bytes.
func (q *queue) loadWindow() (events, bytes int) { return min(q.capacity/4+1, 4096), q.maxBytes / 8 }

// wantsLoad reports whether the sender will soon need events that are only on disk. They are
// loaded even if newer events, which the disk has no room for, have filled the memory: nothing
// else would ever make room.
func (q *queue) wantsLoad() bool {
	events, bytes := q.loadWindow()
	return q.disk.count > 0 && q.waiting.len() <= events/2 && q.waiting.bytes <= bytes/2 &&
		(q.held() < q.capacity && q.heldBytes() < q.maxBytes || q.held() == q.later.len())
}

// halfFull reports whether half of the memory is used. Then packets are written to disk early,
// and not kept in memory.
func (q *queue) halfFull() bool { return q.held() > q.capacity/2 || q.heldBytes() > q.maxBytes/2 }

// release removes packets from memory that are on disk as well, except those that the sender
// needs next.
func (q *queue) release() {
	if q.disk.count > 0 {
		for q.later.len() > 0 && q.later.at(0).number <= q.disk.upTo {
			recycle(q.later.pop())
			q.disk.count++
		}
		return
	}
	written := q.waiting.upTo(q.disk.upTo)
	keep := q.waiting.within(q.loadWindow())
	if written <= keep {
		return
	}
	q.disk.from, q.disk.count = q.waiting.at(keep).number, uint64(written-keep)
	var kept deque
	for range keep {
		kept.push(q.waiting.pop())
	}
	for range written - keep {
		recycle(q.waiting.pop())
	}
	q.waiting, q.later = kept, q.waiting
}

// rejoin moves the packets of later to waiting when no event between them is only on disk.
func (q *queue) rejoin() {
	if q.disk.count > 0 {
		return
	}
	for q.later.len() > 0 {
		q.waiting.push(q.later.pop())
	}
	q.finishFlushes()
}

// step is the work of one Commit, and its effect.
type step struct {
	journal.Step
	upTo uint64 // every event up to this number is on disk after it, or has left the queue
}

// prepareStep returns the next step on the way to have the events up to number upTo on disk.
// It adds at most maxAdd of them. It returns false if there is nothing to do. The records share
// the memory of buf.
func (q *queue) prepareStep(upTo uint64, maxAdd int, add []journal.Record, buf []byte) (step, []byte, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	const maxStepBytes = 1 << 20
	s := step{
		Step: journal.Step{Below: q.oldestNumber(), From: math.MaxUint64, Add: add[:0]},
		upTo: max(min(upTo, q.lastNumber), q.disk.upTo),
	}
	buf = buf[:0]
	for _, part := range []*deque{&q.underWay, &q.waiting, &q.later} {
		for i := part.upTo(q.disk.upTo); i < part.len() && part.at(i).number <= s.upTo; i++ {
			p := part.at(i)
			if p.done {
				continue
			}
			if len(s.Add) == maxAdd || len(buf) > maxStepBytes {
				s.upTo = p.number - 1
				break
			}
			start := len(buf)
			buf = p.appendRecord(buf)
			s.Add = append(s.Add, journal.Record{Number: p.number, Data: buf[start:]})
		}
	}
	if q.disk.count > 0 && !q.dropNewest {
		s.From = q.disk.from
	}
	for number := range q.disk.droppedNumbers {
		if number <= q.disk.upTo {
			s.Remove = append(s.Remove, number)
		}
	}
	if len(s.Add) == 0 && len(s.Remove) == 0 && !q.forgettable() {
		q.disk.upTo = s.upTo
		return s, buf, false
	}
	q.disk.writing = s.upTo
	return s, buf, true
}

// withoutAdds returns s without its new records: when there is no room for them, removing others
// may make some.
func (q *queue) withoutAdds(s step) step {
	q.mu.Lock()
	defer q.mu.Unlock()
	s.Add, s.From, s.upTo = nil, math.MaxUint64, q.disk.upTo
	return s
}

// giveUp counts the events that cannot be read from disk as dropped, so that the others are
// sent.
func (q *queue) giveUp() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropOnDisk(q.disk.count)
	q.wakeSender()
}

// countSpoolError counts a failed read or write of the spool.
func (q *queue) countSpoolError() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stats.SpoolErrors++
}

// forgettable reports whether the spool holds events that have left the queue.
func (q *queue) forgettable() bool {
	return q.disk.firstRecord <= q.disk.lastRecord && q.oldestNumber() > q.disk.firstRecord
}

// applyCommit updates the queue after a Commit of s, which dropped records or failed.
func (q *queue) applyCommit(s step, dropped uint64, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.disk.writing = 0
	if err != nil {
		for number := range q.disk.droppedNumbers {
			if number > q.disk.upTo {
				delete(q.disk.droppedNumbers, number)
			}
		}
		return
	}
	q.disk.upTo = s.upTo
	q.disk.firstRecord = s.Below
	if n := len(s.Add); n > 0 {
		q.disk.lastRecord = s.Add[n-1].Number
	}
	for _, number := range s.Remove {
		delete(q.disk.droppedNumbers, number)
	}
	q.dropOnDisk(dropped)
	if q.disk.count > 0 || q.halfFull() {
		q.release()
	}
	q.wakeSender()
}

// dropOnDisk counts n events that were only on disk as dropped.
func (q *queue) dropOnDisk(n uint64) {
	if n == 0 {
		return
	}
	q.disk.count -= n
	q.countDropped(&q.stats.DroppedBy.SpoolLost, n)
	q.rejoin()
}

// toLoad returns the number of the first record to load, and the limits of records and bytes.
// The limits are 0 if there is nothing to load.
func (q *queue) toLoad() (from uint64, limit, maxBytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.wantsLoad() {
		return 0, 0, 0
	}
	limit, maxBytes = q.loadWindow()
	limit -= q.waiting.len()
	maxBytes -= q.waiting.bytes
	if room := q.capacity - q.held(); room > 0 {
		limit = min(limit, room)
	}
	return q.disk.from, limit, maxBytes
}

// addLoaded adds the records that were read as toLoad asked. The end is true if no record
// follows them.
func (q *queue) addLoaded(records []journal.Record, end bool, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var unreadable uint64
	for _, r := range records {
		q.disk.from = r.Number + 1
		if _, dropped := q.disk.droppedNumbers[r.Number]; dropped {
			continue
		}
		p := packetPool.Get().(*packet)
		if !p.fromRecord(r, now) {
			unreadable++
			continue
		}
		q.waiting.push(p)
		q.disk.count--
	}
	if end {
		unreadable = q.disk.count
	}
	q.dropOnDisk(unreadable)
	q.rejoin()
	q.wakeSender()
}

// newestNumber returns the number of the event that was accepted last.
func (q *queue) newestNumber() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lastNumber
}

// toWrite returns the number up to which to write events when those up to number due have to be
// on disk: that of the newest event, if one that is due is in memory alone.
func (q *queue) toWrite(due uint64) uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, part := range []*deque{&q.underWay, &q.waiting, &q.later} {
		for i := part.upTo(q.disk.upTo); i < part.len() && part.at(i).number <= due; i++ {
			if !part.at(i).done {
				return q.lastNumber
			}
		}
	}
	return due
}

// goIdle marks the keeper as idle if it has nothing to do, and reports whether it is. An idle
// keeper is woken when there is something to do.
func (q *queue) goIdle() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.disk.idle = q.lastNumber <= q.disk.upTo && !q.wantsLoad() && !q.forgettable() && len(q.disk.droppedNumbers) == 0
	return q.disk.idle
}

// away reports whether there is no connection.
func (q *queue) away() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.link == nil
}

// unwritten returns the number of events that are in memory alone.
func (q *queue) unwritten() (n uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, part := range []*deque{&q.underWay, &q.waiting, &q.later} {
		for i := part.upTo(q.disk.upTo); i < part.len(); i++ {
			if !part.at(i).done {
				n++
			}
		}
	}
	return n
}
