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

	"github.com/mps-events/mps-events/internal/rules"
	"github.com/mps-events/mps-events/internal/store"
)

// heap measures how much memory is in use while it is written to.
type heap struct {
	writes int
	most   uint64
}

func (h *heap) Write(p []byte) (int, error) {
	if h.writes++; h.writes%20 == 1 {
		h.most = max(h.most, inUse())
	}
	return len(p), nil
}

func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// The store may hold 256 MiB of dead letters, where the daemon's machine may hold little more.
func TestListingManyDeadLettersTakesLittleMemory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.db")
	s, err := store.Open(t.Context(), file)
	require.NoError(t, err)
	const letters, size = 250, 250_000
	payload := []byte(strings.Repeat("x", size))
	for range letters / 50 {
		var all []store.Message
		for range 50 {
			all = append(all, store.Message{Filter: "t", Topic: "t", Payload: payload, ReceivedAt: time.Now(), Decision: rules.Decision{Dead: "junk"}})
		}
		require.NoError(t, s.Apply(t.Context(), all))
	}
	require.NoError(t, s.Close())
	out := &heap{}
	began := inUse()
	require.NoError(t, run(t.Context(), []string{"-f", file, "store", "list", "--json"}, environment(), out, io.Discard))
	assert.Equal(t, letters, out.writes)
	assert.Less(t, int64(out.most)-int64(began), int64(letters*size/2))
	for limit, want := range map[string]int{"1": 1, "100": 100, "101": 101, "240": 240, "1000": letters} {
		assert.Equal(t, want+1, strings.Count(storeOf(t, file, "list", "--limit", limit), "\n"), limit)
	}
	assert.Contains(t, storeOf(t, file, "list", "--limit", "240"), "\n240  ")
}
