package mqttconn_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/mqttconn"
)

// The embedded broker sets the deadline for the next packet while another goroutine of it writes. The race detector
// sees if they share a field.
func TestADeadlineMayBeSetWhileAnotherGoroutineWrites(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := new(websocket.Upgrader).Upgrade(w, r, nil)
		if !assert.NoError(t, err) {
			return
		}
		conn := mqttconn.WebSocketConn(ws)
		defer conn.Close()
		var both sync.WaitGroup
		both.Go(func() {
			for range 100 {
				_, err := conn.Write([]byte("x"))
				assert.NoError(t, err)
			}
		})
		both.Go(func() {
			for range 100 {
				assert.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
			}
		})
		both.Wait()
		assert.NoError(t, conn.SetDeadline(time.Now().Add(-time.Second)))
		_, err = conn.Write([]byte("late"))
		assert.Error(t, err)
	}))
	defer server.Close()
	ws, response, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(server.URL, "http"), nil)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	conn := mqttconn.WebSocketConn(ws)
	defer conn.Close()
	all, _ := io.ReadAll(conn) // until the server has closed
	assert.Equal(t, strings.Repeat("x", 100), string(all))
}
