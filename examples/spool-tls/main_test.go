package main

import (
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/examples/internal/exampletest"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/publisher"
)

func TestEventsWaitOnDiskForABrokerThatSpeaksTLS(t *testing.T) {
	// A certificate for 127.0.0.1, and an address at which nobody answers yet.
	site := httptest.NewTLSServer(nil)
	defer site.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: site.Certificate().Raw})
	require.NoError(t, os.WriteFile(ca, certificate, 0o600))
	reserved, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := reserved.Addr().String()
	require.NoError(t, reserved.Close())

	dir := t.TempDir()
	for name, value := range map[string]string{"ADDRESS": "mqtts://" + address, "CA_FILE": ca, "SPOOL_DIR": dir} {
		t.Setenv("MPS_MQTT_"+name, value)
	}
	addr := exampletest.Start(t, run)
	res, err := http.Post("http://"+addr+"/api/v1/amt/power/action/4c4c4544-004b-4210-8033-b6c04f504633", "", http.NoBody)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	assert.FileExists(t, filepath.Join(dir, "events.db"))
	res, err = http.Get("http://" + addr + "/events/stats")
	require.NoError(t, err)
	defer res.Body.Close()
	var stats publisher.Stats
	require.NoError(t, json.NewDecoder(res.Body).Decode(&stats))
	assert.Equal(t, uint64(2), stats.Pending)

	broker := brokertest.Start(t, "").Addr()
	messages := brokertest.Subscribe(t, broker, "mps/events")
	listener, err := tls.Listen("tcp", address, &tls.Config{Certificates: site.TLS.Certificates, MinVersion: tls.VersionTLS12})
	require.NoError(t, err)
	brokertest.Forward(t, listener, broker)
	assert.Contains(t, string(brokertest.Receive(t, messages).Payload), `"type":"request"`)
	assert.Contains(t, string(brokertest.Receive(t, messages).Payload), `"type":"success"`)
}
