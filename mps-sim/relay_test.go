package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
)

// redirect opens a redirection session as Open AMT's web clients do, with a token as the subprotocol.
func (r running) redirect(guid, mode, origin string) (*websocket.Conn, error) {
	r.t.Helper()
	address := fmt.Sprintf("ws%s/relay/webrelay.ashx?p=2&host=%s&port=16994&tls=0&tls1only=0&mode=%s", strings.TrimPrefix(r.page, "http"), guid, mode)
	dialer := websocket.Dialer{Subprotocols: []string{"a.token"}}
	conn, _, err := dialer.Dial(address, http.Header{"Origin": []string{origin}}) //nolint:bodyclose // gorilla needs no Close, as its documentation says
	if err == nil {
		r.t.Cleanup(func() { _ = conn.Close() })
		assert.Equal(r.t, "a.token", conn.Subprotocol())
		require.NoError(r.t, conn.SetReadDeadline(time.Now().Add(brokertest.Wait)))
	}
	return conn, err
}

// KVM and SOL work as with MPS: a session begins and ends with an event, and redirectstatus shows it.
func TestRedirectionSessionsMakeEvents(t *testing.T) {
	r := start(t, noEnv, "--rate=0", "--allowed-origins=http://localhost:4200")
	guid := r.devices()[0].GUID
	messages := brokertest.Subscribe(t, r.mqtt, "mps/events")
	next := func() string {
		for {
			e, err := event.Parse(brokertest.Receive(t, messages).Payload)
			require.NoError(t, err)
			if strings.HasPrefix(e.Methods[0], "handle") || e.Methods[0] == "logKvmCloseSource" {
				assert.Equal(t, guid, e.GUID)
				return fmt.Sprintf("%s %s: %s", e.Type, e.Methods[0], e.Message)
			}
		}
	}
	shows := func(want string) func() bool {
		return func() bool {
			_, answer := r.call("GET", "/api/v1/devices/redirectstatus/"+guid, "")
			return strings.Contains(answer, want)
		}
	}
	const started, ended = "success handleConnection: Redirection session started", "success handleClose: Redirection session ended"

	kvm, err := r.redirect(guid, "kvm", "http://localhost:4200")
	require.NoError(t, err)
	assert.Equal(t, started, next())
	require.NoError(t, kvm.WriteMessage(websocket.BinaryMessage, []byte("\x10\x01\x00\x00KVMR")))
	_, answer, err := kvm.ReadMessage()
	require.NoError(t, err)
	assert.Equal(t, "\x11"+strings.Repeat("\x00", 12), string(answer))
	require.Eventually(t, shows(`"isKVMConnected":true`), brokertest.Wait, 10*time.Millisecond)
	require.NoError(t, kvm.Close())
	assert.Equal(t, "success logKvmCloseSource: KVM session closed by web (state: 2)", next())
	assert.Equal(t, ended, next())
	require.Eventually(t, shows(`"isKVMConnected":false`), brokertest.Wait, 10*time.Millisecond)

	sol, err := r.redirect(guid, "sol", r.page)
	require.NoError(t, err)
	assert.Equal(t, started, next())
	require.NoError(t, sol.WriteMessage(websocket.BinaryMessage, []byte("GET / HTTP/1.1")))
	_, _, err = sol.ReadMessage()
	require.ErrorContains(t, err, "command 0x47 is not part of the redirection protocol")
	assert.Equal(t, ended, next())

	kvm, err = r.redirect(guid, "kvm", r.page)
	require.NoError(t, err)
	assert.Equal(t, started, next())
	r.call("POST", "/sim/devices/"+guid+"/disconnect", "")
	_, _, err = kvm.ReadMessage()
	require.ErrorContains(t, err, "the device has disconnected")
	assert.Equal(t, "success logKvmCloseSource: KVM session closed by device (state: 0)", next())
	assert.Equal(t, ended, next())

	sol, err = r.redirect(guid, "sol", r.page)
	require.NoError(t, err)
	_, _, err = sol.ReadMessage()
	require.ErrorContains(t, err, "the device is not connected")
	assert.Equal(t, "fail handleConnection: Redirection session failed: the device is not connected", next())

	_, err = r.redirect(guid, "kvm", "http://evil.example")
	require.ErrorIs(t, err, websocket.ErrBadHandshake)
	_, err = r.redirect(guid, "telnet", r.page)
	require.ErrorIs(t, err, websocket.ErrBadHandshake)
}

func TestAnOpenSessionHoldsUpNoEnd(t *testing.T) {
	r := start(t, noEnv, "--rate=0")
	conn, err := r.redirect(r.devices()[0].GUID, "sol", r.page)
	require.NoError(t, err)
	began := time.Now()
	r.stop()
	assert.Less(t, time.Since(began), brokertest.Wait)
	_, _, err = conn.ReadMessage()
	require.Error(t, err)
}
