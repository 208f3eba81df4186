package broker_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/mps-events/mps-events/internal/broker"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCloseWaitsForNobody(t *testing.T) {
	b, err := broker.Start("127.0.0.1:0", "127.0.0.1:0")
	require.NoError(t, err)
	brokertest.Connect(t, b.Addr(), nil)
	for _, addr := range []string{b.Addr(), b.WebSocketAddr()} {
		silent, err := net.Dial("tcp", addr) // sends neither a CONNECT nor a line of HTTP
		require.NoError(t, err)
		defer silent.Close()
	}
	ws, _, err := websocket.DefaultDialer.Dial("ws://"+b.WebSocketAddr()+"/mqtt", http.Header{"Origin": {"http://localhost:3000"}}) //nolint:bodyclose // gorilla needs no Close, as its documentation says
	require.NoError(t, err)
	defer ws.Close()

	closed := make(chan error, 1)
	go func() { closed <- b.Close() }()
	select {
	case err := <-closed:
		assert.NoError(t, err)
	case <-time.After(brokertest.Wait):
		require.Fail(t, "Close hangs")
	}
	require.NoError(t, b.Close(), "a second time")
	_, err = net.Dial("tcp", b.Addr())
	assert.Error(t, err)
}

func TestAPageOfAnotherSiteOpensNoWebSocket(t *testing.T) {
	b, err := broker.Start("127.0.0.1:0", "127.0.0.1:0", "lab1")
	require.NoError(t, err)
	defer b.Close()
	for _, c := range []struct {
		headers http.Header
		ok      bool
	}{
		{http.Header{}, true},
		{http.Header{"Origin": {"http://localhost:3000"}}, true},
		{http.Header{"Host": {"lab1:9001"}, "Origin": {"http://lab1:3000"}}, true},
		{http.Header{"Origin": {"http://evil.example"}}, false},
		{http.Header{"Origin": {"null"}}, false},
		{http.Header{"Host": {"evil.example:9001"}, "Origin": {"http://evil.example:9001"}}, false},
		{http.Header{"Host": {"evil.example:9001"}}, false},
	} {
		ws, answer, err := websocket.DefaultDialer.Dial("ws://"+b.WebSocketAddr()+"/mqtt", c.headers) //nolint:bodyclose // as above
		if c.ok {
			require.NoError(t, err, "%v", c.headers)
			require.NoError(t, ws.Close())
			continue
		}
		require.Error(t, err, "%v", c.headers)
		assert.Equal(t, http.StatusForbidden, answer.StatusCode)
		body, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		assert.Contains(t, string(body), "--allowed-hosts")
	}
}

// A stuckListener accepts connections whose Read hangs, as if mochi had a deadlock.
type stuckListener struct {
	net.Listener
	reading  chan<- struct{}
	released <-chan struct{}
}

type stuckConn struct {
	net.Conn
	listener stuckListener
}

func (l stuckListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return stuckConn{conn, l}, nil
}

func (c stuckConn) Read([]byte) (int, error) {
	c.listener.reading <- struct{}{}
	<-c.listener.released
	return 0, net.ErrClosed
}

func TestCloseEndsThoughAClientDoesNot(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	reading, released := make(chan struct{}), make(chan struct{})
	defer close(released)
	b, err := broker.On(stuckListener{listener, reading, released}, nil)
	require.NoError(t, err)
	client, err := net.Dial("tcp", b.Addr())
	require.NoError(t, err)
	defer client.Close()
	<-reading
	began := time.Now()
	require.ErrorContains(t, b.Close(), "has not ended the connections of all clients")
	assert.Less(t, time.Since(began), brokertest.Wait)
	require.ErrorContains(t, b.Close(), "has not ended the connections of all clients", "the first result")
}

func TestStrangersHoldNothingForLong(t *testing.T) {
	t.Parallel()
	b, err := broker.Start("127.0.0.1:0", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.Close() })
	for _, c := range []struct{ addr, sent string }{
		{b.Addr(), ""},
		{b.Addr(), "\x10\x20\x00"},                  // a CONNECT that goes no further
		{b.Addr(), "\x10\xff\xff\xff\x7f"},          // one of 256 MiB
		{b.WebSocketAddr(), "GET / HTTP/1.1\r\nHo"}, // slowloris
		{b.WebSocketAddr(), "GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 64<<10)},
	} {
		conn, err := net.Dial("tcp", c.addr)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		_, err = conn.Write([]byte(c.sent))
		require.NoError(t, err)
		t.Run(fmt.Sprintf("%.10q", c.sent), func(t *testing.T) {
			t.Parallel()
			require.NoError(t, conn.SetReadDeadline(time.Now().Add(brokertest.Wait)))
			_, err := io.Copy(io.Discard, conn)
			assert.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the broker has not hung up")
		})
	}
}

func TestATakenAddressIsNamed(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	addr := taken.Addr().String()
	for _, webSocket := range []bool{false, true} {
		tcp, ws := addr, "127.0.0.1:0"
		if webSocket {
			tcp, ws = ws, tcp
		}
		_, err := broker.Start(tcp, ws)
		var listen *broker.ListenError
		require.ErrorAs(t, err, &listen)
		assert.Equal(t, webSocket, listen.WebSocket)
	}
}
