package alerting

import (
	"context"
	"time"
)

// Bounds holds the limits of the tables that anybody who publishes can fill. Beyond them the engine purges the
// oldest rows, and counts their messages as purged.
type Bounds struct {
	Letters      int           // dead letters
	LetterBytes  int64         // topics, payloads and properties of dead letters
	LetterAge    time.Duration // time since a dead letter died
	Waiting      int           // outbox items of proven integration keys
	WaitingBytes int64         // bodies and messages of these items
	Devices      int           // devices of the fleet, whose purge is not counted
	Awaited      int           // groups that rules wait for; no message makes more
	AwaitedBytes int64         // texts of these groups
}

// DefaultBounds holds the bounds of a daemon.
var DefaultBounds = Bounds{
	Letters: 100_000, LetterBytes: 256 << 20, LetterAge: 30 * 24 * time.Hour,
	Waiting: 100_000, WaitingBytes: 256 << 20, Devices: 2_000_000,
	Awaited: 100_000, AwaitedBytes: 64 << 20,
}

// purgePage is the number of rows of a table that one transaction purges at most. It is small enough that no message
// waits long for the transaction, and more than a batch of messages adds.
const purgePage = 2000

// Purged is the number of rows that were purged.
type Purged struct {
	Letters int64
	Waiting int64 // outbox items
}

// overflow is the number of rows that were purged to keep the bounds.
type overflow Purged

func (o *overflow) add(p Purged) {
	o.Letters += p.Letters
	o.Waiting += p.Waiting
}

// Overflow returns the number of rows that the engine has purged to keep the bounds since it was opened.
func (e *Engine) Overflow() Purged {
	e.memory.Lock()
	defer e.memory.Unlock()
	return Purged(e.overflow)
}

// Tidy purges a page of the dead letters that are too old, as of a time, and of the rows that exceed the bounds. It
// reports whether to call it again at once. A transaction that adds dead letters or outbox items keeps their bounds
// itself. So Tidy is needed for age, for devices, and after the bounds were lowered.
func (e *Engine) Tidy(ctx context.Context, now time.Time) (more bool, err error) {
	if e.bounds == (Bounds{}) {
		return false, nil
	}
	err = e.update(ctx, func(w *work) error {
		const justAfter = time.Millisecond // a letter of exactly that age is too old
		expired, err := w.tx.FindLetters(w.ctx, LetterQuery{Before: now.Add(justAfter - e.bounds.LetterAge), Oldest: true, Limit: purgePage})
		if err != nil {
			return err
		}
		w.overflow.Letters += w.purgeLetters(expired)
		full, err := w.purgeExcess()
		if err != nil {
			return err
		}
		guids, total, err := w.tx.FindDevices(w.ctx, now, purgePage)
		guids = guids[:min(len(guids), max(total-e.bounds.Devices, 0))]
		w.changes.NoDevices = append(w.changes.NoDevices, guids...)
		more = full || max(len(expired), len(guids)) == purgePage
		return err
	})
	return more, err
}

// keepBounds purges the rows that exceed the bounds if the transaction has added some.
func (w *work) keepBounds() error {
	none := Volume{}
	if !w.grown.Letters.exceeds(none) && !w.grown.Outbox.exceeds(none) && !w.grown.Unproven.exceeds(none) {
		return nil
	}
	_, err := w.purgeExcess()
	return err
}

// volumes returns the limits of the tables.
func (b Bounds) volumes() Volumes {
	unproven := Volume{maxUnproven, maxUnprovenBytes}
	if b == (Bounds{}) {
		const unlimited = 1 << 62
		return Volumes{Letters: Volume{unlimited, unlimited}, Outbox: Volume{unlimited, unlimited}, Unproven: unproven}
	}
	return Volumes{
		Letters: Volume{int64(b.Letters), b.LetterBytes},
		// Items of unproven keys push out no others, however many there are.
		Outbox:   Volume{int64(b.Waiting), b.WaitingBytes}.plus(unproven.Rows, unproven.Bytes),
		Unproven: unproven,
	}
}

// purgeExcess purges the oldest of the rows that exceed the bounds, a page of each table at most. It reports whether
// a page was full, so that there may be more.
func (w *work) purgeExcess() (full bool, err error) {
	if err := w.load(Keys{Volumes: true}); err != nil {
		return false, err
	}
	is, limit := w.rows.Volumes, w.engine.bounds.volumes()
	is.Letters = is.Letters.plus(w.grown.Letters.Rows, w.grown.Letters.Bytes)
	is.Outbox = is.Outbox.plus(w.grown.Outbox.Rows, w.grown.Outbox.Bytes)
	is.Unproven = is.Unproven.plus(w.grown.Unproven.Rows, w.grown.Unproven.Bytes)
	if !is.Letters.exceeds(limit.Letters) && !is.Outbox.exceeds(limit.Outbox) && !is.Unproven.exceeds(limit.Unproven) {
		return false, nil
	}
	if err := w.write(); err != nil { // the store finds only rows that were saved, and new ones may have to go, too
		return false, err
	}
	letters, err := w.excess(is.Letters, limit.Letters, func() ([]Stored, error) {
		return w.tx.FindLetters(w.ctx, LetterQuery{Oldest: true, Limit: purgePage})
	})
	w.overflow.Letters += w.purgeLetters(letters)
	if err != nil {
		return false, err
	}
	unproven, err := w.excess(is.Unproven, limit.Unproven, func() ([]Stored, error) {
		return w.tx.FindOutbox(w.ctx, OutboxQuery{Unproven: true, Limit: purgePage})
	})
	w.overflow.Waiting += w.purgeItems(unproven)
	if err != nil {
		return false, err
	}
	is.Outbox = is.Outbox.plus(w.grown.Outbox.Rows, w.grown.Outbox.Bytes)
	items, err := w.excess(is.Outbox, limit.Outbox, func() ([]Stored, error) {
		return w.tx.FindOutbox(w.ctx, OutboxQuery{Proven: true, Limit: purgePage})
	})
	w.overflow.Waiting += w.purgeItems(items)
	return max(len(letters), len(unproven), len(items)) == purgePage, err
}

// excess returns the oldest rows without which a table does not exceed its limit.
func (w *work) excess(is, limit Volume, oldest func() ([]Stored, error)) ([]Stored, error) {
	if !is.exceeds(limit) {
		return nil, nil
	}
	rows, err := oldest()
	n := 0
	for n < len(rows) && is.exceeds(limit) {
		is = is.plus(-1, -rows[n].Bytes)
		n++
	}
	return rows[:n], err
}
