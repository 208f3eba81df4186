package rulefile_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/rules/rulefile"
)

func TestAFileWithoutRulesIsAMistake(t *testing.T) {
	for _, text := range []string{
		"", "# only a comment\n", "---\n", "{}", "rules:", "rules: # - name: a\n", "rules: []", "include: []", "settings: {}", "topics: a\noptions: {a: 1}",
		"settings: {log-level: info}", "tests: [{name: a, messages: [{msg: 1}]}]",
	} {
		_, err := rulefile.Load{Sources: []rulefile.Source{{Name: "f", Text: []byte(text)}}, Settings: []string{"log-level"}}.Do()
		assert.EqualError(t, err, "f:1:1: there are no rules: want rules, or built-in ones, such as include: [mps, rps]", text)
	}
	for _, text := range []string{"include: mps", "include: mps\nrules:", "options: {critical: [a]}\ninclude: [mps]\nsettings: {log-level: info}", "settings: {preset: mps}"} {
		_, err := rulefile.Load{Sources: []rulefile.Source{{Name: "f", Text: []byte(text)}}, Settings: []string{"log-level", "preset"}}.Do()
		assert.NoError(t, err, text)
	}
	calls, err := rulefile.Preset("calls")
	require.NoError(t, err)
	for text, want := range map[string]string{
		"settings: {log-level: info}": "",
		"options: {a: 1}":             "f:1:1: there are no rules: want rules, or built-in ones, such as include: [mps, rps]",
		"rules: [{name: a}]":          `f:1:9: rule "a": want one of raise, resolve, accept and ignore, have none`,
	} {
		_, err := rulefile.Load{Sources: []rulefile.Source{{Name: "f", Text: []byte(text)}, calls}, AnySetting: true, Settings: []string{"log-level"}}.Do()
		if want == "" {
			assert.NoError(t, err, "its settings are those of the command, and the rules stand elsewhere")
		} else {
			assert.EqualError(t, err, want)
		}
	}
}

func TestWhatIsNoYAMLIsAMistakeAtItsPlace(t *testing.T) {
	for text, want := range map[string]string{
		"rules: [":                     "f:1:8: sequence end token ']' not found",
		"rules:\n\t- name: a":          "f:2:1: a tab, where YAML wants spaces",
		"topics: a\ntopics: b":         `f:2:1: mapping key "topics" already defined at [1:1]`,
		"- a\n- b":                     "f:1:1: the file: want a mapping of include, integration_key, options, rules, settings, tests, topics",
		"text":                         "f:1:1: the file: want a mapping of include, integration_key, options, rules, settings, tests, topics",
		"topics: a\n---\ntopics: b":    "f:3:1: a second document: want one a file",
		"topics: *nothing":             "f:1:9: there is no &nothing before this",
		"topics: !secret a":            "f:1:9: the tag !secret means nothing here; leave it out",
		"topics: &a [*a]":              "f:1:13: *a stands in the very value that it repeats",
		"options:\ntopics: a":          "f:1:1: options has no value: give it one or leave it out",
		strings.Repeat("[", 200):       "f:1:101: more than 100 lists and mappings in each other",
		strings.Repeat("{a: ", 50_000): "f:1:401: more than 100 lists and mappings in each other",
		strings.Repeat("- ", 50_000):   "f:1:201: more than 100 lists and mappings in each other",
		strings.Repeat("#\n", 600_000): "f:1:1: the file has 1200000 bytes: want at most 1048576",
		strings.Repeat("a:\n", 60_000): "f:20001:2: more than 20000 keys",
		"rules:\n" + strings.Repeat("- {name: a, ignore: true}\n", 1001): "f:1002:3: more than 1000 rules, which each message would be held against",
	} {
		assert.Equal(t, want, mistakes(t, text), "%.100s", text)
	}
}

// Texts that many people write, and that YAML reads as something else.
func TestWhatYAMLTakesForSomethingElseIsOneMistake(t *testing.T) {
	const (
		tag    = "what begins with ! is a tag to YAML: put quotes around the condition, or write not instead of !"
		colon  = `mapping value is not allowed in this context; a text that holds ": " wants quotes`
		quotes = `a text that begins with a quote or a bracket ends with it: put quotes around the whole, as in '"x" in msg.list' or "{topic} is open"`
		flow   = `a brace or a bracket is not closed, or a text within it wants quotes: one with a brace, a bracket or a comma, as in {key: "a/{topic}"}`
	)
	for text, want := range map[string]string{
		"when: !msg.a":                        "3:9: " + tag,
		"when: !msg.a == 1":                   "3:9: " + tag,
		"when: !msg.a && msg.b":               "3:9: " + tag,
		"when: !(msg.a == 1)":                 "3:9: " + tag,
		"when: ! msg.a":                       "3:9: " + tag,
		`when: !split(topic, "/")[1] == 1`:    "3:9: " + tag,
		"when: !!str a":                       "3:9: the tag !!str means nothing here; leave it out",
		`when: "x" in msg.a`:                  "3:13: " + quotes,
		"when: 'x' in msg.a":                  "3:13: " + quotes,
		"when: msg.a == 'a: b'":               "3:9: " + colon,
		"when: `a` == topic":                  "3:9: '`' is a reserved character; a text that begins with it wants quotes",
		"description: {topic} is open":        "3:24: " + quotes,
		"description: Warning: door {topic}":  "3:16: " + colon,
		"description: {topic}: open":          "3:23: " + quotes,
		"description: a\n    b: c":            "3:16: the line below is indented too far",
		"description: 'a'\n    b: c":          "4:5: this line is indented more or less than those that it belongs to",
		"description: [a]\n when: a":          "4:2: this line is indented more or less than those that it belongs to",
		"description: 'a' and b: it is open ": "3:20: " + quotes,
		"raise: {key: a/{topic}, summary: b}": "3:18: " + flow,
		"raise: {key: a, {topic}}":            "3:19: " + flow,
		"topics: [a, b":                       "4:3: " + flow,
	} {
		assert.Equal(t, "f:"+want, mistakes(t, "rules:\n- name: a\n  "+text+"\n  ignore: true\n"), text)
	}
}

func TestTestsThatAreNoMappingsAreOneMistakeEach(t *testing.T) {
	assert.Equal(t, `f:4:14: a message: want a mapping of at, event, every, msg, payload, properties, retain, times, topic
f:6:5: want: want a mapping, such as {type: ALERT, at: 5m, key: door-7}
f:7:3: a test: want a mapping that begins with - name:`, mistakes(t, `rules: [{name: a, ignore: true}]
tests:
- name: a
  messages: [a]
  want:
  - ALERT
- b
`))
}

func TestAnchorsAliasesAndMergeKeys(t *testing.T) {
	loaded := load(t, `
rules:
  - &first
    name: first
    topics: [a]
    when: &failed event.type == "fail"
    raise: &alert
      key: first
      summary: &text "{event.message}"
    ends: {age: 1h}
  - <<: *first # what stands here goes before what is merged, wherever it stands
    name: second
    topics: [b]
    raise:
      key: second
      <<: *alert
  - <<: [{name: third, topics: c}, *first] # and the first goes before the later
    raise: {<<: *alert, key: third}
tests:
  - name: an alias of a rule
    messages: [{topic: *text, payload: *failed}]
`)
	assert.Equal(t, []string{"first", "second", "third"}, loaded.Names)
	for topic, key := range map[string]string{"a": "first", "b": "second", "c": "third"} {
		d := loaded.Decide(failed(topic, "it failed"))
		require.Len(t, d.Effects, 1, topic)
		assert.Equal(t, key, d.Effects[0].(decision.Raise).Key.Alert)
		assert.Equal(t, "it failed", d.Effects[0].(decision.Raise).Event.Summary)
	}
	assert.Equal(t, "{event.message}", loaded.Tests[0].Messages[0].Message.Topic)
}

func TestAnAnchorThatIsDefinedAgainHoldsFromThereOn(t *testing.T) {
	loaded := load(t, "topics: [&a x, *a, &a y, *a, z]\nrules: [{name: a, ignore: true}]")
	assert.Equal(t, []string{"x", "y", "z"}, loaded.Topics)
}

func TestNotMoreMistakesThanAnybodyReads(t *testing.T) {
	all := strings.Split(mistakes(t, "topics: ["+strings.Repeat("a#,", 5000)+"]"), "\n")
	assert.Len(t, all, 101)
	assert.Equal(t, "f:1:310: so much for now: mend these first", all[100])
}

func TestABombIsRefused(t *testing.T) {
	var b strings.Builder
	b.WriteString("rules: [{name: a, ignore: true}]\nx: &x0 [a,a,a,a,a,a,a,a,a,a]\n")
	for i := range 12 {
		b.WriteString(strings.ReplaceAll(strings.ReplaceAll("yN: &xM [*xN,*xN,*xN,*xN,*xN,*xN,*xN,*xN,*xN,*xN]\n", "M", string(rune('B'+i))), "N", string(rune('A'+i))))
	}
	bomb := strings.Replace(b.String(), "&x0", "&xA", 1) + "options: {a: *xM}\ntests: *xM\n"
	assert.Contains(t, mistakes(t, bomb), "the file holds more than 100000 values, with those that aliases repeat")
	assert.Less(t, strings.Count(mistakes(t, bomb), "\n"), 20, "what was not read is not wrong")
}

func TestMessagesOfTestsAreBounded(t *testing.T) {
	many := "tests:\n- &t {name: a, messages: [{times: 60000, msg: 1}]}\n- *t\n"
	assert.Contains(t, mistakes(t, many), "the tests of a file may send 100000 messages and 64 MB")
	long := "tests:\n- {name: a, messages: [{times: 60000, payload: " + strings.Repeat("a", 10_000) + "}]}\n"
	assert.Contains(t, mistakes(t, long), "the tests of a file may send 100000 messages and 64 MB")
	late := "tests:\n- {name: a, messages: [{times: 60000, every: 300d, msg: 1}]}\n"
	assert.Contains(t, mistakes(t, late), "60000 messages every 7200h0m0s take longer than a year")
}

func TestTestsAreRead(t *testing.T) {
	loaded := load(t, `
rules: [{name: a, ignore: true}]
tests:
  - name: all
    messages:
      - {at: 2m, event: {type: fail, message: m, methods: [a, b], guid: 1}}
      - {at: 0, times: 2, every: 90s, topic: 't/{n}', msg: {n: '{n}', list: [1, 2.5, null, true]}, properties: {id: '{n}', number: 5}}
      - {at: 1m, payload: "no\0json", topic: x}
    until: 1h
    want:
      - {at: 3m, type: ALERT, key: k, priority: LOW, summary: s, details: d}
      - {type: RESOLVE}
`)
	require.Len(t, loaded.Tests, 1)
	test := loaded.Tests[0]
	assert.Equal(t, "1h0m0s", test.Until.String())
	var got []string
	for _, m := range test.Messages {
		got = append(got, m.At.String()+" "+m.Message.Topic+" "+string(m.Message.Payload))
	}
	assert.Equal(t, []string{
		`0s t/0 {"list":[1,2.5,null,true],"n":"0"}`,
		"1m0s x no\x00json",
		`1m30s t/1 {"list":[1,2.5,null,true],"n":"1"}`,
		`2m0s mps/events {"type":"fail","message":"m","methods":["a","b"],"guid":"1","timestamp":4102444800000}`,
	}, got)
	assert.Equal(t, []decision.Property{{Key: "id", Value: "0"}, {Key: "number", Value: "5"}}, test.Messages[0].Message.Properties)
	assert.Equal(t, []rulefile.Notice{
		{Line: 11, At: 3 * 60e9, Type: "ALERT", Key: "k", Priority: "LOW", Summary: "s", Details: "d"},
		{Line: 12, At: -1, Type: "RESOLVE"},
	}, test.Want)
}
