package httpapi

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/mps-events/mps-events/internal/consumer"
	"github.com/mps-events/mps-events/internal/loglimit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newTestServer(working context.Context, w Worker) *http.Server {
	return NewServer(working, w, Config{MaxConnections: 256, Metrics: NewMetrics(""), Lines: loglimit.New(slog.New(slog.DiscardHandler))})
}

func ask(t *testing.T, method, url, body string) (status int, answer string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, strings.TrimSpace(string(read))
}

func expectAnswer(t *testing.T, url string, code int, body string) {
	t.Helper()
	gotCode, gotBody := ask(t, http.MethodGet, url, "")
	assert.Equal(t, code, gotCode, url)
	assert.Equal(t, body, gotBody, url)
}

// hanging is a worker whose pings end when the test says so.
type hanging struct {
	blind
	asked chan struct{}
	done  <-chan struct{}
}

func (h hanging) Ping(context.Context, string) error {
	h.asked <- struct{}{}
	<-h.done
	return nil
}

// Each heartbeat that is passed on takes a connection to ilert.
func TestFewHeartbeatsArePassedOnAtATime(t *testing.T) {
	done := make(chan struct{})
	worker := hanging{asked: make(chan struct{}), done: done}
	server := httptest.NewServer(newTestServer(t.Context(), worker).Handler)
	defer server.Close()
	codes := make(chan int, maxPings)
	for range maxPings {
		go func() {
			response, err := http.Get(server.URL + "/api/heartbeats/k")
			if !assert.NoError(t, err) {
				codes <- 0
				return
			}
			codes <- response.StatusCode
			_ = response.Body.Close()
		}()
		<-worker.asked
	}
	expectAnswer(t, server.URL+"/api/heartbeats/k", http.StatusTooManyRequests, `{"error":"32 heartbeats are under way: try again"}`)
	close(done)
	for range maxPings {
		assert.Equal(t, http.StatusAccepted, <-codes)
	}
}

func TestReadySaysWhatIsInTheWay(t *testing.T) {
	server := httptest.NewServer(newTestServer(t.Context(), blind{}).Handler)
	defer server.Close()
	expectAnswer(t, server.URL+"/ready", http.StatusServiceUnavailable, `{"error":"subscription: not connected to the broker"}`)
	expectAnswer(t, server.URL+"/health", http.StatusNoContent, "")
}

// blind is a worker whose broker is away.
type blind struct{}

func (blind) Ready() error { return errors.New("subscription: not connected to the broker") }

func (blind) Post(context.Context, []byte) ([]byte, error) {
	return nil, errors.New("the disk is full")
}

func (blind) Status(context.Context) consumer.Status { return consumer.Status{} }

func (blind) Ping(context.Context, string) error { return errors.New("ilert is away") }

func TestWhatCannotBeTakenIsSaid(t *testing.T) {
	server := httptest.NewServer(newTestServer(t.Context(), blind{}).Handler)
	defer server.Close()
	expectAnswer(t, server.URL+"/api/heartbeats/k", http.StatusInternalServerError, `{"error":"Failed to proxy heartbeat"}`)
	status, body := ask(t, http.MethodPost, server.URL+"/api/events", `{}`)
	assert.Equal(t, http.StatusInternalServerError, status)
	assert.Equal(t, `{"error":"Failed to create event."}`, body)
}

// The worker did not store the event, so the caller must not get a 200.
func TestABodyThatDoesNotComeWholeIsAMistake(t *testing.T) {
	server := httptest.NewServer(newTestServer(t.Context(), blind{}).Handler)
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "POST /api/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n")
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer response.Body.Close()
	assert.Equal(t, http.StatusBadRequest, response.StatusCode)
}

func TestAStoreThatCannotBeReadHidesNothingElse(t *testing.T) {
	m := NewMetrics("")
	m.status = func(context.Context) consumer.Status {
		return consumer.Status{RulesReadAt: time.UnixMilli(1500), RulesError: "rules.yaml:1:1: no", Parts: []consumer.Part{{Name: "store", Error: "the disk is gone"}, {Name: "ilert", Ready: true}}}
	}
	server := httptest.NewServer(m.handler())
	defer server.Close()
	code, body := ask(t, http.MethodGet, server.URL, "")
	assert.Equal(t, http.StatusOK, code)
	for _, sample := range []string{
		`mps_ilert_ready{part="store"} 0`, `mps_ilert_ready{part="ilert"} 1`,
		"mps_ilert_rules_last_reload_successful 0", "mps_ilert_rules_last_reload_success_timestamp_seconds 1.5",
	} {
		assert.Contains(t, body, "\n"+sample+"\n")
	}
	assert.NotContains(t, body, "mps_ilert_alerts", "which are not known to be none")
}
