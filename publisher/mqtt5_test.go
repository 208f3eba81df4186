package publisher_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/publisher"
)

func TestTopicTemplate(t *testing.T) {
	addr := brokertest.Start(t, "").Addr()
	messages := brokertest.Subscribe(t, addr, "#")
	pub := start(t, publisher.Config{Address: addr, Topic: "mps/{type}/{guid}/x{method}"})
	const guid = "4C4C4544-004b-4210-8033-b6c04f504633"
	for _, c := range []struct{ guid, method, want string }{
		{guid, "AMT_PowerState", "mps/success/" + guid + "/xAMT_PowerState"},
		{"", "AMT_PowerState", "mps/success/none/xAMT_PowerState"},
		{"../#", "a/b", "mps/success/none/xnone"},
		{strings.Repeat("-", 36), "a+b", "mps/success/none/xnone"},
		{strings.Replace(guid, "-", "0", 1), strings.Repeat("x", 65), "mps/success/none/xnone"},
		{strings.Replace(guid, "4", "-", 1), "\x00", "mps/success/none/xnone"},
	} {
		require.NoError(t, pub.Publish(event.Event{Type: event.Success, Methods: []string{c.method}, GUID: c.guid}))
		m := brokertest.Receive(t, messages)
		assert.Equal(t, c.want, m.Topic)
		e, err := event.Parse(m.Payload)
		require.NoError(t, err)
		assert.Equal(t, c.guid, e.GUID, "as it is in the JSON")
	}
	require.NoError(t, pub.Publish(event.Event{Type: event.Success}))
	assert.Equal(t, "mps/success/none/xnone", brokertest.Receive(t, messages).Topic)

	for topic, want := range map[string]string{
		"mps/{device}": `unknown placeholder {device}: want {guid}, {method} or {type}`,
		"{guid}/#":     `wildcards`,
		"+/{guid}":     `wildcards`,
	} {
		_, err := publisher.New(publisher.Config{Topic: topic})
		assert.ErrorContains(t, err, want)
	}
}

func TestCloudEvents(t *testing.T) {
	addr := brokertest.Start(t, "").Addr()
	messages := brokertest.Subscribe(t, addr, "#")
	pub := start(t, publisher.Config{Address: addr, Source: "console-1", CloudEvents: true})
	ev := event.Connected("123")
	ev.Timestamp = 1795321902892
	require.NoError(t, pub.Publish(ev))
	p := brokertest.Receive(t, messages).Properties
	assert.Equal(t, "application/json", p.ContentType)
	for key, want := range map[string]string{
		"specversion": "1.0", "type": "openamt.success", "source": "console-1", "time": "2026-11-22T04:31:42.892Z", "outcome": "ok",
	} {
		assert.Equal(t, want, p.User.Get(key), key)
	}
	assert.NotEmpty(t, p.User.Get("id"))
}

func TestMessageExpiry(t *testing.T) {
	addr := brokertest.Start(t, "").Addr()
	messages := brokertest.Subscribe(t, addr, "#")
	pub := start(t, publisher.Config{Address: addr, MessageExpiry: time.Hour})
	require.NoError(t, pub.Publish(numbered(1)))
	expiry := brokertest.Receive(t, messages).Properties.MessageExpiry
	require.NotNil(t, expiry)
	assert.InDelta(t, 3600, *expiry, 2)

	_, err := publisher.New(publisher.Config{MessageExpiry: time.Millisecond})
	assert.ErrorContains(t, err, "MessageExpiry 1ms")
}

func TestWhatHasExpiredIsDroppedAndCounted(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := listener.Addr().String()
	require.NoError(t, listener.Close())
	pub := start(t, publisher.Config{Address: addr, MessageExpiry: time.Second})
	require.NoError(t, pub.Publish(numbered(1)))
	<-time.After(time.Second) // the test is about the passing of a second
	messages := brokertest.Subscribe(t, brokertest.Start(t, addr).Addr(), "#")
	require.Eventually(t, func() bool {
		require.NoError(t, pub.Publish(numbered(2))) // these expire too, until the connection is up
		return len(messages) > 0
	}, brokertest.Wait, 10*time.Millisecond)
	e, err := event.Parse(brokertest.Receive(t, messages).Payload)
	require.NoError(t, err)
	assert.Equal(t, "2", e.Message)
	flush(t, pub)
	s := pub.Stats()
	checkIdentity(t, s)
	assert.Positive(t, s.Dropped)
	assert.Positive(t, s.Acknowledged)
}

func TestDropNewestRefusesWhatIsTooMuch(t *testing.T) {
	pub := start(t, publisher.Config{Address: "127.0.0.1:1", Capacity: 2, DropNewest: true})
	require.NoError(t, pub.Publish(numbered(0)))
	require.NoError(t, pub.Publish(numbered(1)))
	require.ErrorIs(t, pub.Publish(numbered(2)), publisher.ErrFull)
	assert.Equal(t, publisher.Stats{Accepted: 2, Pending: 2, Rejected: 1, RejectedBy: publisher.Rejections{Full: 1}}, counted(pub))
}

func TestTheBrokersLimitsAreRespected(t *testing.T) {
	maximumSize, maximumQoS := uint32(400), byte(0)
	received := make(chan *packets.Publish, 10)
	fake := brokertest.Script{
		Connack:  packets.Connack{Properties: &packets.Properties{MaximumPacketSize: &maximumSize, MaximumQOS: &maximumQoS}},
		Received: brokertest.OnPublish(func(_ net.Conn, p *packets.Publish) { received <- p }),
	}
	pub := start(t, publisher.Config{Address: fake.Serve(t)})
	large := numbered(1)
	large.Message = strings.Repeat("x", 400)
	require.NoError(t, pub.Publish(large))
	require.NoError(t, pub.Publish(numbered(2)))
	p := <-received
	assert.Equal(t, byte(0), p.QoS)
	assert.Contains(t, string(p.Payload), `"message":"2"`)
	flush(t, pub)
	assert.Equal(t, publisher.Stats{Accepted: 2, Acknowledged: 1, Dropped: 1, DroppedBy: publisher.Drops{TooLarge: 1}}, pub.Stats())
}
