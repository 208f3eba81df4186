package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Mosquitto sends a message once for each subscription that it matches. All messages of this test
// have the same bytes, and the consumer is killed and its connection reset again and again. Each
// message has one effect all the same.
func TestEachMessageCountsOnceThoughFiltersOverlapAndTheConsumerIsKilled(t *testing.T) {
	t.Parallel()
	broker := startMosquitto(t)
	proxy := startProxy(t, broker)
	folder := t.TempDir()
	rules := filepath.Join(folder, "rules.yaml")
	require.NoError(t, os.WriteFile(rules, []byte(`
topics: [h/+/alarm, h/press/+]
rules:
  - {name: press, when: msg.hot, window: 1h, at_least: 1000000, clear: 1h, raise: {summary: "{count} alarms"}}
`), 0o600))
	health := "127.0.0.1:" + strconv.Itoa(freePort(t))
	startConsumer := func() *command {
		return startCommand(t, "mps-ilert", []string{"ILERT_INTEGRATION_KEY=stand-in", "MPS_MQTT_ADDRESS=mqtt://" + proxy.Listen},
			"daemon", "--config", rules, "-f", filepath.Join(folder, "mps-ilert.db"), "--http", health, "--ilert_url", startIlert(t).URL)
	}
	consumer := startConsumer()
	consumer.AwaitHTTP("http://"+health+"/ready", http.StatusNoContent)
	publisher := connect(t, broker.HostPort(), "press")
	const rounds, each = 8, 300
	for n := range rounds {
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range each {
				publisher.Publish("h/press/alarm", []byte(`{"hot":true}`))
			}
		}()
		switch n % 4 {
		case 0, 1:
			consumer.Kill()
			consumer = startConsumer()
		case 2:
			proxy.add(`{"name":"cut","type":"limit_data","stream":"downstream","attributes":{"bytes":3001}}`)
			<-done
			proxy.remove("cut")
		case 3:
			proxy.add(`{"name":"cut","type":"reset_peer","stream":"upstream","attributes":{"timeout":50}}`)
			<-done
			proxy.remove("cut")
		}
		<-done
	}
	var tally struct{ Received, Ignored, Duplicate uint64 }
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		var status struct {
			Messages map[string]struct{ Received, Ignored, Duplicate uint64 }
		}
		getJSON(c, "http://"+health+"/status", &status)
		tally = status.Messages["h/+/alarm"]
		assert.GreaterOrEqual(c, tally.Ignored, uint64(rounds*each))
	}, patience, 100*time.Millisecond)
	assert.EqualValues(t, rounds*each, tally.Ignored, "%+v", tally)
	assert.Equal(t, tally.Received, tally.Ignored+tally.Duplicate)
	consumer.Interrupt()
}
