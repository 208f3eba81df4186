package publisher

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"log/slog"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/publisher/internal/journal"
)

// slowDisk is a journal whose writes are slow.
type slowDisk struct {
	*memorySpool
	accepted atomic.Uint64 // number of the newest event
	before   uint64        // value of accepted when the last write ended
	writes   atomic.Int64
	missed   atomic.Uint64 // number of events that were there when a write began, but were not in it
}

func (d *slowDisk) Commit(s journal.Step) (uint64, error) {
	if n := len(s.Add); n > 0 && s.Add[n-1].Number < d.before {
		d.missed.Add(d.before - s.Add[n-1].Number)
	}
	<-time.After(20 * time.Millisecond)
	dropped, err := d.memorySpool.Commit(s)
	d.before = d.accepted.Load()
	d.writes.Add(1)
	return dropped, err
}

// A killed process therefore loses at most the events of SpoolInterval, of one write, and of the
// rest of the write before it, however slow the disk is.
func TestAWriteTakesAllThatWasThereBeforeItBegan(t *testing.T) {
	disk := &slowDisk{memorySpool: newMemorySpool(math.MaxInt)}
	p, err := New(Config{Address: nobody, Spool: spoolOf(disk)})
	require.NoError(t, err)
	pace := time.NewTicker(200 * time.Microsecond)
	defer pace.Stop()
	for deadline := time.Now().Add(brokertest.Wait); disk.writes.Load() < 20 && time.Now().Before(deadline); {
		require.NoError(t, p.Publish(nth(0)))
		disk.accepted.Add(1)
		<-pace.C
	}
	require.NoError(t, shutdown(t, p))
	assert.Zero(t, disk.missed.Load())
	assert.GreaterOrEqual(t, disk.writes.Load(), int64(20))
}

// A spool that has room for some of the waiting events takes them at once: it is full when it
// reports that.
func TestASpoolIsFilledToItsBoundBeforeItFails(t *testing.T) {
	const room, events = 700, 1000
	topic, err := parseTopic("t")
	require.NoError(t, err)
	s := newEncoder(Config{Source: "s"}, topic)
	q, disk := newQueue(events, math.MaxInt, true), newMemorySpool(room)
	q.restore(disk.Range())
	k := newKeeper(q, disk, slog.New(slog.DiscardHandler))
	for n := range events {
		p, e := new(packet), nth(n)
		s.encode(p, &e)
		require.NoError(t, q.add(p))
	}
	require.ErrorIs(t, k.write(q.newestNumber()), journal.ErrFull)
	assert.Len(t, disk.records, room)
	assert.EqualValues(t, events-room, q.unwritten())
	assert.Equal(t, Stats{Accepted: events, Pending: events, SpoolErrors: 1}, q.snapshot())
}

// An event whose deadline was computed before the clock was set keeps the time that it had left.
func TestADeadlineSurvivesAClockThatIsSet(t *testing.T) {
	topic, err := parseTopic("t")
	require.NoError(t, err)
	s := newEncoder(Config{Source: "s", MessageExpiry: time.Hour}, topic)
	now := time.Now()
	for name, c := range map[string]struct{ deadline, want time.Time }{
		"in order":          {now.Add(time.Minute), now.Add(time.Minute)},
		"past":              {now.Add(-time.Minute), now.Add(-time.Minute)},
		"of 1970":           {time.UnixMilli(0).Add(time.Hour), now.Add(time.Hour)},
		"a little sent off": {time.UnixMilli(0).Add(time.Hour), now.Add(30 * time.Minute)},
	} {
		t.Run(name, func(t *testing.T) {
			sent, back, e := new(packet), new(packet), nth(1)
			s.encode(sent, &e)
			if name == "a little sent off" { // half of its time had passed at the last attempt to send it
				sent.deadline = now.Add(30 * time.Minute)
				sent.appendTo(nil, 1, 1)
			}
			sent.deadline = c.deadline
			require.True(t, back.fromRecord(journal.Record{Data: sent.appendRecord(nil)}, now))
			assert.WithinDuration(t, c.want, back.deadline, time.Minute/10)
			assert.Equal(t, c.want.Before(now), back.expired())
		})
	}
}

// A record with the right checksum may come from another program.
func TestARecordOfAnotherProgramDoesNotPanic(t *testing.T) {
	foreign := func(idAt, expiryAt uint64, body string) journal.Record {
		data := binary.AppendUvarint([]byte{recordVersion}, idAt)
		data = append(binary.AppendUvarint(data, expiryAt), 0, 0) // deadline and time
		data = append(data, body...)
		return journal.Record{Data: binary.BigEndian.AppendUint32(data, crc32.ChecksumIEEE(data))}
	}
	withSum := func(data ...byte) journal.Record {
		return journal.Record{Data: binary.BigEndian.AppendUint32(data, crc32.ChecksumIEEE(data))}
	}
	for _, r := range []journal.Record{
		{},
		withSum(), withSum(recordVersion), withSum(recordVersion, 0x80), withSum(recordVersion, 1, 1),
		withSum(append([]byte{recordVersion}, bytes.Repeat([]byte{0xff}, 30)...)...),
		foreign(5, 0, "body"), foreign(math.MaxUint64, 0, "body"), foreign(1, 1, "body"), foreign(1, math.MaxUint64, "body"),
	} {
		assert.False(t, new(packet).fromRecord(r, time.Now()), "%x", r.Data)
	}
	assert.True(t, new(packet).fromRecord(foreign(4, 0, "body"), time.Now()))
}
