package e2e

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/publisher"
	"github.com/mps-events/mps-events/publisher/spool"
)

// A disk is a small file system that is nearly filled by one large file.
type disk struct {
	t      *testing.T
	folder string
}

func mountDisk(t *testing.T) disk {
	t.Helper()
	d := disk{t, t.TempDir()}
	require.NoError(t, syscall.Mount("tmpfs", d.folder, "tmpfs", 0, "size=34m"), "only root can mount a small disk; without being root, run the tests by: unshare --map-root-user --mount")
	// Detached, because the publisher of a failed test may still run and use it.
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(d.folder, syscall.MNT_DETACH)) })
	require.NoError(t, os.WriteFile(d.filler(), make([]byte, 32<<20), 0o600))
	return d
}

func (d disk) filler() string { return filepath.Join(d.folder, "filler") }

// MakeRoom removes the large file.
func (d disk) MakeRoom() {
	d.t.Helper()
	require.NoError(d.t, os.Remove(d.filler()))
}

// startOracleOnFullDisk starts an oracle, stops the broker, and returns when the disk is full of
// undelivered events.
func startOracleOnFullDisk(t *testing.T, broker *mosquitto, capacity int) (*oracle, disk) {
	t.Helper()
	d := mountDisk(t)
	s, err := spool.Open(filepath.Join(d.folder, "spool"))
	require.NoError(t, err)
	o := startOracle(t, broker, publisher.Config{Spool: s, Capacity: capacity})
	o.Publish(100)
	o.AwaitArrivals(callers * 100)
	broker.Stop()
	o.AwaitLost(1)
	o.PublishUntil(100, func(s publisher.Stats) bool { return s.SpoolErrors > 0 })
	o.AwaitLog("the spool fails")
	assert.Contains(t, o.log.String(), "no space left on device")
	o.Publish(1000)
	return o, d
}

func TestADiskThatIsFullKeepsEventsInMemoryUntilThereIsRoom(t *testing.T) {
	t.Parallel()
	broker := startMosquitto(t)
	o, disk := startOracleOnFullDisk(t, broker, 0)
	disk.MakeRoom()
	o.AwaitLog("the spool works again")
	failed := o.pub.Stats().SpoolErrors
	o.Publish(1000)
	broker.Start()
	s := o.Check()
	assert.Zero(t, s.Dropped)
	assert.Equal(t, failed, s.SpoolErrors)
}

func TestADiskThatIsFullDoesNotDelayDelivery(t *testing.T) {
	t.Parallel()
	broker := startMosquitto(t)
	o, disk := startOracleOnFullDisk(t, broker, 0)
	broker.Start()
	o.Publish(1000)
	o.Flush()
	disk.MakeRoom()
	o.AwaitLog("the spool works again")
	assert.Zero(t, o.Check().Dropped)
}

// When the disk is full, some events are only there, and memory is too small for the others.
func TestEventsThatAFullDiskAndAFullMemoryDropAreCounted(t *testing.T) {
	t.Parallel()
	broker := startMosquitto(t)
	o, disk := startOracleOnFullDisk(t, broker, 2000)
	assert.Greater(t, o.pub.Stats().Pending, uint64(2000))
	broker.Start()
	o.Publish(100)
	disk.MakeRoom()
	o.Publish(100)
	assert.Positive(t, o.Check().Dropped)
}
