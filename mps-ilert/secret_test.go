package main

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
)

// AWS IoT's WebSocket takes a signature in the query of the address.
func TestTheQueryOfTheBrokersAddressIsASecret(t *testing.T) {
	b, err := broker.Start("127.0.0.1:0", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.Close() })
	ilert, _ := ilertStandIn(t)
	d := startAt(t, "ws://u:canary1@"+b.WebSocketAddr()+"/mqtt?X-Amz-Security-Token=canary2", "-vvv", "--ilert_url", ilert, "-f", filepath.Join(t.TempDir(), "x.db"))
	var seen string
	for _, path := range []string{"/", "/health", "/ready", "/status", "/metrics"} {
		response, err := http.Get(d.url + path)
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		seen += string(body)
	}
	assert.Contains(t, seen, `"ws://`+b.WebSocketAddr()+`/mqtt"`)
	require.NoError(t, b.Close())
	require.Eventually(t, func() bool { return strings.Contains(d.log.String(), "cannot connect") }, brokertest.Wait, 5*time.Millisecond)
	d.cancel()
	require.NoError(t, <-d.done)
	assert.NotContains(t, seen+d.log.String(), "canary")
}

func TestFlagsPrintNoSecret(t *testing.T) {
	daemon := daemonFlags{mqttPassword: "canary", eventKey: "canary", httpToken: "canary", heartbeat: "canary"}
	once := onceFlags{key: "canary"}
	for _, v := range []any{daemon, &daemon, once, &once} {
		assert.NotContains(t, fmt.Sprintf("%v %+v %#v %s %d", v, v, v, v, v), "canary")
	}
}
