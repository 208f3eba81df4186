package consumer_test

import (
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/internal/consumer"
)

// unwanted counts the messages by a subscription that is no longer configured.
func unwanted(t *testing.T, c started) uint64 {
	t.Helper()
	return c.Status(t.Context()).Messages["(an earlier subscription)"].Received
}

// After one start with '#', the consumer must not get all messages of the broker for ever.
func TestTopicsThatAreNoLongerConfiguredAreUnsubscribedAtTheNextStart(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	cfg := config(t, b, ilert)
	cfg.Topics = []string{"old/#", "another/+/topic", "mps/events"}
	start(t, cfg).ready(t).stop()
	cfg.Topics = []string{"mps/events"}
	c := start(t, cfg).ready(t)
	publishTo(t, b.Addr(), "old/topic", "x")
	publishTo(t, b.Addr(), "another/1/topic", "x")
	publishTo(t, b.Addr(), "mps/events", call(event.Fail, "1"))
	ilert.expect(t, "ALERT 1/AMT_PowerState") // after which the others would have come
	c.stop()
	c = start(t, cfg).ready(t)
	received(t, c, 1)
	assert.Zero(t, unwanted(t, c))
}

func TestTopicsThatAreNoLongerConfiguredAreUnsubscribedWhenTheRulesAreReadAgain(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	cfg := byRules(t, b, ilert, "topics: [door/+, '#']\n"+doorRules[len("\ntopics: door/+\n"):])
	var log journal
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	c := start(t, cfg).ready(t)
	require.NoError(t, os.WriteFile(cfg.RulesFiles[0], []byte(doorRules), 0o600))
	require.NoError(t, c.Reload(t.Context()))
	require.Eventually(t, func() bool { return log.count("msg=subscribed topics=[door/+]") == 1 }, brokertest.Wait, time.Millisecond)
	publishTo(t, b.Addr(), "window/1", "{}")
	publishTo(t, b.Addr(), "door/1", `{"open":true}`)
	ilert.expect(t, "ALERT door/1")
	c.stop()
	c = start(t, cfg).ready(t)
	publishTo(t, b.Addr(), "door/1", `{"open":false}`)
	ilert.expect(t, "ALERT door/1", "RESOLVE door/1")
	assert.Zero(t, unwanted(t, c))
}

func TestASessionThatWasLostWhileTheDaemonWasDownIsLogged(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	cfg := config(t, b, ilert)
	const lost = "forgotten our session"
	begin := func(c consumer.Config) *journal {
		log := new(journal)
		c.Logger = slog.New(slog.NewTextHandler(log, nil))
		start(t, c).ready(t).stop()
		return log
	}
	assert.NotContains(t, begin(cfg).String(), lost, "the first start")
	assert.NotContains(t, begin(cfg).String(), lost, "it is still there")
	require.NoError(t, b.Close())
	brokertest.Start(t, b.Addr()) // which saves nothing
	assert.Contains(t, begin(cfg).String(), lost)
	assert.NotContains(t, begin(cfg).String(), lost, "it is there again")
	other := cfg
	other.ClientID = "another"
	assert.NotContains(t, begin(other).String(), lost, "there was none of that name")
}
