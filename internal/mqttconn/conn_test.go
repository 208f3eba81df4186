package mqttconn_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/mps-events/mps-events/internal/broker"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/internal/mqttconn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// authority is the certificate authority of one test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, file: filepath.Join(t.TempDir(), "ca.pem")}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	var err error
	a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	require.NoError(t, err)
	a.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(a.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return a
}

// issue writes the certificate and the key of name to files, until notAfter.
func (a *authority) issue(name, certFile, keyFile string, notAfter time.Time) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotAfter: notAfter,
		NotBefore: notAfter.Add(-24 * time.Hour),
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	require.NoError(a.t, err)
	keyDER, err := x509.MarshalECPrivateKey(key)
	require.NoError(a.t, err)
	require.NoError(a.t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(a.t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}), 0o600))
}

func (a *authority) pair(name string, notAfter time.Time) (certFile, keyFile string) {
	a.t.Helper()
	dir := a.t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	a.issue(name, certFile, keyFile, notAfter)
	return certFile, keyFile
}

// secureBroker starts a broker that speaks TLS and, if clients is set, requires a
// certificate of that authority.
func secureBroker(t *testing.T, server tls.Certificate, clients *authority, webSocket bool) (addr string, peers <-chan string) {
	t.Helper()
	seen := make(chan string, 100)
	config := &tls.Config{Certificates: []tls.Certificate{server}, MinVersion: tls.VersionTLS12}
	if clients != nil {
		config.ClientCAs = x509.NewCertPool()
		config.ClientCAs.AddCert(clients.cert)
		config.ClientAuth = tls.RequireAndVerifyClientCert
		config.VerifyConnection = func(state tls.ConnectionState) error {
			seen <- state.PeerCertificates[0].Subject.CommonName
			return nil
		}
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	require.NoError(t, err)
	plain, web := listener, net.Listener(nil)
	if webSocket {
		plain, web = nil, listener
	}
	b, err := broker.On(plain, web)
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.Close() })
	return listener.Addr().String(), seen
}

func (a *authority) server(name string, notAfter time.Time) tls.Certificate {
	a.t.Helper()
	pair, err := tls.LoadX509KeyPair(a.pair(name, notAfter))
	require.NoError(a.t, err)
	return pair
}

// lines is a log whose lines a test can wait for.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// wait waits for a line that holds all texts of want.
func (l lines) wait(t *testing.T, want ...string) {
	t.Helper()
	timeout := time.After(brokertest.Wait)
	for {
		select {
		case line := <-l:
			assert.NotContains(t, line, "s3cret")
			if !slices.ContainsFunc(want, func(part string) bool { return !strings.Contains(line, part) }) {
				return
			}
		case <-timeout:
			require.FailNow(t, "not logged", "%q", want)
		}
	}
}

func open(t *testing.T, address string, files mqttconn.TLSFiles) lines {
	t.Helper()
	servers, err := mqttconn.ParseAddress(address)
	require.NoError(t, err)
	log := make(lines, 1000)
	conn, err := mqttconn.Open(mqttconn.Config{
		Servers: servers, TLS: files, ClientID: "test", Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), brokertest.Wait)
		defer cancel()
		assert.NoError(t, conn.Close(ctx))
	})
	return log
}

const connected = "connected to the MQTT broker"

func TestTheSchemeAloneDecidesOnTLSAndTheServerIsChecked(t *testing.T) {
	ca, another := newAuthority(t), newAuthority(t)
	hour := time.Now().Add(time.Hour)
	good := ca.server("127.0.0.1", hour)
	wrongName := ca.server("elsewhere.example", hour)
	expired := ca.server("127.0.0.1", time.Now().Add(-time.Minute))
	for name, c := range map[string]struct {
		scheme string
		server tls.Certificate
		ca     string
		want   string
	}{
		"trusted":           {"mqtts", good, ca.file, connected},
		"unknown authority": {"mqtts", good, another.file, "certificate signed by unknown authority"},
		"system's roots":    {"mqtts", good, "", "certificate signed by unknown authority"},
		"another name":      {"mqtts", wrongName, ca.file, "doesn't contain any IP SANs"},
		"expired":           {"mqtts", expired, ca.file, "certificate has expired"},
	} {
		t.Run(name, func(t *testing.T) {
			addr, _ := secureBroker(t, c.server, nil, false)
			open(t, c.scheme+"://u:s3cret@"+addr, mqttconn.TLSFiles{CA: c.ca}).wait(t, c.want)
		})
	}
	t.Run("dangerously", func(t *testing.T) {
		addr, _ := secureBroker(t, wrongName, nil, false)
		open(t, "mqtts://u:s3cret@"+addr, mqttconn.TLSFiles{TrustAnyServer: true}).wait(t, connected)
	})
	t.Run("WebSocket", func(t *testing.T) {
		addr, _ := secureBroker(t, good, nil, true)
		open(t, "wss://u:s3cret@"+addr+"/mosquitto", mqttconn.TLSFiles{CA: ca.file}).wait(t, connected)
	})
	t.Run("plain where TLS is spoken", func(t *testing.T) {
		addr, _ := secureBroker(t, good, nil, false)
		open(t, "mqtt://u:s3cret@"+addr, mqttconn.TLSFiles{CA: ca.file}).wait(t, "cannot connect")
	})
}

func TestAClientCertificateIsTakenAnewFromDisk(t *testing.T) {
	ca := newAuthority(t)
	hour := time.Now().Add(time.Hour)
	addr, peers := secureBroker(t, ca.server("127.0.0.1", hour), ca, false)
	certFile, keyFile := ca.pair("old", hour)
	files := mqttconn.TLSFiles{CA: ca.file, Cert: certFile, Key: keyFile}
	open(t, "mqtts://"+addr, files).wait(t, connected)
	assert.Equal(t, "old", <-peers)
	ca.issue("new", certFile, keyFile, hour)
	open(t, "mqtts://"+addr, files).wait(t, connected) // the same client id: the first is cut and comes again too
	assert.Equal(t, "new", <-peers)
	assert.Equal(t, "new", <-peers)
}

func TestPlainWebSocket(t *testing.T) {
	b, err := broker.Start("127.0.0.1:0", "127.0.0.1:0")
	require.NoError(t, err)
	defer b.Close()
	open(t, "ws://"+b.WebSocketAddr()+"/mosquitto", mqttconn.TLSFiles{}).wait(t, connected)
}

func TestSeveralServersAreTriedInTurn(t *testing.T) {
	addr := brokertest.Start(t, "").Addr()
	open(t, "mqtt://127.0.0.1:1,mqtt://"+addr, mqttconn.TLSFiles{}).wait(t, connected)
}

func TestTwoProcessesWithOneClientIDAreNamed(t *testing.T) {
	addr := brokertest.Start(t, "").Addr()
	first := open(t, addr, mqttconn.TLSFiles{})
	first.wait(t, connected)
	open(t, addr, mqttconn.TLSFiles{}).wait(t, connected)
	first.wait(t, "taken over")
}

func TestBadFilesAreErrorsOfOpen(t *testing.T) {
	ca := newAuthority(t)
	certFile, keyFile := ca.pair("x", time.Now().Add(time.Hour))
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	for want, files := range map[string]mqttconn.TLSFiles{
		"MPS_MQTT_CA_FILE): open /nowhere":        {CA: "/nowhere"},
		"empty holds no certificate in PEM":       {CA: empty},
		"go together":                             {Cert: certFile},
		"MPS_MQTT_KEY_FILE): open /nowhere":       {Cert: "/nowhere", Key: keyFile},
		"MPS_MQTT_KEY_FILE): tls: failed to find": {Cert: certFile, Key: empty},
	} {
		_, err := mqttconn.Open(mqttconn.Config{TLS: files})
		assert.ErrorContains(t, err, want)
	}
}
