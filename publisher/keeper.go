package publisher

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"log/slog"
	"slices"
	"time"

	"github.com/mps-events/mps-events/publisher/internal/journal"
)

// keeper is the owner of the spool, with a goroutine of its own. It writes events that have
// waited for a while to disk, and loads those that the sender needs next.
type keeper struct {
	queue   *queue
	journal journal.Journal
	clock   journal.Clock
	log     *slog.Logger

	add     []journal.Record
	buf     []byte
	maxAdd  int  // number of records to add in one step; fewer after a step that had no room for them
	failing bool // the last write failed, which is logged

	writeAt     time.Time     // time of the next attempt to write, after one that failed
	giveUpAfter time.Duration // time for which the spool may be unreadable before its events are lost
	unreadable  time.Time     // time since which the spool cannot be read; zero if it can
}

// maxRecords is the maximum number of records that one step adds.
const maxRecords = 2048

func newKeeper(q *queue, j journal.Journal, log *slog.Logger) *keeper {
	return &keeper{queue: q, journal: j, log: log, maxAdd: maxRecords, giveUpAfter: time.Minute}
}

// run writes and loads until ctx ends. An event is due to be written when run has seen it twice,
// half of SpoolInterval apart: an event that is acknowledged sooner costs no write. A write that
// is due includes all events in memory, so that no event waits for more than the write that is
// under way and its own.
func (k *keeper) run(ctx context.Context) {
	const retry = time.Second
	pause := SpoolInterval / 2
	for ctx.Err() == nil {
		due := k.queue.newestNumber()
		switch {
		case !k.failing && k.queue.goIdle():
			k.wait(ctx, 0)
		case k.wait(ctx, pause):
			due = k.queue.newestNumber()
		}
		pause = SpoolInterval / 2
		if !k.load() {
			pause = retry / 10
		}
		if now := time.Now(); now.Before(k.writeAt) {
			pause = k.writeAt.Sub(now) // the sender may wake the keeper to load events meanwhile
		} else if err := k.write(k.queue.toWrite(due)); err != nil {
			k.writeAt = now.Add(retry)
		}
	}
}

// wait waits until the keeper is woken, ctx ends or a timeout (0 for none) has passed, and
// reports whether the keeper was woken.
func (k *keeper) wait(ctx context.Context, timeout time.Duration) bool {
	var timedOut <-chan time.Time
	if timeout > 0 {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		timedOut = timer.C
	}
	select {
	case <-timedOut:
	case <-ctx.Done():
	case <-k.queue.disk.signal:
		return true
	}
	return false
}

// write writes the events up to number upTo to disk, and removes those from disk that are
// delivered or dropped.
func (k *keeper) write(upTo uint64) error {
	for {
		var s step
		var work bool
		if s, k.buf, work = k.queue.prepareStep(upTo, k.maxAdd, k.add, k.buf); !work {
			if !k.failing {
				return nil
			}
			s = k.queue.withoutAdds(s) // a trial, so that the log says when the spool works again
		}
		k.add = s.Add
		err := k.commit(s)
		if errors.Is(err, journal.ErrFull) && len(s.Add) > 1 {
			k.maxAdd = len(s.Add) / 2 // there may be room for these
			continue
		}
		k.report(err)
		if err == nil {
			k.maxAdd = min(2*k.maxAdd, maxRecords)
			continue
		}
		k.queue.countSpoolError()
		k.maxAdd = max(k.maxAdd/2, 1) // a disk that is full may have room for less
		if len(s.Add) > 0 {
			_ = k.commit(k.queue.withoutAdds(s)) // the first error is the one that is reported
		}
		return err
	}
}

// commit commits a step and tells the queue how it ended.
func (k *keeper) commit(s step) error {
	dropped, err := k.journal.Commit(s.Step)
	k.queue.applyCommit(s, dropped, err)
	return err
}

// load loads the events from disk that the sender needs next, and reports false if the spool
// cannot be read.
func (k *keeper) load() bool {
	from, limit, maxBytes := k.queue.toLoad()
	if limit == 0 {
		return true
	}
	records, end, err := k.journal.Load(from, limit, maxBytes)
	if err == nil {
		k.unreadable = time.Time{}
		k.queue.addLoaded(records, end, k.clock.Now())
		return true
	}
	k.queue.countSpoolError()
	if k.unreadable.IsZero() {
		k.unreadable = time.Now()
		k.log.Error("the spool cannot be read, trying again", slog.Any("error", err))
	}
	if time.Since(k.unreadable) >= k.giveUpAfter {
		k.log.Error("the spool cannot be read: the events that are only there are lost", slog.Any("error", err))
		k.queue.giveUp()
	}
	return false
}

// report logs the first write to the spool that fails, and the first one after it that works.
func (k *keeper) report(err error) {
	switch {
	case err != nil && !k.failing:
		k.log.Error("the spool fails: events that are not on disk are kept in memory; trying again", slog.Any("error", err))
	case err == nil && k.failing:
		k.log.Info("the spool works again")
	}
	k.failing = err != nil
}

// awaitOnDisk calls stopWaiting when no connection has come up for a second and every accepted
// event is on disk: waiting longer would deliver nothing, and no event is lost.
func (p *Publisher) awaitOnDisk(ctx context.Context, stopWaiting func()) {
	const grace = time.Second // for a connection that is being made
	check := time.NewTicker(SpoolInterval)
	defer check.Stop()
	awaySince := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-check.C:
			switch {
			case !p.queue.away():
				awaySince = now
			case now.Sub(awaySince) >= grace && p.queue.unwritten() == 0:
				stopWaiting()
				return
			}
		}
	}
}

// recordVersion is the first byte of a record. A newer program may write another one.
const recordVersion = 1

// appendRecord appends the record that the spool keeps of p. It ends with a checksum, because
// the broker would end the connection each time that it got a damaged topic or property.
func (p *packet) appendRecord(dst []byte) []byte {
	start := len(dst)
	var deadline int64
	if p.expiryAt > 0 {
		deadline = p.deadline.UnixMilli()
	}
	dst = append(dst, recordVersion)
	dst = binary.AppendUvarint(dst, uint64(p.idAt))
	dst = binary.AppendUvarint(dst, uint64(p.expiryAt))
	dst = binary.AppendVarint(dst, deadline)
	dst = binary.AppendVarint(dst, p.time)
	dst = append(dst, p.body...)
	return binary.BigEndian.AppendUint32(dst, crc32.ChecksumIEEE(dst[start:]))
}

// fromRecord sets p to the packet that appendRecord wrote, and reports false if it cannot be
// read. A deadline that was computed before the clock was set begins anew, with the time that
// the event had left when it was last sent, or all of it.
func (p *packet) fromRecord(r journal.Record, now time.Time) bool {
	*p = packet{body: p.body[:0], number: r.Number}
	whole := len(r.Data) - crc32.Size
	if whole < 1 || r.Data[0] != recordVersion || binary.BigEndian.Uint32(r.Data[whole:]) != crc32.ChecksumIEEE(r.Data[:whole]) {
		return false
	}
	rest := bytes.NewReader(r.Data[1:whole])
	idAt, err1 := binary.ReadUvarint(rest)
	expiryAt, err2 := binary.ReadUvarint(rest)
	deadline, err3 := binary.ReadVarint(rest)
	at, err4 := binary.ReadVarint(rest)
	length := uint64(rest.Len())
	if err1 != nil || err2 != nil || err3 != nil || err4 != nil || idAt > length || expiryAt > length || expiryAt > 0 && length-expiryAt < 4 {
		return false // the checksum is right, but appendRecord has not written this
	}
	p.body = append(slices.Grow(p.body, rest.Len()), r.Data[whole-rest.Len():whole]...)
	p.idAt, p.expiryAt, p.time = int(idAt), int(expiryAt), at
	if expiryAt == 0 {
		return true
	}
	p.deadline = now.Add(time.UnixMilli(deadline).Sub(now))
	if !journal.WasSet(time.UnixMilli(deadline)) {
		p.deadline = now.Add(time.Duration(binary.BigEndian.Uint32(p.body[expiryAt:])) * time.Second)
	}
	return true
}
