package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/store"
)

func (b *book) status() store.Status {
	b.t.Helper()
	s, err := b.Status(b.t.Context(), b.now)
	require.NoError(b.t, err)
	return s
}

func TestStatusSaysWhereTheAlertsStand(t *testing.T) {
	b := open(t)
	assert.Equal(t, store.Status{Tallies: map[string]store.Tally{}, Matches: map[string]uint64{}}, b.status())

	delayed := raising("delayed")
	delayed.For = time.Minute
	b.apply(store.Message{Decision: decision.Decision{Matched: []string{"r"}, Effects: []decision.Effect{delayed}}})
	s := b.status()
	assert.Equal(t, []uint64{0, 0, 1, 0}, []uint64{s.Open, s.Waiting, s.Later, s.Claimed})
	assert.True(t, s.Oldest.IsZero(), "what waits for its time does not wait for ilert")
	b.apply(raise("a"), raise("b"))
	s = b.status()
	assert.Equal(t, []uint64{0, 2, 1, 0}, []uint64{s.Open, s.Waiting, s.Later, s.Claimed})
	assert.Equal(t, b.now, s.Oldest)
	assert.Equal(t, map[string]uint64{"r": 1}, s.Matches)
	assert.Equal(t, b.tally(), s.Tallies[filter])

	notices := b.claim()
	s = b.status()
	assert.Equal(t, []uint64{0, 0, 1, 2}, []uint64{s.Open, s.Waiting, s.Later, s.Claimed})
	assert.Equal(t, b.now, s.Oldest, "until ilert has answered")
	b.settle(notices[0], store.Told)
	came := b.now
	b.later(time.Second)
	b.settle(notices[1], store.NotTold)
	s = b.status()
	assert.Equal(t, []uint64{1, 1, 1, 0}, []uint64{s.Open, s.Waiting, s.Later, s.Claimed})
	assert.Equal(t, came, s.Oldest)

	// What is to be tried again later waits all the same.
	notices = b.claim()
	require.Len(t, notices, 1)
	require.NoError(t, b.Settle(t.Context(), []store.Answer{{Notice: notices[0], Result: store.NotTold, At: b.now, Retry: b.now.Add(time.Hour)}}))
	assert.Equal(t, uint64(1), b.status().Waiting)

	b.later(2 * time.Minute)
	s = b.status()
	assert.Equal(t, []uint64{1, 2, 0, 0}, []uint64{s.Open, s.Waiting, s.Later, s.Claimed})
	b.restart()
	assert.Equal(t, s, b.status())
}

func TestWhatIsSentJustSoWaitsToo(t *testing.T) {
	b := open(t)
	b.apply(send(doors, "x"))
	came := b.now
	b.later(time.Minute)
	b.apply(send(doors, "y"))
	assert.Equal(t, came, b.status().Oldest)
	assert.Equal(t, []string{"ALERT x"}, b.texts())
	assert.Equal(t, b.now, b.status().Oldest)
}

func TestStatusWaitsForNoChange(t *testing.T) {
	b := open(t)
	b.apply(raise("a"))
	other, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: b.path, RawQuery: "_txlock=immediate"}).String())
	require.NoError(t, err)
	defer other.Close()
	change, err := other.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	began := time.Now()
	assert.Equal(t, uint64(1), b.status().Waiting)
	assert.Less(t, time.Since(began), 4*time.Second, "which is less than SQLite would wait")
	require.NoError(t, change.Rollback())
}

func BenchmarkStatus(b *testing.B) {
	s, err := store.Open(context.Background(), filepath.Join(b.TempDir(), "store.db"))
	require.NoError(b, err)
	defer s.Close()
	for n := range 100 {
		batch := make([]store.Message, 1000)
		for i := range batch {
			batch[i] = raise(fmt.Sprint(n, " ", i))
			batch[i].Filter, batch[i].ReceivedAt = filter, start
		}
		require.NoError(b, s.Apply(context.Background(), batch))
	}
	for b.Loop() {
		_, err := s.Status(context.Background(), start)
		require.NoError(b, err)
	}
}
