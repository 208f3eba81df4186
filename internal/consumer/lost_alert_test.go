package consumer_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/broker"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/internal/consumer"
	"github.com/mps-events/mps-events/publisher"
)

// loseAfter makes numbers that are missing count as lost after a shorter time.
func loseAfter(t *testing.T, d time.Duration) {
	t.Helper()
	t.Cleanup(consumer.LoseAfter(d))
}

// publishing returns the function by which a publisher publishes n events and waits until the broker has them.
func publishing(t *testing.T, addr string) (publish func(n int)) {
	t.Helper()
	pub, err := publisher.New(publisher.Config{Address: "mqtt://" + addr, Source: "mps-1", Capacity: 100_000})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, pub.Shutdown(context.WithoutCancel(t.Context()))) })
	return func(n int) {
		t.Helper()
		for range n {
			require.NoError(t, pub.Publish(event.Event{Type: event.Request, Message: "x", Methods: []string{"AMT_PowerState"}, GUID: "1"}))
		}
		require.NoError(t, pub.Flush(t.Context()))
	}
}

// received waits until the consumer has received n messages, without those that the broker sends again.
func (s started) received(t *testing.T, n uint64) {
	t.Helper()
	require.Eventually(t, func() bool {
		tally := s.Status(t.Context()).Messages["mps/events"]
		return tally.Received-tally.Duplicate >= n
	}, brokertest.Wait, 5*time.Millisecond)
}

func lostOf(t *testing.T, c started) uint64 {
	t.Helper()
	sources := c.Status(t.Context()).Sources
	if len(sources) == 0 {
		return 0
	}
	require.Len(t, sources, 1)
	assert.Equal(t, "mps-1", sources[0].Name)
	return sources[0].Lost
}

// The broker drops without a word, as Mosquitto does, what exceeds the queue of an absent subscriber.
func TestEventsThatTheBrokerDropsAreNoticed(t *testing.T) {
	loseAfter(t, 2*time.Second) // the broker sends the backlog in any order
	const kept, dropped = 1000, 9000
	b, err := broker.StartWithQueue("127.0.0.1:0", kept)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, b.Close()) })
	ilert := record(t)
	cfg := config(t, b, ilert)
	c := start(t, cfg).ready(t)
	publish := publishing(t, b.Addr())
	publish(10)
	c.received(t, 10)
	c.stop()
	publish(kept + dropped)

	c = start(t, cfg).ready(t)
	c.received(t, 10+kept)
	publish(1)
	ilert.expect(t, "ALERT mps-ilert/lost/mps-1")
	assert.EqualValues(t, dropped, lostOf(t, c))
	c.stop()
	c = start(t, cfg).ready(t)
	assert.EqualValues(t, dropped, lostOf(t, c), "the next process knows it")
}

// The consumer is stopped and started all the time, and so is the publisher; nothing is lost.
func TestRestartsOfBothSidesLoseNothing(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	cfg := config(t, b, ilert)
	n := uint64(0)
	var c started
	for range 5 {
		publish := publishing(t, b.Addr())
		for range 3 {
			c = start(t, cfg).ready(t)
			publish(100)
			n += 100
			c.received(t, n)
			assert.False(t, c.Missing())
			c.stop()
			publish(40)
			n += 40
		}
	}
	c = start(t, cfg).ready(t)
	c.received(t, n)
	assert.False(t, c.Missing())
	assert.Zero(t, lostOf(t, c))
	ilert.expect(t)
}

// Rules may need only the calls of one method.
func TestNumbersOfTopicsThatAreNotSubscribedToAreNotLost(t *testing.T) {
	loseAfter(t, time.Millisecond)
	b, ilert := brokertest.Start(t, ""), record(t)
	cfg := config(t, b, ilert)
	cfg.Topics = []string{"mps/events/+/AMT_PowerState"}
	c := start(t, cfg).ready(t)
	pub, err := publisher.New(publisher.Config{Address: "mqtt://" + b.Addr(), Source: "mps-1", Topic: "mps/events/{guid}/{method}"})
	require.NoError(t, err)
	const n = 300
	for i := range n {
		method := "AMT_PowerState"
		if i > n/2 && i%3 > 0 {
			method = "AMT_Version"
		}
		require.NoError(t, pub.Publish(event.Event{Type: event.Request, Message: "x", Methods: []string{method}, GUID: "4c4c4544-004b-4210-8033-b6c04f504633"}))
	}
	require.NoError(t, pub.Publish(event.Event{Type: event.Fail, Message: "x", Methods: []string{"AMT_PowerState"}, GUID: "4c4c4544-004b-4210-8033-b6c04f504633"}))
	require.NoError(t, pub.Shutdown(t.Context()))
	ilert.expect(t, "ALERT 4c4c4544-004b-4210-8033-b6c04f504633/AMT_PowerState")
	require.Never(t, func() bool { return lostOf(t, c) > 0 }, 3*time.Second/2, 100*time.Millisecond) // longer than a tick
	assert.False(t, c.Status(t.Context()).Sources[0].Watched)
	ilert.expect(t, "ALERT 4c4c4544-004b-4210-8033-b6c04f504633/AMT_PowerState")
}

// Retained messages, and those without an id, tell nothing.
func TestOnlyNewMessagesWithAnIDCount(t *testing.T) {
	loseAfter(t, time.Millisecond)
	b, ilert := brokertest.Start(t, ""), record(t)
	client := brokertest.Connect(t, b.Addr(), nil)
	say := func(number int, retain bool) {
		user := paho.UserProperties{{Key: "source", Value: "mps-1"}, {Key: "id", Value: fmt.Sprintf("AAAAAAAAAAA2-%d", number)}}
		_, err := client.Publish(t.Context(), &paho.Publish{
			Topic: "mps/events", QoS: 1, Retain: retain, Payload: []byte(call(event.Request, "1")), Properties: &paho.PublishProperties{User: user},
		})
		require.NoError(t, err)
	}
	say(1, true)
	c := start(t, config(t, b, ilert)).ready(t)
	for n := 100; n < 110; n++ {
		say(n, false)
		publish(t, client, call(event.Request, "1"))
	}
	say(112, false)
	ilert.expect(t, "ALERT mps-ilert/lost/mps-1")
	assert.EqualValues(t, 2, lostOf(t, c))
}
