package e2e

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/testcontainers/testcontainers-go"
)

// patience is the longest wait for something that must happen; in a passing test no wait is as long.
const patience = 30 * time.Second

// A mosquitto is a broker with the configuration in compose.yaml. Over Stop, Kill and Start
// it keeps its port and the data that it has saved.
type mosquitto struct {
	t         *testing.T
	container testcontainers.Container
	id        string
	port      int
	tlsPort   int // of a listener that a test may configure
	wsPort    int // of the listener for WebSockets
}

// brokerFiles holds the contents of files in the broker's configuration folder by their names.
type brokerFiles map[string]string

const brokerFolder = "/mosquitto/config/"

// startMosquitto returns a broker that answers, and removes it when the test ends. It adds lines
// to the configuration in compose.yaml.
func startMosquitto(t *testing.T, lines ...string) *mosquitto {
	t.Helper()
	return startMosquittoWith(t, nil, lines...)
}

// startMosquittoWith starts a broker like startMosquitto, with files that the lines name.
func startMosquittoWith(t *testing.T, files brokerFiles, lines ...string) *mosquitto {
	t.Helper()
	ctx := t.Context()
	config, err := os.ReadFile("../mosquitto/mosquitto.conf")
	require.NoError(t, err)
	all := []testcontainers.ContainerFile{{
		Reader:            strings.NewReader(string(config) + "\n" + strings.Join(lines, "\n") + "\n"),
		ContainerFilePath: brokerFolder + "mosquitto.conf",
		FileMode:          0o644,
	}}
	for name, content := range files {
		all = append(all, testcontainers.ContainerFile{Reader: strings.NewReader(content), ContainerFilePath: brokerFolder + name, FileMode: 0o644})
	}
	m := &mosquitto{t: t, port: freePort(t), tlsPort: freePort(t), wsPort: freePort(t)}
	m.container, err = testcontainers.Run(ctx, cmp.Or(os.Getenv("MOSQUITTO_IMAGE"), "eclipse-mosquitto:2"),
		testcontainers.WithExposedPorts("8883/tcp", "8884/tcp", "9001/tcp"),
		testcontainers.WithHostConfigModifier(func(h *container.HostConfig) {
			// By default Docker takes new random ports at each start.
			h.PortBindings = network.PortMap{
				network.MustParsePort("8883/tcp"): loopback(m.port),
				network.MustParsePort("8884/tcp"): loopback(m.tlsPort),
				network.MustParsePort("9001/tcp"): loopback(m.wsPort),
			}
		}),
		testcontainers.WithFiles(all...),
	)
	testcontainers.CleanupContainer(t, m.container)
	require.NoError(t, err)
	m.id = m.container.GetContainerID()
	m.awaitAnswer()
	return m
}

func loopback(port int) []network.PortBinding {
	return []network.PortBinding{{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: strconv.Itoa(port)}}
}

// Port returns the broker's port on 127.0.0.1.
func (m *mosquitto) Port() string { return strconv.Itoa(m.port) }

// HostPort returns the broker's address for [net.Dial].
func (m *mosquitto) HostPort() string { return net.JoinHostPort("127.0.0.1", m.Port()) }

// Address returns the broker's address for MPS_MQTT_ADDRESS.
func (m *mosquitto) Address() string { return "mqtt://" + m.HostPort() }

// TLSAddress returns the address of the container's port 8884, at which a test may configure TLS.
func (m *mosquitto) TLSAddress() string { return "mqtts://127.0.0.1:" + strconv.Itoa(m.tlsPort) }

// WebSocketHostPort returns the address at which the broker speaks MQTT by WebSocket.
func (m *mosquitto) WebSocketHostPort() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(m.wsPort))
}

// Replace replaces files; the broker reads them at its next Start.
func (m *mosquitto) Replace(files brokerFiles) {
	m.t.Helper()
	for name, content := range files {
		require.NoError(m.t, m.container.CopyToContainer(m.t.Context(), []byte(content), brokerFolder+name, 0o644))
	}
}

// Stop lets the broker save its sessions and exit.
func (m *mosquitto) Stop() {
	m.t.Helper()
	_, err := docker.ContainerStop(m.t.Context(), m.id, client.ContainerStopOptions{})
	require.NoError(m.t, err)
}

// Kill ends the broker as a power cut does: it loses the data that it has not saved.
func (m *mosquitto) Kill() {
	m.t.Helper()
	_, err := docker.ContainerKill(m.t.Context(), m.id, client.ContainerKillOptions{Signal: "SIGKILL"})
	require.NoError(m.t, err)
}

// Start starts a stopped or killed broker again, and waits until it answers.
func (m *mosquitto) Start() {
	m.t.Helper()
	_, err := docker.ContainerStart(m.t.Context(), m.id, client.ContainerStartOptions{})
	require.NoError(m.t, err)
	m.awaitAnswer()
}

// Pause freezes the broker: connections stay open and nothing answers, as behind a dead network.
func (m *mosquitto) Pause() {
	m.t.Helper()
	_, err := docker.ContainerPause(m.t.Context(), m.id, client.ContainerPauseOptions{})
	require.NoError(m.t, err)
}

// Resume ends Pause.
func (m *mosquitto) Resume() {
	m.t.Helper()
	_, err := docker.ContainerUnpause(m.t.Context(), m.id, client.ContainerUnpauseOptions{})
	require.NoError(m.t, err)
}

// CutNetwork takes the broker off its network: no packet reaches it, and no connection is closed.
func (m *mosquitto) CutNetwork() {
	m.t.Helper()
	_, err := docker.NetworkDisconnect(m.t.Context(), "bridge", client.NetworkDisconnectOptions{Container: m.id})
	require.NoError(m.t, err)
}

// MendNetwork ends CutNetwork, and waits until the broker answers.
func (m *mosquitto) MendNetwork() {
	m.t.Helper()
	_, err := docker.NetworkConnect(m.t.Context(), "bridge", client.NetworkConnectOptions{Container: m.id})
	require.NoError(m.t, err)
	m.awaitAnswer()
}

// awaitAnswer waits until the broker answers by MQTT: Docker accepts connections before the broker
// does.
func (m *mosquitto) awaitAnswer() {
	m.t.Helper()
	require.EventuallyWithT(m.t, func(c *assert.CollectT) {
		ctx, cancel := context.WithTimeout(m.t.Context(), time.Second)
		defer cancel()
		probe, err := dial(ctx, m.HostPort(), "e2e-probe", 0)
		require.NoError(c, err)
		probe.close()
	}, patience, 20*time.Millisecond)
}

// freePort returns a port that is not in use. It is below the ports that systems choose by
// themselves, so that no outgoing connection takes it while its owner is stopped.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 20000 + rand.IntN(12000)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			require.NoError(t, l.Close())
			return port
		}
	}
	require.NoError(t, errors.New("no free port"))
	return 0
}
