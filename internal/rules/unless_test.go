package rules_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/decision"
)

func TestARuleNamesTheAlertsThatItsAlertDependsOn(t *testing.T) {
	loaded := load(t, `
rules:
  - {name: gateway, when: msg.gateway == "down", raise: {key: "gateway/{msg.site}", summary: s}, ends: {age: 1h}}
  - name: device
    when: msg.device != ""
    unless_open: ["gateway/{msg.site}", "gateway/{msg.other}", "gateway/{properties.none}"]
    raise: {key: "device/{msg.device}", summary: s}
    ends: {age: 1h}
  - name: devices
    when: msg.device != ""
    window: 1h
    at_least: 2
    group: "{msg.site}"
    unless_open: gateway/{group}
    raise: {summary: s}
    ends: {age: 1h}
`)
	m := decision.Message{Payload: []byte(`{"device": "d1", "site": "Berlin", "gateway": ""}`)}
	d := loaded.Decide(m)
	require.Empty(t, d.Dead)
	require.Len(t, d.Effects, 2)
	for _, effect := range d.Effects {
		switch e := effect.(type) {
		case decision.Raise:
			assert.Contains(t, e.Unless, "gateway/Berlin")
		case decision.Hit:
			assert.Equal(t, []string{"gateway/Berlin"}, e.Raise.Unless)
		}
	}
	verdicts, err := loaded.Explain(m)
	require.NoError(t, err)
	assert.Contains(t, verdicts[1].Reasons[0], "raises the alert device/d1, not sent while gateway/Berlin")
	assert.Equal(t, "counts in the window of Berlin, not sent while gateway/Berlin is open", verdicts[2].Reasons[0])
}
