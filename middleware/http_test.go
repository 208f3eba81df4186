package middleware_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/middleware"
)

// stream is the path of a route below /api that the table does not have.
const stream = "/api/v1/stream"

// serve serves router until the test ends, on a server that change has configured.
func serve(t *testing.T, router http.Handler, change func(*httptest.Server)) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(router)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // net/http's own stacks
	if change != nil {
		change(server)
	}
	if server.TLS != nil {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server
}

// end waits until a call has ended and returns its last event: handlers may return after their
// caller has the answer.
func (r *recorder) end(t *testing.T) event.Event {
	t.Helper()
	require.Eventually(t, func() bool { return r.count() > 1 }, brokertest.Wait, time.Millisecond)
	events := r.take(t)
	require.Len(t, events, 2)
	return events[1]
}

func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.events)
}

func TestHTTP2IsLikeHTTP1(t *testing.T) {
	unencrypted := new(http.Protocols)
	unencrypted.SetUnencryptedHTTP2(true)
	for name, change := range map[string]func(*httptest.Server){
		"with TLS": func(s *httptest.Server) {
			s.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
			s.EnableHTTP2 = true
		},
		"h2c": func(s *httptest.Server) { s.Config.Protocols = unencrypted },
	} {
		router, rec := newRouter()
		router.GET(powerState+":guid", func(c *gin.Context) {
			assert.Equal(t, 2, c.Request.ProtoMajor, name)
			if c.Query("panic") != "" {
				panic(http.ErrAbortHandler) // resets the stream
			}
			c.Status(http.StatusServiceUnavailable)
		})
		server := serve(t, router, change)
		client := server.Client()
		if server.TLS == nil {
			client = &http.Client{Transport: &http.Transport{Protocols: unencrypted}}
		}
		res, err := client.Get(server.URL + powerState + guid)
		require.NoError(t, err, name)
		require.NoError(t, res.Body.Close())
		assert.Equal(t, event.OutcomeUnreachable, rec.end(t).Outcome, name)

		if res, err = client.Get(server.URL + powerState + guid + "?panic=1"); assert.Error(t, err, name) {
			assert.Equal(t, event.OutcomeServer, rec.end(t).Outcome, name)
		} else {
			require.NoError(t, res.Body.Close())
		}
	}
}

func TestAClientThatGoesAwayDoesNotEndTheCall(t *testing.T) {
	router, rec := newRouter()
	gone := make(chan struct{})
	router.GET(powerState+":guid", func(c *gin.Context) {
		<-c.Request.Context().Done()
		<-gone
		c.Status(http.StatusConflict)
		_, _ = c.Writer.Write(make([]byte, 1<<20)) // the caller has gone
	})
	server := serve(t, router, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+powerState+guid, http.NoBody)
	require.NoError(t, err)
	res, err := server.Client().Do(req)
	if err == nil {
		require.NoError(t, res.Body.Close())
	}
	require.Error(t, err)
	assert.Equal(t, 1, rec.count(), "the handler still works")
	close(gone)
	assert.Equal(t, 409, rec.end(t).HTTPStatus)
}

func TestAStreamEndsWhenItsHandlerReturns(t *testing.T) {
	router, rec := newRouter()
	more := make(chan string)
	router.GET(stream, func(c *gin.Context) {
		c.Stream(func(w io.Writer) bool {
			line, ok := <-more
			_, _ = io.WriteString(w, line)
			return ok
		})
	})
	server := serve(t, router, nil)
	go func() { more <- "one\n" }()
	res, err := server.Client().Get(server.URL + stream)
	require.NoError(t, err)
	defer res.Body.Close()
	lines := bufio.NewReader(res.Body)
	_, err = lines.ReadString('\n')
	require.NoError(t, err)
	assert.Equal(t, 1, rec.count(), "it goes on")
	close(more)
	_, err = io.Copy(io.Discard, lines)
	require.NoError(t, err)
	assert.Equal(t, event.OutcomeOK, rec.end(t).Outcome)
}

func TestTimeOutsDoNotEndTheCall(t *testing.T) {
	const short = 50 * time.Millisecond
	for name, setUp := range map[string]func(s *httptest.Server){
		"TimeoutHandler": func(s *httptest.Server) { s.Config.Handler = http.TimeoutHandler(s.Config.Handler, short, "too late") },
		"WriteTimeout":   func(s *httptest.Server) { s.Config.WriteTimeout = short },
	} {
		router, rec := newRouter()
		late := make(chan struct{})
		router.GET(powerState+":guid", func(c *gin.Context) {
			<-late
			c.String(http.StatusOK, "2")
		})
		server := serve(t, router, setUp)
		if name == "WriteTimeout" { // a handler notices it only when it writes
			time.AfterFunc(2*short, func() { close(late) })
		}
		res, err := server.Client().Get(server.URL + powerState + guid)
		if name == "TimeoutHandler" {
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			assert.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
			assert.Equal(t, 1, rec.count(), "the device still answers")
			close(late)
		} else if !assert.Error(t, err, name) {
			require.NoError(t, res.Body.Close())
		}
		assert.Equal(t, event.OutcomeOK, rec.end(t).Outcome, name)
	}
}

func TestAHijackedConnectionEndsWhenItsHandlerReturns(t *testing.T) {
	for name, c := range map[string]struct {
		end  func()
		want event.Outcome
	}{
		"returns": {func() {}, event.OutcomeOK},
		"panics":  {func() { panic("boom") }, event.OutcomeServer},
	} {
		rec := &recorder{}
		router := gin.New()
		router.Use(gin.Recovery(), middleware.New(rec))
		router.GET(stream, func(g *gin.Context) {
			conn, _, err := g.Writer.Hijack()
			if !assert.NoError(t, err) {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
			_ = conn.Close()
			assert.Equal(t, 1, rec.count(), name)
			c.end()
		})
		assert.Equal(t, 204, call(t, router, "GET", stream), name)
		assert.Equal(t, c.want, rec.end(t).Outcome, name)
	}
}

func TestTheWriterIsNotWrapped(t *testing.T) {
	router := gin.New()
	var outside gin.ResponseWriter
	router.Use(func(c *gin.Context) { outside = c.Writer }, middleware.New(&recorder{}))
	router.GET(stream, func(c *gin.Context) { assert.Same(t, outside, c.Writer) })
	assert.Equal(t, 200, call(t, router, "GET", stream))
}

// wrapped is a writer by which another middleware replaces gin's.
type wrapped struct {
	gin.ResponseWriter
	status int
}

func (w *wrapped) Status() int { return w.status }

func TestAWriterWithinDecidesNothing(t *testing.T) {
	for _, c := range []struct{ real, claimed int }{{503, 200}, {200, 500}} {
		var asked int
		router, rec := newRouter(middleware.WithOutcome(func(_ *gin.Context, status int) event.Outcome {
			asked = status
			return ""
		}))
		router.Use(func(g *gin.Context) { g.Writer = &wrapped{g.Writer, c.claimed} })
		router.GET(powerState+":guid", status(c.real))
		assert.Equal(t, c.real, call(t, router, "GET", powerState+guid))
		assertPair(t, rec.take(t), "AMT_PowerState", c.real, "")
		assert.Equal(t, c.real, asked)
	}
}
