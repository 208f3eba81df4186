//go:build unix

package spool_test

import (
	"log/slog"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/publisher"
)

// A limit of the file size stands in for a full disk.
func TestAFullDiskDegradesToMemoryAndIsMended(t *testing.T) {
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var before syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before))
	limit := func(bytes uint64) {
		require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: before.Max}))
	}
	defer limit(before.Cur)

	addr, dir := nobody(t), t.TempDir()
	log := &lockedBuffer{}
	pub := start(t, publisher.Config{Address: addr, Spool: open(t, dir), Logger: slog.New(slog.NewTextHandler(log, nil))})
	limit(200 << 10)
	const events = 5000
	for n := range events {
		require.NoError(t, pub.Publish(numbered(n)))
	}
	require.Eventually(t, func() bool { return pub.Stats().SpoolErrors > 0 }, brokertest.Wait, time.Millisecond)
	checkIdentity(t, pub)
	require.NoError(t, pub.Publish(numbered(events)))
	assert.Contains(t, log.String(), "the spool fails")
	assert.Contains(t, log.String(), "file too large")

	limit(before.Cur)
	require.NoError(t, pub.Publish(numbered(events+1)))
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "the spool works again") }, brokertest.Wait, time.Millisecond)
	reader := comeUp(t, addr)
	reader.inOrder(events + 2)
	flush(t, pub)
	assert.Zero(t, pub.Stats().Dropped)
}
