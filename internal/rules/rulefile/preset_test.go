package rulefile_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/rules/rulefile"
)

// presetsPage is the address at which the built-in rules are described, each in a section of its own.
const presetsPage = "https://github.com/mps-events/mps-events/blob/main/docs/presets.md#"

func TestEachBuiltInRuleIsDescribed(t *testing.T) {
	page, err := os.ReadFile("../../../docs/presets.md")
	require.NoError(t, err)
	name := regexp.MustCompile(`^  - name: ([a-z-]+)$`)
	for _, file := range []string{"mps", "rps", "calls"} {
		text, err := os.ReadFile("presets/" + file + ".yaml")
		require.NoError(t, err)
		rules, _, found := strings.Cut(string(text), "\ntests:\n")
		require.True(t, found)
		for _, rule := range strings.Split(rules, "\n\n") {
			for line := range strings.Lines(rule) {
				m := name.FindStringSubmatch(strings.TrimRight(line, "\n"))
				if m == nil {
					continue
				}
				assert.Contains(t, rule, `href: "`+presetsPage+m[1]+`"`, "the page at ilert links to the description")
				assert.Contains(t, string(page), "\n### "+m[1]+"\n", "docs/presets.md")
			}
		}
	}
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
				Details: "Since " + decision.Place("since") + ", by mps/events.",
				Links:   json.RawMessage(`[{"href":"` + presetsPage + `call-failed","text":"What it means and what to look at first"}]`),
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
	_, err := rulefile.Preset("mpss")
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
