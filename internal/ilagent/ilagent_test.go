package ilagent_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilagent"
	"github.com/mps-events/mps-events/internal/ilert"
)

// What the mapping makes of each message is held by testdata/ilagent.json, with the
// command that uses it. Here stands what nobody sends who means well.

var mapping = ilagent.Mapping{
	OtherKey: "k", TypeKey: "data.type", AlertKey: "data.id", SummaryKey: "data.message",
	Alert: "SET", Accept: "ACK", Resolve: "CLR", FilterKey: "kind", FilterValue: "ALARM",
}

func FuzzMapping(f *testing.F) {
	for _, payload := range []string{
		`{"kind":"ALARM","data":{"type":"SET","id":"1","message":"m"},"customDetails":{"a":[1]},"images":[],"links":null}`,
		`{"kind":"ALARM","data":[],"data.type":"CLR"}`,
		`{"kind":"ALARM","kind":1}`,
		`{"kind":"ALARM","data":` + strings.Repeat(`{"data":`, 50) + `1` + strings.Repeat(`}`, 51),
		`{"kind":"ALARM","n":1e999999,"summary":"\ud800"}`,
		`null`, `[]`, ``, "\xff",
	} {
		f.Add([]byte(payload), false)
		f.Add([]byte(payload), true)
	}
	f.Fuzz(func(t *testing.T, payload []byte, forward bool) {
		m := mapping
		m.ForwardPayload = forward
		d := m.Decide(decision.Message{Topic: "t/\"ü", Payload: payload})
		if d.Dead != "" {
			assert.Less(t, len(d.Dead), 1000, "a reason is read by people")
			assert.Empty(t, d.Effects)
			return
		}
		for _, effect := range d.Effects {
			sent := effect.(decision.Send)
			assert.True(t, sent.Event.EventType.Valid())
			assert.True(t, json.Valid(sent.Event.CustomDetails), "%s", sent.Event.CustomDetails)
			for _, raw := range []json.RawMessage{sent.Event.Images, sent.Event.Links} {
				assert.True(t, raw == nil || json.Valid(raw))
			}
		}
	})
}

func TestTheKeyOfAMessageIsASecretAndNoName(t *testing.T) {
	for text, want := range map[string]ilert.IntegrationKey{
		"":          {},
		"k":         {},
		"env:HOME":  ilert.LiteralKey("env:HOME"),
		"file:/key": ilert.LiteralKey("file:/key"),
		"other":     ilert.LiteralKey("other"),
	} {
		d := mapping.Decide(decision.Message{Topic: "t", Payload: []byte(`{"kind":"ALARM","integrationKey":"` + text + `"}`)})
		assert.Equal(t, want, d.Effects[0].(decision.Send).IntegrationKey, text)
	}
}

func TestAFilterKeyIsFoundHoweverJSONWritesIt(t *testing.T) {
	m := ilagent.Mapping{OtherKey: "k", FilterKey: `a"b/ü`}
	for _, payload := range []string{`{"a\"b/ü":1}`, `{"a\"b\/ü":1}`, `{"a\u0022b/\u00fc":null}`} {
		assert.Len(t, m.Decide(decision.Message{Topic: "t", Payload: []byte(payload)}).Effects, 1, payload)
	}
}

func BenchmarkMapping(b *testing.B) {
	payload := []byte(`{"kind":"ALARM","data":{"type":"SET","id":"1","message":"Anomaly detected on pump unit 2"},"apiKey":"il1api123"}`)
	for b.Loop() {
		mapping.Decide(decision.Message{Topic: "factory/alarms", Payload: payload})
	}
}
