package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker/brokertest"
)

// ask sends a request with headers, which may include Host, and returns the answer.
func (r running) ask(method, path string, headers map[string]string) (status int, answer string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), brokertest.Wait) // a stream would not end
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, r.page+path, strings.NewReader(`{"action":10}`))
	require.NoError(r.t, err)
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	request.Host = request.Header.Get("Host")
	response, err := http.DefaultClient.Do(request)
	require.NoError(r.t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(r.t, err)
	return response.StatusCode, string(content)
}

func TestWebPagesOfOthersReachNothing(t *testing.T) {
	r := start(t, noEnv, "--rate=0", "--allowed-hosts=mps-sim,Lab1.example.com")
	messages := brokertest.Subscribe(t, r.mqtt, "mps/events")
	guid := r.devices()[0].GUID
	power := "/api/v1/amt/power/state/" + guid
	for range 2 {
		assert.Contains(t, string(brokertest.Receive(t, messages).Payload), "getAllDevices")
	}
	for name, headers := range map[string]map[string]string{
		"DNS rebinding":       {"Host": "evil.example:3000", "Sec-Fetch-Site": "same-origin", "Origin": "http://evil.example:3000"},
		"a page elsewhere":    {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
		"an image":            {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
		"a link":              {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
		"a page at a port":    {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:8080"},
		"an old browser":      {"Origin": "http://evil.example"},
		"a page in a sandbox": {"Origin": "null"},
		"an address for any":  {"Host": "0.0.0.0:3000"},
	} {
		for _, call := range []string{
			"GET " + power, "GET /sim/numbers", "GET /sim/feed", "POST /sim/scenarios/site", "GET /sim/alerts", "POST /sim/devices/" + guid + "/disconnect",
			"POST /api/v1/amt/power/action/" + guid, "DELETE /api/v1/amt/deactivate/" + guid,
			"POST /api/events", "POST /api/v1/mqtt/key", "GET /api/heartbeats/key", "GET /api/alerts", "POST /sim/alerts/1/resolve", "POST /sim/ilert/down",
		} {
			method, path, _ := strings.Cut(call, " ")
			status, answer := r.ask(method, path, headers)
			assert.Equal(t, http.StatusForbidden, status, "%s: %s", name, call)
			assert.Contains(t, answer, "mps-sim", "the answer says who refuses")
		}
	}
	status, answer := r.ask("GET", "/", map[string]string{"Host": "lab2"})
	assert.Equal(t, http.StatusForbidden, status)
	assert.Contains(t, answer, "--allowed-hosts")

	machine, err := os.Hostname()
	require.NoError(t, err)
	for name, headers := range map[string]map[string]string{
		"curl":          {},
		"the page":      {"Sec-Fetch-Site": "same-origin"},
		"typed":         {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"},
		"localhost":     {"Host": "localhost:3000"},
		"an address":    {"Host": "192.168.1.5:3000"},
		"compose":       {"Host": "mps-sim:3000"},
		"a name":        {"Host": "lab1.example.com", "Origin": "http://lab1.example.com"},
		"the machine's": {"Host": machine + ":3000"},
	} {
		status, _ := r.ask("GET", power, headers)
		assert.Equal(t, http.StatusOK, status, name)
		status, _ = r.ask("POST", "/api/v1/amt/power/action/"+guid, headers)
		assert.Equal(t, http.StatusOK, status, name)
		for range 4 { // the refused calls made no events
			assert.Contains(t, string(brokertest.Receive(t, messages).Payload), guid)
		}
	}
	status, _ = r.ask("GET", "/", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"})
	assert.Equal(t, http.StatusOK, status, "other pages may link to the page")
	assert.Len(t, r.devices(), 60)
}

// A page of an allowed origin, such as Open AMT's Sample Web UI, can call the REST API and nothing else.
func TestPagesOfAllowedOriginsCallTheRESTAPI(t *testing.T) {
	const ui = "http://localhost:4200"
	r := start(t, noEnv, "--rate=0", "--allowed-origins="+ui)
	for _, c := range []struct {
		method, path, origin string
		status               int
		allowed              string
	}{
		{"OPTIONS", "/api/v1/authorize", ui, 204, ui},
		{"GET", "/api/v1/devices", ui, 200, ui},
		{"GET", "/api/v1/devices", "http://evil.example", 403, ""},
		{"OPTIONS", "/api/v1/devices", "http://evil.example", 403, ""},
		{"POST", "/sim/scenarios/site", ui, 403, ""},
		{"POST", "/api/events", ui, 403, ""},
	} {
		request, err := http.NewRequest(c.method, r.page+c.path, nil)
		require.NoError(t, err)
		request.Header.Set("Origin", c.origin)
		request.Header.Set("Sec-Fetch-Site", "cross-site")
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		_ = response.Body.Close()
		assert.Equal(t, c.status, response.StatusCode, "%v", c)
		assert.Equal(t, c.allowed, response.Header.Get("Access-Control-Allow-Origin"), "%v", c)
	}
}

func TestOnlyThePageOpensTheWebSocket(t *testing.T) {
	r := start(t, noEnv, "--rate=0", "--allowed-hosts=lab1")
	for origin, ok := range map[string]bool{"": true, r.page: true, "http://lab1:3000": true, "http://evil.example": false} {
		headers := http.Header{}
		if origin != "" {
			headers.Set("Origin", origin)
		}
		ws, _, err := websocket.DefaultDialer.Dial(r.webSocket, headers) //nolint:bodyclose // gorilla needs no Close, as its documentation says
		require.Equal(t, ok, err == nil, "%s: %v", origin, err)
		if ok {
			require.NoError(t, ws.Close())
		}
	}
}

func TestSlowClientsAreCutAndStreamsAreNot(t *testing.T) {
	r := start(t, noEnv, "--rate=0")
	page, err := url.Parse(r.page)
	require.NoError(t, err)

	next := r.feed()
	next()

	var clients sync.WaitGroup
	for _, sent := range []string{
		"", "GET / HTTP/1.1\r\nHost: localhost\r\nX-", "POST /api/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{",
	} {
		conn, err := net.Dial("tcp", page.Host)
		require.NoError(t, err)
		defer conn.Close()
		_, err = io.WriteString(conn, sent)
		require.NoError(t, err)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(brokertest.Wait)))
		clients.Go(func() {
			_, err := io.Copy(io.Discard, conn)
			assert.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the connection with %q stays open", sent)
		})
	}
	clients.Wait()

	r.devices()
	for n := next(); len(n.Events) == 0; n = next() { // the feed outlives all timeouts
	}
}

func TestNoRequestIsTooLarge(t *testing.T) {
	r := start(t, noEnv, "--rate=0")
	status, _ := r.ask("GET", "/", map[string]string{"X": strings.Repeat("x", 64<<10)})
	assert.Equal(t, http.StatusRequestHeaderFieldsTooLarge, status)
	status, _ = r.call("POST", "/api/events", strings.Repeat("x", 2<<20))
	assert.Equal(t, http.StatusRequestEntityTooLarge, status)
}

func TestSlowClientsHoldUpNoEnd(t *testing.T) {
	r := start(t, noEnv, "--rate=0")
	page, err := url.Parse(r.page)
	require.NoError(t, err)
	for _, addr := range []string{page.Host, r.mqtt} {
		for _, sent := range []string{"", "POST /api/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{"} {
			conn, err := net.Dial("tcp", addr)
			require.NoError(t, err)
			defer conn.Close()
			_, err = io.WriteString(conn, sent)
			require.NoError(t, err)
		}
	}
	r.devices() // after this the server has accepted the connections
	began := time.Now()
	r.stop() // asserts that there is no error
	assert.Less(t, time.Since(began), brokertest.Wait)
}
