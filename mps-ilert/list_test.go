package main

import (
	"io"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/store/sqlite"
)

// heap is a writer that measures the memory in use.
type heap struct {
	writes int
	max    uint64
}

// Write counts the writes, and measures now and then.
func (h *heap) Write(p []byte) (int, error) {
	if h.writes++; h.writes%20 == 1 {
		h.max = max(h.max, inUse())
	}
	return len(p), nil
}

// inUse returns the number of bytes in use.
func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// The store may hold 256 MiB of dead letters, where the daemon's machine may hold little more.
func TestListingManyDeadLettersTakesLittleMemory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.db")
	s, err := sqlite.Open(t.Context(), file)
	require.NoError(t, err)
	e, err := alerting.Open(t.Context(), s, alerting.DefaultBounds)
	require.NoError(t, err)
	const letters, size = 250, 250_000
	payload := []byte(strings.Repeat("x", size))
	for range letters / 50 {
		var all []alerting.Message
		for range 50 {
			all = append(all, alerting.Message{Filter: "t", Topic: "t", Payload: payload, ReceivedAt: time.Now(), Decision: decision.Decision{Dead: "junk"}})
		}
		require.NoError(t, e.Apply(t.Context(), all))
	}
	require.NoError(t, e.Close())
	out := &heap{}
	began := inUse()
	require.NoError(t, run(t.Context(), []string{"-f", file, "store", "list", "--json"}, environment(), out, io.Discard))
	assert.Equal(t, letters, out.writes)
	assert.Less(t, int64(out.max)-int64(began), int64(letters*size/2))
	for limit, want := range map[string]int{"1": 1, "100": 100, "101": 101, "240": 240, "1000": letters} {
		assert.Equal(t, want+1, strings.Count(storeOf(t, file, "list", "--limit", limit), "\n"), limit)
	}
	assert.Contains(t, storeOf(t, file, "list", "--limit", "240"), "\n240  ")
}
