package rules_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

func TestATextThatEndsInAStarEndsAllAlertsWhoseKeysBeginSo(t *testing.T) {
	loaded := load(t, `
integration_key: {env: PLANT}
rules:
  - {name: open, topics: a, raise: {key: "plc7/{msg.code}", summary: s}}
  - {name: restarted, topics: b, resolve: "{msg.plc}/*"}
  - {name: literal, topics: c, resolve: "{msg.plc}/{'*'}"}
  - {name: own, topics: d, raise: {key: k, summary: s}, ends: {when: msg.plc != nil, match: "{msg.plc}*"}}
  - {name: counted, topics: e, window: 5m, at_least: 1, raise: {summary: s}, ends: {when: true, match: " Count*"}}
`)
	for name, c := range map[string]struct{ topic, payload, want string }{
		"a prefix":                 {"b", `{"plc": "plc7"}`, "EndPrefix plc7/"},
		"a star in the message":    {"b", `{"plc": "*"}`, "EndPrefix */"},
		"a key with a star":        {"c", `{"plc": "plc7"}`, "End plc7/*"},
		"a message with a star":    {"c", `{"plc": "*"}`, "End */*"},
		"ends.match":               {"d", `{"plc": "plc7"}`, "EndPrefix plc7, Raise k"},
		"ends.match of a window":   {"e", `{}`, "EndPrefix  Count, Hit counted"},
		"a prefix that is empty":   {"d", `{"plc": " "}`, "Raise k"},
		"a prefix without a value": {"d", `{}`, "Raise k"},
	} {
		m := decision.Message{Topic: c.topic, Payload: []byte(c.payload)}
		d := loaded.Decide(m)
		assert.Equal(t, c.want, strings.Join(effects(d), ", "), name)
		if e, is := append(d.Effects, nil)[0].(decision.EndPrefix); is {
			assert.Equal(t, ilert.EnvKey("PLANT"), e.Key.Integration)
		}
	}
}
