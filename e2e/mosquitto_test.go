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
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/testcontainers/testcontainers-go"
)

// patience bounds every wait for something that must happen; nothing waits as long when all is well.
const patience = 30 * time.Second

// A mosquitto is a broker with the configuration that compose.yaml gives it. Over Stop, Kill and Start
// it keeps its port and what it has saved.
type mosquitto struct {
	t    *testing.T
	id   string
	port int
}

// startMosquitto returns a broker that answers, and removes it with the test.
func startMosquitto(t *testing.T) *mosquitto {
	t.Helper()
	ctx := t.Context()
	m := &mosquitto{t: t, port: freePort(t)}
	c, err := testcontainers.Run(ctx, cmp.Or(os.Getenv("MOSQUITTO_IMAGE"), "eclipse-mosquitto:2"),
		testcontainers.WithExposedPorts("8883/tcp"),
		testcontainers.WithHostConfigModifier(func(h *container.HostConfig) {
			// Docker would give another random port at each start.
			h.PortBindings = network.PortMap{network.MustParsePort("8883/tcp"): {{
				HostIP:   netip.MustParseAddr("127.0.0.1"),
				HostPort: strconv.Itoa(m.port),
			}}}
		}),
		testcontainers.WithFiles(testcontainers.ContainerFile{
			HostFilePath:      "../mosquitto/mosquitto.conf",
			ContainerFilePath: "/mosquitto/config/mosquitto.conf",
			FileMode:          0o644,
		}),
	)
	testcontainers.CleanupContainer(t, c)
	require.NoError(t, err)
	m.id = c.GetContainerID()
	m.awaitAnswer()
	return m
}

// Port is the broker's port on 127.0.0.1.
func (m *mosquitto) Port() string { return strconv.Itoa(m.port) }

// HostPort is the broker's address for [net.Dial].
func (m *mosquitto) HostPort() string { return net.JoinHostPort("127.0.0.1", m.Port()) }

// Address is the broker's address as MPS_MQTT_ADDRESS takes it.
func (m *mosquitto) Address() string { return "mqtt://" + m.HostPort() }

// Stop lets the broker save its sessions and exit.
func (m *mosquitto) Stop() {
	m.t.Helper()
	_, err := docker.ContainerStop(m.t.Context(), m.id, client.ContainerStopOptions{})
	require.NoError(m.t, err)
}

// Kill takes the broker away as a power cut does: it forgets what it has not saved.
func (m *mosquitto) Kill() {
	m.t.Helper()
	_, err := docker.ContainerKill(m.t.Context(), m.id, client.ContainerKillOptions{Signal: "SIGKILL"})
	require.NoError(m.t, err)
}

// Start brings a stopped or killed broker back, and returns when it answers.
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

// awaitAnswer speaks MQTT, because Docker accepts connections before the broker does.
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

// freePort finds a port that nobody listens on. It lies below those that systems hand out by
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
