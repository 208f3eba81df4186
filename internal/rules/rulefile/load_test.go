package rulefile_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/rules/rulefile"
)

func TestFilesIncludePresets(t *testing.T) {
	loaded := load(t, `
include: [calls, rps, calls]
topics: own
rules:
  - {name: own, when: event.method == "OWN", raise: {key: own, summary: s}, ends: {age: 1h}}
`)
	assert.Equal(t, []string{"own", "call-failed", "rps-unhealthy", "activation-failing"}, loaded.Names, "its own come first")
	assert.Equal(t, []string{"mps/events", "own", "rps/events"}, loaded.Topics)
	assert.Equal(t, []string{"Raise own"}, effects(loaded.Decide(say("own", "fail", "OWN", "G1", "m"))))
	assert.Equal(t, []string{"Raise g1/A"}, effects(loaded.Decide(say("mps/events", "fail", "A", "G1", "m"))))
	assert.Equal(t, `f:1:10: include: there is no preset "./mps.yaml": want mps, rps, calls`, mistakes(t, "include: ./mps.yaml"))
	assert.Equal(t, `f:1:42: rule "call-failed": its alert can never end: give it ends (when, silence or age), or another rule that resolves its key`+
		"\n"+`preset calls:9:5: rule "call-failed": f, line 1, has one of that name`,
		mistakes(t, `{include: calls, topics: [a, b], rules: [{name: call-failed, raise: {key: k, summary: s}}]}`))
}

func TestTheOptionsOfAFileGoBeforeThoseOfWhatItIncludes(t *testing.T) {
	gone := say("mps/events", "success", "CIRA_Disconnected", "G1", "m")
	quiet := effects(load(t, `include: mps`).Decide(gone))
	assert.Equal(t, append(quiet, "Raise device/g1"), effects(load(t, "include: mps\noptions: {critical: [G1]}").Decide(gone)))
	assert.Equal(t, "preset mps:17:3: option critical: want a list, have a text in the file that includes this", mistakes(t, "include: mps\noptions: {critical: G1}"))

	loaded, err := rulefile.Load{
		Sources: []rulefile.Source{{Name: "f", Text: []byte("include: mps\noptions: {critical: [G1]}")}},
		Options: map[string]string{"critical": "G2"},
	}.Do()
	require.NoError(t, err)
	assert.Equal(t, quiet, effects(loaded.Decide(gone)), "the command line goes before all files")
}

func TestSeveralFilesAreReadInTheirOrder(t *testing.T) {
	one := rulefile.Source{Name: "one", Text: []byte("topics: [b, a]\nsettings: {log-level: info, topic: [x, y]}\nrules: [{name: one, accept: k}]\ntests: [{name: t, messages: [{msg: 1}]}]")}
	two := rulefile.Source{Name: "two", Text: []byte("topics: [a, c]\nsettings: {log-level: debug, title: t}\nrules: [{name: two, integration_key: {env: A}, accept: k}, {name: three, integration_key: {env: A}, accept: k}]")}
	loaded, err := rulefile.Load{Sources: []rulefile.Source{one, two, one}, Settings: []string{"log-level", "topic", "title"}}.Do()
	require.NoError(t, err)
	assert.Equal(t, []string{"one", "two", "three"}, loaded.Names)
	assert.Equal(t, []string{"a", "b", "c"}, loaded.Topics)
	assert.Equal(t, []ilert.IntegrationKey{ilert.EnvKey("A")}, loaded.Keys)
	assert.Equal(t, map[string]rulefile.Setting{
		"log-level": {File: "one", Line: 2, Column: 23, Values: []string{"info"}},
		"topic":     {File: "one", Line: 2, Column: 36, Values: []string{"x", "y"}},
		"title":     {File: "two", Line: 2, Column: 37, Values: []string{"t"}},
	}, loaded.Settings, "the first file that sets one counts")
	assert.Len(t, loaded.Tests, 1)

	_, err = rulefile.Load{Sources: []rulefile.Source{one, two}, AnySetting: true}.Do()
	assert.NoError(t, err)

	one.Text, two.Text = []byte("rules: [{name: a, ignore: false}]\nx: 1"), []byte("y: 1\nrules: [{name: a, ignore: true}]")
	_, err = rulefile.Load{Sources: []rulefile.Source{two, one}}.Do()
	assert.EqualError(t, err, `two:1:1: the file has no key "y": it may have include, integration_key, options, rules, settings, tests, topics
one:1:9: rule "a": two, line 2, has one of that name
one:1:27: ignore: want true
one:2:1: the file has no key "x": it may have include, integration_key, options, rules, settings, tests, topics`)
}

func TestIntegrationKeysComeFromElsewhere(t *testing.T) {
	for key, want := range map[string]string{
		"il1api123":          "f:1:19: integration_key: want {env: NAME} or {file: PATH}; a key is a secret, which no file of rules holds",
		"[a]":                "f:1:18: integration_key: want {env: NAME} or {file: PATH}; a key is a secret, which no file of rules holds",
		"{env: A, file: /b}": "f:1:18: integration_key: want one of env and file",
		"{}":                 "f:1:18: integration_key: want one of env and file",
		"{key: il1api123}":   "f:1:18: integration_key: want one of env and file\nf:1:19: integration_key has no key \"key\": it may have env, file",
	} {
		got := mistakes(t, "integration_key: "+key)
		assert.NotContains(t, got, "il1api", "a secret is not repeated")
		assert.Contains(t, got, want[6:], key)
	}
	loaded := load(t, `
integration_key: {env: COMMON}
rules:
  - {name: common, raise: {key: k, summary: s}, ends: {age: 1h}}
  - {name: own, accept: k, integration_key: {file: /run/key}}
  - {name: elsewhere, resolve: k, integration_key: {env: OTHER}}
`)
	assert.Equal(t, []ilert.IntegrationKey{ilert.EnvKey("COMMON"), ilert.FileKey("/run/key"), ilert.EnvKey("OTHER")}, loaded.Keys)
	d := loaded.Decide(decision.Message{Payload: []byte("1")})
	assert.Equal(t, decision.Key{Integration: ilert.EnvKey("OTHER"), Alert: "k"}, d.Effects[0].(decision.End).Key)
	assert.Equal(t, decision.Key{Integration: ilert.EnvKey("COMMON"), Alert: "k"}, d.Effects[1].(decision.Raise).Key)
	assert.Equal(t, decision.Key{Integration: ilert.FileKey("/run/key"), Alert: "k"}, d.Effects[2].(decision.Accept).Key)
}

func TestWhatIsCountedByHTTPIsNoTopicFilter(t *testing.T) {
	assert.Equal(t, `f:1:9: topic filter "http": what comes by HTTP is counted under this name: write http/#, which matches the topic http, too`,
		mistakes(t, "topics: http\nrules: [{name: a, accept: k}]"))
}

func TestAnAlertThatNeverEndsIsRefused(t *testing.T) {
	for rule, ends := range map[string]bool{
		`{name: a, raise: {key: "a/{topic}", summary: s}}`:                                                           false,
		`{name: a, raise: {key: "a/{topic}", summary: s}, ends: {silence: 1m}}`:                                      true,
		`{name: a, raise: {key: "a/{topic}", summary: s}, ends: {age: 1m}}`:                                          true,
		`{name: a, raise: {key: "a/{topic}", summary: s}, ends: {when: topic == "b"}}`:                               true,
		`{name: a, raise: {key: "a/{topic}", summary: s}}, {name: b, resolve: "A/b"}`:                                true,
		`{name: a, raise: {key: "a/{topic}", summary: s}}, {name: b, resolve: "{topic}"}`:                            true,
		`{name: a, raise: {key: "a/{topic}", summary: s}}, {name: b, resolve: "b/{topic}"}`:                          false,
		`{name: a, raise: {key: "a/{topic}", summary: s}}, {name: b, resolve: "A/*"}`:                                true,
		`{name: a, raise: {key: "a/{topic}", summary: s}}, {name: b, resolve: "a/b/*"}`:                              true,
		`{name: a, raise: {key: "a/{topic}", summary: s}}, {name: b, resolve: "{topic}*"}`:                           true,
		`{name: a, raise: {key: "a/{topic}", summary: s}}, {name: b, resolve: "b/*"}`:                                false,
		`{name: a, raise: {key: a, summary: s}}, {name: b, resolve: "a/{topic}*"}`:                                   false,
		`{name: a, raise: {key: a, summary: s}}, {name: b, resolve: "ab*"}`:                                          false,
		`{name: a, raise: {key: a, summary: s}, ends: {when: topic == "b", match: "b*"}}`:                            false,
		`{name: a, raise: {key: a, summary: s}, ends: {when: topic == "b", match: "A*"}}`:                            true,
		`{name: a, raise: {key: a, summary: s}}, {name: b, resolve: ab}`:                                             false,
		`{name: a, raise: {key: "a/{topic}/on", summary: s}}, {name: b, resolve: "a/{topic}/off"}`:                   false,
		`{name: a, raise: {key: "a/{topic}/on", summary: s}}, {name: b, resolve: "{topic}/ON "}`:                     true,
		`{name: a, window: 1m, at_least: 1, raise: {summary: s}}, {name: b, resolve: b}`:                             false,
		`{name: a, window: 1m, at_least: 1, group: "{topic}", raise: {summary: s}}, {name: b, resolve: "a/{topic}"}`: true,
		`{name: "{a}", window: 1m, at_least: 1, raise: {summary: s}}, {name: b, resolve: "{{a}}"}`:                   true,
		`{name: a, raise: {key: "a/{topic}", summary: s}}, {name: b, accept: "a/b"}`:                                 false,
		`{name: a, raise: {key: "a/{topic}", summary: s}}, {name: b, resolve: "a/b", integration_key: {env: OTHER}}`: false,
		`{name: a, window: 1m, at_least: 1, raise: {summary: s}}`:                                                    false,
		`{name: a, window: 1m, at_least: 1, raise: {summary: s}}, {name: b, resolve: a}`:                             true,
		`{name: a, window: 1m, at_least: 1, clear: 1m, raise: {summary: s}}`:                                         true,
		`{name: a, window: 1m, member: "{topic}", leave: topic == "b", raise: {summary: s}}`:                         true,
	} {
		_, err := rulefile.Load{Sources: []rulefile.Source{{Name: "f", Text: []byte("rules: [" + rule + "]")}}}.Do()
		if ends {
			assert.NoError(t, err, rule)
		} else {
			assert.ErrorContains(t, err, "its alert can never end", rule)
		}
	}
}

func TestAnAlertDoesNotEndBeforeItIsTold(t *testing.T) {
	const rule = "rules: [{name: a, raise: {key: k, summary: s}, for: 5m, ends: {age: %s}}]"
	for _, age := range []string{"1m", "5m"} {
		assert.Equal(t, `f:1:57: rule "a": ends.age has to be longer than for, or the alert ends before it is sent`, mistakes(t, fmt.Sprintf(rule, age)))
	}
	load(t, fmt.Sprintf(rule, "5m1s"))
}

func TestWhatStandsBesideRaiseIsToldOnce(t *testing.T) {
	for text, want := range map[string]string{
		"  raise:\n  key: k\n  summary: s\n  priority: LOW\n  ends: {age: 1h}": "f:4:3: key stands below raise: indent it",
		"  raise:\n    key: k\n  summary: s\n  ends: {age: 1h}":                "f:5:3: summary stands below raise: indent it",
		"  raise:\n  details: s\n  key: k\n":                                   "f:4:3: details stands below raise: indent it",
	} {
		assert.Equal(t, want, mistakes(t, "rules:\n- name: a\n"+text))
	}
	assert.Contains(t, mistakes(t, "rules: [{name: a, resolve: k, summary: s}]"), `a rule has no key "summary"`)
}

func TestCopiesOfPresetsAreToldOnce(t *testing.T) {
	copied, err := rulefile.Preset("mps")
	require.NoError(t, err)
	copied.Name = "rules.yaml"
	preset, err := rulefile.Preset("mps")
	require.NoError(t, err)
	_, err = rulefile.Load{Sources: []rulefile.Source{copied, preset}}.Do()
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "\n")
	assert.Contains(t, err.Error(), "preset mps: rules.yaml has rules of the same names: ")
	assert.Contains(t, err.Error(), ", deactivation-failed, ")
	assert.Contains(t, err.Error(), "; do not include what you have copied, nor name it by --preset")
}

func TestPresetsOnBadDays(t *testing.T) {
	r := preset(t, "mps", "rps")
	source := []decision.Property{{Key: "source", Value: "mps-1"}}
	for name, c := range map[string]struct {
		message decision.Message
		want    []string
	}{
		"a server goes away": {
			decision.Message{Topic: "mps/status/mps-1", Payload: []byte(`{"status":"offline","planned":false,"timestamp":1}`)}, []string{"Raise server/mps-1"},
		},
		"a server comes back": {
			decision.Message{Topic: "mps/status/mps-1", Payload: []byte(`{"status":"online","planned":false,"timestamp":1}`)}, []string{"End server/mps-1"},
		},
		"the health of MPS": {
			say("mps/events", "fail", "getHealthCheck", "", "Health Check Failed"), []string{"Heard server-silent of mps/events: silent/mps/events", "Count server-unhealthy of mps/events", "Count server-failing of mps/events", "Hit server-unhealthy of mps/events"},
		},
		"the health of RPS is one alert": {
			say("rps/events", "fail", "getHealthCheck", "", "Failed to get health"), []string{"Count server-failing of rps/events", "Hit rps-unhealthy of rps/events"},
		},
		"a device is gone": {
			say("mps/events", "success", "CIRA_Disconnected", "G1", ""), []string{"Heard server-silent of mps/events: silent/mps/events", "Hit many-devices-disconnected: g1", "Hit devices-disconnected: g1"},
		},
		"a device is back": {
			say("mps/events", "success", "CIRA_Connected", "G1", ""), []string{"Heard server-silent of mps/events: silent/mps/events", "End device/g1", "Leave many-devices-disconnected of : g1", "Leave devices-disconnected of : g1"},
		},
		"an activation fails": {
			say("rps/events", "fail", "Activator", "G1", "Failed to activate"), []string{"Count server-failing of rps/events", "Hit activation-failing: g1"},
		},
		"a server's mistake": {
			decision.Message{Topic: "mps/events", Payload: say("", "fail", "AMT_PowerState", "G1", "x").Payload, Properties: append(source, decision.Property{Key: "outcome", Value: "server"})},
			[]string{"Count server-failing of mps-1", "Hit server-failing of mps-1: g1"},
		},
		"a caller's mistake": {
			decision.Message{Topic: "mps/events", Payload: say("", "fail", "AMT_PowerState", "G1", "x").Payload, Properties: append(source, decision.Property{Key: "outcome", Value: "client"})},
			[]string{"Count server-failing of mps-1"},
		},
	} {
		assert.Equal(t, c.want, effects(r.Decide(c.message)), name)
	}
}

// Events that a real MPS has published.
func TestPresetsUnderstandAllThatMPSPublished(t *testing.T) {
	text, err := os.ReadFile("../../../testdata/mps-capture.jsonl")
	require.NoError(t, err)
	r := preset(t, "mps", "rps")
	for line := range strings.Lines(string(text)) {
		var published struct{ Topic, Payload string }
		require.NoError(t, json.Unmarshal([]byte(line), &published))
		d := r.Decide(decision.Message{Topic: published.Topic, Payload: []byte(published.Payload)})
		assert.Empty(t, d.Dead)
		for _, effect := range d.Effects {
			if raised, ok := effect.(decision.Raise); ok {
				assert.Equal(t, "deactivation-failed", raised.Rule, "no other single call is an alert: %s", published.Payload)
			}
		}
	}
}

func TestCriticalDevicesAreFoundInEitherCase(t *testing.T) {
	for _, option := range []string{"4c4c4544-004b", "4C4C4544-004B", "4c4C4544-004B"} {
		source, err := rulefile.Preset("mps")
		require.NoError(t, err)
		loaded, err := rulefile.Load{Sources: []rulefile.Source{source}, Options: map[string]string{"critical": "other, " + option}}.Do()
		require.NoError(t, err)
		for _, guid := range []string{"4c4c4544-004b", "4C4C4544-004B", "4C4c4544-004b"} {
			assert.Contains(t, effects(loaded.Decide(say("mps/events", "success", "CIRA_Disconnected", guid, ""))), "Raise device/4c4c4544-004b")
		}
	}
}

func TestARuleListensToItsOwnTopicsElseToThoseOfItsFile(t *testing.T) {
	source := func(name, topics string) rulefile.Source {
		return rulefile.Source{Name: name, Text: []byte(topics + `
rules:
  - {name: ` + name + `-own, topics: own/+, resolve: own}
  - {name: ` + name + `-file, resolve: file}`)}
	}
	load := rulefile.Load{Sources: []rulefile.Source{source("a", "topics: a"), source("b", "topics: b"), source("c", "")}}
	loaded, err := load.Do()
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "b", "own/+"}, loaded.Topics, "all are subscribed to")
	matched := func(topic string) []string {
		return loaded.Decide(decision.Message{Topic: topic, Payload: []byte("1")}).Matched
	}
	assert.Equal(t, []string{"a-file", "c-file"}, matched("a"))
	assert.Equal(t, []string{"b-file", "c-file"}, matched("b"))
	assert.Equal(t, []string{"a-own", "b-own", "c-own", "c-file"}, matched("own/x"))
	assert.Equal(t, []string{"c-file"}, matched("else"), "a file without topics is for all that comes")

	load.Topics = []string{"x/#"}
	loaded, err = load.Do()
	require.NoError(t, err)
	assert.Equal(t, []string{"a-file", "b-file", "c-file"}, matched("x/y"), "instead of the file's")
	assert.Empty(t, matched("a"))
}
