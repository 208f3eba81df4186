package main

import (
	"context"
	"io"
	"os"
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
	command, log := startProcess(t, b.Addr(), "--config", config)
	says := func(text string) {
		t.Helper()
		require.Eventually(t, func() bool { return strings.Contains(log.String(), text) }, brokertest.Wait, 5*time.Millisecond, text)
	}
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

func TestAHangupWhileTheDaemonStartsDoesNotEndIt(t *testing.T) {
	b := brokertest.Start(t, "")
	values := environment(keyVariable, "k", "MPS_MQTT_ADDRESS", "mqtt://"+b.Addr(), "MPS_ILERT_FILE", filepath.Join(t.TempDir(), "store.db"))
	env := func(name string) string {
		if name == keyVariable { // long before there are rules to read again
			assert.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
		}
		return values(name)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var log buffer
	done := make(chan error, 1)
	config := write(t, "rules.yaml", doorRules)
	go func() { done <- run(ctx, []string{"daemon", "--config", config}, env, io.Discard, &log) }()
	require.Eventually(t, func() bool { return strings.Count(log.String(), "msg=rules names=[open]") == 2 }, brokertest.Wait, 5*time.Millisecond)
	cancel()
	require.NoError(t, <-done)
}
