package spool_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/mps-events/mps-events/publisher"
)

// change lets record change each record that a process has left in dir: the time at which it was
// written, in ms, and its data.
func change(t *testing.T, dir string, record func(number uint64, written, data []byte)) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(dir, "events.db"), 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *bbolt.Tx) error {
		events := tx.Bucket([]byte("events"))
		changed := map[string][]byte{}
		err := events.ForEach(func(k, v []byte) error {
			value := bytes.Clone(v)
			record(binary.BigEndian.Uint64(k), value[:8], value[8:])
			changed[string(k)] = value
			return nil
		})
		for k, value := range changed {
			require.NoError(t, events.Put([]byte(k), value))
		}
		return err
	}))
	require.NoError(t, db.Close())
}

// leave lets a process leave events in dir, while there is no broker at addr.
func leave(t *testing.T, addr, dir string, events int) {
	t.Helper()
	pub := start(t, publisher.Config{Address: addr, Spool: open(t, dir)})
	for n := range events {
		require.NoError(t, pub.Publish(numbered(n)))
	}
	shutdownTakes(t, pub)
}

// A flipped bit on the disk could turn one event into another, or into a packet for which the
// broker ends the connection.
func TestADamagedRecordIsDroppedAndTheRestGoesOn(t *testing.T) {
	const events = 5
	whole := t.TempDir()
	leave(t, nobody(t), whole, events)
	for name, place := range map[string]func(data []byte) int{
		"another event": func(data []byte) int { return bytes.Index(data, []byte(`2","methods"`)) },
		"another topic": func(data []byte) int { return bytes.Index(data, []byte("mps/events")) },
		"no version":    func([]byte) int { return 0 },
		"another sum":   func(data []byte) int { return len(data) - 1 },
	} {
		t.Run(name, func(t *testing.T) {
			addr, dir := nobody(t), t.TempDir()
			require.NoError(t, os.CopyFS(dir, os.DirFS(whole)))
			change(t, dir, func(number uint64, _, data []byte) {
				if number == 3 {
					data[place(data)] ^= 1
				}
			})
			var hooked atomic.Uint64
			reader := comeUp(t, addr)
			pub := start(t, publisher.Config{Address: addr, Spool: open(t, dir), Hooks: publisher.Hooks{
				Dropped: func(reason publisher.DropReason, n uint64) {
					assert.Equal(t, publisher.SpoolLost, reason)
					hooked.Add(n)
				},
			}})
			for _, want := range []int{0, 1, 3, 4} {
				require.Equal(t, want, reader.next())
			}
			flush(t, pub)
			assert.Equal(t, publisher.Stats{Accepted: events, Acknowledged: events - 1, Dropped: 1, DroppedBy: publisher.Drops{SpoolLost: 1}}, pub.Stats())
			require.NoError(t, pub.Shutdown(context.Background()))
			assert.EqualValues(t, 1, hooked.Load())
		})
	}
}

// A machine without a battery for its clock starts in 1970, or at the time when its system was
// built, until NTP sets the clock. Events that were written before that are not old.
func TestWhatAClockThatWasNotSetHasWrittenIsNotTooOld(t *testing.T) {
	const events = 10
	addr, dir := nobody(t), t.TempDir()
	leave(t, addr, dir, events)
	now := time.Now()
	times := []time.Time{
		time.UnixMilli(0), time.UnixMilli(-1), time.UnixMilli(12_345), time.Date(2025, time.December, 31, 23, 59, 59, 0, time.UTC),
		{},
		now.AddDate(10, 0, 0), now.AddDate(0, 0, -8), now.AddDate(0, 0, -6), now,
	}
	change(t, dir, func(number uint64, written, _ []byte) {
		if i := int(number) - 1; i < len(times) {
			binary.BigEndian.PutUint64(written, uint64(times[i].UnixMilli()))
		}
	})
	reader := comeUp(t, addr)
	pub := start(t, publisher.Config{Address: addr, Spool: open(t, dir)})
	for _, want := range []int{0, 1, 2, 3, 4, 5, 7, 8, 9} {
		require.Equal(t, want, reader.next())
	}
	flush(t, pub)
	assert.Equal(t, publisher.Stats{Accepted: events, Acknowledged: events - 1, Dropped: 1, DroppedBy: publisher.Drops{SpoolLost: 1}}, pub.Stats(), "a week is the default")
}

// They are not dropped either when newer events come.
func TestWhatAClockThatWasNotSetHasWrittenMakesNoRoom(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	commit(t, s, step{Below: 1, From: nothingOnly, Add: records(1, 6)})
	require.NoError(t, s.Close())
	change(t, dir, func(number uint64, written, _ []byte) {
		at := time.Now().AddDate(0, 0, -8)
		if number > 3 {
			at = time.UnixMilli(1000)
		}
		binary.BigEndian.PutUint64(written, uint64(at.UnixMilli()))
	})
	s = open(t, dir)
	assert.EqualValues(t, 3, commit(t, s, step{Below: 1, From: 1, Add: records(7, 8)}))
	assert.Equal(t, []uint64{4, 5, 6, 7, 8}, numbers(t, s))
}
