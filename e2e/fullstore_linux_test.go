package e2e

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
)

// An ilertDaemon is a process of "mps-ilert daemon" with an HTTP port.
type ilertDaemon struct {
	*command
	url string
}

func startDaemon(t *testing.T, broker *mosquitto, ilert *ilert, store string, args ...string) ilertDaemon {
	t.Helper()
	port := strconv.Itoa(freePort(t))
	all := append([]string{
		"daemon", "-m", "127.0.0.1", "-q", broker.Port(), "-n", "mps-ilert", "-e", "mps/events", "--preset", "calls",
		"-f", store, "--http", "127.0.0.1:" + port, "--ilert_url", ilert.URL,
	}, args...)
	return ilertDaemon{startCommand(t, "mps-ilert", []string{"ILERT_INTEGRATION_KEY=key"}, all...), "http://127.0.0.1:" + port}
}

// AwaitReady waits until GET /ready reports that the daemon is ready.
func (d ilertDaemon) AwaitReady() { d.AwaitHTTP(d.url+"/ready", http.StatusNoContent) }

// AwaitReason waits until GET /ready gives a reason why the daemon is not ready.
func (d ilertDaemon) AwaitReason(reason string) {
	d.t.Helper()
	require.EventuallyWithT(d.t, func(c *assert.CollectT) {
		res, err := http.Get(d.url + "/ready")
		require.NoError(c, err)
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		require.NoError(c, err)
		require.Contains(c, string(body), reason)
	}, patience, 20*time.Millisecond)
}

func failedCall(n int) (key string, payload []byte) {
	guid := fmt.Sprintf("4c4c4544-004b-4210-8033-%012d", n)
	e := event.Event{Type: event.Fail, Message: "Power State Failed", Methods: []string{"AMT_PowerState"}, GUID: guid}
	return guid + "/AMT_PowerState", e.AppendJSON(nil)
}

// Messages that the daemon has not acknowledged wait at the broker, and are stored once there is
// room.
func TestAStoreThatIsFullGoesOnOnceThereIsRoom(t *testing.T) {
	t.Parallel()
	broker, ilert, disk := startMosquitto(t), startIlert(t), mountDisk(t)
	daemon := startDaemon(t, broker, ilert, filepath.Join(disk.folder, "store.db"), "--rate", "0")
	daemon.AwaitReady()
	publisher := connect(t, broker.HostPort(), "mps")
	truth := map[string]bool{}
	for n := range 1500 {
		key, payload := failedCall(n)
		truth[key] = true
		publisher.Publish("mps/events", payload)
	}
	daemon.AwaitReason("full")
	require.NotEmpty(t, ilert.Differences(truth))
	disk.MakeRoom()
	require.Eventually(t, func() bool { return ilert.Differences(truth) == "" }, patience, 50*time.Millisecond)
	daemon.AwaitReady()
}

func TestAStoreOnAReadOnlyDiskIsRefusedClearly(t *testing.T) {
	t.Parallel()
	broker, ilert, disk := startMosquitto(t), startIlert(t), mountDisk(t)
	disk.MakeRoom()
	store := filepath.Join(disk.folder, "store.db")
	first := startDaemon(t, broker, ilert, store)
	first.AwaitReady()
	first.Kill()
	remount := func(flags uintptr) {
		require.NoError(t, syscall.Mount("", disk.folder, "", syscall.MS_REMOUNT|flags, "size=34m"))
	}
	remount(syscall.MS_RDONLY)
	second := startDaemon(t, broker, ilert, store)
	require.Equal(t, 1, second.ExitCode())
	assert.Regexp(t, "read-?only", second.Output())
	remount(0)
	startDaemon(t, broker, ilert, store).AwaitReady()
}
