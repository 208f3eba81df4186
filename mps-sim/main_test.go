package main

import (
	"bytes"
	"context"
	"encoding/json"
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
	"github.com/mps-events/mps-events/mps-sim/internal/ilertsim"
)

// A test may start this binary as the command itself.
func TestMain(m *testing.M) {
	if os.Getenv("TEST_AS_COMMAND") != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// noEnv is an environment without any variable.
func noEnv(string) string { return "" }

// running is a simulator, and what it has printed.
type running struct {
	t                     *testing.T
	page, mqtt, webSocket string
	stop                  func()
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
	stop := sync.OnceFunc(func() {
		cancel()
		assert.NoError(t, <-done)
		assert.Empty(t, stderr.String(), "a quiet simulator")
		http.DefaultClient.CloseIdleConnections()
	})
	t.Cleanup(stop)
	printed, err := io.ReadAll(untilLast{reader})
	require.NoError(t, err)
	page := regexp.MustCompile(`(?m)^Page: +(http://\S+)$`).FindSubmatch(printed)
	require.NotNil(t, page, "%s", printed)
	r := running{t: t, page: string(page[1]), stop: stop}
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

// untilLast ends the reading behind the last line that is printed at the start.
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

func (r running) alerts() []ilertsim.Alert {
	r.t.Helper()
	_, answer := r.call("GET", "/sim/alerts", "")
	require.True(r.t, strings.HasPrefix(answer, "["), answer)
	var alerts []ilertsim.Alert
	require.NoError(r.t, json.Unmarshal([]byte(answer), &alerts))
	return alerts
}

func TestACallIsSeenAtTheBroker(t *testing.T) {
	r := start(t, noEnv, "--rate=0")
	messages := brokertest.Subscribe(t, r.mqtt, "mps/#")
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

func TestTheRESTAPIIsThatOfMPS(t *testing.T) {
	r := start(t, noEnv, "--rate=0", "--devices=3")
	devices := r.devices()
	require.Len(t, devices, 3)
	first := devices[0]
	assert.NotEmpty(t, first.Hostname)
	require.NotNil(t, first.ConnectionStatus)
	assert.True(t, *first.ConnectionStatus)

	const notFound = `{"error":"Device not found/connected. Please connect again using CIRA.","errorDescription":"guid : `
	for _, c := range []struct {
		method, path, body string
		status             int
		answer             string
	}{
		{"GET", "/api/heartbeats/il1hbt1", "", 202, ``},
		{"HEAD", "/api/pings/1", "", 202, ``},
		{"GET", "/api/v1/devices/stats", "", 200, `{"connectedCount":3,"disconnectedCount":0,"totalCount":3}`},
		{"POST", "/api/v1/amt/power/action/" + first.GUID, `{"action":8}`, 200, `{"Body":{"ReturnValue":0,"ReturnValueStr":"SUCCESS"}}`},
		{"GET", "/api/v1/amt/power/state/" + first.GUID, "", 200, `{"OSPowerSavingState":2,"powerstate":8}`},
		{"POST", "/api/v1/amt/power/action/" + first.GUID, `{"action":2,"useSOL":false}`, 200, `{"Body":{"ReturnValue":0,"ReturnValueStr":"SUCCESS"}}`},
		{"GET", "/api/v1/amt/power/state/" + first.GUID, "", 200, `{"OSPowerSavingState":2,"powerstate":2}`},
		{"POST", "/api/v1/amt/power/action/" + first.GUID, `{"action":77}`, 400, `{"error":"Power action type does not exist"}`},
		{"POST", "/api/v1/amt/power/action/" + first.GUID, `junk`, 400, `{"error":"Incorrect URI or Bad Request","errorDescription":"action: want a number"}`},
		{"GET", "/api/v1/amt/power/state/nobody", "", 404, notFound + `nobody"}`},
		{"POST", "/sim/devices/" + first.GUID + "/disconnect", "", 204, ``},
		{"GET", "/api/v1/amt/power/state/" + first.GUID, "", 404, notFound + first.GUID + `"}`},
		{"POST", "/sim/devices/" + first.GUID + "/connect", "", 204, ``},
		{"DELETE", "/api/v1/amt/deactivate/" + first.GUID, "", 200, `{"status":"SUCCESS"}`},
		{"DELETE", "/api/v1/amt/deactivate/" + first.GUID, "", 404, notFound + first.GUID + `"}`},
		{"GET", "/api/v1/devices/stats", "", 200, `{"connectedCount":2,"disconnectedCount":0,"totalCount":2}`},
		{"POST", "/sim/devices/nobody/trouble", "", 404, `{"error":"no device has the guid \"nobody\""}`},
		{"POST", "/sim/devices/" + devices[1].GUID + "/explode", "", 404, `{"error":"\"explode\": want trouble, recover, disconnect or connect"}`},
	} {
		status, answer := r.call(c.method, c.path, c.body)
		assert.Equal(t, c.status, status, "%s %s", c.method, c.path)
		assert.Equal(t, c.answer, answer, "%s %s", c.method, c.path)
	}
	status, answer := r.call("GET", "/api/v1/amt/version/"+devices[1].GUID, "")
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, answer, `"CIM_SoftwareIdentity"`)
}

func TestTroubleBecomesAnAlertAndRecoveryEndsIt(t *testing.T) {
	r := start(t, noEnv, "--rate=0")
	assert.Empty(t, r.alerts())
	guid := r.devices()[0].GUID
	r.call("POST", "/sim/devices/"+guid+"/trouble", "")
	status, _ := r.call("GET", "/api/v1/amt/version/"+guid, "")
	assert.Equal(t, http.StatusInternalServerError, status)
	is := func(status ilertsim.Status) func() bool {
		return func() bool {
			all := r.alerts()
			return len(all) == 1 && all[0].AlertKey == guid+"/AMT_Version" && all[0].Status == status
		}
	}
	require.Eventually(t, is(ilertsim.Pending), brokertest.Wait, 5*time.Millisecond)
	r.call("POST", "/sim/devices/"+guid+"/recover", "")
	r.call("GET", "/api/v1/amt/version/"+guid, "")
	require.Eventually(t, is(ilertsim.Resolved), brokertest.Wait, 5*time.Millisecond)
	assert.Equal(t, 2, r.alerts()[0].Events)
}

func TestTheFleetsOwnTrafficTellsTheWholeStory(t *testing.T) {
	r := start(t, noEnv, "--rate=200")
	assert.Eventually(t, func() bool {
		for _, a := range r.alerts() {
			if a.Status == ilertsim.Resolved {
				return true
			}
		}
		return false
	}, brokertest.Wait, 10*time.Millisecond)
}

func TestTheLowestRateIsNoFlood(t *testing.T) {
	r := start(t, noEnv, "--rate=1e-10") // a call in 317 years
	messages := brokertest.Subscribe(t, r.mqtt, "mps/#")
	r.devices()
	for _, want := range []string{"Devices requested", "Devices received"} {
		assert.Contains(t, string(brokertest.Receive(t, messages).Payload), want)
	}
}

func TestWhatListensEverywhereIsReachedOnThisMachine(t *testing.T) {
	r := start(t, noEnv, "--rate=0", "--http=0.0.0.0:0", "--mqtt=0.0.0.0:0", "--mqtt-ws=0.0.0.0:0")
	assert.Contains(t, r.mqtt, "127.0.0.1:")
	assert.Contains(t, r.page, "127.0.0.1:")
}

func TestThePageStreamsWhatIsAtTheBroker(t *testing.T) {
	r := start(t, noEnv, "--rate=0")
	for path, want := range map[string]string{"/": "<title>mps-sim</title>", "/page.css": ":root", "/page.js": "EventSource", "/sim/state": `"connected":`} {
		status, answer := r.call("GET", path, "")
		assert.Equal(t, http.StatusOK, status, path)
		assert.Contains(t, answer, want)
	}
	require.Eventually(t, func() bool {
		_, answer := r.call("GET", "/sim/state", "")
		return strings.Contains(answer, `"connected":true`)
	}, brokertest.Wait, 5*time.Millisecond)

	ctx, cancel := context.WithTimeout(t.Context(), brokertest.Wait)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.page+"/sim/events", nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	r.devices()
	buf := make([]byte, 4096)
	n, err := response.Body.Read(buf)
	require.NoError(t, err)
	assert.Contains(t, string(buf[:n]), `data: {"topic":"mps/events","payload":"{\"type\":\"request\",\"message\":\"Devices requested\"`)
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
	assert.Equal(t, "mps-sim", m.Properties.User.Get("source"))
	require.Eventually(t, func() bool {
		_, answer := r.call("GET", "/sim/state", "")
		return strings.Contains(answer, `"topic":"other/+"`) && strings.Contains(answer, `"connected":true`)
	}, brokertest.Wait, 5*time.Millisecond)
}

func TestMistakesAreNamed(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	addr := taken.Addr().String()
	free := []string{"--http=127.0.0.1:0", "--mqtt=127.0.0.1:0", "--mqtt-ws=127.0.0.1:0"}
	for want, args := range map[string][]string{
		"--http " + addr + ": listen":      {"--http=" + addr},
		"--mqtt " + addr + ": listen":      {"--mqtt=" + addr},
		"--mqtt-ws " + addr + ": listen":   {"--mqtt-ws=" + addr},
		"--devices -1: want 0 to 10000":    {"--devices=-1"},
		`--allowed-hosts "http://a": want`: {"--allowed-hosts=a,http://a"},
		`--allowed-hosts "*": want`:        {"--allowed-hosts=*"},
		"--rate NaN: want":                 {"--rate=NaN"},
		"--rate -1: want":                  {"--rate=-1"},
		`invalid argument "x" for "--seed`: {"--seed=x"},
		"unknown flag: --nonsense":         {"--nonsense"},
		`unexpected argument "extra"`:      {"extra"},
		"variable ILERT_INTEGRATION_KEY":   {"--ilert=http://127.0.0.1:1"},
		`--ilert: ilert: URL "x": want`:    {"--ilert=x"},
		"--ilert needs the consumer":       {"--ilert=http://127.0.0.1:1", "--consumer=false"},
	} {
		err := run(t.Context(), append(free, args...), noEnv, io.Discard, io.Discard)
		assert.ErrorContains(t, err, want)
	}
	bad := func(name string) string { return map[string]string{"MPS_MQTT_ADDRESS": "gopher://u:s3cret@h"}[name] }
	err = run(t.Context(), free, bad, io.Discard, io.Discard)
	require.ErrorContains(t, err, `MPS_MQTT_ADDRESS`)
	assert.NotContains(t, err.Error(), "s3cret")
}

func TestHelp(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"--help"}, noEnv, &out, io.Discard))
	for _, flag := range []string{"--http", "--mqtt ", "--mqtt-ws", "--devices", "--rate", "--seed", "--ilert ", "--consumer", "--allowed-hosts"} {
		assert.Contains(t, out.String(), flag)
	}
}

// The first signal stops the command, which waits a few seconds for an ilert that
// hangs; whoever does not want to wait sends another.
func TestASecondSignalKills(t *testing.T) {
	b := brokertest.Start(t, "")
	asked := make(chan struct{}, 1)
	ilert := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		asked <- struct{}{}
		<-r.Context().Done() // until its client is gone
	}))
	defer ilert.Close()
	command := exec.Command(os.Args[0], "--http=127.0.0.1:0", "--rate=0", "--ilert="+ilert.URL)
	command.Env = []string{"TEST_AS_COMMAND=1", "MPS_MQTT_ADDRESS=mqtt://" + b.Addr(), "ILERT_INTEGRATION_KEY=k", "TMPDIR=" + t.TempDir()}
	stdout, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	defer command.Process.Kill() //nolint:errcheck // it is gone
	_, err = io.ReadAll(untilLast{stdout})
	require.NoError(t, err)
	failed := `{"type":"fail","message":"Power State request failed","methods":["AMT_PowerState"],"guid":"123","timestamp":1}`
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
