package mqttconn_test

import (
	"bytes"
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/internal/mqttconn"
)

// say returns a PUBLISH of one word.
func say(word string) []byte {
	var b bytes.Buffer
	_, _ = (&packets.Publish{Topic: "status", Payload: []byte(word), Properties: &packets.Properties{}}).WriteTo(&b)
	return b.Bytes()
}

// A connection that comes up while Close is called may be cut, and then the broker publishes
// the Will. But if the broker gets a DISCONNECT, which cancels the Will, it has got the
// goodbye before.
func TestOnlineIsNeverTheLastWordOfAConnectionThatComesUpDuringClose(t *testing.T) {
	const tries = 150
	heard := make(chan struct{}, tries)
	var mu sync.Mutex
	words := map[net.Conn][]string{}
	connecting, up := make(chan struct{}, tries), make(chan struct{}, tries)
	broker := brokertest.Script{
		Connected: func(*packets.Connect) { connecting <- struct{}{} },
		Received: func(conn net.Conn, p *packets.ControlPacket) {
			mu.Lock()
			defer mu.Unlock()
			switch content := p.Content.(type) {
			case *packets.Publish:
				words[conn] = append(words[conn], string(content.Payload))
			case *packets.Disconnect:
				words[conn] = append(words[conn], "DISCONNECT")
				heard <- struct{}{}
			}
		},
	}
	servers, err := mqttconn.ParseAddress(broker.Serve(t))
	require.NoError(t, err)
	for try := range tries {
		conn, err := mqttconn.Open(mqttconn.Config{
			Servers: servers, ClientID: "test",
			Goodbye: func(mqttconn.Limits) []byte { return say("offline") },
			Handlers: mqttconn.Handlers{Up: func(link *mqttconn.Link, _ mqttconn.Limits) {
				_ = link.WritePackets(say("online"))
				up <- struct{}{}
			}},
		})
		require.NoError(t, err)
		await(t, connecting)
		if try == 0 {
			await(t, up) // there is at least one connection before
		}
		<-time.After(time.Duration(try%50) * 10 * time.Microsecond) // the time in which the CONNACK may come
		require.NoError(t, conn.Close(context.Background()))
	}
	await(t, heard)
	mu.Lock()
	defer mu.Unlock()
	for _, said := range words {
		if said[len(said)-1] == "DISCONNECT" {
			require.Equal(t, "online offline DISCONNECT", strings.Join(said, " "))
		}
	}
}

func TestCloseEndsTheSessionIfItIsToldTo(t *testing.T) {
	for _, end := range []bool{true, false} {
		disconnects, up := make(chan *packets.Disconnect, 1), make(chan struct{}, 1)
		broker := brokertest.Script{Received: func(_ net.Conn, p *packets.ControlPacket) {
			if d, ok := p.Content.(*packets.Disconnect); ok {
				disconnects <- d
			}
		}}
		servers, err := mqttconn.ParseAddress(broker.Serve(t))
		require.NoError(t, err)
		conn, err := mqttconn.Open(mqttconn.Config{
			Servers: servers, ClientID: "test", SessionExpiry: time.Minute, EndSession: end,
			Handlers: mqttconn.Handlers{Up: func(*mqttconn.Link, mqttconn.Limits) { up <- struct{}{} }},
		})
		require.NoError(t, err)
		await(t, up)
		require.NoError(t, conn.Close(context.Background()))
		expiry := await(t, disconnects).Properties.SessionExpiryInterval
		if end {
			require.NotNil(t, expiry)
			assert.Zero(t, *expiry)
		} else {
			assert.Nil(t, expiry, "as the CONNECT said")
		}
	}
}

// A Server Keep Alive of 0 turns off the broker's check of the connection, not the client's.
func TestTheConnectionToABrokerThatHangsEndsAlsoWithoutKeepAlive(t *testing.T) {
	none := uint16(0)
	for name, up := range map[string]func(*mqttconn.Link){
		"in silence":               func(*mqttconn.Link) {},
		"in the middle of a write": func(link *mqttconn.Link) { _ = link.WritePackets(make([]byte, 50<<20)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			down := make(chan struct{}, 100)
			var writing sync.WaitGroup
			t.Cleanup(writing.Wait) // after the connection is closed, which ends it
			hangs := brokertest.Script{Connack: packets.Connack{Properties: &packets.Properties{ServerKeepAlive: &none}}}
			connectTo(t, hangs.Serve(t), mqttconn.Config{KeepAlive: time.Second, Handlers: mqttconn.Handlers{
				Up:   func(link *mqttconn.Link, _ mqttconn.Limits) { writing.Go(func() { up(link) }) },
				Down: func(*mqttconn.Link, mqttconn.Ending) { down <- struct{}{} },
			}})
			await(t, down)
		})
	}
}
