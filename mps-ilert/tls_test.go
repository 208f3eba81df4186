package main

import (
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker/brokertest"
)

// caFile returns the name of a file with a certificate that signs nothing.
func caFile(t *testing.T) string {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	path := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	return path
}

func TestACertificateThatIsGoneIsNotBlamedOnTheBroker(t *testing.T) {
	ilert, _ := ilertStandIn(t)
	ca := caFile(t)
	base, log := listening(t, "-m", "127.0.0.1", "-q", "1", "--mqtt_tls", "--mqtt_ca", ca, "--ilert_url", ilert)
	answers(t, base, "cannot connect to the broker")
	require.NoError(t, os.Remove(ca))
	answers(t, base, "subscription: a file for TLS cannot be read: see the log")
	assert.NotContains(t, log.String(), "the port may not speak TLS")
}

// As with ilagent only --mqtt_tls turns TLS on, so a certificate without that flag needs a warning.
func TestACertificateWithoutTLSIsWarnedOf(t *testing.T) {
	ilert, _ := ilertStandIn(t)
	b := brokertest.Start(t, "")
	_, log := begun(t, "-m", "127.0.0.1", "-q", port(t, b.Addr()), "--mqtt_ca", caFile(t), "--ilert_url", ilert)
	assert.Contains(t, log.String(), `level=WARN msg="without --mqtt_tls nothing is encrypted, and the flag has no effect" flag=--mqtt_ca`)
}
