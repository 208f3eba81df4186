package broker_test

import (
	"testing"

	"github.com/eclipse/paho.golang/paho"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/publisher"
)

func TestTheWillOfADeadClientIsPublishedAtOnce(t *testing.T) {
	b := brokertest.Start(t, "")
	statuses := brokertest.Subscribe(t, b.Addr(), "mps/status/+")
	pub, err := publisher.New(publisher.Config{Address: "mqtt://" + b.Addr(), ClientID: "mps-1", Status: true})
	require.NoError(t, err)
	defer func() { _ = pub.Shutdown(t.Context()) }()
	assert.Contains(t, string(brokertest.Receive(t, statuses).Payload), `"online"`)
	assert.Equal(t, 1, b.Listeners(), "a client that only publishes does not count")
	b.Kill("mps-1")
	assert.Contains(t, string(brokertest.Receive(t, statuses).Payload), `"status":"offline","planned":false`)
	b.Revive("mps-1")
	assert.Contains(t, string(brokertest.Receive(t, statuses).Payload), `"online"`)
}

func TestAPausedBrokerKeepsRetainedMessages(t *testing.T) {
	b := brokertest.Start(t, "")
	pub, err := publisher.New(publisher.Config{Address: "mqtt://" + b.Addr(), ClientID: "mps-1", Status: true})
	require.NoError(t, err)
	defer func() { _ = pub.Shutdown(t.Context()) }()
	statuses := brokertest.Subscribe(t, b.Addr(), "mps/status/+")
	assert.Contains(t, string(brokertest.Receive(t, statuses).Payload), `"online"`)
	b.Pause()
	assert.Zero(t, b.Listeners())
	b.Resume()
	again := brokertest.Subscribe(t, b.Addr(), "mps/status/+")
	assert.Contains(t, string(brokertest.Receive(t, again).Payload), `"online"`, "the pause publishes no Last Will")
	_, err = brokertest.Connect(t, b.Addr(), nil).Publish(t.Context(), &paho.Publish{Topic: "mps/status/x", QoS: 1, Payload: []byte("{}")})
	assert.NoError(t, err)
}
