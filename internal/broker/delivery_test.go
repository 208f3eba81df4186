package broker_test

import (
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker/brokertest"
)

// rawClient is a client that sends and reads single packets. It is faster than a library, and
// acknowledges nothing by itself.
type rawClient struct {
	net.Conn
	connack *packets.Connack
}

// dial connects a client whose session outlives the connection and that announces
// receiveMaximum.
func dial(t *testing.T, addr, id string, receiveMaximum uint16) rawClient {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	c, expiry := rawClient{Conn: conn}, uint32(600)
	require.NoError(t, c.send(packets.CONNECT, &packets.Connect{
		ProtocolName: "MQTT", ProtocolVersion: 5, ClientID: id,
		Properties: &packets.Properties{ReceiveMaximum: &receiveMaximum, SessionExpiryInterval: &expiry},
	}))
	answer, err := c.read()
	require.NoError(t, err)
	c.connack = answer.Content.(*packets.Connack)
	return c
}

func (c rawClient) send(kind byte, content packets.Packet) error {
	p := packets.NewControlPacket(kind)
	p.Content = content
	_, err := p.WriteTo(c)
	return err
}

// read returns the next packet, or an error if none comes within brokertest.Wait.
func (c rawClient) read() (*packets.ControlPacket, error) {
	if err := c.SetReadDeadline(time.Now().Add(brokertest.Wait)); err != nil {
		return nil, err
	}
	return packets.ReadPacket(c)
}

func (c rawClient) subscribe(t *testing.T, filter string) {
	t.Helper()
	require.NoError(t, c.send(packets.SUBSCRIBE, &packets.Subscribe{
		PacketID: 1, Properties: &packets.Properties{}, Subscriptions: []packets.SubOptions{{Topic: filter, QoS: 1}},
	}))
	answer, err := c.read()
	require.NoError(t, err)
	require.Equal(t, []byte{1}, answer.Content.(*packets.Suback).Reasons)
}

// publish sends n numbered messages at QoS 1. It waits for their acknowledgements, and then for the
// answer to a ping, because mochi acknowledges a message before it passes it on.
func (c rawClient) publish(topic string, n int) error {
	window := make(chan struct{}, 500) // less than the Receive Maximum of the broker
	err := concurrently(func() error {
		for range n {
			if p, err := c.read(); err != nil {
				return fmt.Errorf("waiting for a PUBACK: %w", err)
			} else if _, ok := p.Content.(*packets.Puback); !ok {
				return fmt.Errorf("instead of a PUBACK: %s", p)
			}
			<-window
		}
		return nil
	}, func() error {
		for i := range n {
			select {
			case window <- struct{}{}:
			case <-time.After(brokertest.Wait):
				return fmt.Errorf("the broker acknowledges nothing: %d of %d are sent", i, n)
			}
			if err := c.send(packets.PUBLISH, &packets.Publish{
				Topic: topic, QoS: 1, PacketID: uint16(i%1000 + 1), Payload: fmt.Append(nil, i), Properties: &packets.Properties{},
			}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := c.send(packets.PINGREQ, &packets.Pingreq{}); err != nil {
		return err
	}
	_, err = c.read()
	return err
}

// concurrently runs tasks concurrently and returns the errors of all.
func concurrently(tasks ...func() error) error {
	errs := make(chan error, len(tasks))
	for _, task := range tasks {
		go func() { errs <- task() }()
	}
	var all error
	for range tasks {
		all = errors.Join(all, <-errs)
	}
	return all
}

// receive reads n different messages and acknowledges each.
func (c rawClient) receive(n int) error {
	seen := map[string]bool{}
	for len(seen) < n {
		p, err := c.read()
		if err != nil {
			return fmt.Errorf("after %d of %d messages: %w", len(seen), n, err)
		}
		m, ok := p.Content.(*packets.Publish)
		if !ok {
			return fmt.Errorf("instead of a message: %s", p)
		}
		seen[m.Topic+" "+string(m.Payload)] = true
		if err := c.send(packets.PUBACK, &packets.Puback{PacketID: m.PacketID, Properties: &packets.Properties{}}); err != nil {
			return err
		}
	}
	return nil
}

// Without the hook noSendQuota mochi hangs within the first thousand messages.
func TestAcknowledgementsBesidePublishesStopNothing(t *testing.T) {
	addr := brokertest.Start(t, "").Addr()
	const each = 5_000
	subscriber := dial(t, addr, "subscriber", 20)
	subscriber.subscribe(t, "#")
	topics := []string{"a", "b", "c"}
	clients := []func() error{func() error { return subscriber.receive(each * len(topics)) }}
	for _, topic := range topics {
		publisher := dial(t, addr, topic, 20)
		clients = append(clients, func() error { return publisher.publish(topic, each) })
	}
	require.NoError(t, concurrently(clients...))
}

// The broker keeps messages that a client has not acknowledged, and sends them again as
// duplicates, however small the client's Receive Maximum is.
func TestASessionKeepsWhatIsNotAcknowledged(t *testing.T) {
	addr := brokertest.Start(t, "").Addr()
	const n = 10_000 // more than mochi keeps by default
	subscriber := dial(t, addr, "subscriber", 3)
	assert.EqualValues(t, 1024, *subscriber.connack.Properties.ReceiveMaximum, "what the broker itself takes")
	subscriber.subscribe(t, "#")
	publisher := dial(t, addr, "publisher", 3)

	require.NoError(t, publisher.publish("seen", 10))
	for range 10 {
		p, err := subscriber.read()
		require.NoError(t, err)
		assert.False(t, p.Content.(*packets.Publish).Duplicate)
	}
	require.NoError(t, subscriber.Close())
	require.NoError(t, publisher.publish("away", n))

	subscriber = dial(t, addr, "subscriber", 3)
	assert.True(t, subscriber.connack.SessionPresent)
	p, err := subscriber.read()
	require.NoError(t, err)
	assert.True(t, p.Content.(*packets.Publish).Duplicate)
	require.NoError(t, subscriber.Close(), "acknowledged none again")

	subscriber = dial(t, addr, "subscriber", 3)
	require.NoError(t, subscriber.receive(10+n))
	subscriber.subscribe(t, "another")
}
