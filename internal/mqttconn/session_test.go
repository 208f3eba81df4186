package mqttconn_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/internal/mqttconn"
)

// connectTo opens a connection to a script, and closes it when the test ends.
func connectTo(t *testing.T, addr string, config mqttconn.Config) lines {
	t.Helper()
	var err error
	config.Servers, err = mqttconn.ParseAddress(addr)
	require.NoError(t, err)
	log := make(lines, 1000)
	config.ClientID, config.Logger = "test", slog.New(slog.NewTextHandler(log, nil))
	conn, err := mqttconn.Open(config)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), brokertest.Wait)
		defer cancel()
		assert.NoError(t, conn.Close(ctx))
	})
	return log
}

func await[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(brokertest.Wait):
		require.FailNow(t, "nothing came")
		panic("unreachable")
	}
}

func TestTheConnectPacketHoldsTheConfig(t *testing.T) {
	connects := make(chan *packets.Connect, 1)
	connectTo(t, brokertest.Script{Connected: func(c *packets.Connect) { connects <- c }}.Serve(t), mqttconn.Config{
		ReceiveMaximum: 7, MaximumPacketSize: 1000, SessionExpiry: time.Minute,
		Will: &mqttconn.Will{Topic: "status/x", Payload: func() []byte { return []byte("gone") }, Delay: 30 * time.Second},
	})
	c := await(t, connects)
	assert.EqualValues(t, 7, *c.Properties.ReceiveMaximum)
	assert.EqualValues(t, 1000, *c.Properties.MaximumPacketSize)
	assert.EqualValues(t, 60, *c.Properties.SessionExpiryInterval)
	assert.Equal(t, "status/x", c.WillTopic)
	assert.Equal(t, "gone", string(c.WillMessage))
	assert.True(t, c.WillRetain)
	assert.EqualValues(t, 1, c.WillQOS)
	assert.EqualValues(t, 30, *c.WillProperties.WillDelayInterval)
}

// Each server gets the user in its own address, or else the user of the Config.
func TestEachServerGetsItsOwnUser(t *testing.T) {
	told := make(chan string, 10)
	refuses := func(name string) string {
		return brokertest.Script{
			Connack: packets.Connack{ReasonCode: packets.ConnackBadUsernameOrPassword},
			Connected: func(c *packets.Connect) {
				told <- fmt.Sprint(name, " ", c.UsernameFlag, c.PasswordFlag, " ", c.Username, " ", string(c.Password))
			},
		}.Serve(t)
	}
	address := fmt.Sprintf("mqtt://ada:s3cret%%2C%%40a@%s,mqtt://%s,mqtt://bob@%s", refuses("a"), refuses("b"), refuses("c"))
	connectTo(t, address, mqttconn.Config{Username: "eve", Password: "s3cret e"})
	assert.Equal(t, "a true true ada s3cret,@a", await(t, told))
	assert.Equal(t, "b true true eve s3cret e", await(t, told))
	assert.Equal(t, "c true false bob ", await(t, told), "not the password of another")
	assert.Equal(t, "a true true ada s3cret,@a", await(t, told))
}

func TestABrokerThatTakesNoWillGetsNone(t *testing.T) {
	for reason, want := range map[byte]func(*packets.Connect) bool{
		packets.ConnackRetainNotSupported: func(c *packets.Connect) bool { return !c.WillFlag },
		packets.ConnackQoSNotSupported:    func(c *packets.Connect) bool { return c.WillFlag && c.WillQOS == 0 },
	} {
		connects := make(chan *packets.Connect, 100)
		script := brokertest.Script{
			Connack:   packets.Connack{ReasonCode: reason},
			Connected: func(c *packets.Connect) { connects <- c },
		}
		connectTo(t, script.Serve(t), mqttconn.Config{Will: &mqttconn.Will{Topic: "x", Payload: func() []byte { return nil }}})
		assert.True(t, await(t, connects).WillFlag)
		assert.True(t, want(await(t, connects)), "%#x", reason)
	}
}

// An earlier client may have left a subscription at QoS 2 in the session.
func TestAMessageAtQoS2IsAcknowledgedToTheEnd(t *testing.T) {
	steps := make(chan string, 10)
	script := brokertest.Script{Received: func(conn net.Conn, p *packets.ControlPacket) {
		switch content := p.Content.(type) {
		case *packets.Subscribe:
			suback(conn, content, 0)
			publish := packets.Publish{Topic: "t", QoS: 2, PacketID: 5, Payload: []byte("x"), Properties: &packets.Properties{}}
			_, _ = publish.WriteTo(conn)
		case *packets.Pubrec:
			steps <- "PUBREC"
			_, _ = (&packets.Pubrel{PacketID: content.PacketID, Properties: &packets.Properties{}}).WriteTo(conn)
		case *packets.Pubcomp:
			steps <- "PUBCOMP"
		case *packets.Puback:
			steps <- "PUBACK"
		}
	}}
	connectTo(t, script.Serve(t), mqttconn.Config{
		Subscriptions: []paho.SubscribeOptions{{Topic: "t", QoS: 1}},
		Handlers: mqttconn.Handlers{Message: func(link *mqttconn.Link, p *packets.Publish) {
			assert.NoError(t, link.WritePackets(mqttconn.AppendAck(nil, p)))
		}},
	})
	assert.Equal(t, "PUBREC", await(t, steps))
	assert.Equal(t, "PUBCOMP", await(t, steps))
}

func suback(conn net.Conn, p *packets.Subscribe, reason byte) {
	_, _ = (&packets.Suback{PacketID: p.PacketID, Reasons: []byte{reason}, Properties: &packets.Properties{}}).WriteTo(conn)
}

func TestASubscriptionThatFailsIsTriedAgain(t *testing.T) {
	tries := make(chan struct{}, 2)
	tries <- struct{}{}
	tries <- struct{}{}
	script := brokertest.Script{Received: func(conn net.Conn, p *packets.ControlPacket) {
		if subscribe, ok := p.Content.(*packets.Subscribe); ok {
			select {
			case <-tries:
				if len(tries) == 1 {
					const notAuthorized = 0x87
					suback(conn, subscribe, notAuthorized)
				} else {
					_ = conn.Close() // without an answer
				}
			default:
				suback(conn, subscribe, 1)
			}
		}
	}}
	told := make(chan error, 10)
	connectTo(t, script.Serve(t), mqttconn.Config{
		Subscriptions: []paho.SubscribeOptions{{Topic: "t", QoS: 1}},
		Handlers: mqttconn.Handlers{
			Subscribed: func() { told <- nil },
			Failed:     func(err error) { told <- err },
		},
	})
	assert.ErrorContains(t, await(t, told), "subscribing: ")
	assert.NoError(t, await(t, told), "what a lost connection could not do is not said of the next")
}

// Old brokers answer in the form of MQTT 3.1.1, or not at all.
func TestABrokerOfMQTT311IsNamedAsSuch(t *testing.T) {
	for name, answer := range map[string]func(net.Conn){
		"it hangs up":                        func(net.Conn) {},
		"it answers in its own form":         func(c net.Conn) { _, _ = c.Write([]byte{0x20, 2, 0, 1}) },
		"it answers in its own form, slowly": func(c net.Conn) { _, _ = c.Write([]byte{0x20, 2, 0, 1}); _, _ = io.Copy(io.Discard, c) },
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			t.Cleanup(func() { _ = listener.Close() })
			go func() {
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					go func() {
						defer conn.Close()
						_, _ = packets.ReadPacket(conn)
						answer(conn)
					}()
				}
			}()
			connectTo(t, listener.Addr().String(), mqttconn.Config{}).wait(t, "the broker may speak only MQTT 3.1.1")
		})
	}
}
