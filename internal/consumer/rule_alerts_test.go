package consumer_test

import (
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker/brokertest"
)

func TestARuleThatFailsIsAnAlertAndHindersNoOther(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	const text = `
topics: room/+
rules:
  - name: hot
    when: msg.temperature > 60
    raise: {key: "hot/{topic}", summary: hot}
    ends: {age: 1h}
  - name: leak
    when: msg.water_leak
    raise: {key: "leak/{topic}", summary: leak}
    ends: {when: msg.water_leak == false}
`
	cfg := byRules(t, b, ilert, text)
	log := &journal{}
	cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
	c := start(t, cfg).ready(t)
	for range 10 {
		publishTo(t, b.Addr(), "room/1", `{"water_leak":true}`)
	}
	ilert.expect(t, "ALERT leak/room/1", "ALERT mps-ilert/rule/hot")
	s := c.Status(t.Context())
	assert.Zero(t, s.DeadLetters, "leak has an effect")
	assert.EqualValues(t, 10, s.Rules[0].Failed)
	assert.Equal(t, "msg.temperature > 60: msg.temperature is missing; write msg.temperature != nil && ... where it may be, or default(msg.temperature, ...)", s.Rules[0].LastFailure.Reason)
	assert.Zero(t, s.Rules[1].Failed)
	assert.Nil(t, s.Rules[1].LastFailure)
	assert.Equal(t, 1, log.count("a rule fails on a message"), "one line a minute")

	require.NoError(t, c.Reload(t.Context()), "which does not end it, as the rule is there")
	require.NoError(t, os.WriteFile(cfg.RulesFiles[0], []byte(strings.Replace(text, "name: hot", "name: warm", 1)), 0o600))
	require.NoError(t, c.Reload(t.Context()))
	ilert.expect(t, "ALERT leak/room/1", "ALERT mps-ilert/rule/hot", "RESOLVE mps-ilert/rule/hot")
}

func TestTheAlertAboutARuleEndsAtTheStartWithoutIt(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	const text = "topics: room/+\nrules: [{name: hot, when: msg.temperature > 60, raise: {key: k, summary: hot}, ends: {age: 1h}}]"
	cfg := byRules(t, b, ilert, text)
	c := start(t, cfg).ready(t)
	for range 10 {
		publishTo(t, b.Addr(), "room/1", `{}`)
	}
	ilert.expect(t, "ALERT mps-ilert/rule/hot")
	assert.EqualValues(t, 10, c.Status(t.Context()).DeadLetters)
	c.stop()
	require.NoError(t, os.WriteFile(cfg.RulesFiles[0], []byte(strings.Replace(text, "name: hot", "name: warm", 1)), 0o600))
	start(t, cfg)
	ilert.expect(t, "ALERT mps-ilert/rule/hot", "RESOLVE mps-ilert/rule/hot")
}
