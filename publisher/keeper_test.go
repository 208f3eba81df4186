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

// slowDisk is a journal each write of which takes a while.
type slowDisk struct {
	*memorySpool
	accepted atomic.Uint64 // the number of the newest event, as the test knows it
	before   uint64        // the same, when the last write ended
	writes   atomic.Int64
	missed   atomic.Uint64 // events that a write left out, though they were there before it began
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

// So what a killed process loses is, beside SpoolInterval, one write and the rest of the one
// before, however long the disk takes for these.
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

// A spool that has room for some of the waiting events takes these at once, so that it is
// full when it says so.
func TestASpoolIsFilledToItsBoundBeforeItFails(t *testing.T) {
	const room, events = 700, 1000
	topic, err := parseTopic("t")
	require.NoError(t, err)
	s := newStationery(Config{Source: "s"}, topic)
	q, disk := newQueue(events, math.MaxInt, true), newMemorySpool(room)
	q.recover(disk.Range())
	k := newKeeper(q, disk, slog.New(slog.DiscardHandler))
	for n := range events {
		p, e := new(packet), nth(n)
		s.encode(p, &e, uint64(n))
		require.NoError(t, q.add(p))
	}
	require.ErrorIs(t, k.write(q.newest()), journal.ErrFull)
	assert.Len(t, disk.records, room)
	assert.EqualValues(t, events-room, q.unwritten())
	assert.Equal(t, Stats{Accepted: events, Pending: events, SpoolErrors: 1}, q.snapshot())
}

// An event whose deadline was reckoned by a clock that had not been set keeps the time that
// it had left.
func TestADeadlineSurvivesAClockThatIsSet(t *testing.T) {
	topic, err := parseTopic("t")
	require.NoError(t, err)
	s := newStationery(Config{Source: "s", MessageExpiry: time.Hour}, topic)
	now := time.Now()
	for name, c := range map[string]struct{ deadline, want time.Time }{
		"in order":          {now.Add(time.Minute), now.Add(time.Minute)},
		"past":              {now.Add(-time.Minute), now.Add(-time.Minute)},
		"of 1970":           {time.UnixMilli(0).Add(time.Hour), now.Add(time.Hour)},
		"a little sent off": {time.UnixMilli(0).Add(time.Hour), now.Add(30 * time.Minute)},
	} {
		t.Run(name, func(t *testing.T) {
			sent, back, e := new(packet), new(packet), nth(1)
			s.encode(sent, &e, 1)
			if name == "a little sent off" { // half of it had passed at the last attempt to send it
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

// A record with the right sum may come from a program that nobody knows.
func TestARecordOfAnotherMakeIsNoPanic(t *testing.T) {
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
