package publisher_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/publisher"
)

type status struct {
	Status    string
	Planned   bool
	Timestamp int64
}

func statusOf(t *testing.T, payload []byte) status {
	t.Helper()
	var s status
	require.NoError(t, json.Unmarshal(payload, &s))
	assert.InDelta(t, time.Now().UnixMilli(), s.Timestamp, 60_000)
	s.Timestamp = 0
	return s
}

func TestTheStatusSaysWhoIsThereAndWhoStoppedAsPlanned(t *testing.T) {
	b := brokertest.Start(t, "")
	messages := brokertest.Subscribe(t, b.Addr(), "mps/status/+")
	pub := start(t, publisher.Config{Address: b.Addr(), ClientID: "console-1", Status: true})
	for _, want := range []status{{Status: "online"}, {Status: "offline", Planned: true}} {
		m := brokertest.Receive(t, messages)
		for want.Planned && statusOf(t, m.Payload) == (status{Status: "online"}) { // a connection that was lost says it again
			m = brokertest.Receive(t, messages)
		}
		assert.Equal(t, "mps/status/console-1", m.Topic)
		assert.Equal(t, want, statusOf(t, m.Payload))
		// The broker may deliver a message before it retains it. A subscriber that comes between
		// the two gets none or an older one; the next subscriber does not.
		require.Eventually(t, func() bool {
			select {
			case late := <-brokertest.Subscribe(t, b.Addr(), "mps/status/#"):
				return late.Retain && bytes.Equal(m.Payload, late.Payload)
			case <-time.After(time.Second):
				return false
			}
		}, brokertest.Wait, time.Millisecond)
		if !want.Planned {
			require.NoError(t, pub.Shutdown(context.Background()))
		}
	}
}

func TestAPlannedOfflineExpires(t *testing.T) {
	seen := make(chan *packets.Publish, 10)
	connected := make(chan string, 1)
	fake := brokertest.Script{Received: brokertest.OnPublish(func(_ net.Conn, p *packets.Publish) { seen <- p })}
	pub := start(t, publisher.Config{Address: fake.Serve(t), Status: true, Hooks: publisher.Hooks{Connected: func(a string) { connected <- a }}})
	<-connected
	require.NoError(t, pub.Shutdown(context.Background()))
	online, offline := <-seen, <-seen
	assert.Nil(t, online.Properties.MessageExpiry)
	assert.EqualValues(t, 24*3600, *offline.Properties.MessageExpiry)
	for _, p := range []*packets.Publish{online, offline} {
		assert.True(t, p.Retain)
		assert.Equal(t, "application/json", p.Properties.ContentType)
	}
}

// The broker publishes this when the server goes away without a DISCONNECT.
func TestTheLastWillSaysOffline(t *testing.T) {
	connects := make(chan *packets.Connect, 1)
	fake := brokertest.Script{Connected: func(c *packets.Connect) { connects <- c }}
	start(t, publisher.Config{Address: fake.Serve(t), ClientID: "console-1", Status: true})
	c := <-connects
	assert.Equal(t, "mps/status/console-1", c.WillTopic)
	assert.True(t, c.WillRetain)
	assert.Equal(t, status{Status: "offline"}, statusOf(t, c.WillMessage))
	assert.EqualValues(t, 30, *c.WillProperties.WillDelayInterval)
	assert.Greater(t, *c.Properties.SessionExpiryInterval, uint32(30), "the Will comes when the session ends")
}

func TestABrokerThatRetainsNothingGetsNoStatus(t *testing.T) {
	no := byte(0)
	seen := make(chan *packets.Publish, 10)
	fake := brokertest.Script{
		Connack:  packets.Connack{Properties: &packets.Properties{RetainAvailable: &no}},
		Received: brokertest.OnPublish(func(conn net.Conn, p *packets.Publish) { seen <- p; brokertest.Puback(conn, p.PacketID, 0) }),
	}
	pub := start(t, publisher.Config{Address: fake.Serve(t), Status: true})
	require.NoError(t, pub.Publish(numbered(1)))
	require.NoError(t, pub.Shutdown(context.Background()))
	assert.Equal(t, "mps/events", (<-seen).Topic)
	assert.Empty(t, seen)
}

// Else the broker would end each connection.
func TestABrokerWithASmallMaximumPacketSizeGetsNoStatus(t *testing.T) {
	most := uint32(400)
	seen := make(chan *packets.Publish, 10)
	fake := brokertest.Script{
		Connack:  packets.Connack{Properties: &packets.Properties{MaximumPacketSize: &most}},
		Received: brokertest.OnPublish(func(conn net.Conn, p *packets.Publish) { seen <- p; brokertest.Puback(conn, p.PacketID, 0) }),
	}
	pub := start(t, publisher.Config{Address: fake.Serve(t), Status: true, ClientID: strings.Repeat("c", 400), Source: "s"})
	require.NoError(t, pub.Publish(numbered(1)))
	require.NoError(t, pub.Shutdown(context.Background()))
	assert.Equal(t, "mps/events", (<-seen).Topic)
	assert.Empty(t, seen)
}

func TestWithoutStatusThereIsNone(t *testing.T) {
	connects := make(chan *packets.Connect, 1)
	start(t, publisher.Config{Address: brokertest.Script{Connected: func(c *packets.Connect) { connects <- c }}.Serve(t)})
	assert.False(t, (<-connects).WillFlag)
	_, err := publisher.New(publisher.Config{Address: "a", ClientID: "a/+", Status: true})
	assert.ErrorContains(t, err, `ClientID (MPS_MQTT_CLIENT_ID) "a/+"`)
}

// The broker of this test takes events, but ends the connection for the status message. The
// events come through all the same, and none of them is dropped as the culprit.
func TestAForbiddenStatusStopsNoEvent(t *testing.T) {
	for name, end := range map[string]func(net.Conn){"closed": closed, "not authorized": disconnected(packets.DisconnectNotAuthorized)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it waits, mostly
			fake := brokertest.Script{Received: brokertest.OnPublish(func(conn net.Conn, p *packets.Publish) {
				if p.Topic != "mps/events" {
					end(conn)
					return
				}
				brokertest.Puback(conn, p.PacketID, 0)
			})}
			log := make(logLines, 10_000)
			pub := start(t, publisher.Config{Address: fake.Serve(t), Status: true, ClientID: "c", Logger: slog.New(slog.NewTextHandler(log, nil))})
			require.NoError(t, pub.Publish(numbered(1)))
			flush(t, pub)
			assert.Equal(t, publisher.Stats{Accepted: 1, Acknowledged: 1}, pub.Stats())
			for line := range log {
				if strings.Contains(line, "trying without the status message") {
					assert.Contains(t, line, "topic=mps/status/c")
					break
				}
			}
		})
	}
}
