package e2e

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
)

// The test kills the daemon at random moments under load, while ilert fails, hangs, cuts
// connections and limits requests, and while many devices fail at once. The seed decides the order
// of faults, of messages and of kills.
func TestIlertEndsWithTheTruthThroughAllFaults(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	if again, err := strconv.ParseUint(os.Getenv("CHAOS_SEED"), 10, 64); err == nil {
		seed = again
	}
	t.Logf("CHAOS_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	broker, ilert := startMosquitto(t), startIlert(t)
	ilert.faultSource = rand.New(rand.NewPCG(seed, 1))
	store := filepath.Join(t.TempDir(), "store.db")
	start := func(rate string) ilertDaemon { return startDaemon(t, broker, ilert, store, "--rate", rate) }
	daemon := start("120")
	daemon.AwaitReady()
	publisher := connect(t, broker.HostPort(), "mps")
	truth, sent := map[string]bool{}, 0
	begin := time.Now().UnixMilli()
	publish := func(device int, fails bool) {
		key, payload := failedCall(device)
		e, err := event.Parse(payload)
		require.NoError(t, err)
		e.Timestamp = begin + int64(sent) // no two events are alike
		if !fails {
			e.Type = event.Success
		}
		publisher.Publish("mps/events", e.AppendJSON(nil))
		truth[key] = fails
		sent++
	}
	const devices = 400
	restarted := random.IntN(6)
	for round := range 6 {
		for range 20 + random.IntN(100) {
			publish(random.IntN(devices), random.IntN(2) == 0)
		}
		if random.IntN(2) == 0 { // more than go out in a minute
			for device := range devices {
				publish(device, true)
			}
		}
		if round == restarted {
			broker.Stop()
			broker.Start()
			publisher = connect(t, broker.HostPort(), "mps")
		}
		// This waits for nothing: the daemon must be killed at a random moment of its work.
		time.Sleep(time.Duration(random.IntN(1500)) * time.Millisecond)
		daemon.Kill()
		// After this the alerts go out as a storm, or one by one.
		daemon = start([]string{"60", "3000"}[random.IntN(2)])
	}
	daemon.Kill()
	daemon = start("3000")
	for device := range devices {
		publish(device, random.IntN(3) == 0)
	}
	ilert.Calm()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.Empty(c, ilert.Differences(truth))
		require.Zero(c, tallyOf(t, store).Pending, "alerts are sent again if an answer was lost")
	}, patience, 100*time.Millisecond)
	daemon.AwaitReady()
	daemon.Interrupt()
	assert.Empty(t, ilert.Differences(truth))
	t.Logf("%d messages, %d requests: %v", sent, ilert.requests, ilert.faults)
	tally := tallyOf(t, store)
	assert.Equal(t, sent, tally.Received-tally.Duplicate, "messages that came again because an acknowledgement was lost are duplicates")
	assert.Zero(t, tally.Pending)
}

// A tally is the number of messages of each fate.
type tally struct{ Received, Ignored, Duplicate, Merged, Delivered, Dead, Purged, Pending int }

// tallyOf returns the tally that the command prints, and checks that each message has one fate.
func tallyOf(t *testing.T, store string) tally {
	t.Helper()
	path, err := build("mps-ilert")
	require.NoError(t, err)
	out, err := exec.CommandContext(t.Context(), path, "-f", store, "store", "stats", "--json").Output()
	require.NoError(t, err)
	var stats struct{ Messages map[string]tally }
	require.NoError(t, json.Unmarshal(out, &stats))
	all := stats.Messages["mps/events"]
	assert.Equal(t, all.Received, all.Ignored+all.Duplicate+all.Merged+all.Delivered+all.Dead+all.Purged+all.Pending, "%+v", all)
	return all
}
