package publisher

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"math"
	"time"
)

// Spool keeps accepted events on disk until they are delivered, so that they survive
// the process and outgrow its memory. Package spool has one. Its methods are called
// by one goroutine at a time.
type Spool interface {
	// Enabled reports false for a spool that was not configured: then nothing else
	// is called.
	Enabled() bool
	// Range returns the numbers of the first and the last record that an earlier
	// process left, and how many there are.
	Range() (first, last, count uint64)
	// Commit makes one durable step. It removes the records below number below and
	// those of the numbers void; then, from number from on and the oldest first,
	// those that are too old and those in whose place add goes; and adds records,
	// whose numbers ascend. It returns how many made room. On an error nothing has
	// changed.
	Commit(below uint64, void []uint64, from uint64, add []SpoolRecord) (dropped uint64, err error)
	// Load returns up to most records from number from on, in order; one that is too
	// old comes without its data.
	Load(from uint64, most int) ([]SpoolRecord, error)
	// Close ends the use of the spool. What it holds is there for the next process.
	Close() error
}

// SpoolRecord is one event on disk.
type SpoolRecord struct {
	Number uint64 // ascends in the order of Publish
	Data   []byte
}

// SpoolInterval is about the longest that an accepted event is in memory alone: what
// is not acknowledged by then is on disk, and that is all that a killed process
// loses. An event that the broker acknowledges sooner costs no disk access.
const SpoolInterval = 10 * time.Millisecond

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

// window is how many events are brought back from disk ahead of being sent.
func (q *queue) window() int { return min(q.capacity/4+1, 4096) }

// wantsLoad says that the sender will soon need what is only on disk.
func (q *queue) wantsLoad() bool {
	return q.disk.count > 0 && q.waiting.len() <= q.window()/2 && q.held() < q.capacity
}

// crowded says that packets should go to disk early, and only there.
func (q *queue) crowded() bool { return q.held() > q.capacity/2 }

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
	written, keep := q.waiting.after(q.disk.upTo), q.window()
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
	below, from uint64
	void        []uint64
	add         []SpoolRecord
	upTo        uint64 // every event up to this number is on disk after it, or has left
}

// nextStep returns what is to be committed so that the events up to number upTo are on
// disk, or a part of that; false means that there is nothing. The records share the
// memory of buf.
func (q *queue) nextStep(upTo uint64, add []SpoolRecord, buf []byte) (step, []byte, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	const mostRecords, mostBytes = 2048, 1 << 20 // in one transaction, and under the lock
	s := step{below: q.oldest(), from: math.MaxUint64, add: add[:0], upTo: max(min(upTo, q.lastNumber), q.disk.upTo)}
	buf = buf[:0]
	for _, part := range []*deque{&q.underWay, &q.waiting, &q.later} {
		for i := part.after(q.disk.upTo); i < part.len() && part.at(i).number <= s.upTo; i++ {
			p := part.at(i)
			if p.done {
				continue
			}
			if len(s.add) == mostRecords || len(buf) > mostBytes {
				s.upTo = p.number - 1
				break
			}
			start := len(buf)
			buf = p.appendRecord(buf)
			s.add = append(s.add, SpoolRecord{Number: p.number, Data: buf[start:]})
		}
	}
	if q.disk.count > 0 && !q.dropNewest {
		s.from = q.disk.from
	}
	for number := range q.disk.voids {
		if number <= q.disk.upTo {
			s.void = append(s.void, number)
		}
	}
	if len(s.add) == 0 && len(s.void) == 0 && !q.forgettable() {
		q.disk.upTo = s.upTo
		return s, buf, false
	}
	q.disk.writing = s.upTo
	return s, buf, true
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
		q.stats.SpoolErrors++
		for number := range q.disk.voids {
			if number > q.disk.upTo {
				delete(q.disk.voids, number)
			}
		}
		return
	}
	q.disk.upTo = s.upTo
	q.disk.forgotten = s.below
	if n := len(s.add); n > 0 {
		q.disk.lastRecord = s.add[n-1].Number
	}
	for _, number := range s.void {
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
	q.stats.Dropped += n
	q.losses.count[spoolFull] += n
	q.losses.bell.ring()
	q.rejoin()
}

// toLoad returns from which number on, and how many records are to be brought back.
func (q *queue) toLoad() (from uint64, most int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.wantsLoad() {
		return 0, 0
	}
	return q.disk.from, min(q.window()-q.waiting.len(), q.capacity-q.held())
}

// loaded takes in what was asked for by toLoad.
func (q *queue) loaded(records []SpoolRecord, most int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var unreadable uint64
	for _, r := range records {
		q.disk.from = r.Number + 1
		if _, void := q.disk.voids[r.Number]; void {
			continue
		}
		p := blanks.Get().(*packet)
		if !p.fromRecord(r) {
			unreadable++
			continue
		}
		q.waiting.push(p)
		q.disk.count--
	}
	if len(records) < most { // there are no more
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

// rest reports whether the keeper has nothing to do; then it will be roused.
func (q *queue) rest() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.disk.resting = q.lastNumber <= q.disk.upTo && !q.wantsLoad() && !q.forgettable() && len(q.disk.voids) == 0
	return q.disk.resting
}

// unwritten is how many events are in memory alone.
func (q *queue) unwritten() (n uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, part := range []*deque{&q.underWay, &q.waiting, &q.later} {
		for i := part.after(q.disk.upTo); i < part.len(); i++ {
			if !part.at(i).done {
				n++
			}
		}
	}
	return n
}

// keeper is the goroutine that owns the spool: it writes what has waited for a while,
// and brings back what the sender needs next.
type keeper struct {
	queue   *queue
	spool   Spool
	log     *slog.Logger
	add     []SpoolRecord
	buf     []byte
	failing bool
}

// run works until ctx ends.
func (k *keeper) run(ctx context.Context) {
	const retry = time.Second
	// What is written had been accepted before the round before, half an interval
	// ago. So nothing is written that is acknowledged sooner, and nothing stays
	// unwritten for longer than the interval.
	var upTo uint64
	for ctx.Err() == nil {
		newest := k.queue.newest()
		err := errors.Join(k.load(), k.write(upTo))
		upTo = newest
		switch {
		case err != nil:
			k.wait(ctx, retry, nil)
		case k.queue.rest():
			k.wait(ctx, 0, k.queue.disk.rung)
		case k.wait(ctx, SpoolInterval/2, k.queue.disk.rung):
			upTo = k.queue.newest()
		}
	}
}

// wait waits for a time (0 is for ever), for rung or for the end of ctx, and reports
// whether it was rung.
func (k *keeper) wait(ctx context.Context, most time.Duration, rung <-chan struct{}) bool {
	var timeout <-chan time.Time
	if most > 0 {
		timer := time.NewTimer(most)
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-timeout:
	case <-ctx.Done():
	case <-rung:
		return true
	}
	return false
}

// write brings the events up to number upTo to disk, and forgets there what has left.
func (k *keeper) write(upTo uint64) error {
	for {
		var s step
		var work bool
		if s, k.buf, work = k.queue.nextStep(upTo, k.add, k.buf); !work {
			return nil
		}
		k.add = s.add
		dropped, err := k.spool.Commit(s.below, s.void, s.from, s.add)
		k.queue.committed(s, dropped, err)
		if k.report(err); err != nil {
			return err
		}
	}
}

// load brings back what the sender needs next.
func (k *keeper) load() error {
	from, most := k.queue.toLoad()
	if most == 0 {
		return nil
	}
	records, err := k.spool.Load(from, most)
	if k.report(err); err != nil {
		return err
	}
	k.queue.loaded(records, most)
	return nil
}

// report logs when the spool begins to fail and when it works again.
func (k *keeper) report(err error) {
	switch {
	case err != nil && !k.failing:
		k.log.Error("the spool fails: events that are not on disk are kept in memory; trying again", slog.Any("error", err))
	case err == nil && k.failing:
		k.log.Info("the spool works again")
	}
	k.failing = err != nil
}

// recordVersion is the first byte of a record; another one is from a newer program.
const recordVersion = 1

// appendRecord appends p as the spool keeps it.
func (p *packet) appendRecord(dst []byte) []byte {
	var deadline int64
	if p.expiryAt > 0 {
		deadline = p.deadline.UnixMilli()
	}
	dst = append(dst, recordVersion)
	dst = binary.AppendUvarint(dst, uint64(p.idAt))
	dst = binary.AppendUvarint(dst, uint64(p.expiryAt))
	dst = binary.AppendVarint(dst, deadline)
	return append(dst, p.body...)
}

// fromRecord makes p what appendRecord wrote, and reports false if it cannot be read.
func (p *packet) fromRecord(r SpoolRecord) bool {
	*p = packet{body: p.body[:0], number: r.Number}
	if len(r.Data) == 0 || r.Data[0] != recordVersion {
		return false
	}
	rest := r.Data[1:]
	idAt, n := binary.Uvarint(rest)
	if n <= 0 {
		return false
	}
	rest = rest[n:]
	expiryAt, n := binary.Uvarint(rest)
	if n <= 0 {
		return false
	}
	rest = rest[n:]
	deadline, n := binary.Varint(rest)
	if n <= 0 || len(rest)-n < 4 || idAt > uint64(len(rest)-n) || expiryAt > uint64(len(rest)-n-4) {
		return false
	}
	p.body = append(p.body, rest[n:]...)
	p.idAt, p.expiryAt, p.deadline = int(idAt), int(expiryAt), time.UnixMilli(deadline)
	return true
}
