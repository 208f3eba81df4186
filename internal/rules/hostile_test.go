package rules_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/rules/rulefile"
)

// all is a file of rules that use every part of a message.
const all = `
rules:
  - {name: seen, when: string(msg) != "", window: 5m, group: "{topic}", member: "{msg?.guid}", distinct: 1, clear: 1m, raise: {summary: "s {string(msg)}", details: "{msg}"}}
  - {name: nested, when: 'msg?.a?.a == 5', accept: k}
  - {name: raised, raise: {key: "k{msg?.guid}", summary: "s{properties.a}"}, ends: {when: msg?.type == "success"}}
  - {name: events, when: event.message != "x", accept: e}
  - {name: any, accept: any}
`

const eventEnd = `"methods":["A"],"guid":"g","timestamp":1}`

// hostile are payloads of attackers.
var hostile = map[string]string{
	"long text":             `{"type":"fail","message":"` + strings.Repeat("ü", 125_000) + `",` + eventEnd,
	"long text of escapes":  `{"type":"fail","message":"` + strings.Repeat(`\u0000`, 40_000) + `",` + eventEnd,
	"many methods":          `{"type":"fail","message":"","methods":[` + strings.Repeat(`"A",`, 60_000) + `"B"],"timestamp":1}`,
	"deep lists":            strings.Repeat("[", 9_999) + strings.Repeat("]", 9_999),
	"deeper lists":          strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001),
	"deep objects":          strings.Repeat(`{"a":`, 9_999) + "5" + strings.Repeat("}", 9_999),
	"deep in an event":      `{"x":` + strings.Repeat(`[`, 9_998) + strings.Repeat("]", 9_998) + `,"type":"fail","message":"",` + eventEnd,
	"open lists":            strings.Repeat("[", 250_000),
	"a huge number":         `{"a":1e999999}`,
	"a long number":         `{"a":` + strings.Repeat("9", 250_000) + `}`,
	"a long fraction":       `{"a":0.` + strings.Repeat("9", 250_000) + `}`,
	"a small number":        `{"a":1e-999999}`,
	"a huge time":           `{"type":"fail","message":"","methods":[],"timestamp":1e3}`,
	"double keys":           `{"type":"fail","type":"success","message":"a","message":"b","methods":["A"],"methods":[],"timestamp":1,"timestamp":2}`,
	"double nested":         `{"a":{"a":1},"a":{"a":5}}`,
	"no UTF-8":              "{\"a\":\"\xff\xfe\"}",
	"an overlong character": "{\"a\":\"\xc0\xaf\"}",
	"half a surrogate":      `{"a":"\ud800"}`,
	"NUL":                   "{\"a\":\"\u0000\"}",
	"NUL escaped":           `{"a":"\u0000"}`,
	"noncharacters":         `{"a":"` + "\uFDD0count\uFDD1\uFFFE" + `","\ufdd0":1}`,
	"a byte order mark":     "\uFEFF{}",
	"two":                   `{}{}`,
	"a bracket behind it":   `{}]`,
	"a brace behind it":     `[] }`,
	"nothing":               ``,
	"a blank":               ` `,
	"null":                  `null`,
	"many keys":             `{` + strings.Repeat(`"k":1,`, 40_000) + `"a":{"a":5}}`,
	"text":                  `"fail"`,
}

func TestHostileMessages(t *testing.T) {
	sets := map[string]rulefile.Loaded{"all": load(t, all), "presets": preset(t, "mps", "rps"), "calls": preset(t, "calls")}
	for name, payload := range hostile {
		for set, r := range sets {
			for _, topic := range []string{"mps/events", "mps/status/x", strings.Repeat("a/", 30_000) + "\xff\x00"} {
				m := decision.Message{Topic: topic, Payload: []byte(payload), Properties: []decision.Property{{Key: "a", Value: "\xff"}, {Key: "outcome"}, {Key: "httpstatus", Value: "99999999999999999999"}}}
				d := r.Decide(m)
				sound(t, d)
				assert.Equal(t, d, r.Decide(m), "the same message always means the same")
				if set == "all" {
					assert.Empty(t, d.Dead, name)
					assert.Contains(t, d.Matched, "any", name)
				}
				_, _ = r.Explain(m)
			}
		}
	}
}

func TestTheLastOfDoubleKeysCounts(t *testing.T) {
	d := load(t, all).Decide(decision.Message{Topic: "t", Payload: []byte(hostile["double nested"])})
	assert.Equal(t, []string{"Hit seen of t", "Accept k", "Accept any"}, effects(d))
	d = load(t, all).Decide(decision.Message{Topic: "t", Payload: []byte(hostile["double keys"])})
	assert.Equal(t, []string{"End k", "Hit seen of t", "Raise k", "Accept e", "Accept any"}, effects(d))
}

// PostgreSQL holds no NUL in a text, and one message must not keep all others out.
func TestNoTextOfADecisionHoldsNUL(t *testing.T) {
	loaded := load(t, `
rules:
  - {name: w, when: event.type == "fail", window: 5m, group: "{event.message}", member: "{event.guid}", distinct: 2, ratio: 0.1, of: fleet, clear: 1m, raise: {key: "k{event.guid}", summary: "s{event.guid}"}}
`)
	d := loaded.Decide(decision.Message{Topic: "t", Payload: []byte(`{"type":"fail","message":"\u0000m","methods":[],"guid":"g\u0000","timestamp":1}`)})
	assert.Empty(t, d.Device)
	hit := d.Effects[0].(decision.Hit)
	assert.Equal(t, []string{"\uFFFDm", "g\uFFFD", "kg\uFFFD", "sg\uFFFD"}, []string{hit.Group, hit.Member, hit.Raise.Key.Alert, hit.Raise.Event.Summary})
}

// sound checks the properties that every decision has.
func sound(t testing.TB, d decision.Decision) {
	t.Helper()
	if d.Dead != "" {
		assert.Less(t, len(d.Dead), 1000, "a reason is read by people")
		assert.Equal(t, decision.Decision{Dead: d.Dead, Failed: d.Failed, Looked: d.Looked}, d)
		return
	}
	for _, effect := range d.Effects {
		switch e := effect.(type) {
		case decision.Raise:
			soundRaise(t, e)
		case decision.Hit:
			require.NotNil(t, e.Window)
			assert.LessOrEqual(t, len(e.Group)+len(e.Member), 64<<10)
			soundRaise(t, e.Raise)
		case decision.Whole:
			require.NotNil(t, e.Window)
		case decision.End:
			assert.NotEmpty(t, strings.TrimSpace(e.Key.Alert))
		}
	}
}

func soundRaise(t testing.TB, r decision.Raise) {
	t.Helper()
	assert.NotEmpty(t, strings.TrimSpace(r.Key.Alert))
	assert.NotEmpty(t, strings.TrimSpace(r.Event.Summary))
	assert.LessOrEqual(t, len(r.Event.Summary), 32<<10)
	assert.LessOrEqual(t, len(r.Event.Details), 32<<10)
	assert.Contains(t, []string{"", "HIGH", "LOW"}, r.Event.Priority)
	text, err := json.Marshal(r.Event)
	assert.NoError(t, err)
	assert.True(t, json.Valid(decision.Numbers{Count: 1, Members: []string{"\"\xff\uFDD0"}, More: 1}.Fill(text)))
}

// FuzzRules: any bytes are rules or have mistakes, and rules decide on any message.
func FuzzRules(f *testing.F) {
	for _, name := range rulefile.PresetNames {
		source, err := rulefile.Preset(name)
		require.NoError(f, err)
		f.Add(source.Text, []byte(`{"type":"fail","message":"m","methods":["A"],"guid":"g","timestamp":1}`))
	}
	text, err := os.ReadFile("rulefile/testdata/mistakes.yaml")
	require.NoError(f, err)
	for _, seed := range []string{
		string(text), all, "rules: &a [*a]", "a: &a\n  <<: *a", "? [a]\n: b", "rules: [{<<: [{name: a}], ignore: true}]", "--- !!str a\n...\n", "%YAML 1.2\n---\nrules:\n",
		"rules: [{name: r, when: msg.a[0] == 1, raise: {key: '{msg}', summary: '{msg.a.b}'}, ends: {age: 1h}}]",
		"rules:\n- name: r\n  window: 1m\n  group: '{split(topic, \"/\")[0]}'\n  member: '{msg.a}'\n  distinct: 1\n  clear: 1m\n  raise: {summary: '{count} {members}', links: [{href: '{topic}'}], custom_details: {a: ['{msg}', 1.5, ~]}}\n",
		"rules:\n- name: r\n  when: !msg.a\n  ignore: true\n", "rules:\n- name: r\n  raise:\n  key: '{{ msg.a }}'\n  summary: '${topic}'\n",
		"rules: [{name: r, when: msg.a[0].b <= 5 and not msg.c, accept: 'msg.a is {topic}'}]",
		"tests: [{name: a, messages: [{times: 3, event: {type: fail, method: a}}], want: [{type: ALERT}]}]",
		"options: {a: [1, b], c: }\nintegration_key: {env: A}\nrules: [{name: a, when: '1 in option.a', accept: k}]",
	} {
		f.Add([]byte(seed), []byte(`{"a":[1]}`))
	}
	f.Fuzz(func(t *testing.T, file, payload []byte) {
		loaded, err := rulefile.Load{Sources: []rulefile.Source{{Name: "f", Text: file}}, Options: map[string]string{"a": "5"}, Settings: []string{"log-level"}}.Do()
		if err != nil {
			var all rulefile.MistakesError
			require.ErrorAs(t, err, &all)
			for _, m := range all {
				assert.NotEmpty(t, m.Text)
			}
			return
		}
		for _, m := range []decision.Message{
			{Topic: "mps/events", Payload: payload, Properties: []decision.Property{{Key: "source", Value: "s"}, {Key: "outcome", Value: "server"}}},
			{Topic: "a", Payload: []byte(`{"type":"success","message":"m","methods":["A"],"guid":"g","timestamp":1}`)},
			{Topic: "", Payload: nil},
		} {
			sound(t, loaded.Decide(m))
			_, _ = loaded.Explain(m)
		}
	})
}

// FuzzTemplate: any text is a template or has a mistake, and what it makes of a message
// is a text.
func FuzzTemplate(f *testing.F) {
	for _, template := range []string{
		"{topic}", "{{}}", "{{{topic}}}", `{"}"}`, `{msg.a[0]} {msg?.b?.c}`, `{truncate(lower(topic), -1)}`, `{1 / 0}`, `{msg.a ** 9 % 3}`, "{`}`}", "{count}", `{'\''}`, `{[1][topic]}`,
		`{msg in [msg]}`, `{topic matches "a+"}`, `{{"a": msg}}`, `{ {"a": msg} }`, `{msg.a[1:-1]}`, `{default(nil, msg)}`, `{int("9") + float(1)}`, `{event.methods}`, `{option}`, `{properties}`, `{1 in 1..2}`, "{a // }",
	} {
		f.Add(template, []byte(`{"a":[1],"b":"\ufdd0count\ufdd1"}`))
	}
	f.Fuzz(func(t *testing.T, template string, payload []byte) {
		quoted, err := json.Marshal(template)
		require.NoError(t, err)
		text := "rules: [{name: r, when: event.type != 'fail' || true, window: 1m, at_least: 1, clear: 1m, raise: {key: k, summary: s, details: D, custom_details: [D]}}, " +
			"{name: q, raise: {key: k, summary: s, details: D, labels: {a: D}}, ends: {age: 1h}}]"
		loaded, err := rulefile.Load{Sources: []rulefile.Source{{Name: "f", Text: []byte(strings.ReplaceAll(text, "D", string(quoted)))}}}.Do()
		if err != nil {
			return
		}
		sound(t, loaded.Decide(decision.Message{Topic: "a/b", Payload: payload}))
		sound(t, loaded.Decide(failed("a/b", string(payload))))
	})
}

// FuzzMessage: the presets decide on any message, which means the same a second time.
func FuzzMessage(f *testing.F) {
	for _, payload := range hostile {
		if len(payload) < 1000 {
			f.Add("mps/events", []byte(payload), "source", "mps-1")
		}
	}
	f.Add("mps/status/a", []byte(`{"status":"offline","planned":false,"timestamp":1}`), "outcome", "server")
	for _, kind := range []string{"request", "success", "fail"} {
		for _, method := range []string{"A", "CIRA_Disconnected", "getHealthCheck", "Activator", "AMT_Unprovision"} {
			f.Add("mps/events", say("", kind, method, "g", "m").Payload, "outcome", "")
		}
	}
	sets := []rulefile.Loaded{preset(f, "mps", "rps"), preset(f, "calls"), load(f, all)}
	f.Fuzz(func(t *testing.T, topic string, payload []byte, key, value string) {
		for _, r := range sets {
			m := decision.Message{Topic: topic, Payload: payload, Properties: []decision.Property{{Key: key, Value: value}}}
			d := r.Decide(m)
			sound(t, d)
			assert.Equal(t, d, r.Decide(m))
			_, _ = r.Explain(m)
		}
	})
}
