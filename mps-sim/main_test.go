package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/internal/ilertsim"
)

// TestMain runs the command instead of the tests if a test has started this binary for that.
func TestMain(m *testing.M) {
	if os.Getenv("TEST_AS_COMMAND") != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// noEnv returns an empty value for every environment variable.
func noEnv(string) string { return "" }

// running is a running mps-sim with the addresses that it has printed.
type running struct {
	t                     *testing.T
	page, mqtt, webSocket string
	stop                  func()
	expectLog             func(text string) // lines with it are no failure
}

// start runs the command on free ports until the test ends or stop is called.
func start(t *testing.T, env func(string) string, args ...string) running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	reader, stdout := io.Pipe()
	var stderr bytes.Buffer
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, append([]string{"--http=127.0.0.1:0", "--mqtt=127.0.0.1:0", "--mqtt-ws=127.0.0.1:0"}, args...), env, stdout, &stderr)
		_ = stdout.Close()
	}()
	var expected string
	stop := sync.OnceFunc(func() {
		cancel()
		assert.NoError(t, <-done)
		for line := range strings.Lines(stderr.String()) {
			assert.True(t, expected != "" && strings.Contains(line, expected), "the simulator logs %s", line)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	t.Cleanup(stop)
	printed, err := io.ReadAll(untilLast{reader})
	require.NoError(t, err)
	page := regexp.MustCompile(`(?m)^Page: +(http://\S+)$`).FindSubmatch(printed)
	require.NotNil(t, page, "%s", printed)
	r := running{t: t, page: string(page[1]), stop: stop, expectLog: func(text string) { expected = text }}
	r.webSocket = regexp.MustCompile(`ws://\S+`).FindString(string(printed))
	if mqtt := regexp.MustCompile(`(?m)^MQTT broker: +mqtt://([^,\n]+)`).FindSubmatch(printed); mqtt != nil {
		r.mqtt = string(mqtt[1])
		addr, _, _ := strings.Cut(r.mqtt, " ")
		_, port, err := net.SplitHostPort(addr)
		require.NoError(t, err)
		assert.NotContains(t, string(printed), "s3cret")
		assert.Contains(t, string(printed), "MQTT Explorer:  protocol mqtt://, host 127.0.0.1, port "+port)
	}
	return r
}

// untilLast is a Reader that ends after the last line of the greeting.
type untilLast struct{ io.Reader }

func (u untilLast) Read(p []byte) (int, error) {
	n, err := u.Reader.Read(p)
	if bytes.Contains(p[:n], []byte("Ctrl-C")) {
		return n, io.EOF
	}
	return n, err
}

func (r running) call(method, path, body string) (status int, answer string) {
	r.t.Helper()
	request, err := http.NewRequest(method, r.page+path, strings.NewReader(body))
	require.NoError(r.t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(r.t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(r.t, err)
	return response.StatusCode, string(content)
}

type device struct {
	GUID             string
	Hostname         string
	ConnectionStatus *bool
}

func (r running) devices() []device {
	r.t.Helper()
	status, answer := r.call("GET", "/api/v1/devices", "")
	require.Equal(r.t, http.StatusOK, status)
	var devices []device
	require.NoError(r.t, json.Unmarshal([]byte(answer), &devices))
	return devices
}

func (r running) alerts() []pageAlert {
	r.t.Helper()
	_, answer := r.call("GET", "/sim/alerts", "")
	require.True(r.t, strings.HasPrefix(answer, "["), answer)
	var alerts []pageAlert
	require.NoError(r.t, json.Unmarshal([]byte(answer), &alerts))
	return alerts
}

func TestACallIsSeenAtTheBroker(t *testing.T) {
	r := start(t, noEnv, "--rate=0")
	messages := brokertest.Subscribe(t, r.mqtt, "mps/events")
	guid := r.devices()[0].GUID
	status, answer := r.call("GET", "/api/v1/amt/power/state/"+guid, "")
	assert.Equal(t, http.StatusOK, status)
	assert.Regexp(t, `^{"OSPowerSavingState":2,"powerstate":[28]}$`, answer)
	for _, want := range []string{
		`{"type":"request","message":"Devices requested","methods":["getAllDevices"],"timestamp":`,
		`{"type":"success","message":"Devices received","methods":["getAllDevices"],"timestamp":`,
		`{"type":"request","message":"Power State requested","methods":["AMT_PowerState"],"guid":"` + guid + `","timestamp":`,
		`{"type":"success","message":"Power State received","methods":["AMT_PowerState"],"guid":"` + guid + `","timestamp":`,
	} {
		assert.Regexp(t, "^"+regexp.QuoteMeta(want)+`\d{13}}$`, string(brokertest.Receive(t, messages).Payload))
	}
}

func TestTheButtonsOfADevice(t *testing.T) {
	r := start(t, noEnv, "--rate=0", "--devices=3")
	devices := r.devices()
	require.Len(t, devices, 3)
	guid := devices[0].GUID
	const notFound = `{"error":"Device not found/connected. Please connect again using CIRA.","errorDescription":"guid : `
	for _, c := range []struct {
		method, path, body string
		status             int
		answer             string
	}{
		{"GET", "/api/heartbeats/il1hbt1", "", 202, ``},
		{"HEAD", "/api/pings/1", "", 202, ``},
		{"GET", "/api/v1/devices/stats", "", 200, `{"connectedCount":3,"disconnectedCount":0,"totalCount":3}`},
		{"GET", "/api/v1/amt/power/state/nobody", "", 404, notFound + `nobody"}`},
		{"POST", "/sim/devices/" + guid + "/disconnect", "", 204, ``},
		{"GET", "/api/v1/amt/power/state/" + guid, "", 404, notFound + guid + `"}`},
		{"POST", "/sim/devices/" + guid + "/connect", "", 204, ``},
		{"POST", "/sim/devices/" + guid + "/trouble", "", 204, ``},
		{"GET", "/api/v1/amt/power/state/" + guid, "", 500, `{"error":"Internal Server Error","errorDescription":"AMT of the device does not answer"}`},
		{"POST", "/sim/devices/" + guid + "/recover", "", 204, ``},
		{"DELETE", "/api/v1/amt/deactivate/" + guid, "", 200, `{"status":"SUCCESS"}`},
		{"DELETE", "/api/v1/amt/deactivate/" + guid, "", 404, notFound + guid + `"}`},
		{"GET", "/api/v1/devices/stats", "", 200, `{"connectedCount":2,"disconnectedCount":0,"totalCount":2}`},
		{"POST", "/sim/devices/nobody/trouble", "", 404, `{"error":"no device has the guid \"nobody\""}`},
		{"POST", "/sim/devices/" + guid + "/explode", "", 404, `{"error":"\"explode\": want trouble, recover, disconnect or connect"}`},
		{"POST", "/sim/scenarios/explode", "", 404, `{"error":"no scenario is called \"explode\""}`},
	} {
		status, answer := r.call(c.method, c.path, c.body)
		assert.Equal(t, c.status, status, "%s %s", c.method, c.path)
		assert.Equal(t, c.answer, answer, "%s %s", c.method, c.path)
	}
}

func TestADeviceThatDoesNotObeyIsAnAlertUntilItDoes(t *testing.T) {
	r := start(t, noEnv, "--rate=0")
	assert.Empty(t, r.alerts())
	guid := r.devices()[0].GUID
	off := func(want int) {
		status, _ := r.call("POST", "/api/v1/amt/power/action/"+guid, `{"action":8}`)
		assert.Equal(t, want, status)
	}
	r.call("POST", "/sim/devices/"+guid+"/trouble", "")
	off(http.StatusInternalServerError)
	is := func(status ilertsim.Status) func() bool {
		return func() bool {
			all := r.alerts()
			return len(all) == 1 && all[0].AlertKey == "power/"+guid && all[0].Status == status
		}
	}
	require.Eventually(t, is(ilertsim.Pending), brokertest.Wait, 5*time.Millisecond)
	r.call("POST", "/sim/devices/"+guid+"/recover", "")
	off(http.StatusOK)
	require.Eventually(t, is(ilertsim.Resolved), brokertest.Wait, 5*time.Millisecond)
	assert.Equal(t, 2, r.alerts()[0].Events)
	assert.Equal(t, "the device has obeyed", r.alerts()[0].EndedBy)
}

func TestPeopleActAtTheStandInForIlert(t *testing.T) {
	r := start(t, noEnv, "--rate=0")
	event := func(eventType, key string) {
		status, answer := r.call("POST", "/api/events", fmt.Sprintf(`{"integrationKey":"mine","eventType":%q,"summary":"s","alertKey":%q}`, eventType, key))
		assert.Equal(t, http.StatusAccepted, status, answer)
	}
	press := func(path string, want int) {
		status, answer := r.call("POST", path, "")
		assert.Equal(t, want, status, answer)
	}
	event("ALERT", "a")
	press("/sim/alerts/1/accept", http.StatusNoContent)
	assert.Equal(t, ilertsim.Accepted, r.alerts()[0].Status)
	press("/sim/alerts/1/resolve", http.StatusNoContent)
	assert.Equal(t, "closed by you", r.alerts()[0].EndedBy)
	press("/sim/alerts/1/resolve", http.StatusNotFound)
	press("/sim/alerts/1/delete", http.StatusNotFound)
	press("/sim/alerts/x/accept", http.StatusNotFound)
	press("/sim/ilert/maintenance", http.StatusNoContent)
	assert.Equal(t, ilertMaintenance, r.numbers().Ilert)
	event("ALERT", "a")
	assert.Len(t, r.alerts(), 1)
	press("/sim/ilert/working", http.StatusNoContent)
	press("/sim/ilert/broken", http.StatusNotFound)
	event("ALERT", "a")
	assert.Len(t, r.alerts(), 2)

	status, answer := r.ask("GET", "/api/alerts?states=PENDING", map[string]string{"Authorization": "Bearer " + standInKey})
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, answer, `"id":2,"alertKey":"a"`)
	status, _ = r.ask("GET", "/api/alert-sources", nil)
	assert.Equal(t, http.StatusUnauthorized, status)
}

func (r running) numbers() (n numbers) {
	r.t.Helper()
	_, answer := r.call("GET", "/sim/numbers", "")
	require.NoError(r.t, json.Unmarshal([]byte(answer), &n), answer)
	return n
}

// On ordinary days people come and go, laptops are deactivated and activated again or replaced, and now and
// then the AMT of a device is in trouble. No alert follows, however fast the days pass.
func TestOrdinaryDaysPageNobody(t *testing.T) {
	for _, flags := range [][]string{
		{"--rate=400", "--speed=600"},
		{"--rate=400", "--speed=6000"},
		{"--rate=400", "--speed=100000"},
		{"--rate=1000", "--speed=6000", "--devices=1000"},
	} {
		t.Run(strings.Join(flags, ""), func(t *testing.T) {
			t.Parallel()
			r := start(t, noEnv, flags...)
			activations := brokertest.Subscribe(t, r.mqtt, "rps/events")
			var n numbers
			require.Eventually(t, func() bool { n = r.numbers(); return n.Calls > 4000 && n.Bridge > 0 }, 2*brokertest.Wait, 10*time.Millisecond)
			assert.Contains(t, string(brokertest.Receive(t, activations).Payload), "Device activated in admin control mode")
			assert.Zero(t, n.Pages)
			assert.Empty(t, r.alerts())
			assert.Equal(t, n.Accepted, n.Acknowledged+n.Waiting+n.Dropped)
			assert.Zero(t, n.NotUnderstood)
		})
	}
}

func TestTheLowestRateIsNoFlood(t *testing.T) {
	r := start(t, noEnv, "--rate=1e-10") // a call in 317 years
	messages := brokertest.Subscribe(t, r.mqtt, "mps/events")
	r.devices()
	for _, want := range []string{"Devices requested", "Devices received"} {
		assert.Contains(t, string(brokertest.Receive(t, messages).Payload), want)
	}
}

func TestListenersOnAllInterfacesArePrintedAsLoopback(t *testing.T) {
	r := start(t, noEnv, "--rate=0", "--http=0.0.0.0:0", "--mqtt=0.0.0.0:0", "--mqtt-ws=0.0.0.0:0")
	assert.Contains(t, r.mqtt, "127.0.0.1:")
	assert.Contains(t, r.page, "127.0.0.1:")
}

// feed opens the feed of the page until the test ends, and returns a function that reads the next
// message.
func (r running) feed() func() feedMessage {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 2*brokertest.Wait)
	r.t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.page+"/sim/feed", nil)
	require.NoError(r.t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(r.t, err)
	r.t.Cleanup(func() { _ = response.Body.Close() })
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 8<<20)
	return func() (n feedMessage) {
		r.t.Helper()
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				require.NoError(r.t, json.Unmarshal([]byte(data), &n), data)
				return n
			}
		}
		require.NoError(r.t, lines.Err())
		require.Fail(r.t, "the feed has ended")
		return n
	}
}

func TestThePageGetsTheEventsAtTheBroker(t *testing.T) {
	r := start(t, noEnv, "--rate=0")
	for path, want := range map[string]string{
		"/": "<title>mps-sim", "/style.css": ":root", "/main.js": "EventSource", "/openapi.json": `"/api/v1/devices"`,
		"/sim/numbers": `"accepted":0`, "/sim/scenarios": `"broker"`,
	} {
		status, answer := r.call("GET", path, "")
		assert.Equal(t, http.StatusOK, status, path)
		assert.Contains(t, answer, want)
	}
	next := r.feed()
	first := next()
	require.NotNil(t, first.About)
	assert.Len(t, first.Devices, 60)
	assert.Equal(t, []string{"mps-hamburg", "mps-lyon", "mps-austin"}, first.About.Servers)
	guid := r.devices()[0].GUID
	r.call("POST", "/api/v1/amt/power/action/"+guid, `{"action":8}`)
	r.call("POST", "/sim/devices/"+guid+"/trouble", "")
	var events []string
	var changed int
	for len(events) < 4 || changed == 0 {
		n := next()
		assert.Nil(t, n.About)
		changed += len(n.Devices)
		for _, e := range n.Events {
			events = append(events, fmt.Sprint(e[2], " ", e[3]))
		}
	}
	assert.Equal(t, []string{"request Devices requested", "success Devices received", "request Power Action requested", "success Power Action requested"}, events)
}

func TestWithABrokerOfItsOwnNoneIsEmbedded(t *testing.T) {
	addr := brokertest.Start(t, "").Addr()
	messages := brokertest.Subscribe(t, addr, "other/request")
	env := func(name string) string {
		return map[string]string{"MPS_MQTT_ADDRESS": "mqtt://user:s3cret@" + addr, "MPS_MQTT_TOPIC": "other/{type}", "MPS_MQTT_QOS": "0"}[name]
	}
	r := start(t, env, "--rate=0")
	assert.Equal(t, addr+" (MPS_MQTT_ADDRESS)", r.mqtt)
	r.devices()
	m := brokertest.Receive(t, messages)
	assert.Equal(t, byte(0), m.QoS)
	assert.Equal(t, "mps-hamburg", m.Properties.User.Get("source"))
	assert.Equal(t, "other/+", r.feed()().About.Topic)
	require.Eventually(t, func() bool { return r.numbers().BrokerUp }, brokertest.Wait, 5*time.Millisecond)
	status, answer := r.call("POST", "/sim/scenarios/broker", "")
	assert.Equal(t, http.StatusNotFound, status)
	assert.Contains(t, answer, "not mps-sim's to stop")
}

// After the first signal the command waits a few seconds for an ilert that hangs. A second signal ends
// it at once.
func TestASecondSignalKills(t *testing.T) {
	b := brokertest.Start(t, "")
	asked := make(chan struct{}, 1)
	ilert := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		asked <- struct{}{}
		<-r.Context().Done() // until the client closes the connection
	}))
	defer ilert.Close()
	command := exec.Command(os.Args[0], "--http=127.0.0.1:0", "--rate=0", "--ilert="+ilert.URL)
	command.Env = []string{"TEST_AS_COMMAND=1", "MPS_MQTT_ADDRESS=mqtt://" + b.Addr(), "ILERT_INTEGRATION_KEY=k", "TMPDIR=" + t.TempDir()}
	stdout, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	defer command.Process.Kill() //nolint:errcheck // it has ended
	_, err = io.ReadAll(untilLast{stdout})
	require.NoError(t, err)
	failed := `{"type":"fail","message":"no","methods":["AMT_PowerAction"],"guid":"123","timestamp":1}`
	_, err = brokertest.Connect(t, b.Addr(), nil).Publish(t.Context(), &paho.Publish{Topic: "mps/events", QoS: 1, Payload: []byte(failed)})
	require.NoError(t, err)
	<-asked

	done := make(chan error, 1)
	go func() { done <- command.Wait() }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			assert.EqualError(t, err, "signal: terminated")
			return
		case <-tick.C:
			_ = command.Process.Signal(syscall.SIGTERM) // it may have ended just now
		}
	}
}
