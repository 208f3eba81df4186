package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/publisher"
)

// gatewayKey is the secret that the gateway requires in the query, like Kong's plugin key-auth.
const gatewayKey = "canary-of-the-gateway"

// gatewayConfig is the configuration with which nginx behaves like a route of Kong: unless
// strip_path=false is set, it removes the path of the route.
const gatewayConfig = `
daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events {}
http {
	access_log off;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	server {
		listen %[1]s ssl;
		ssl_certificate cert.pem;
		ssl_certificate_key key.pem;
		proxy_http_version 1.1;
		proxy_set_header Upgrade $http_upgrade;
		proxy_set_header Connection upgrade;
		if ($arg_apikey != %[3]s) { return 401; }
		location = /here { return 204; }
		location /mosquitto { rewrite ^/mosquitto/?(.*)$ /$1 break; proxy_pass http://%[2]s; }
		location /kept/mosquitto { proxy_pass http://%[2]s; }
	}
}
`

// A gateway is a process of nginx that stands in for Kong, with TLS, in front of the broker's
// WebSocket.
type gateway struct {
	t      *testing.T
	dir    string
	addr   string
	caFile string
	nginx  *command
}

func startGateway(t *testing.T, broker *mosquitto) *gateway {
	t.Helper()
	ca := newAuthority(t)
	g := &gateway{t: t, dir: t.TempDir(), addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(freePort(t)))}
	g.caFile = filepath.Join(g.dir, "ca.pem")
	files := ca.Certificate(t, time.Now().Add(time.Hour))
	files["ca.pem"] = string(ca.pem)
	files["nginx.conf"] = fmt.Sprintf(gatewayConfig, g.addr, broker.WebSocketHostPort(), gatewayKey)
	for name, content := range files {
		require.NoError(t, os.WriteFile(filepath.Join(g.dir, name), []byte(content), 0o600))
	}
	g.Start()
	return g
}

// Start starts the gateway and waits until it answers.
func (g *gateway) Start() {
	g.t.Helper()
	path, err := exec.LookPath("nginx")
	require.NoError(g.t, err, "these tests need nginx: install Debian's package nginx-light, for instance")
	g.nginx = startProcess(g.t, exec.Command(path, "-p", g.dir, "-c", "nginx.conf", "-e", "stderr"), nil)
	pem, err := os.ReadFile(g.caFile)
	require.NoError(g.t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}}
	require.EventuallyWithT(g.t, func(c *assert.CollectT) {
		response, err := client.Get("https://" + g.addr + "/here?apikey=" + gatewayKey)
		require.NoError(c, err)
		require.NoError(c, response.Body.Close())
		require.Equal(c, http.StatusNoContent, response.StatusCode)
	}, patience, 20*time.Millisecond)
}

// Address returns the address of the broker below a path of the gateway.
func (g *gateway) Address(path, key string) string {
	return "wss://" + g.addr + path + "?apikey=" + key
}

func TestTheBrokerIsReachedThroughAGateway(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/mosquitto", "/kept/mosquitto"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			broker := startMosquitto(t)
			gateway := startGateway(t, broker)
			address := gateway.Address(path, gatewayKey)
			ilert := startIlert(t)
			consumer := startCommand(t, "mps-ilert", []string{
				"ILERT_INTEGRATION_KEY=stand-in", "MPS_MQTT_ADDRESS=" + address, "MPS_MQTT_CA_FILE=" + gateway.caFile,
			}, "daemon", "-e", "mps/events", "--preset", "calls", "--ilert_url", ilert.URL, "-vvv")
			mps := connect(t, broker.HostPort(), "mps")
			truth := map[string]bool{}
			fail := func(guid string) {
				t.Helper()
				mps.Publish("mps/events", fmt.Appendf(nil, `{"type":"fail","message":"x","methods":["AMT_PowerState"],"guid":%q,"timestamp":%d}`, guid, time.Now().UnixMilli()))
				truth[guid+"/AMT_PowerState"] = true
			}
			awaitTruth := func() {
				t.Helper()
				require.EventuallyWithT(t, func(c *assert.CollectT) { assert.Empty(c, ilert.Differences(truth)) }, patience, 20*time.Millisecond)
			}
			require.EventuallyWithT(t, func(c *assert.CollectT) { assert.Contains(c, consumer.Output(), "msg=subscribed") }, patience, 20*time.Millisecond)
			fail("4c4c4544-004b-4210-8033-b6c04f504633")
			awaitTruth()

			o := startOracle(t, broker, publisher.Config{Topic: "mps/numbered", Address: address, CAFile: gateway.caFile})
			o.Publish(1000)
			o.Flush()
			gateway.nginx.Kill()
			o.AwaitLost(1)
			o.Publish(100)
			fail("4c4c4544-005a-3510-8058-c4c04f435332")
			gateway.Start()
			assert.Zero(t, o.Check().Dropped)
			awaitTruth()
			consumer.Interrupt()
			assert.NotContains(t, consumer.Output()+o.log.String(), gatewayKey)
		})
	}
}

func TestAGatewayThatRefusesIsNamed(t *testing.T) {
	t.Parallel()
	gateway := startGateway(t, startMosquitto(t))
	log := new(output)
	pub, err := publisher.New(publisher.Config{
		Address: gateway.Address("/mosquitto", "canary-that-is-wrong"), CAFile: gateway.caFile, Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = pub.Shutdown(context.Background()) }) // nothing waits
	require.EventuallyWithT(t, func(c *assert.CollectT) { assert.Contains(c, log.String(), "401 Unauthorized") }, patience, 20*time.Millisecond)
	assert.NotContains(t, log.String(), "canary")
}
