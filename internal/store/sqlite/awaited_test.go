package sqlite_test

import (
	"fmt"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/store/sqlite"
)

// engineAt opens an engine on the store at a path.
func engineAt(t testing.TB, path string) *alerting.Engine {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path)
	require.NoError(t, err)
	e, err := alerting.Open(t.Context(), s, alerting.DefaultBounds)
	require.NoError(t, err)
	return e
}

// heardAt returns a message of each group, which comes at a time.
func heardAt(at time.Time, absence *decision.Absence, groups, value int) []alerting.Message {
	all := make([]alerting.Message, groups)
	for i := range all {
		group := fmt.Sprintf("building/north/floor/%d/sensor", i)
		all[i] = alerting.Message{Filter: "building/#", Topic: group, ReceivedAt: at, Decision: decision.Decision{Effects: []decision.Effect{
			decision.Heard{Absence: absence, Group: group, Raise: decision.Raise{
				Rule: absence.Rule, Key: decision.Key{Alert: absence.Rule + "/" + group},
				Event: ilert.Event{Summary: fmt.Sprintf("%s has been silent for 20 minutes, last %d degrees", group, value), Priority: "HIGH"},
			}},
		}}}
	}
	return all
}

// heap returns the bytes that the program uses.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestManyAwaitedGroupsNeedLittleMemory(t *testing.T) {
	const groups, limit = 100_000, 64 << 20
	path := filepath.Join(t.TempDir(), "store.db")
	absence := &decision.Absence{Rule: "silent", After: 20 * time.Minute, AtLeast: 1}
	apply := func(e *alerting.Engine) {
		at := time.UnixMilli(1795321902892)
		e.Listen(at)
		for i, all := 0, heardAt(at, absence, groups, 20); i < groups; i += 1000 {
			require.NoError(t, e.Apply(t.Context(), all[i:i+1000]))
		}
	}
	before := heap()
	e := engineAt(t, path)
	apply(e)
	used := heap() - before
	t.Logf("%d groups: %d MiB", groups, used>>20)
	assert.Less(t, used, int64(limit))
	require.NoError(t, e.Close())

	before = heap()
	e = engineAt(t, path)
	n, _ := e.AwaitedGroups()
	assert.Equal(t, groups, n)
	used = heap() - before
	t.Logf("%d groups of an earlier process: %d MiB", groups, used>>20)
	assert.Less(t, used, int64(limit))
	runtime.KeepAlive(e)
	require.NoError(t, e.Close())
}

// BenchmarkHeard compares messages of groups that are awaited with messages that have no effect.
func BenchmarkHeard(b *testing.B) {
	absence := &decision.Absence{Rule: "silent", After: 20 * time.Minute}
	at := time.UnixMilli(1795321902892)
	for name, effects := range map[string]bool{"awaited": true, "ignored": false} {
		b.Run(name, func(b *testing.B) {
			e := engineAt(b, filepath.Join(b.TempDir(), "store.db"))
			e.Listen(at)
			batch := heardAt(at, absence, 1000, 20)
			for i := range batch {
				if !effects {
					batch[i].Decision = decision.Decision{}
				}
			}
			for b.Loop() {
				require.NoError(b, e.Apply(b.Context(), batch))
			}
			b.ReportMetric(float64(b.N*len(batch))/b.Elapsed().Seconds(), "messages/s")
			require.NoError(b, e.Close())
		})
	}
}
