package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A message is a line of testdata/mps-capture.jsonl: a message that MPS itself published.
type message struct {
	Topic   string `json:"topic"`
	Payload string `json:"payload"`
}

// captured returns the captured messages in their order.
func captured(t *testing.T) []message {
	t.Helper()
	f, err := os.Open("../testdata/mps-capture.jsonl")
	require.NoError(t, err)
	defer f.Close()
	var all []message
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var m message
		require.NoError(t, json.Unmarshal(lines.Bytes(), &m))
		all = append(all, m)
	}
	require.NotEmpty(t, all)
	return all
}

func TestCapturedMessagesPassTheBrokerUnchanged(t *testing.T) {
	t.Parallel()
	broker := startMosquitto(t)
	subscriber := connect(t, broker.HostPort(), "subscriber")
	subscriber.Subscribe("mps/#")
	publisher := connect(t, broker.HostPort(), "publisher")

	for _, want := range captured(t) {
		publisher.Publish(want.Topic, []byte(want.Payload))
		got := subscriber.Next()
		require.Equal(t, want.Payload, string(got.Payload))
		require.Equal(t, want.Topic, got.Topic)
		require.EqualValues(t, 1, got.QoS)
	}
}

// The other tests rely on a broker that comes back at the same port with its sessions.
func TestBrokerSurvives(t *testing.T) {
	t.Parallel()
	broker := startMosquitto(t)
	subscriber := connect(t, broker.HostPort(), "subscriber")
	subscriber.Subscribe("mps/events")
	subscriber.close()
	const missed = 1100 // More than Mosquitto keeps by default.
	publisher := connect(t, broker.HostPort(), "publisher")
	for range missed / 2 {
		publisher.Publish("mps/events", []byte("at QoS 1"))
		publishQoS0(t, publisher, "mps/events", []byte("at QoS 0"))
	}
	publisher.Publish("mps/events", []byte("last"))

	broker.Stop()
	_, err := dial(t.Context(), broker.HostPort(), "nobody", 0)
	require.Error(t, err, "dial a stopped broker")
	broker.Start()
	broker.Kill()
	broker.Start()

	subscriber = connect(t, broker.HostPort(), "subscriber")
	for range missed {
		subscriber.Next()
	}
	require.Equal(t, "last", string(subscriber.Next().Payload))

	broker.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = dial(ctx, broker.HostPort(), "nobody", 0)
	require.ErrorIs(t, err, context.DeadlineExceeded, "a paused broker accepts the connection and does not answer")
	broker.Resume()
	assert.NotNil(t, connect(t, broker.HostPort(), "publisher"))
}

func publishQoS0(t *testing.T, c *mqttClient, topic string, payload []byte) {
	t.Helper()
	_, err := c.paho.Publish(t.Context(), &paho.Publish{Topic: topic, Payload: payload})
	require.NoError(t, err)
}
