package ilert_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/ilert"
)

func answering(t *testing.T, answer http.HandlerFunc) *ilert.Client {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	client, err := ilert.New(server.URL+"/", server.URL+"/", 1)
	require.NoError(t, err)
	return client
}

func TestSendPostsTheEvent(t *testing.T) {
	var got, path, contentType string
	client := answering(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got, path, contentType = string(body), r.Method+" "+r.URL.Path, r.Header.Get("Content-Type")
		w.WriteHeader(http.StatusAccepted)
	})
	require.NoError(t, client.Send(context.Background(), ilert.EventsPath, ilert.Event{IntegrationKey: "k", EventType: ilert.Alert, Summary: "s", AlertKey: "a", Priority: "LOW"}, ""))
	assert.Equal(t, "POST /api/events", path)
	assert.Equal(t, "application/json", contentType)
	assert.Equal(t, `{"integrationKey":"k","eventType":"ALERT","summary":"s","alertKey":"a","priority":"LOW"}`, got)
}

func TestTheIntegrationKeyMayStandInThePath(t *testing.T) {
	var path string
	client := answering(t, func(_ http.ResponseWriter, r *http.Request) { path = r.URL.EscapedPath() })
	require.NoError(t, client.Send(context.Background(), ilert.MQTTPath, ilert.Event{IntegrationKey: "a/b?", EventType: ilert.Alert}, ""))
	assert.Equal(t, "/api/v1/events/mqtt/a%2Fb%3F", path)

	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	client, err := ilert.New(server.URL, server.URL, 1)
	require.NoError(t, err)
	err = client.Send(context.Background(), ilert.MQTTPath, ilert.Event{IntegrationKey: "s3cret"}, "")
	require.ErrorContains(t, err, "refused")
	assert.NotContains(t, err.Error(), "s3cret")
}

func TestErrorsSayWhatToDo(t *testing.T) {
	for status, want := range map[int]ilert.Class{
		408: ilert.Temporary, 429: ilert.Temporary, 500: ilert.Temporary, 503: ilert.Temporary,
		301: ilert.Operator, 401: ilert.Operator, 402: ilert.Operator, 403: ilert.Operator, 404: ilert.Operator, 407: ilert.Operator, 409: ilert.Operator,
		400: ilert.Invalid, 413: ilert.Invalid, 422: ilert.Invalid,
	} {
		client := answering(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "no such key: s3cret")
		})
		var failed *ilert.Error
		require.ErrorAs(t, client.Send(context.Background(), ilert.EventsPath, ilert.Event{IntegrationKey: "s3cret"}, ""), &failed)
		assert.Equal(t, want, failed.Class, status)
		assert.Equal(t, status >= 500, failed.Uncertain, status)
		assert.Equal(t, 7*time.Second, failed.RetryAfter)
		assert.NotContains(t, failed.Error(), "s3cret")
	}
}

func TestRetryAfterIsReadInEveryForm(t *testing.T) {
	date := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	for header, want := range map[string]time.Duration{
		"": 0, "0": 0, "-1": 0, "soon": 0, "120": 2 * time.Minute, "31536000": 365 * 24 * time.Hour,
		"9223372037":                    math.MaxInt32 * time.Second, // in nanoseconds it would overflow
		date:                            time.Hour,
		"Mon, 02 Jan 2006 15:04:05 GMT": 0,
	} {
		client := answering(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", header)
			w.WriteHeader(http.StatusTooManyRequests)
		})
		var failed *ilert.Error
		require.ErrorAs(t, client.Send(context.Background(), ilert.EventsPath, ilert.Event{}, ""), &failed)
		assert.InDelta(t, want, failed.RetryAfter, float64(10*time.Second), header)
	}
}

func TestNoAnswerIsTemporary(t *testing.T) {
	client := answering(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	var failed *ilert.Error
	require.ErrorAs(t, client.Send(context.Background(), ilert.EventsPath, ilert.Event{IntegrationKey: "s3cret"}, ""), &failed)
	assert.Equal(t, ilert.Temporary, failed.Class)
	assert.True(t, failed.Uncertain)
	assert.False(t, failed.NoConn)
	assert.NotContains(t, failed.Error(), "s3cret")
}

func TestWithoutAConnectionNothingHasArrived(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	client, err := ilert.New(server.URL, server.URL, 1)
	require.NoError(t, err)
	var failed *ilert.Error
	require.ErrorAs(t, client.Send(context.Background(), ilert.EventsPath, ilert.Event{IntegrationKey: "s3cret"}, ""), &failed)
	assert.Equal(t, ilert.Temporary, failed.Class)
	assert.False(t, failed.Uncertain)
	assert.True(t, failed.NoConn)
}

func TestACanceledSendIsNoAnswerOfIlert(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	client := answering(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only after that a server notices that its client has gone
		cancel()
		<-r.Context().Done()
	})
	assert.ErrorIs(t, client.Send(ctx, ilert.EventsPath, ilert.Event{}, ""), context.Canceled)
}

func TestBadURL(t *testing.T) {
	for _, bad := range []string{"", "api.ilert.com", "ftp://x", "https://", "https://u:s3cret@x", "https://u:s3cret@x:y", "htps://u:s3cret@x"} {
		for _, urls := range [][2]string{{bad, ilert.DefaultHeartbeatURL}, {ilert.DefaultURL, bad}} {
			_, err := ilert.New(urls[0], urls[1], 1)
			require.ErrorContains(t, err, "ilert: URL")
			assert.NotContains(t, err.Error(), "s3cret")
		}
	}
}

func TestPing(t *testing.T) {
	var got string
	status := http.StatusAccepted
	client := answering(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Method + " " + r.URL.EscapedPath()
		w.WriteHeader(status)
	})
	require.NoError(t, client.Ping(context.Background(), "il1hbt123"))
	assert.Equal(t, "GET /api/heartbeats/il1hbt123", got)
	require.NoError(t, client.Ping(context.Background(), "beat/1"))
	assert.Equal(t, "HEAD /api/pings/beat%2F1", got)
	status = http.StatusNotFound
	err := client.Ping(context.Background(), "s3cret")
	require.ErrorContains(t, err, "404")
	assert.NotContains(t, err.Error(), "s3cret")
}

func TestNoURLIsQuotedThatMayHoldASecret(t *testing.T) {
	for _, address := range []string{
		"https://h?key=s3cret", "https://h/#s3cret", "ftp://h?key=s3cret", "ftp://h#s3cret", "https://u:s3cret@h", "https://h:s3cret@x?y",
	} {
		_, err := ilert.New(address, ilert.DefaultHeartbeatURL, 1)
		require.ErrorContains(t, err, "ilert: URL", address)
		assert.NotContains(t, err.Error(), "s3cret", address)
	}
	e := ilert.Event{IntegrationKey: "s3cret", Summary: "seen by ilert alone"}
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v %s %d", e, &e, e, e, e), "s3cret")
	body, err := json.Marshal(e)
	require.NoError(t, err)
	assert.JSONEq(t, `{"integrationKey":"s3cret","eventType":"","summary":"seen by ilert alone"}`, string(body), "ilert itself is told")
}
