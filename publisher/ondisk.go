package publisher

import (
	"math"
	"time"

	"github.com/mps-events/mps-events/publisher/internal/journal"
)

// onDisk is the queue's knowledge of the spool: which events are on disk, and which
// of them nowhere else.
type onDisk struct {
	spooling bool
	upTo     uint64 // every event up to this number has been written, or has left
	writing  uint64 // the same, once the Commit under way succeeds

	count uint64 // events only on disk, between waiting and later
	from  uint64 // they have this number or a higher one

	forgotten  uint64              // no record has a lower number
	lastRecord uint64              // nor a higher one
	voids      map[uint64]struct{} // dropped from memory, but on disk or on the way there

	resting bool          // the keeper has nothing to do until something happens
	rung    chan struct{} // holds one
}

// void notes that number was dropped from memory, lest it come back from disk.
func (d *onDisk) void(number uint64) {
	if d.spooling && number <= max(d.upTo, d.writing) {
		d.voids[number] = struct{}{}
	}
}

// rouse wakes the keeper if it rests or if the matter is urgent.
func (d *onDisk) rouse(urgent bool) {
	if !d.spooling || !urgent && !d.resting {
		return
	}
	d.resting = false
	select {
	case d.rung <- struct{}{}:
	default:
	}
}

// recover takes back what an earlier process left in the spool.
func (q *queue) recover(first, last, count uint64) {
	q.disk = onDisk{
		spooling: true, upTo: last, count: count, from: first, forgotten: first, lastRecord: last,
		voids: map[uint64]struct{}{}, rung: make(chan struct{}, 1),
	}
	q.lastNumber, q.stats.Accepted = last, count
}

// window returns how many events, and bytes of these, are brought back from disk ahead of
// being sent. The last one may exceed the bytes.
func (q *queue) window() (events, bytes int) { return min(q.capacity/4+1, 4096), q.maxBytes / 8 }

// wantsLoad says that the sender will soon need what is only on disk. It comes even
// where newer events, which the disk does not take, have filled the memory: nothing else
// would ever make room.
func (q *queue) wantsLoad() bool {
	events, bytes := q.window()
	return q.disk.count > 0 && q.waiting.len() <= events/2 && q.waiting.bytes <= bytes/2 &&
		(q.held() < q.capacity && q.heldBytes() < q.maxBytes || q.held() == q.later.len())
}

// crowded says that packets should go to disk early, and only there.
func (q *queue) crowded() bool { return q.held() > q.capacity/2 || q.heldBytes() > q.maxBytes/2 }

// release lets go of packets that are on disk as well, but for those that the sender
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
	keep := q.waiting.within(q.window())
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

// rejoin makes later a part of waiting again when nothing stands between them.
func (q *queue) rejoin() {
	if q.disk.count > 0 {
		return
	}
	for q.later.len() > 0 {
		q.waiting.push(q.later.pop())
	}
	q.left()
}

// step is one Commit to be made.
type step struct {
	journal.Step
	upTo uint64 // every event up to this number is on disk after it, or has left
}

// nextStep returns what is to be committed so that the events up to number upTo are on
// disk, or most of them at a time; false means that there is nothing. The records share
// the memory of buf.
func (q *queue) nextStep(upTo uint64, most int, add []journal.Record, buf []byte) (step, []byte, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	const mostBytes = 1 << 20
	s := step{
		Step: journal.Step{Below: q.oldest(), From: math.MaxUint64, Add: add[:0]},
		upTo: max(min(upTo, q.lastNumber), q.disk.upTo),
	}
	buf = buf[:0]
	for _, part := range []*deque{&q.underWay, &q.waiting, &q.later} {
		for i := part.upTo(q.disk.upTo); i < part.len() && part.at(i).number <= s.upTo; i++ {
			p := part.at(i)
			if p.done {
				continue
			}
			if len(s.Add) == most || len(buf) > mostBytes {
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
	for number := range q.disk.voids {
		if number <= q.disk.upTo {
			s.Void = append(s.Void, number)
		}
	}
	if len(s.Add) == 0 && len(s.Void) == 0 && !q.forgettable() {
		q.disk.upTo = s.upTo
		return s, buf, false
	}
	q.disk.writing = s.upTo
	return s, buf, true
}

// forgetting is s without its new records: what has left makes room where these found
// none.
func (q *queue) forgetting(s step) step {
	q.mu.Lock()
	defer q.mu.Unlock()
	s.Add, s.From, s.upTo = nil, math.MaxUint64, q.disk.upTo
	return s
}

// giveUp counts what cannot be read back from disk as lost, so that the rest goes on.
func (q *queue) giveUp() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lostOnDisk(q.disk.count)
	q.rouseSender()
}

// failed counts an attempt to use the spool that has failed.
func (q *queue) failed() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stats.SpoolErrors++
}

// forgettable says that the spool holds what has left.
func (q *queue) forgettable() bool {
	return q.disk.forgotten <= q.disk.lastRecord && q.oldest() > q.disk.forgotten
}

// committed takes in how a step ended.
func (q *queue) committed(s step, dropped uint64, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.disk.writing = 0
	if err != nil {
		for number := range q.disk.voids {
			if number > q.disk.upTo {
				delete(q.disk.voids, number)
			}
		}
		return
	}
	q.disk.upTo = s.upTo
	q.disk.forgotten = s.Below
	if n := len(s.Add); n > 0 {
		q.disk.lastRecord = s.Add[n-1].Number
	}
	for _, number := range s.Void {
		delete(q.disk.voids, number)
	}
	q.lostOnDisk(dropped)
	if q.disk.count > 0 || q.crowded() {
		q.release()
	}
	q.rouseSender()
}

// lostOnDisk counts events that were only on disk and are no more.
func (q *queue) lostOnDisk(n uint64) {
	if n == 0 {
		return
	}
	q.disk.count -= n
	q.drop(&q.stats.DroppedBy.SpoolLost, n)
	q.rejoin()
}

// toLoad returns from which number on records are to be brought back, how many at the
// most, and of how many bytes.
func (q *queue) toLoad() (from uint64, limit, maxBytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.wantsLoad() {
		return 0, 0, 0
	}
	limit, maxBytes = q.window()
	limit -= q.waiting.len()
	maxBytes -= q.waiting.bytes
	if room := q.capacity - q.held(); room > 0 {
		limit = min(limit, room)
	}
	return q.disk.from, limit, maxBytes
}

// loaded takes in what was asked for by toLoad; the end is that of the spool.
func (q *queue) loaded(records []journal.Record, end bool, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var unreadable uint64
	for _, r := range records {
		q.disk.from = r.Number + 1
		if _, void := q.disk.voids[r.Number]; void {
			continue
		}
		p := blanks.Get().(*packet)
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
	q.lostOnDisk(unreadable)
	q.rejoin()
	q.rouseSender()
}

// newest is the number of the event that was accepted last.
func (q *queue) newest() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lastNumber
}

// toWrite returns the number up to which events are to be written when those up to number
// due have to be: all, if one of these is in memory alone.
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

// rest reports whether the keeper has nothing to do; then it will be roused.
func (q *queue) rest() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.disk.resting = q.lastNumber <= q.disk.upTo && !q.wantsLoad() && !q.forgettable() && len(q.disk.voids) == 0
	return q.disk.resting
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
