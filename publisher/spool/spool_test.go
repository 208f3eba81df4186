package spool_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/mps-events/mps-events/publisher/internal/journal"
	"github.com/mps-events/mps-events/publisher/spool"
)

func TestMain(m *testing.M) {
	if os.Getenv(child) != "" {
		runChild() // until it is killed
	}
	goleak.VerifyTestMain(m)
}

// open opens a spool in dir, or in a folder of its own if that is empty.
func open(t *testing.T, dir string, options ...spool.Option) *spool.Spool {
	t.Helper()
	if dir == "" {
		dir = filepath.Join(t.TempDir(), "made if need be")
	}
	s, err := spool.Open(dir, options...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func records(from, to uint64) (all []journal.Record) {
	for n := from; n <= to; n++ {
		all = append(all, journal.Record{Number: n, Data: fmt.Append(nil, "event ", n)})
	}
	return all
}

type step = journal.Step

// nothingOnly is the value of Step.From when no event is only on disk, so that none may be dropped.
const nothingOnly = uint64(math.MaxUint64)

func commit(t *testing.T, s *spool.Spool, do step) (dropped uint64) {
	t.Helper()
	dropped, err := journal.Of(s).Commit(do)
	require.NoError(t, err)
	return dropped
}

func numbers(t *testing.T, s *spool.Spool) (all []uint64) {
	t.Helper()
	loaded, _, err := journal.Of(s).Load(0, math.MaxInt, math.MaxInt)
	require.NoError(t, err)
	for _, r := range loaded {
		if r.Data != nil {
			assert.Equal(t, fmt.Sprint("event ", r.Number), string(r.Data))
		}
		all = append(all, r.Number)
	}
	return all
}

func TestWhatIsWrittenIsThereForTheNextProcess(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	first, last, count := journal.Of(s).Range()
	assert.Equal(t, []uint64{0, 0, 0}, []uint64{first, last, count})
	commit(t, s, step{Below: 1, From: nothingOnly, Add: records(1, 9)})
	commit(t, s, step{Below: 3, Remove: []uint64{5, 77}, From: nothingOnly, Add: records(12, 13)})
	loaded, _, err := journal.Of(s).Load(4, 3, math.MaxInt)
	require.NoError(t, err)
	assert.Equal(t, append(records(4, 4), records(6, 7)...), loaded)
	require.NoError(t, s.Close())

	s = open(t, dir)
	first, last, count = journal.Of(s).Range()
	assert.Equal(t, []uint64{3, 13, 8}, []uint64{first, last, count})
	assert.Equal(t, []uint64{3, 4, 6, 7, 8, 9, 12, 13}, numbers(t, s))
	commit(t, s, step{Below: 14, From: nothingOnly})
	assert.Empty(t, numbers(t, s))
}

func TestOneProcessAtATime(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	_, err := spool.Open(dir)
	require.EqualError(t, err, "spool: "+filepath.Join(dir, "events.db")+": another process uses it")
	require.NoError(t, s.Close())
	require.NoError(t, s.Close(), "a second time")
	open(t, dir)
}

func TestTheOldestMakeRoomWhenTheBoundIsReached(t *testing.T) {
	const each = 16 + len("event 1") // the bytes that a record counts for
	s := open(t, "", spool.WithMaxBytes(int64(5*each)))
	commit(t, s, step{Below: 1, From: nothingOnly, Add: records(1, 5)})
	_, err := journal.Of(s).Commit(step{Below: 1, From: nothingOnly, Add: records(6, 6)})
	require.ErrorIs(t, err, journal.ErrFull, "all are in memory too: none is dropped behind their back")
	assert.Equal(t, []uint64{1, 2, 3, 4, 5}, numbers(t, s))
	assert.EqualValues(t, 2, commit(t, s, step{Below: 1, From: 3, Add: records(6, 7)}))
	assert.Equal(t, []uint64{1, 2, 5, 6, 7}, numbers(t, s))
	assert.EqualValues(t, 0, commit(t, s, step{Below: 3, From: 5, Add: records(8, 9)}))
	assert.Equal(t, []uint64{5, 6, 7, 8, 9}, numbers(t, s))
	_, err = journal.Of(s).Commit(step{Below: 3, From: 5, Add: records(1, 6)})
	require.ErrorIs(t, err, journal.ErrFull, "more than the bound at once")
	assert.Equal(t, []uint64{5, 6, 7, 8, 9}, numbers(t, s), "an error changes nothing")
}

func TestWhatIsTooOldIsDropped(t *testing.T) {
	s := open(t, "", spool.WithMaxAge(time.Nanosecond))
	commit(t, s, step{Below: 1, From: nothingOnly, Add: records(1, 3)})
	loaded, _, err := journal.Of(s).Load(1, 10, math.MaxInt)
	require.NoError(t, err)
	assert.Equal(t, []journal.Record{{Number: 1}, {Number: 2}, {Number: 3}}, loaded, "known, but without its data")
	assert.EqualValues(t, 2, commit(t, s, step{Below: 1, From: 2}))
	assert.Equal(t, []uint64{1}, numbers(t, s))
}

func TestAnotherFileIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "events.db")
	want := make([]byte, 100_000)
	copy(want, "not a spool")
	require.NoError(t, os.WriteFile(path, want, 0o600))
	_, err := spool.Open(dir)
	require.ErrorContains(t, err, "spool: "+path+": invalid database")
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, want, got)
}

// Opening and using a file that was cut off at any place returns an error or its records, and
// never panics.
func TestADamagedFileIsAnErrorAndNoPanic(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for n := uint64(1); n < 2000; n += 100 {
		commit(t, s, step{Below: 1, From: nothingOnly, Add: records(n, n+99)})
	}
	require.NoError(t, s.Close())
	whole, err := os.ReadFile(filepath.Join(dir, "events.db"))
	require.NoError(t, err)
	damage := map[string]func([]byte) []byte{}
	for cut := 0; cut < len(whole); cut += len(whole)/64 + 1 {
		damage[fmt.Sprint("cut at ", cut)] = func(b []byte) []byte { return b[:cut] }
		damage[fmt.Sprint("zeros from ", cut)] = func(b []byte) []byte { clear(b[cut:min(cut+8192, len(b))]); return b }
	}
	for name, do := range damage {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "events.db"), do(append([]byte(nil), whole...)), 0o600))
			s, err := spool.Open(dir)
			if err != nil {
				assert.ErrorContains(t, err, dir)
				return
			}
			_, _, _ = journal.Of(s).Load(0, math.MaxInt, math.MaxInt)
			_, _ = journal.Of(s).Commit(step{Below: 50, From: 100, Add: records(3000, 3010)})
			_ = s.Close()
		})
	}
}

// bbolt writes one of two meta pages last. If the power fails during that write, the records
// from before it are still there.
func TestATornLastWriteCostsThatWriteOnly(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	commit(t, s, step{Below: 1, From: nothingOnly, Add: records(1, 3)})
	before, err := os.ReadFile(filepath.Join(dir, "events.db"))
	require.NoError(t, err)
	commit(t, s, step{Below: 1, From: nothingOnly, Add: records(4, 4)})
	require.NoError(t, s.Close())
	after, err := os.ReadFile(filepath.Join(dir, "events.db"))
	require.NoError(t, err)
	page := os.Getpagesize()
	for meta := range 2 {
		if string(before[meta*page:(meta+1)*page]) == string(after[meta*page:(meta+1)*page]) {
			continue
		}
		copy(after[meta*page+page/2:], before[meta*page+page/2:(meta+1)*page]) // half of the page
		clear(after[meta*page+40 : meta*page+80])
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "events.db"), after, 0o600))
	assert.Equal(t, []uint64{1, 2, 3}, numbers(t, open(t, dir)))
}

func TestBadOptionsAreNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for _, c := range []struct {
		dir    string
		option spool.Option
		want   string
	}{
		{"x", spool.WithMaxBytes(0), "spool: WithMaxBytes(0): want 1 or more"},
		{"", spool.WithMaxAge(-1), "spool: WithMaxAge(-1ns): want more than 0"},
		{filepath.Join(file, "x"), spool.WithMaxBytes(1), "mkdir " + file},
		{"/proc", spool.WithMaxBytes(1), "open /proc/events.db:"},
	} {
		s, err := spool.Open(c.dir, c.option)
		require.ErrorContains(t, err, c.want)
		assert.False(t, s.Enabled())
		assert.NoError(t, s.Close())
	}
	t.Setenv("MPS_MQTT_SPOOL_DIR", file)
	_, err := spool.FromEnv()
	assert.ErrorContains(t, err, "MPS_MQTT_SPOOL_DIR: spool: mkdir")
}
