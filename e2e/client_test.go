package e2e

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/stretchr/testify/require"
)

// A mqttClient is a client of MQTT 5 that uses only paho.golang, so that no mistake of this
// module can hide another.
type mqttClient struct {
	t        *testing.T
	paho     *paho.Client
	received chan *paho.Publish
}

// connect returns a client whose session the broker keeps for an hour, like that of a consumer.
func connect(t *testing.T, hostPort, clientID string) *mqttClient {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := dial(ctx, hostPort, clientID, time.Hour)
	require.NoError(t, err)
	t.Cleanup(c.close)
	c.t = t
	return c
}

// dial connects once. Without session the client starts clean and leaves nothing behind.
func dial(ctx context.Context, hostPort, clientID string, session time.Duration) (*mqttClient, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", hostPort)
	if err != nil {
		return nil, err
	}
	// There is room for more messages than any test sends: a full channel would delay the broker.
	c := &mqttClient{received: make(chan *paho.Publish, 1<<16)}
	c.paho = paho.NewClient(paho.ClientConfig{
		Conn: conn,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){
			func(p paho.PublishReceived) (bool, error) {
				c.received <- p.Packet
				return true, nil
			},
		},
	})
	expiry := uint32(session.Seconds())
	_, err = c.paho.Connect(ctx, &paho.Connect{
		ClientID:   clientID,
		CleanStart: session == 0,
		KeepAlive:  60,
		Properties: &paho.ConnectProperties{SessionExpiryInterval: &expiry},
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// close leaves the session at the broker.
func (c *mqttClient) close() {
	// The broker may have stopped already.
	_ = c.paho.Disconnect(&paho.Disconnect{})
}

// Subscribe subscribes at QoS 1.
func (c *mqttClient) Subscribe(filter string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	_, err := c.paho.Subscribe(ctx, &paho.Subscribe{
		Subscriptions: []paho.SubscribeOptions{{Topic: filter, QoS: 1}},
	})
	require.NoError(c.t, err)
}

// Publish publishes at QoS 1 and waits for the acknowledgement.
func (c *mqttClient) Publish(topic string, payload []byte) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	_, err := c.paho.Publish(ctx, &paho.Publish{Topic: topic, QoS: 1, Payload: payload})
	require.NoError(c.t, err)
}

// Next waits for the next message and returns it.
func (c *mqttClient) Next() *paho.Publish {
	c.t.Helper()
	return c.NextWithin(patience)
}

// NextWithin waits up to d for the next message and returns it.
func (c *mqttClient) NextWithin(d time.Duration) *paho.Publish {
	c.t.Helper()
	select {
	case p := <-c.received:
		return p
	case <-time.After(d):
		require.FailNow(c.t, "no message received")
		return nil
	}
}
