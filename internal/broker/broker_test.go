package broker_test

import (
	"net"
	"net/http"
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
		silent, err := net.Dial("tcp", addr) // never says CONNECT, nor a line of HTTP
		require.NoError(t, err)
		defer silent.Close()
	}
	ws, _, err := websocket.DefaultDialer.Dial("ws://"+b.WebSocketAddr()+"/mqtt", http.Header{"Origin": {"http://elsewhere.example"}}) //nolint:bodyclose // gorilla needs no Close, as its documentation says
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

// A stuckListener accepts connections that stay open whatever is done to them, which is what a
// deadlock inside mochi looks like from outside.
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
	require.ErrorContains(t, b.Close(), "has not let go of every client")
	assert.Less(t, time.Since(began), brokertest.Wait)
	require.ErrorContains(t, b.Close(), "has not let go of every client", "the first result")
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
