package webguard_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/webguard"
)

func TestRequestsOfForeignPagesAreRefused(t *testing.T) {
	passed := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	server := httptest.NewServer(webguard.New("Lab1", "", "mps-sim.example.").Handler(passed))
	defer server.Close()
	const ok, no = http.StatusNoContent, http.StatusForbidden
	for _, c := range []struct {
		method, path, host string
		headers            string // name: value, one a line
		want               int
	}{
		{"GET", "/api", "", "", ok},
		{"POST", "/api", "", "", ok},
		{"GET", "/api", "localhost:3000", "", ok},
		{"GET", "/api", "LOCALHOST.", "", ok},
		{"GET", "/api", "mps.localhost", "", ok},
		{"GET", "/api", "[::1]:3000", "", ok},
		{"GET", "/api", "[::1]", "", ok},
		{"GET", "/api", "192.168.1.5:3000", "", ok},
		{"GET", "/api", "lab1:3000", "", ok},
		{"GET", "/api", "mps-sim.EXAMPLE", "", ok},

		{"GET", "/", "evil.example", "", no},
		{"GET", "/api", "evil.example:3000", "", no},
		{"POST", "/api", "localhost.evil.example", "", no},
		{"GET", "/api", "lab1.evil.example", "", no},
		{"GET", "/api", "evillocalhost", "", no},
		{"GET", "/api", "127.0.0.1.evil.example", "", no},
		{"GET", "/api", "0.0.0.0:3000", "", no},
		{"GET", "/api", "[::]:3000", "", no},
		{"GET", "/api", "[::ffff:127.0.0.1]:3000", "", no},

		{"GET", "/api", "", "Sec-Fetch-Site: same-origin", ok},
		{"POST", "/api", "", "Sec-Fetch-Site: same-origin", ok},
		{"GET", "/api", "", "Sec-Fetch-Site: none", ok}, // typed by a person
		{"POST", "/api", "lab1:3000", "Origin: http://lab1:3000", ok},
		{"GET", "/", "", "Sec-Fetch-Site: cross-site", ok}, // a link

		{"GET", "/api", "", "Sec-Fetch-Site: cross-site", no}, // <img>
		{"GET", "/api", "", "Sec-Fetch-Site: same-site", no},  // another port
		{"POST", "/api", "", "Sec-Fetch-Site: cross-site", no},
		{"POST", "/api", "lab1:3000", "Origin: http://evil.example", no},
		{"POST", "/api", "lab1:3000", "Origin: http://lab1:8080", no},
		{"POST", "/api", "lab1:3000", "Origin: null", no},
		{"OPTIONS", "/api", "lab1:3000", "Origin: http://evil.example", no},
		{"DELETE", "/api", "", "Sec-Fetch-Site: cross-site", no},
	} {
		request, err := http.NewRequest(c.method, server.URL+c.path, nil)
		require.NoError(t, err)
		request.Host = c.host
		if name, value, found := strings.Cut(c.headers, ": "); found {
			request.Header.Set(name, value)
		}
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		assert.Equal(t, c.want, response.StatusCode, "%+v", c)
		if c.want == ok {
			assert.Equal(t, "frame-ancestors 'none'", response.Header.Get("Content-Security-Policy"))
		} else {
			assert.Contains(t, string(body), "mps-sim")
		}
	}
}

func TestAWebSocketIsForPagesOfItsHost(t *testing.T) {
	guard := webguard.New("lab1")
	for _, c := range []struct {
		host, origin string
		ok           bool
	}{
		{"127.0.0.1:9001", "", true}, // no browser
		{"127.0.0.1:9001", "http://127.0.0.1:3000", true},
		{"127.0.0.1:9001", "http://localhost:3000", true},
		{"[::1]:9001", "http://127.0.0.1:3000", true},
		{"192.168.1.5:9001", "http://192.168.1.5:3000", true},
		{"lab1:9001", "https://LAB1", true},
		{"127.0.0.1:9001", "http://lab1:3000", true},
		{"127.0.0.1:9001", "http://evil.example", false},
		{"127.0.0.1:9001", "http://evil.example:9001", false},
		{"127.0.0.1:9001", "http://198.51.100.1", false},
		{"192.168.1.5:9001", "http://localhost:3000", false},
		{"127.0.0.1:9001", "null", false},
		{"127.0.0.1:9001", "file://", false},
		{"127.0.0.1:9001", "http://127.0.0.1@evil.example", false},
		{"127.0.0.1:9001", "%", false},
	} {
		request := httptest.NewRequest(http.MethodGet, "/mqtt", nil)
		request.Host = c.host
		if c.origin != "" {
			request.Header.Set("Origin", c.origin)
		}
		err := guard.CheckOrigin(request)
		assert.Equal(t, c.ok, err == nil, "%+v", c)
		if err != nil {
			assert.ErrorContains(t, err, "--allowed-hosts")
		}
	}
}
