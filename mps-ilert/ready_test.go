package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
)

// isProbe reports whether a request only asks whether ilert is there.
func isProbe(r *http.Request) bool { return r.Method == http.MethodHead && r.URL.Path == "/" }

// begun runs the daemon until the test ends, and returns when it is subscribed.
func begun(t *testing.T, args ...string) (base string, log *buffer) {
	t.Helper()
	base, log = listening(t, args...)
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "msg=subscribed") }, brokertest.Wait, time.Millisecond)
	return base, log
}

// listening runs the daemon until the test ends, and returns when it listens for HTTP.
func listening(t *testing.T, args ...string) (base string, log *buffer) {
	t.Helper()
	log = &buffer{}
	done := make(chan error, 1)
	ctx := t.Context() // ends before what is cleaned up
	go func() {
		all := append([]string{"daemon", "--http", "127.0.0.1:0", "-f", filepath.Join(t.TempDir(), "x.db")}, args...)
		done <- run(ctx, all, environment("ILERT_INTEGRATION_KEY", secret), io.Discard, log)
	}()
	t.Cleanup(func() { assert.NoError(t, <-done) })
	address := regexp.MustCompile(`msg="listening for HTTP" address=(\S+)\n`)
	require.Eventually(t, func() bool {
		found := address.FindStringSubmatch(log.String())
		if found != nil {
			base = "http://" + found[1]
		}
		return found != nil
	}, brokertest.Wait, time.Millisecond)
	return base, log
}

// answers waits for an answer of /ready that holds a text, and returns it.
func answers(t *testing.T, base, text string) string {
	t.Helper()
	var body string
	require.Eventually(t, func() bool {
		_, body = get(t, base+"/ready")
		return strings.Contains(body, text)
	}, brokertest.Wait, 5*time.Millisecond, "%s", &body)
	return body
}

const inside = "db7.internal.example" // a name that only those inside may know

// /ready asks for no token, so it answers only with the kind of the fault. ilert's answer is in the log,
// and nowhere else.
func TestReadyAndStatusDoNotQuoteIlert(t *testing.T) {
	for status, want := range map[int]string{
		401: `{"error":"ilert: ilert answered 401 Unauthorized: check ILERT_INTEGRATION_KEY, or the key that the rule or the message names instead"}`,
		403: `{"error":"ilert: ilert answered 403 Forbidden: check ILERT_INTEGRATION_KEY, or the key that the rule or the message names instead"}`,
		402: `{"error":"ilert: ilert answered 402 Payment Required: check the plan of the ilert account"}`,
		404: `{"error":"ilert: ilert answered 404 Not Found: check --ilert_url and ILERT_INTEGRATION_KEY, or the key that the rule or the message names instead"}`,
		308: `{"error":"ilert: ilert answered 308 Permanent Redirect: check --ilert_url"}`,
		503: `{"error":"ilert: ilert answered 503 Service Unavailable"}`,
	} {
		ilert := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if isProbe(r) {
				return
			}
			w.Header().Set("Location", "http://"+inside)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "asked "+inside)
		}))
		b := brokertest.Start(t, "")
		base, log := begun(t, "-m", "127.0.0.1", "-q", port(t, b.Addr()), "--preset", "calls", "--ilert_url", ilert.URL)
		fail(t, b.Addr())
		assert.Equal(t, want, answers(t, base, "ilert answered"))
		for _, path := range []string{"/ready", "/status", "/metrics"} {
			_, body := get(t, base+path)
			assert.NotContains(t, body, inside, path)
		}
		_, shown := get(t, base+"/status")
		assert.Contains(t, shown, http.StatusText(status))
		assert.Contains(t, log.String(), inside, "who operates it can read why")
		ilert.Close()
	}
}

func TestAnIlertThatCannotBeReachedIsSaidAtTheStart(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	b := brokertest.Start(t, "")
	base, log := begun(t, "-m", "127.0.0.1", "-q", port(t, b.Addr()), "--ilert_url", "http://"+address)
	assert.Equal(t, `{"error":"ilert: ilert does not answer"}`, answers(t, base, "ilert does not answer"))
	assert.Regexp(t, `level=WARN msg="ilert cannot be reached" address=http://`+address+` error=".*connection refused" mend="check --ilert_url, and the way there: DNS, firewall, HTTPS_PROXY"`, log.String())

	listener, err = net.Listen("tcp", address)
	require.NoError(t, err)
	var asked atomic.Int32
	ilert := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.True(t, isProbe(r), "nothing is raised")
		asked.Add(1)
		http.NotFound(w, r) // any answer will do
	}))
	ilert.Listener = listener
	ilert.Start()
	t.Cleanup(ilert.Close)
	require.Eventually(t, func() bool { return status(t, base+"/ready") == http.StatusNoContent }, brokertest.Wait, 5*time.Millisecond)
	assert.Contains(t, log.String(), `msg="ilert is there; whether it takes the integration key shows only with an event" address=http://`+address)
	assert.EqualValues(t, 1, asked.Load(), "once")
}

func TestReadyNamesNoBroker(t *testing.T) {
	ilert, _ := ilertStandIn(t)
	b, err := broker.Start("127.0.0.1:0", "")
	require.NoError(t, err)
	base, _ := begun(t, "-m", "127.0.0.1", "-q", port(t, b.Addr()), "--ilert_url", ilert)
	require.Eventually(t, func() bool { return status(t, base+"/ready") == http.StatusNoContent }, brokertest.Wait, 5*time.Millisecond)
	require.NoError(t, b.Close())
	assert.Equal(t, `{"error":"subscription: cannot connect to the broker"}`, answers(t, base, "cannot connect"))
}

func TestAKeyThatIsNoneIsAMistake(t *testing.T) {
	for _, key := range []string{secret + " ", `"` + secret + `"`, secret + "\r\n", "Bearer " + secret} {
		err := run(t.Context(), []string{"daemon", "-m", "h"}, environment("ILERT_INTEGRATION_KEY", key), io.Discard, io.Discard)
		require.ErrorContains(t, err, "ILERT_INTEGRATION_KEY: a key holds no blanks, line breaks or quotes")
		assert.NotContains(t, err.Error(), secret)
		assert.Equal(t, 2, exitCode(err))
	}
}

func port(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	return port
}
