package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/publisher"
)

// A proxy is a proxy in front of a broker that disturbs connections: see Toxiproxy's list of toxics.
type proxy struct {
	*toxiproxy.Proxy
	t *testing.T
}

func startProxy(t *testing.T, broker *mosquitto) proxy {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	p := proxy{toxiproxy.NewProxy(server, t.Name(), "127.0.0.1:0", broker.HostPort()), t}
	require.NoError(t, p.Start())
	t.Cleanup(p.Stop)
	return p
}

// add adds a toxic in Toxiproxy's JSON.
func (p proxy) add(toxic string) {
	p.t.Helper()
	_, err := p.Toxics.AddToxicJson(strings.NewReader(toxic))
	require.NoError(p.t, err)
}

func (p proxy) remove(name string) {
	p.t.Helper()
	require.NoError(p.t, p.Toxics.RemoveToxic(context.Background(), name))
}

func TestConnectionsThatAreResetInMidPacketLoseNothing(t *testing.T) {
	t.Parallel()
	broker := startMosquitto(t)
	proxy := startProxy(t, broker)
	o := startOracle(t, broker, publisher.Config{Address: "mqtt://" + proxy.Listen})
	for _, toxic := range []string{
		// These numbers of bytes end in the middle of an event, or of an acknowledgement.
		`{"name":"cut","type":"limit_data","stream":"upstream","attributes":{"bytes":20001}}`,
		`{"name":"cut","type":"limit_data","stream":"downstream","attributes":{"bytes":1001}}`,
		`{"name":"cut","type":"reset_peer","stream":"upstream","attributes":{"timeout":0}}`,
		`{"name":"cut","type":"reset_peer","stream":"downstream","attributes":{"timeout":0}}`,
	} {
		o.Publish(1)
		o.Flush() // after this the publisher is connected
		before := o.Lost()
		proxy.add(toxic)
		o.Publish(1000)
		o.AwaitLost(before + 1)
		o.Publish(100)
		proxy.remove("cut")
	}
	assert.Zero(t, o.Check().Dropped)
}

// A gateway in front of the broker ends each connection after some bytes. Small events come through
// after a while, and large ones never: the publisher drops each of these, and no other.
func TestEventsThatAGatewayCutsStopNoOthers(t *testing.T) {
	t.Parallel()
	broker := startMosquitto(t)
	proxy := startProxy(t, broker)
	proxy.add(`{"name":"cut","type":"limit_data","stream":"upstream","attributes":{"bytes":15000}}`)
	o := startOracle(t, broker, publisher.Config{Address: "mqtt://" + proxy.Listen})
	o.PublishAs(50, func(number int, e *event.Event) {
		if number == 5 {
			e.GUID = strings.Repeat("x", 20_000)
		}
	})
	s := o.Check()
	assert.EqualValues(t, callers, s.Dropped)
	assert.EqualValues(t, callers, s.DroppedBy.EndsConnection)
}

func TestConnectionsThatAreSlowLoseNothing(t *testing.T) {
	t.Parallel()
	broker := startMosquitto(t)
	proxy := startProxy(t, broker)
	proxy.add(`{"name":"slow","type":"latency","stream":"downstream","toxicity":0.33,"attributes":{"latency":200,"jitter":100}}`)
	for n := range 6 {
		t.Run(fmt.Sprint("connection ", n), func(t *testing.T) {
			t.Parallel()
			o := startOracle(t, broker, publisher.Config{Address: "mqtt://" + proxy.Listen, Topic: fmt.Sprint("mps/", n)})
			o.Publish(500)
			assert.Zero(t, o.Check().Dropped)
		})
	}
}
