//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker/brokertest"
)

// startWithFiles runs the daemon as a process that may open so many files.
func startWithFiles(t *testing.T, files int, flags ...string) (address string, log *buffer) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address = l.Addr().String()
	require.NoError(t, l.Close())
	program, err := os.Executable()
	require.NoError(t, err)
	args := append([]string{"-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, files), program, "daemon", "--http", address, "-f", filepath.Join(t.TempDir(), "x.db")}, flags...)
	command := exec.CommandContext(t.Context(), "sh", args...)
	command.Env, log = []string{"TEST_AS_COMMAND=1"}, &buffer{}
	command.Stderr = log
	command.WaitDelay = brokertest.Wait
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	require.Eventually(t, func() bool { return healthy(address) == nil }, brokertest.Wait, 10*time.Millisecond)
	return address, log
}

// healthy returns nil if /health says yes within some seconds, by a connection of its own.
func healthy(address string) error {
	ctx, cancel := context.WithTimeout(context.Background(), brokertest.Wait)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/health", http.NoBody)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusNoContent {
		return fmt.Errorf("it says %s", response.Status)
	}
	return nil
}

// openSlow opens connections that send a part of a request, and no more.
func openSlow(t *testing.T, address, sent string, n int) {
	t.Helper()
	for range n {
		conn, err := net.Dial("tcp", address)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		_, _ = io.WriteString(conn, sent) // it may be closed already
	}
}

func TestSlowClientsKeepNobodyElseAway(t *testing.T) {
	ilert, _ := ilertStandIn(t)
	address, log := startWithFiles(t, 512, "--ilert_url", ilert)
	for _, sent := range []string{"", "GET /health HTTP/1.1\r\nHo", "POST /api/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"} {
		openSlow(t, address, sent, 500)
		require.NoError(t, healthy(address), "beside %q", sent)
	}
	code, body := post(t, "http://"+address+"/api/events", `{"integrationKey":"k","eventType":"ALERT","summary":"x"}`)
	assert.Equal(t, http.StatusOK, code, body)
	code, body = get(t, "http://"+address+"/metrics")
	assert.Equal(t, http.StatusOK, code)
	assert.Greater(t, samples(t, body)["mps_ilert_http_connections_closed_total"], 1000.0)
	assert.Less(t, samples(t, body)["process_open_fds"], 400.0)
	assert.Equal(t, 1, strings.Count(log.String(), "too many HTTP connections"), "a minute")
	assert.NotContains(t, log.String(), "too many open files")
}
