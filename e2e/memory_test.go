package e2e

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/publisher"
	"github.com/mps-events/mps-events/publisher/spool"
)

// The outage has as many events as an hour of a fleet that makes a thousand events a second.
const (
	outageEvents = 3_600_000
	earlyEvents  = 200_000 // events that come at once, so that memory is full after them
	disksPace    = 200_000 // later events a second, if there is a disk that has to take them
	spoolBytes   = 64 << 20
)

// A memory is the memory that a child uses, and the counters of its publisher.
type memory struct {
	HeapAlloc, Sys uint64
	Publisher      publisher.Stats
}

// fillMemory publishes, in a child, all events of an outage once its connection is lost.
func fillMemory() error {
	config, err := publisher.ConfigFromEnv()
	if err != nil {
		return err
	}
	if config.Spool, err = spool.FromEnv(spool.WithMaxBytes(spoolBytes)); err != nil {
		return err
	}
	lost := make(chan struct{}, 1)
	config.Hooks.Disconnected = func() { lost <- struct{}{} }
	pub, err := publisher.New(config)
	if err != nil {
		return err
	}
	ev := event.Connected("4c4c4544-004b-4210-8033-b6c04f504633")
	if err := pub.Publish(ev); err != nil {
		return err
	}
	if err := pub.Flush(context.Background()); err != nil {
		return err
	}
	report("connected", true)
	<-lost
	publish := func(events int, pace float64) error {
		begin := time.Now()
		for n := range events {
			if err := pub.Publish(ev); err != nil {
				return err
			}
			if n%1000 == 0 {
				time.Sleep(time.Until(begin.Add(time.Duration(float64(n) / pace * float64(time.Second)))))
			}
		}
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		report("memory", memory{HeapAlloc: stats.HeapAlloc, Sys: stats.Sys, Publisher: pub.Stats()})
		return nil
	}
	pace := math.Inf(1)
	if err := publish(earlyEvents, pace); err != nil {
		return err
	}
	if config.Spool.Enabled() {
		pace = disksPace
	}
	return publish(outageEvents-earlyEvents, pace)
}

func TestMemoryStaysFlatHoweverLongTheBrokerIsAway(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		spoolDir string
	}{
		{"without a spool", ""},
		{"with a spool", t.TempDir()},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			broker := startMosquitto(t)
			child := startBackgroundChild(t, "fill memory", "MPS_MQTT_ADDRESS="+broker.Address(), "MPS_MQTT_SPOOL_DIR="+c.spoolDir)
			require.Eventually(t, func() bool { return len(reported[bool](t, child, "connected")) > 0 }, patience, time.Millisecond)
			broker.Stop()
			require.Zero(t, child.ExitCodeWithin(3*patience))
			measured := reported[memory](t, child, "memory")
			early, late := measured[0], measured[1]
			assert.EqualValues(t, outageEvents+1, late.Publisher.Accepted)
			t.Logf("%+v, then %+v", early, late)
			assert.Less(t, late.HeapAlloc, early.HeapAlloc*5/4)
			assert.Less(t, late.Sys, early.Sys*2, "Sys is the largest size so far: the garbage collector lets a heap double")
			if c.spoolDir == "" {
				return
			}
			assert.Greater(t, late.Publisher.Pending, uint64(200_000), "as many events as 64 MiB hold")
			file, err := os.Stat(filepath.Join(c.spoolDir, "events.db"))
			require.NoError(t, err)
			assert.Less(t, file.Size(), int64(spoolBytes*3/2))
		})
	}
}
