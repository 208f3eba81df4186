package consumer_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/internal/consumer"
)

func postable(eventType string) []byte {
	return []byte(`{"integrationKey":"` + secret + `","eventType":"` + eventType + `","summary":"x","alertKey":"a"}`)
}

func publishTo(t *testing.T, addr, topic, payload string) {
	t.Helper()
	_, err := brokertest.Connect(t, addr, nil).Publish(t.Context(), &paho.Publish{Topic: topic, QoS: 1, Payload: []byte(payload)})
	require.NoError(t, err)
}

func TestACallerThatHangsUpIsNoFaultOfTheStore(t *testing.T) {
	ilert := record(t)
	c := start(t, consumer.Config{OpenStore: storeAt(newStorePath(t)), IlertURL: ilert.URL}).ready(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := c.Post(ctx, postable("ALERT"))
	require.NoError(t, err, "what has come is taken")
	ilert.expect(t, "ALERT a")
	assert.NoError(t, c.Ready())
}

// Events by MQTT and by HTTP for one key are sent in the order of their arrival.
func TestOrderHoldsBetweenMQTTAndHTTP(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	asked, posted := make(chan struct{}), make(chan struct{})
	ilert.answer = func(_ *http.Request, sent []string) int {
		if len(sent) == 1 {
			close(asked)
			<-posted // or the alert may be sent again before
			return http.StatusServiceUnavailable
		}
		return http.StatusAccepted
	}
	cfg := config(t, b, ilert)
	cfg.Presets, cfg.Mapping, cfg.Topics = nil, &consumer.Mapping{}, []string{"t"}
	c := start(t, cfg).ready(t)
	publishTo(t, b.Addr(), "t", string(postable("ALERT")))
	<-asked
	_, err := c.Post(t.Context(), postable("RESOLVE"))
	close(posted)
	require.NoError(t, err)
	ilert.expect(t, "ALERT a", "ALERT a", "RESOLVE a")
}

func TestAMessageWithoutKeyGetsTheConfiguredOne(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	cfg := config(t, b, ilert)
	cfg.Presets, cfg.Mapping, cfg.Topics = nil, &consumer.Mapping{}, []string{"t"}
	start(t, cfg).ready(t)
	publishTo(t, b.Addr(), "t", `{"summary":"x","alertKey":"a"}`)
	ilert.expect(t, "ALERT a") // by the key that record wants
}

func TestNoKeyOfABrokenMessageIsLogged(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	cfg := config(t, b, ilert)
	cfg.Presets, cfg.Mapping, cfg.Topics = nil, &consumer.Mapping{}, []string{"t"}
	var log bytes.Buffer
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	c := start(t, cfg).ready(t)
	for _, payload := range []string{`{"apiKey":"` + secret + `","summary":}`, `{"apiKey":["` + secret + `"]}`, `{"apiKey":"` + secret + "\xff" + `"}`} {
		publishTo(t, b.Addr(), "t", payload)
	}
	publishTo(t, b.Addr(), "t", string(postable("ALERT")))
	ilert.expect(t, "ALERT a")
	c.stop()
	assert.Equal(t, 2, strings.Count(log.String(), "dead letter"), "the second stands for two")
	assert.Contains(t, log.String(), "times=2")
	assert.NotContains(t, log.String(), secret)
}

// refusing starts an ilert that refuses one key and takes all others.
func refusing(t *testing.T) (url string, pings <-chan string) {
	t.Helper()
	pinged := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		switch {
		case strings.HasPrefix(r.URL.Path, "/api/pings/"):
			pinged <- r.URL.Path
			w.WriteHeader(http.StatusAccepted)
		case bytes.Contains(body, []byte("wrong")):
			w.WriteHeader(http.StatusForbidden)
		default:
			w.WriteHeader(http.StatusAccepted)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, pinged
}

func TestARefusedKeyIsNotHiddenByAnotherThatWorks(t *testing.T) {
	url, _ := refusing(t)
	c := start(t, consumer.Config{OpenStore: storeAt(newStorePath(t)), IlertURL: url, IntegrationKey: "wrong"}).ready(t)
	_, err := c.Post(t.Context(), []byte(`{"integrationKey":"wrong","eventType":"ALERT","summary":"x"}`))
	require.NoError(t, err)
	c.failing(t, "403 Forbidden")
	for range 20 {
		_, err := c.Post(t.Context(), postable("ALERT"))
		require.NoError(t, err)
		assert.ErrorContains(t, c.Ready(), "403 Forbidden")
	}
}

// The consumer passes on heartbeats of others even if it is not ready; its own it does not send then.
func TestHeartbeatsOfOthersArePassedOnWhileWeAreNotReady(t *testing.T) {
	b := brokertest.Start(t, "")
	url, pings := refusing(t)
	c := start(t, consumer.Config{
		Address: b.Addr(), ClientID: "test", OpenStore: storeAt(newStorePath(t)), IlertURL: url,
		HeartbeatURL: url, HeartbeatKey: "own", HeartbeatTopic: "beat/+", Mapping: &consumer.Mapping{}, IntegrationKey: "wrong",
	})
	_, err := c.Post(t.Context(), []byte(`{"integrationKey":"wrong","eventType":"ALERT","summary":"x"}`))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return c.Ready() != nil && !strings.Contains(c.Ready().Error(), "subscri") }, brokertest.Wait, time.Millisecond)
	publishTo(t, b.Addr(), "beat/1", `{"integrationKey":"theirs"}`)
	assert.Equal(t, "/api/pings/theirs", <-pings)
	assert.Empty(t, pings)
}
