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

// keeper is the goroutine that owns the spool: it writes what has waited for a while,
// and brings back what the sender needs next.
type keeper struct {
	queue   *queue
	journal journal.Journal
	clock   journal.Clock
	log     *slog.Logger

	add     []journal.Record
	buf     []byte
	most    int  // records to add in one step; fewer where these had no room
	failing bool // writing does, as the log knows

	writeAt    time.Time     // not before: the last write has failed
	patience   time.Duration // with a spool that cannot be read
	unreadable time.Time     // since then; zero: it can be
}

const mostRecords = 2048

func newKeeper(q *queue, j journal.Journal, log *slog.Logger) *keeper {
	return &keeper{queue: q, journal: j, log: log, most: mostRecords, patience: time.Minute}
}

// run works until ctx ends. An event is due for the disk when it has been seen here
// twice, which is half of SpoolInterval apart: one that is acknowledged sooner costs no
// write. A write that is due takes all that is there, so that no event waits for more
// writes than the one that is under way and its own.
func (k *keeper) run(ctx context.Context) {
	const retry = time.Second
	pause := SpoolInterval / 2
	for ctx.Err() == nil {
		due := k.queue.newest()
		switch {
		case !k.failing && k.queue.rest():
			k.wait(ctx, 0)
		case k.wait(ctx, pause):
			due = k.queue.newest()
		}
		pause = SpoolInterval / 2
		if !k.load() {
			pause = retry / 10
		}
		if now := time.Now(); now.Before(k.writeAt) {
			pause = k.writeAt.Sub(now) // but what is on disk may be wanted meanwhile
		} else if err := k.write(k.queue.toWrite(due)); err != nil {
			k.writeAt = now.Add(retry)
		}
	}
}

// wait waits for a time (0 is for ever), until it is roused or for the end of ctx, and
// reports whether it was roused.
func (k *keeper) wait(ctx context.Context, most time.Duration) bool {
	var timeout <-chan time.Time
	if most > 0 {
		timer := time.NewTimer(most)
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-timeout:
	case <-ctx.Done():
	case <-k.queue.disk.rung:
		return true
	}
	return false
}

// write brings the events up to number upTo to disk, and forgets there what has left.
func (k *keeper) write(upTo uint64) error {
	for {
		var s step
		var work bool
		if s, k.buf, work = k.queue.nextStep(upTo, k.most, k.add, k.buf); !work {
			if !k.failing {
				return nil
			}
			s = k.queue.forgetting(s) // to see whether it works again, which the log shall say
		}
		k.add = s.Add
		err := k.commit(s)
		if errors.Is(err, journal.ErrFull) && len(s.Add) > 1 {
			k.most = len(s.Add) / 2 // there may be room for these
			continue
		}
		k.report(err)
		if err == nil {
			k.most = min(2*k.most, mostRecords)
			continue
		}
		k.queue.failed()
		k.most = max(k.most/2, 1) // a disk that is full may have room for less
		if len(s.Add) > 0 {
			_ = k.commit(k.queue.forgetting(s)) // it does not fail more than the first did
		}
		return err
	}
}

func (k *keeper) commit(s step) error {
	dropped, err := k.journal.Commit(s.Step)
	k.queue.committed(s, dropped, err)
	return err
}

// load brings back what the sender needs next, and reports false if that cannot be read.
func (k *keeper) load() bool {
	from, limit, maxBytes := k.queue.toLoad()
	if limit == 0 {
		return true
	}
	records, end, err := k.journal.Load(from, limit, maxBytes)
	if err == nil {
		k.unreadable = time.Time{}
		k.queue.loaded(records, end, k.clock.Now())
		return true
	}
	k.queue.failed()
	if k.unreadable.IsZero() {
		k.unreadable = time.Now()
		k.log.Error("the spool cannot be read, trying again", slog.Any("error", err))
	}
	if time.Since(k.unreadable) >= k.patience {
		k.log.Error("the spool cannot be read: what is only there is lost", slog.Any("error", err))
		k.queue.giveUp()
	}
	return false
}

// report logs when writing to the spool begins to fail and when it works again.
func (k *keeper) report(err error) {
	switch {
	case err != nil && !k.failing:
		k.log.Error("the spool fails: events that are not on disk are kept in memory; trying again", slog.Any("error", err))
	case err == nil && k.failing:
		k.log.Info("the spool works again")
	}
	k.failing = err != nil
}

// awaitKept calls enough when no connection has come up for a second and all that was
// accepted is on disk: then waiting delivers nothing, and its end loses nothing.
func (p *Publisher) awaitKept(ctx context.Context, enough func()) {
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
				enough()
				return
			}
		}
	}
}

// recordVersion is the first byte of a record; another one is from a newer program.
const recordVersion = 1

// appendRecord appends p as the spool keeps it, with a sum: a damaged topic or property
// would have the broker cut the connection, each time that it is sent.
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

// fromRecord makes p what appendRecord wrote, and reports false if it cannot be read. A
// deadline that was reckoned before the clock was set begins anew, with the time that the
// event had left when it was last sent, if it was.
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
		return false // the sum is right, but appendRecord has not written this
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
