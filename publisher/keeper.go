package publisher

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"time"
)

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
		k.add = s.Add
		dropped, err := k.spool.Commit(s.SpoolStep)
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
