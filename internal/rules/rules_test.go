package rules_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/rules"
)

func TestCalls(t *testing.T) {
	r, err := rules.Preset("calls")
	require.NoError(t, err)
	for name, c := range map[string]struct {
		payload string
		want    rules.Decision
	}{
		"a failed call raises": {
			`{"type":"fail","message":"Power State request failed","methods":["AMT_PowerState"],"guid":"123","timestamp":1}`,
			rules.Decision{Action: rules.Raise, Alert: rules.Alert{Key: "123/AMT_PowerState", Summary: "AMT_PowerState failed on 123: Power State request failed", Priority: rules.Low}},
		},
		"the same call's success ends": {
			`{"type":"success","message":"Power State received","methods":["AMT_PowerState"],"guid":"123","timestamp":1}`,
			rules.Decision{Action: rules.End, Alert: rules.Alert{Key: "123/AMT_PowerState"}},
		},
		"a request says nothing": {
			`{"type":"request","message":"Power State requested","methods":["AMT_PowerState"],"guid":"123","timestamp":1}`,
			rules.Decision{},
		},
		"nor does an event without guid": {
			`{"type":"fail","message":"Internal Service Error","methods":["AMT_PowerState"],"timestamp":1}`,
			rules.Decision{},
		},
		"nor a device that is not connected": {
			`{"type":"fail","message":"Device Not Found","methods":["CIRA_Connection"],"guid":"123","timestamp":1}`,
			rules.Decision{},
		},
		"nor an event without method": {
			`{"type":"fail","message":"x","methods":[],"guid":"123","timestamp":1}`,
			rules.Decision{},
		},
		"what is no event is dead": {
			`offline`,
			rules.Decision{Action: rules.Dead, Reason: `event: the payload "offline" is not the JSON of an event: invalid character 'o' looking for beginning of value`},
		},
	} {
		assert.Equal(t, c.want, r.Decide(rules.Message{Topic: "mps/events", Payload: []byte(c.payload)}), name)
	}
}

func TestUnknownPreset(t *testing.T) {
	_, err := rules.Preset("mpss")
	assert.EqualError(t, err, `rules: unknown preset "mpss": want calls`)
}

func BenchmarkCalls(b *testing.B) {
	r, err := rules.Preset("calls")
	require.NoError(b, err)
	payload := []byte(`{"type":"fail","message":"Power State request failed","methods":["AMT_PowerState"],"guid":"4c4c4544-004b-4210-8033-b6c04f504633","timestamp":1795322346039}`)
	for b.Loop() {
		r.Decide(rules.Message{Topic: "mps/events", Payload: payload})
	}
}
