package e2e

import (
	"encoding/json"
	"net/http"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A restartable is a daemon that the test starts with the same command line again and again. A goroutine
// checks its counters all the time.
type restartable struct {
	t          *testing.T
	env, args  []string
	url, store string
	now        *command
}

// startRestartable starts a daemon with a store, and checks its counters until the test ends.
func startRestartable(t *testing.T, store string, env []string, args ...string) *restartable {
	t.Helper()
	address := "127.0.0.1:" + strconv.Itoa(freePort(t))
	d := &restartable{t: t, env: env, args: append([]string{"daemon", "-f", store, "--http", address}, args...), url: "http://" + address, store: store}
	d.Start()
	done, checked := make(chan struct{}), make(chan struct{})
	go d.check(done, checked)
	t.Cleanup(func() {
		close(done)
		<-checked
	})
	return d
}

// check checks until done is closed that each message has one fate, and that no count of received
// messages falls.
func (d *restartable) check(done, checked chan struct{}) {
	defer close(checked)
	before, samples := map[string]int{}, 0
	for {
		select {
		case <-done:
			assert.NotZero(d.t, samples)
			return
		case <-time.After(50 * time.Millisecond):
		}
		status, err := d.status()
		if err != nil {
			continue // the daemon is down, or frozen
		}
		for filter, all := range status.Messages {
			samples++
			assert.Equal(d.t, all.Received, all.Ignored+all.Duplicate+all.Merged+all.Delivered+all.Dead+all.Purged+all.Pending, "%s %+v", filter, all)
			assert.GreaterOrEqual(d.t, all.Received, before[filter], filter)
			before[filter] = all.Received
		}
	}
}

// Start starts the daemon, which must not run.
func (d *restartable) Start() { d.now = startCommand(d.t, "mps-ilert", d.env, d.args...) }

// Restart kills the daemon and starts it again.
func (d *restartable) Restart() {
	d.now.Kill()
	d.Start()
}

// Signal sends a signal, unless the daemon has exited.
func (d *restartable) Signal(s syscall.Signal) { _ = d.now.cmd.Process.Signal(s) }

// AwaitHealth waits until the daemon runs.
func (d *restartable) AwaitHealth() { d.now.AwaitHTTP(d.url+"/health", http.StatusNoContent) }

// AwaitReady waits until the daemon is ready.
func (d *restartable) AwaitReady() { d.now.AwaitHTTP(d.url+"/ready", http.StatusNoContent) }

// A daemonStatus is a part of the answer of /status.
type daemonStatus struct {
	RulesReadAt time.Time
	RulesError  string
	Rules       []struct{ Name string }
	Messages    map[string]tally
	Unproven    struct{ Messages int }
}

// Status returns the answer of /status.
func (d *restartable) Status(t require.TestingT) daemonStatus {
	status, err := d.status()
	require.NoError(t, err)
	return status
}

// status returns the answer of /status, or an error while the daemon does not answer.
func (d *restartable) status() (status daemonStatus, err error) {
	client := http.Client{Timeout: 5 * time.Second}
	response, err := client.Get(d.url + "/status")
	if err != nil {
		return status, err
	}
	defer response.Body.Close()
	return status, json.NewDecoder(response.Body).Decode(&status)
}
