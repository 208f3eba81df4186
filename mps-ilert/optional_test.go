package main

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/eclipse/paho.golang/paho"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker/brokertest"
)

// An optional field never costs a page: the daemon leaves out and counts a field that ilert would not
// accept, by whichever way the event has come.
func TestOptionalFieldsThatIlertWouldNotTakeAreLeftOutAndCounted(t *testing.T) {
	b := brokertest.Start(t, "")
	ilert, requests := ilertStandIn(t)
	rules := write(t, "rules.yaml", `
topics: t
rules:
  - name: r
    raise:
      key: k{msg.n}
      summary: s
      priority: "{msg.priority}"
      severity: "{msg.severity}"
      links: [{href: "{msg.href}", text: see}]
      labels: {n: "{msg.n}", none: "{msg.none}"}
    ends: {age: 1h}
`)
	env := environment("ILERT_INTEGRATION_KEY", secret, "MPS_MQTT_ADDRESS", "mqtt://"+b.Addr())
	d := startDaemon(t, env, ilert, "--config", rules, "--rate", "0")
	client := brokertest.Connect(t, b.Addr(), nil)
	for payload, want := range map[string]string{
		`{"n":1,"priority":" High ","severity":"2","href":"https://a"}`: `"priority":"HIGH","severity":2,"links":[{"href":"https://a","text":"see"}],"labels":{"n":"1"}`,
		`{"n":2,"priority":1,"severity":0,"href":null}`:                 `"labels":{"n":"2"}`,
		`{"n":3,"priority":"urgent","severity":"critical"}`:             `"labels":{"n":"3"}`,
	} {
		_, err := client.Publish(t.Context(), &paho.Publish{Topic: "t", QoS: 1, Payload: []byte(payload)})
		require.NoError(t, err)
		body := receive(t, requests).Body
		n := body[strings.Index(body, `"n":"`)+5:][:1]
		assert.JSONEq(t, `{"integrationKey":"`+secret+`","eventType":"ALERT","summary":"s","alertKey":"k`+n+`",`+want+`}`, body, payload)
	}
	status, answer := post(t, d.base+"/api/events", `{"apiKey":"k","eventType":"ALERT","summary":"x","priority":"P1","severity":"4","labels":{"a":1},"links":[{"href":null}]}`)
	assert.Equal(t, http.StatusOK, status)
	assert.JSONEq(t, `{"integrationKey":"k","eventType":"ALERT","summary":"x","severity":4,"labels":{"a":"1"}}`, answer)
	assert.Equal(t, answer, receive(t, requests).Body)

	_, metrics := get(t, d.base+"/metrics")
	for field, times := range map[string]string{"priority": "3", "severity": "2", "links": "3", "labels": "0"} {
		assert.Contains(t, metrics, `mps_ilert_fields_left_out_total{field="`+field+`"} `+times)
	}
	_, shown := get(t, d.base+"/status")
	assert.Contains(t, shown, `"priority":3`)
	d.stop()
	assert.Empty(t, letters(t, d.file))
	assert.Equal(t, 2, strings.Count(d.log.String(), "field=priority"), "one line a minute, and one at the end: %s", d.log)
	assert.Contains(t, d.log.String(), "want HIGH or LOW")
}

func TestTheEventCommandLeavesOutWhatIlertWouldNotTake(t *testing.T) {
	ilert, requests := ilertStandIn(t)
	for priority, want := range map[string]string{"high": `,"priority":"HIGH"`, "P1": ""} {
		var out, log bytes.Buffer
		require.NoError(t, run(t.Context(), []string{"event", "--ilert_url", ilert, "-t", "COMMENT", "-s", "x", "-o", priority}, environment("ILERT_INTEGRATION_KEY", secret), &out, &log))
		assert.JSONEq(t, `{"integrationKey":"`+secret+`","eventType":"COMMENT","summary":"x"`+want+`}`, receive(t, requests).Body)
		assert.Empty(t, out.String(), "all is well")
		assert.Equal(t, want == "", strings.Contains(log.String(), `flag=--priority reason="\"P1\": want HIGH or LOW"`), "%s", &log)
	}
	for _, args := range [][]string{{"event"}, {"event", "-t", "ALERT"}, {"event", "-s", "x"}, {"event", "-t", "alert!", "-s", "x"}, {"event", "--nonsense"}, {"daemon"}, {"daemon", "-q"}, {"daemon", "-m", "h"}} {
		err := run(t.Context(), args, environment(), io.Discard, io.Discard)
		require.Error(t, err)
		assert.Equal(t, 2, exitCode(err), args)
	}
	err := run(t.Context(), []string{"event", "-t", "ALERT", "-s", "x"}, environment(), io.Discard, io.Discard)
	assert.Equal(t, 2, exitCode(err), "no key")
}
