package publisher

import (
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
	q, disk := newQueue(events, true), newMemorySpool(room)
	q.recover(disk.Range())
	k := newKeeper(q, disk, slog.New(slog.DiscardHandler))
	for n := range events {
		p, e := new(packet), nth(n)
		s.encode(p, &e, uint64(n))
		_, err := q.add(p)
		require.NoError(t, err)
	}
	require.ErrorIs(t, k.write(q.newest()), journal.ErrFull)
	assert.Len(t, disk.records, room)
	assert.EqualValues(t, events-room, q.unwritten())
	assert.Equal(t, Stats{Accepted: events, Pending: events, SpoolErrors: 1}, q.snapshot())
}
