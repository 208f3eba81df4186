package mqttconn_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/internal/mqttconn"
)

// moved holds the properties of a broker that refers its clients to another server.
var moved = packets.Properties{ReasonString: "s3cret, we are moving", ServerReference: "broker-2.example:1883"}

func TestABrokerThatMovesSaysWhyAndWhere(t *testing.T) {
	t.Run("in a DISCONNECT", func(t *testing.T) {
		broker := brokertest.Script{Received: func(conn net.Conn, _ *packets.ControlPacket) {
			d := packets.NewControlPacket(packets.DISCONNECT)
			d.Content = &packets.Disconnect{ReasonCode: packets.DisconnectServerMoved, Properties: &moved}
			_, _ = d.WriteTo(conn)
		}}
		log := connectTo(t, broker.Serve(t), mqttconn.Config{Password: "s3cret", Username: "u", Subscriptions: []paho.SubscribeOptions{{Topic: "x"}}})
		log.wait(t, `the MQTT broker has disconnected us" reason="Server moved`, "we are moving", "broker-2.example:1883")
		log.wait(t, "lost the connection")
	})
	t.Run("in a CONNACK", func(t *testing.T) {
		broker := brokertest.Script{Connack: packets.Connack{ReasonCode: packets.ConnackServerMoved, Properties: &moved}}
		log := connectTo(t, broker.Serve(t), mqttconn.Config{Password: "s3cret", Username: "u", Handlers: mqttconn.Handlers{Pubacks: func(*mqttconn.Link, []mqttconn.Puback) {}}})
		log.wait(t, "cannot connect", "we are moving", "broker-2.example:1883")
	})
}

func TestALossSaysWhy(t *testing.T) {
	log := connectTo(t, brokertest.Script{}.Serve(t), mqttconn.Config{KeepAlive: time.Second})
	log.wait(t, "lost the connection", "the broker has sent nothing for")
}

// Some brokers do not say that another process has connected by the same client id. The two
// processes then end each other's connections again and again.
func TestConnectionsThatAreLostAgainAndAgainSayWhatMayBeTheCause(t *testing.T) {
	broker := brokertest.Script{Received: func(conn net.Conn, _ *packets.ControlPacket) { _ = conn.Close() }}
	log := connectTo(t, broker.Serve(t), mqttconn.Config{Subscriptions: []paho.SubscribeOptions{{Topic: "x"}}})
	log.wait(t, "lost the connection", "another process may have the same client id")
}

// MQTT 5.0, section 6: the receiver of a message that is not binary closes the connection.
func TestTextFramesOfAWebSocketAreRefused(t *testing.T) {
	t.Run("a broker's", func(t *testing.T) {
		closed := make(chan error, 100)
		upgrader := websocket.Upgrader{Subprotocols: []string{"mqtt"}}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ws, err := upgrader.Upgrade(w, r, nil)
			if err != nil {
				return
			}
			defer ws.Close()
			var connack bytes.Buffer
			p := packets.NewControlPacket(packets.CONNACK)
			_, _ = p.WriteTo(&connack)
			_ = ws.WriteMessage(websocket.TextMessage, connack.Bytes())
			for err == nil {
				_, _, err = ws.ReadMessage()
			}
			closed <- err
		}))
		t.Cleanup(server.Close)
		log := connectTo(t, "ws://"+server.Listener.Addr().String(), mqttconn.Config{})
		log.wait(t, "cannot connect", "a WebSocket text message came")
		assert.True(t, websocket.IsCloseError(await(t, closed), websocket.CloseUnsupportedData))
	})
	t.Run("a client's", func(t *testing.T) {
		b, err := broker.Start("127.0.0.1:0", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { _ = b.Close() })
		dialer := websocket.Dialer{Subprotocols: []string{"mqtt"}}
		ws, _, err := dialer.DialContext(t.Context(), "ws://"+b.WebSocketAddr(), nil) //nolint:bodyclose // gorilla needs no Close
		require.NoError(t, err)
		defer ws.Close()
		var connect bytes.Buffer
		p := packets.NewControlPacket(packets.CONNECT)
		p.Content.(*packets.Connect).ProtocolVersion, p.Content.(*packets.Connect).ClientID = 5, "text"
		_, err = p.WriteTo(&connect)
		require.NoError(t, err)
		require.NoError(t, ws.WriteMessage(websocket.TextMessage, connect.Bytes()))
		require.NoError(t, ws.SetReadDeadline(time.Now().Add(brokertest.Wait)))
		_, _, err = ws.ReadMessage()
		assert.True(t, websocket.IsCloseError(err, websocket.CloseUnsupportedData), "%v", err)
	})
}

// Only the silence of the broker counts: while a handler is busy nobody reads, and the broker's
// answers to the pings wait in the network.
func TestABusyReceiverKeepsItsConnection(t *testing.T) {
	const stall = 5 // pings, one each half keep-alive
	var pings atomic.Int32
	answered := make(chan struct{})
	scripted := brokertest.Script{Received: func(conn net.Conn, p *packets.ControlPacket) {
		switch p.Type {
		case packets.SUBSCRIBE:
			suback := packets.NewControlPacket(packets.SUBACK)
			suback.Content.(*packets.Suback).PacketID = p.PacketID()
			suback.Content.(*packets.Suback).Reasons = []byte{0}
			_, _ = suback.WriteTo(conn)
			for range 10 { // more than the buffers between reader and handler hold
				_, _ = conn.Write(say("busy"))
			}
		case packets.PINGREQ:
			_, _ = packets.NewControlPacket(packets.PINGRESP).WriteTo(conn)
			if pings.Add(1) == stall {
				close(answered)
			}
		}
	}}
	var down atomic.Bool
	handled := make(chan struct{}, 100)
	connectTo(t, scripted.Serve(t), mqttconn.Config{
		KeepAlive: time.Second, ReceiveMaximum: 1, Subscriptions: []paho.SubscribeOptions{{Topic: "status"}},
		Handlers: mqttconn.Handlers{
			Down: func(*mqttconn.Link, mqttconn.Ending) { down.Store(true) },
			Message: func(*mqttconn.Link, *packets.Publish) {
				select {
				case <-answered:
				case <-t.Context().Done():
				}
				handled <- struct{}{}
			},
		},
	})
	for range 10 {
		await(t, handled)
	}
	assert.False(t, down.Load())
}

// HTTPS has port 443 too: a gateway such as that of AWS IoT recognizes MQTT by this name.
func TestOnPort443TheProtocolIsNamed(t *testing.T) {
	ca := newAuthority(t)
	certificate := ca.server("127.0.0.1", time.Now().Add(time.Hour))
	for port, want := range map[string][]string{"443": {"mqtt"}, "8883": nil} {
		names := make(chan []string, 100)
		listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
			MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate},
			GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
				names <- hello.SupportedProtos
				return nil, nil //nolint:nilnil // the Config above
			},
		})
		require.NoError(t, err)
		b, err := broker.On(listener, nil)
		require.NoError(t, err)
		t.Cleanup(func() { _ = b.Close() })
		config := mqttconn.Config{TLS: mqttconn.TLSFiles{CA: ca.file}}
		config.SetDial(func(ctx context.Context, network, address string) (net.Conn, error) {
			assert.Equal(t, "127.0.0.1:"+port, address)
			return new(net.Dialer).DialContext(ctx, network, listener.Addr().String())
		})
		connectTo(t, "mqtts://127.0.0.1:"+port, config).wait(t, connected)
		assert.Equal(t, want, await(t, names), "port %s", port)
	}
}

// attempts simulates a network with a fake clock: the broker is away for the given time, and then
// there; each connection breaks after the next of lives. It returns the waits before the
// connections that follow.
func attempts(t *testing.T, away int, acknowledges bool, lives ...time.Duration) (waits []time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		done := make(chan struct{})
		var broke time.Time
		config := mqttconn.Config{ClientID: "test", Logger: slog.New(slog.DiscardHandler)}
		config.Handlers.Pubacks = func(*mqttconn.Link, []mqttconn.Puback) {}
		config.SetDial(func(context.Context, string, string) (net.Conn, error) {
			if away > 0 {
				away--
				return nil, errors.New("away")
			}
			if !broke.IsZero() {
				waits = append(waits, time.Since(broke))
			}
			if len(waits) == len(lives) {
				away = 1 << 30
				close(done)
				return nil, errors.New("done")
			}
			client, server := net.Pipe()
			life := lives[len(waits)]
			go func() {
				_, _ = packets.ReadPacket(server)
				_, _ = packets.NewControlPacket(packets.CONNACK).WriteTo(server)
				if acknowledges {
					_, _ = packets.NewControlPacket(packets.PUBACK).WriteTo(server)
				}
				go func() {
					for err := error(nil); err == nil; {
						_, err = packets.ReadPacket(server) // pings
					}
				}()
				time.Sleep(life)
				broke = time.Now()
				_ = server.Close()
			}()
			return client, nil
		})
		var err error
		config.Servers, err = mqttconn.ParseAddress("mqtt://broker")
		require.NoError(t, err)
		conn, err := mqttconn.Open(config)
		require.NoError(t, err)
		<-done
		require.NoError(t, conn.Close(t.Context()))
	})
	return waits
}

func TestTheBackoffBeginsAnewAfterAGoodConnectionOnly(t *testing.T) {
	const n = 20
	good, bad := make([]time.Duration, n), make([]time.Duration, n)
	for i := range n {
		good[i], bad[i] = 15*time.Second, time.Millisecond
	}
	longest := time.Duration(0)
	for _, wait := range append(attempts(t, 30, false, good...), attempts(t, 0, true, bad...)...) {
		assert.LessOrEqual(t, wait, 100*time.Millisecond, "after a good one, or one on which the broker acknowledged something")
		longest = max(longest, wait)
	}
	assert.NotZero(t, longest, "some jitter")
	longest = 0
	for _, wait := range attempts(t, 0, false, bad...) {
		assert.LessOrEqual(t, wait, 2*time.Second)
		longest = max(longest, wait)
	}
	assert.Greater(t, longest, time.Second, "a broker that cuts at once is left alone for longer and longer")
}
