package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker/brokertest"
)

func TestAHangupReadsTheRulesAgainAndKeepsTheOldOnesWhenTheNewAreBroken(t *testing.T) {
	b := brokertest.Start(t, "")
	config := write(t, "rules.yaml", doorRules)
	command := exec.Command(os.Args[0], "daemon", "--config", config, "-f", filepath.Join(t.TempDir(), "x.db"))
	command.Env = []string{"TEST_AS_COMMAND=1", "MPS_MQTT_ADDRESS=mqtt://" + b.Addr(), "ILERT_INTEGRATION_KEY=k"}
	var log buffer
	command.Stderr = &log
	require.NoError(t, command.Start())
	defer command.Process.Kill() //nolint:errcheck // it is gone
	says := func(text string) {
		t.Helper()
		require.Eventually(t, func() bool { return strings.Contains(log.String(), text) }, brokertest.Wait, 5*time.Millisecond, text)
	}
	says("msg=subscribed")

	require.NoError(t, os.WriteFile(config, []byte(strings.Replace(doorRules, "when:", "wen:", 1)), 0o600))
	require.NoError(t, command.Process.Signal(syscall.SIGHUP))
	says(`the rules stay as they were`)
	says(`did you mean \"when\"?`)

	require.NoError(t, os.WriteFile(config, []byte(strings.Replace(doorRules, "name: open", "name: ajar", 1)), 0o600))
	require.NoError(t, command.Process.Signal(syscall.SIGHUP))
	says(`msg=rules names=[ajar]`)

	require.NoError(t, command.Process.Signal(syscall.SIGTERM))
	assert.NoError(t, command.Wait())
}
