package rules_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/rules"
)

// load reads one file of rules that is right.
func load(t testing.TB, text string) rules.Loaded {
	t.Helper()
	loaded, err := rules.Load{Sources: []rules.Source{{Name: "rules.yaml", Text: []byte(text)}}}.Do()
	require.NoError(t, err)
	return loaded
}

func preset(t testing.TB, names ...string) rules.Loaded {
	t.Helper()
	var sources []rules.Source
	for _, name := range names {
		source, err := rules.Preset(name)
		require.NoError(t, err)
		sources = append(sources, source)
	}
	loaded, err := rules.Load{Sources: sources}.Do()
	require.NoError(t, err)
	return loaded
}

func TestCalls(t *testing.T) {
	r := preset(t, "calls")
	key := decision.Key{Alert: "123/AMT_PowerState"}
	for name, c := range map[string]struct {
		payload string
		want    []decision.Effect
	}{
		"a failed call raises": {
			`{"type":"fail","message":"Power State request failed","methods":["AMT_PowerState"],"guid":"123","timestamp":1}`,
			[]decision.Effect{decision.Raise{Rule: "call-failed", Key: key, Event: ilert.Event{
				Summary: "AMT_PowerState failed on 123: Power State request failed", Priority: "LOW",
			}, Age: 30 * 24 * time.Hour}},
		},
		"the same call's success ends": {
			`{"type":"success","message":"Power State received","methods":["AMT_PowerState"],"guid":"123","timestamp":1}`,
			[]decision.Effect{decision.End{Key: key}},
		},
		"a request says nothing": {
			`{"type":"request","message":"Power State requested","methods":["AMT_PowerState"],"guid":"123","timestamp":1}`, nil,
		},
		"nor does an event without guid": {
			`{"type":"fail","message":"Internal Service Error","methods":["AMT_PowerState"],"timestamp":1}`, nil,
		},
		"nor a device that is not connected": {
			`{"type":"fail","message":"Device Not Found","methods":["CIRA_Connection"],"guid":"123","timestamp":1}`, nil,
		},
		"nor an event without method": {
			`{"type":"fail","message":"x","methods":[],"guid":"123","timestamp":1}`, nil,
		},
	} {
		d := r.Decide(decision.Message{Topic: "mps/events", Payload: []byte(c.payload)})
		assert.Equal(t, c.want, d.Effects, name)
		assert.Empty(t, d.Dead, name)
	}
	d := r.Decide(decision.Message{Topic: "mps/events", Payload: []byte("offline")})
	assert.Equal(t, decision.Decision{Dead: `event: the payload "offline" is not the JSON of an event: invalid character 'o' looking for beginning of value`}, d)
}

func TestUnknownPreset(t *testing.T) {
	_, err := rules.Preset("mpss")
	assert.EqualError(t, err, `there is no preset "mpss", did you mean "mps"?: want mps, rps, calls`)
}

func BenchmarkPreset(b *testing.B) {
	for _, names := range [][]string{{"calls"}, {"mps", "rps"}} {
		r := preset(b, names...)
		for name, payload := range map[string]string{
			"request": `{"type":"request","message":"Power State requested","methods":["AMT_PowerState"],"guid":"4c4c4544-004b-4210-8033-b6c04f504633","timestamp":1795322346039}`,
			"success": `{"type":"success","message":"Power State received","methods":["AMT_PowerState"],"guid":"4c4c4544-004b-4210-8033-b6c04f504633","timestamp":1795322346039}`,
			"fail":    `{"type":"fail","message":"Power State request failed","methods":["AMT_PowerState"],"guid":"4c4c4544-004b-4210-8033-b6c04f504633","timestamp":1795322346039}`,
			"server":  `{"type":"fail","message":"Internal Service Error","methods":["AMT_PowerState"],"timestamp":1795322346039}`,
		} {
			b.Run(names[0]+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				m := decision.Message{Topic: "mps/events", Payload: []byte(payload), Properties: []decision.Property{{Key: "id", Value: "1"}, {Key: "source", Value: "mps-1"}}}
				for b.Loop() {
					r.Decide(m)
				}
			})
		}
	}
}
