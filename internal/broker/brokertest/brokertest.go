// Package brokertest provides tests with a broker on a free port of the loopback
// interface, and with clients of paho.golang that subscribe and publish, so that tests
// assert what any other MQTT client would see.
package brokertest

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker"
)

// Wait is the time after which a test fails if something that must happen has not happened.
const Wait = 20 * time.Second

// Start starts a broker on addr (empty: a free port) and stops it when the test ends.
func Start(t testing.TB, addr string) *broker.Broker {
	t.Helper()
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	b, err := broker.Start(addr, "")
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// Connect connects a client that calls received for each message, and disconnects it when the
// test ends.
func Connect(t testing.TB, addr string, received func(*paho.Publish)) *paho.Client {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	client := paho.NewClient(paho.ClientConfig{
		Conn: conn,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(r paho.PublishReceived) (bool, error) {
			if received != nil {
				received(r.Packet)
			}
			return true, nil
		}},
	})
	ctx, cancel := context.WithTimeout(context.Background(), Wait)
	defer cancel()
	_, err = client.Connect(ctx, &paho.Connect{CleanStart: true, KeepAlive: 30})
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Disconnect(&paho.Disconnect{}) })
	return client
}

// Subscribe returns a channel of the messages that arrive on a topic filter. The channel has
// room for 100,000 messages.
func Subscribe(t testing.TB, addr, filter string) <-chan *paho.Publish {
	t.Helper()
	messages := make(chan *paho.Publish, 100_000)
	client := Connect(t, addr, func(p *paho.Publish) { messages <- p })
	ctx, cancel := context.WithTimeout(context.Background(), Wait)
	defer cancel()
	_, err := client.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: filter, QoS: 1}}})
	require.NoError(t, err)
	return messages
}

// Receive returns the next message, and fails the test if none comes.
func Receive(t testing.TB, messages <-chan *paho.Publish) *paho.Publish {
	t.Helper()
	select {
	case message := <-messages:
		return message
	case <-time.After(Wait):
		require.FailNow(t, "no message came")
		return nil
	}
}

// Forward connects the clients of listener with the broker at addr until the test
// ends. A subscriber can connect to the broker before the tested publisher can.
func Forward(t testing.TB, listener net.Listener, addr string) {
	t.Helper()
	var running sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", addr)
			if err != nil {
				_ = client.Close()
				continue
			}
			end := func() { _ = client.Close(); _ = server.Close() }
			context.AfterFunc(ctx, end)
			for _, pair := range [][2]net.Conn{{client, server}, {server, client}} {
				running.Go(func() {
					defer end()
					_, _ = io.Copy(pair[0], pair[1])
				})
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = listener.Close()
		running.Wait()
	})
}
