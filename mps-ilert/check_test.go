package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/rules/rulefile"
)

// check runs the command and returns what it writes.
func check(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	if stdin != "" {
		file := write(t, "stdin", stdin)
		in, err := os.Open(file)
		require.NoError(t, err)
		defer in.Close()
		was := os.Stdin
		os.Stdin = in
		defer func() { os.Stdin = was }()
	}
	err := run(t.Context(), append([]string{"check"}, args...), environment(), &out, io.Discard)
	return out.String(), err
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// The files of the built-in rules have tests for bad and for ordinary days.
func TestTheTestsOfAllRulesPass(t *testing.T) {
	for _, name := range rulefile.PresetNames {
		out, err := check(t, "", "--preset", name)
		require.NoError(t, err, out)
		assert.Regexp(t, "tests: [0-9]+ passed", out, name)
	}
	files, err := filepath.Glob("../examples/rules/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range append(files, "testdata/options.yaml") {
		out, err := check(t, "", "--config", file)
		require.NoError(t, err, out)
		assert.Regexp(t, "tests: [0-9]+ passed", out, file)
	}
}

const doorRules = `
topics: door/+
rules:
  - name: open
    when: msg.open == true
    raise: {key: "{topic}", summary: "{topic} is open", priority: LOW}
    for: 5m
    ends: {when: msg.open == false}
`

func TestATestThatFailsIsNamedWithItsLine(t *testing.T) {
	for want, test := range map[string]string{
		`rules.yaml:9: test "t": line 10: ilert should be sent ALERT door/2, and is sent ALERT LOW door/1 after 5m0s "door/1 is open"`: `
  - {name: t, messages: [{topic: door/1, msg: {open: true}}], until: 1h, want: [
      {type: ALERT, key: door/2}]}`,
		`rules.yaml:9: test "t": line 9: ilert should be sent RESOLVE, and is sent nothing more`: `
  - {name: t, messages: [{topic: door/1, msg: {open: true}}], until: 1h, want: [{at: 5m, type: ALERT}, {type: RESOLVE}]}`,
		`rules.yaml:9: test "t": ilert is sent ALERT LOW door/1 after 5m0s "door/1 is open", and should not be`: `
  - {name: t, messages: [{topic: door/1, msg: {open: true}}], until: 1h}`,
		`rules.yaml:9: test "t": the message at 0s is dead: `: `
  - {name: t, messages: [{topic: door/1, payload: junk}]}`,
	} {
		out, err := check(t, "", "--config", write(t, "rules.yaml", doorRules[1:]+"tests:"+test))
		assert.EqualError(t, err, "tests: 1 of 1 failed")
		assert.Contains(t, out, want)
	}
}

func TestMistakesAreAllNamedAtOnce(t *testing.T) {
	file := write(t, "rules.yaml", strings.ReplaceAll(doorRules[1:], "for: 5m", "four: 5m")+"settings: {mqtt_hst: x}\n")
	out, err := check(t, "", "--config", file)
	assert.EqualError(t, err, "mistakes in the rules: 2")
	assert.Contains(t, out, file+`:6:5: a rule has no key "four", did you mean "for"?`)
	assert.Contains(t, out, file+`:8:12: settings has no key "mqtt_hst", did you mean "mqtt_host"?`)
}

func TestMessagesAreExplained(t *testing.T) {
	messages := write(t, "capture", `{"topic":"door/1","payload":{"open":true},"tst":"2026-01-02T03:04:05.000000Z+0000"}
{"topic":"door/1","payload":"{\"open\":false}","tst":"2026-01-02T03:10:00Z"}
{"topic":"door/2","payload":"[","tst":"2026-01-02T03:10:01Z"}
{"topic":"door/3","payload":{"open":true},"tst":"2026-01-02T03:10:02Z"}`)
	out, err := check(t, "", "--config", write(t, "rules.yaml", doorRules), messages)
	require.NoError(t, err)
	assert.Equal(t, `rules: 1 without mistakes, for door/+

2026-01-02 03:04:05  door/1  {"open":true}
  * open: raises the alert door/1
2026-01-02 03:09:05  ilert is sent ALERT LOW door/1: door/1 is open

2026-01-02 03:10:00  door/1  {"open":false}
  * open: ends the alert door/1
2026-01-02 03:10:00  ilert is sent RESOLVE LOW door/1: door/1 is open: over after 6 minutes

2026-01-02 03:10:01  door/2  [
    dead, no rule has an effect: rule open: msg.open == false: msg is a text and has no open; write msg?.open where it may be one
    open: fails: msg.open == false: msg is a text and has no open; write msg?.open where it may be one

2026-01-02 03:10:02  door/3  {"open":true}
  * open: raises the alert door/3

if nothing more comes:
2026-01-02 03:15:02  ilert is sent ALERT LOW door/3: door/3 is open
still open: door/3
warning: rule open fails: msg.open == false: msg is a text and has no open; write msg?.open where it may be one (in 1 message)
`, out)
	brief, err := check(t, "", "--config", write(t, "rules.yaml", doorRules), "--brief", messages)
	require.NoError(t, err)
	assert.Equal(t, 3, strings.Count(brief, "ilert is sent"))
	assert.NotContains(t, brief, "raises")
	assert.True(t, strings.HasSuffix(brief, `
messages: 4, of which 1 would be dead:
      1  rule open: msg.open == false: msg is a text and has no open; write msg?.open where it may be one
`), brief)
}

func TestWhatChangesNothingIsSaidToDoSo(t *testing.T) {
	messages := write(t, "capture", `{"topic":"door/1","payload":{"open":false},"tst":"2026-01-02T03:04:05Z"}
{"topic":"door/1","payload":{"open":true},"tst":"2026-01-02T03:04:06Z"}
{"topic":"door/1","payload":{"open":true},"tst":"2026-01-02T03:04:07Z"}
{"topic":"door/1","payload":{"open":false},"tst":"2026-01-02T03:04:08Z"}`)
	out, err := check(t, "", "--config", write(t, "rules.yaml", doorRules), messages)
	require.NoError(t, err)
	assert.Equal(t, `rules: 1 without mistakes, for door/+

2026-01-02 03:04:05  door/1  {"open":false}
  * open: ends the alert door/1
    door/1: nothing is open

2026-01-02 03:04:06  door/1  {"open":true}
  * open: raises the alert door/1

2026-01-02 03:04:07  door/1  {"open":true}
  * open: raises the alert door/1
    door/1: is raised already

2026-01-02 03:04:08  door/1  {"open":false}
  * open: ends the alert door/1

if nothing more comes:
nothing is open
`, out)
	brief, err := check(t, "", "--config", write(t, "rules.yaml", doorRules), "--brief", messages)
	require.NoError(t, err)
	assert.Equal(t, "rules: 1 without mistakes, for door/+\nnothing is open\nmessages: 4, none would be dead\n", brief)
}

func TestItIsSaidHowFarAWindowIs(t *testing.T) {
	config := write(t, "rules.yaml", `
topics: [a, b]
rules:
  - name: calls
    when: msg.fails
    window: 10m
    at_least: 2
    ratio: 0.5
    of: "true"
    clear: 1h
    raise: {summary: "{count} of {of}"}
  - name: hot
    topics: b
    when: msg.fails
    window: 10m
    distinct: 2
    group: "{msg.site}"
    member: "{msg.who}"
    raise: {summary: hot}
    ends: {when: msg.reset == true, age: 1h}
`)
	out, err := check(t, `{"topic":"a","payload":{"fails":false},"tst":"2026-01-02T03:04:05Z"}
{"topic":"a","payload":{"fails":true},"tst":"2026-01-02T03:04:05Z"}
{"topic":"a","payload":{"fails":false},"tst":"2026-01-02T03:04:05Z"}
{"topic":"b","payload":{"fails":true,"who":"x","site":"north"},"tst":"2026-01-02T03:04:05Z"}
{"topic":"b","payload":{"fails":true,"who":"y","site":"north"},"tst":"2026-01-02T03:04:05Z"}
{"topic":"b","payload":{"fails":false,"reset":true,"site":"south"},"tst":"2026-01-02T03:04:05Z"}`, "--config", config, "-")
	require.NoError(t, err, out)
	var notes []string
	for line := range strings.Lines(out) {
		if note, is := strings.CutPrefix(line, "    window of "); is {
			notes = append(notes, strings.TrimSpace(note))
		}
	}
	assert.Equal(t, []string{
		"calls: 0 of 2, 0% of 1 where 50% is asked for",
		"calls: 1 of 2, 50% of 2 where 50% is asked for",
		"calls: 1 of 2, 33.3% of 3 where 50% is asked for",
		"calls: 2 of 2, 50% of 4 where 50% is asked for, its alert is raised",
		"hot, north: 1 of 2 members",
		"calls: 3 of 2, 60% of 5 where 50% is asked for, its alert is raised",
		"hot, north: 2 of 2 members, its alert is raised",
		"hot, south: nothing is open",
		"calls: 3 of 2, 50% of 6 where 50% is asked for, its alert is raised",
	}, notes)
}

func TestItIsSaidHowFarTwoWindowsAndTheEndByHealthAre(t *testing.T) {
	config := write(t, "rules.yaml", `
topics: a
rules:
  - name: calls
    when: msg == "bad"
    window: 10m
    at_least: 2
    ratio: 0.5
    or: {window: 1h30m, at_least: 4, ratio: 0.4}
    of: "true"
    raise: {summary: "{count} of {of} within {window}"}
    ends: {ratio: 0.3}
`)
	out, err := check(t, `{"topic":"a","payload":"bad","tst":"2026-01-02T03:00:00Z"}
{"topic":"a","payload":"bad","tst":"2026-01-02T03:00:00Z"}
{"topic":"a","payload":"good","tst":"2026-01-02T03:20:00Z"}
{"topic":"a","payload":"good","tst":"2026-01-02T03:20:01Z"}
{"topic":"a","payload":"good","tst":"2026-01-02T03:20:02Z"}
{"topic":"a","payload":"good","tst":"2026-01-02T03:20:03Z"}
{"topic":"a","payload":"good","tst":"2026-01-02T03:20:04Z"}`, "--config", config, "-")
	require.NoError(t, err, out)
	for _, want := range []string{
		"calls: 1 of 2, 100% of 1 where 50% is asked for within 10m or 1 of 4, 100% of 1 where 40% is asked for within 1h30m\n",
		", its alert is raised, too few messages to end it by health: 2\n",
		"calls: 0 of 2, 0% of 1 where 50% is asked for within 10m or 2 of 4, 66.6% of 3 where 40% is asked for within 1h30m, its alert is raised, too few messages to end it by health: 3\n",
		", its alert is raised, 50% of the newest 4 where less than 30% ends it\n",
		"calls: is empty, since its alert has ended by health\n",
		"ilert is sent ALERT calls: 2 of 2 within 10 minutes\n",
		"2026-01-02 03:20:04  ilert is sent RESOLVE calls: 2 of 2 within 10 minutes: over after 20 minutes\n",
		"nothing is open\n",
	} {
		assert.Contains(t, out, want)
	}
}

func TestItIsSaidUntilWhenAMessageIsWaitedFor(t *testing.T) {
	rules := write(t, "rules.yaml", `
topics: door/+
rules:
  - {name: silent, when: msg.alive, absent: 20m, group: "{topic}", forget: msg.off, raise: {summary: "{group} is silent"}}
`)
	messages := write(t, "messages.json", `
{"topic": "door/1", "payload": {"alive": true}, "time": "2026-01-01T00:00:00Z"}
{"topic": "door/2", "payload": {"alive": true}, "time": "2026-01-01T00:10:00Z"}
{"topic": "door/2", "payload": {"off": true}, "time": "2026-01-01T00:10:00Z"}
`)
	out, err := check(t, "", "--config", rules, messages)
	require.NoError(t, err)
	for _, want := range []string{
		"* silent: waits for the next message of door/1, for 20m0s\n    silent, door/1: is waited for again until 2026-01-01 00:20:00",
		"; waits for no message of door/2 until the next one comes",
		"2026-01-01 00:20:00  ilert is sent ALERT silent/door/1: door/1 is silent\n2026-01-31 00:20:00  ilert is sent RESOLVE silent/door/1",
		"nothing is open",
	} {
		assert.Contains(t, out, want)
	}
	assert.NotContains(t, out, "door/2 is silent")
}

func TestTestsThatFailDoNotHideWhatMessagesDo(t *testing.T) {
	rules := write(t, "rules.yaml", doorRules[1:]+`tests:
  - {name: t, messages: [{topic: door/1, msg: {open: true}}], until: 1h}
`)
	messages := write(t, "capture", `{"topic":"door/3","payload":{"open":true},"tst":"2026-01-02T03:10:02Z"}`)
	out, err := check(t, "", "--config", rules, messages)
	assert.EqualError(t, err, "tests: 1 of 1 failed")
	assert.Contains(t, out, "2026-01-02 03:15:02  ilert is sent ALERT LOW door/3: door/3 is open\n")
	assert.NotContains(t, out, "5m0s  ilert")

	out, err = check(t, "", "--config", rules, "-v")
	assert.EqualError(t, err, "tests: 1 of 1 failed")
	assert.Contains(t, out, `should not be

0s  door/1  {"open":true}
  * open: raises the alert door/1
5m0s  ilert is sent ALERT LOW door/1: door/1 is open
`)
}

func TestTestsRunWithTheOptionsOfTheirFile(t *testing.T) {
	rules := write(t, "rules.yaml", `options: {name: door}
`+strings.Replace(doorRules[1:], `"{topic} is open"`, `"{option.name} is open"`, 1)+`tests:
  - {name: t, messages: [{topic: door/1, msg: {open: true}}], until: 1h, want: [{type: ALERT, summary: door is open}]}
`)
	messages := write(t, "capture", `{"topic":"door/3","payload":{"open":true},"tst":"2026-01-02T03:10:02Z"}`)
	out, err := check(t, "", "--config", rules, "--option", "name=gate", messages)
	require.NoError(t, err, out)
	assert.Contains(t, out, "ilert is sent ALERT LOW door/3: gate is open")
	assert.Contains(t, out, "tests: 1 passed")
}

func TestACaptureMayHaveUserPropertiesAndComeInSeveralFiles(t *testing.T) {
	config := write(t, "rules.yaml", `
rules:
  - name: call
    when: event.httpstatus == 500
    raise: {key: "{server}/{event.outcome}", summary: "{event.message}", details: "{event.method}\n{event.guid}"}
    ends: {age: 1d}
`)
	const message = `{"topic":"t","payload":{"type":"fail","message":"m","methods":["A"],"guid":"g","timestamp":1795321902892},"time":"2026-11-22T04:40:00Z","properties":`
	first := write(t, "first", message+`{"user-properties":[{"source":"s1"},{"outcome":"server"},{"httpstatus":"500"}]}}`)
	second := write(t, "second", message+`{"source":"s2","outcome":"device","httpstatus":500}}`)
	out, err := check(t, "", "--config", config, "--brief", first, second)
	require.NoError(t, err)
	assert.Equal(t, `rules: 1 without mistakes, for mps/events
2026-11-22 04:40:00  ilert is sent ALERT s1/server: m
                     A g
2026-11-22 04:40:00  ilert is sent ALERT s2/device: m
                     A g
2026-11-23 04:31:42  ilert is sent RESOLVE s1/server: m: over after 1 day
2026-11-23 04:31:42  ilert is sent RESOLVE s2/device: m: over after 1 day
nothing is open
messages: 2, none would be dead
`, out)
	out, err = check(t, "", "--config", write(t, "rules.yaml", "topics: a\n"))
	require.Error(t, err)
	assert.Contains(t, out, "there are no rules")
}

// A noisy hour of a real MPS, as it was captured.
func TestTheCaptureOfMPSRaisesNothingButWhatItShould(t *testing.T) {
	out, err := check(t, "", "--brief", "../testdata/mps-capture.jsonl")
	require.NoError(t, err)
	for line := range strings.Lines(out) {
		if strings.Contains(line, "ilert is sent") {
			assert.Contains(t, line, "LOW deactivation/")
		}
	}
}

func TestEventsComeFromTheStandardInput(t *testing.T) {
	out, err := check(t, `{"type":"fail","message":"m","methods":["AMT_Unprovision"],"guid":"1","timestamp":1795321902892}`, "-")
	require.NoError(t, err)
	assert.Contains(t, out, "2026-11-22 04:31:42  ilert is sent ALERT LOW deactivation/1: 1 could not be deactivated: m")
	_, err = check(t, doorRules, "-")
	assert.ErrorContains(t, err, "value 1 is no JSON")
}

func TestTheFileSetsFlagsThatNothingElseSets(t *testing.T) {
	file := write(t, "rules.yaml", "settings: {preset: calls, option: [], mqtt_name: own, event_topic: [a/+, b, a/x], mqtt_qos: 0}\n"+doorRules)
	out, err := check(t, "", "--config", file)
	require.NoError(t, err)
	assert.Contains(t, out, "rules: 2 without mistakes, for a/+, b\n", "with the preset that it sets, and what the daemon would subscribe to")
	out, err = check(t, `{"topic":"a/1","payload":{"open":true},"tst":"2026-01-02T03:04:05Z"}`, "--config", file, "-")
	require.NoError(t, err)
	assert.Contains(t, out, "open: raises the alert a/1", "its rules look at these topics instead of those of their file")

	for _, c := range []struct {
		env  func(string) string
		args []string
		want string
	}{
		{environment(), nil, "--mqtt_qos 9"},
		{environment("MPS_ILERT_MQTT_QOS", "8"), nil, "--mqtt_qos 8"},
		{environment("MPS_ILERT_MQTT_QOS", "8"), []string{"--mqtt_qos", "7"}, "--mqtt_qos 7"},
	} {
		file := write(t, "rules.yaml", "settings: {mqtt_qos: 9}\n"+doorRules)
		err := run(t.Context(), append([]string{"daemon", "--config", file, "-m", "h"}, c.args...), c.env, io.Discard, io.Discard)
		assert.ErrorContains(t, err, c.want)
	}
	file = write(t, "rules.yaml", "settings: {mqtt_port: x}\n"+doorRules)
	err = run(t.Context(), []string{"daemon", "--config", file}, environment(), io.Discard, io.Discard)
	assert.ErrorContains(t, err, `settings: mqtt_port "x": `)
}

func TestOfSeveralFilesTheFirstThatSetsAFlagWins(t *testing.T) {
	first := write(t, "first.yaml", "settings: {mqtt_qos: 9}\n"+doorRules)
	second := write(t, "second.yaml", "settings: {mqtt_qos: 8, max_skew: 0s}\n"+strings.NewReplacer("door", "window", "name: open", "name: window").Replace(doorRules))
	daemon := func(files ...string) error {
		args := []string{"daemon", "-m", "h", "--event_key", "k"}
		for _, file := range files {
			args = append(args, "--config", file)
		}
		return run(t.Context(), args, environment(), io.Discard, io.Discard)
	}
	assert.ErrorContains(t, daemon(first), "--mqtt_qos 9")
	assert.ErrorContains(t, daemon(first, second), "--max_skew 0s", "which only the second sets")
	assert.ErrorContains(t, daemon(second, first), "--max_skew 0s")
	mended := write(t, "third.yaml", "settings: {max_skew: 1m}\n")
	assert.ErrorContains(t, daemon(mended, first, second), "--mqtt_qos 9")
	assert.ErrorContains(t, daemon(mended, second, first), "--mqtt_qos 8")

	out, err := check(t, "", "--config", first, "--config", second)
	require.NoError(t, err)
	assert.Contains(t, out, "rules: 2 without mistakes, for door/+, window/+")
	_, err = check(t, "", "--config", first, "--config", write(t, "again.yaml", doorRules))
	assert.ErrorContains(t, err, "mistakes in the rules: 1", "there are two of one name")
}

func TestOptionsMayBeThoseOfAPresetThatIsNamedElsewhere(t *testing.T) {
	gone := write(t, "capture", `{"type":"success","message":"m","methods":["CIRA_Disconnected"],"guid":"d1","timestamp":1795321902892}`)
	for name, args := range map[string][]string{
		"both on the command line": {"--preset", "mps", "--option", "critical=d1"},
		"the preset in the file":   {"--config", write(t, "rules.yaml", "settings: {preset: [mps, rps]}\n"), "--option", "critical=d1"},
		"as the daemon has it":     {"--config", write(t, "rules.yaml", "settings: {preset: 'mps,rps'}\n"), "--option", "critical=d1"},
		"the option in the file":   {"--config", write(t, "rules.yaml", "settings: {option: critical=d1}\n"), "--preset", "mps"},
		"both in the file":         {"--config", write(t, "rules.yaml", "settings: {preset: mps, option: critical=d1}\n")},
	} {
		out, err := check(t, "", append(args, "--brief", gone)...)
		require.NoError(t, err, name+out)
		assert.Contains(t, out, "ilert is sent ALERT HIGH device/d1", name)
	}
	file := write(t, "rules.yaml", "settings: {preset: mps}\n")
	err := run(t.Context(), []string{"daemon", "--config", file, "--option", "critical=d1", "--option", "x=y", "-m", "h"},
		environment("ILERT_INTEGRATION_KEY", "k", "MPS_ILERT_FILE", filepath.Join(t.TempDir(), "db")), io.Discard, io.Discard)
	assert.ErrorContains(t, err, "--option x: no file has such an option: it may have critical, device_calls")
	err = run(t.Context(), []string{"daemon", "--config", write(t, "rules.yaml", doorRules), "-r", "beat", "-m", "h"}, environment(), io.Discard, io.Discard)
	assert.ErrorContains(t, err, "no integration key")
	out, err := check(t, "", "--config", write(t, "rules.yaml", doorRules), "--option", "x=y")
	require.Error(t, err)
	assert.Equal(t, "--option x: no file has such an option\n", out)
}

func TestSettingsThatTheDaemonRefusesAreMistakes(t *testing.T) {
	_, err := check(t, "", "--config", write(t, "rules.yaml", "settings: {mqtt_port: x}\n"+doorRules))
	assert.ErrorContains(t, err, `rules.yaml:1:23: settings: mqtt_port "x": want a number from 0 to 65535`)
	_, err = check(t, "", "--config", write(t, "rules.yaml", "settings: {verbose: x}\n"+doorRules))
	assert.ErrorContains(t, err, `settings: verbose "x": `)
}

func TestRulesArePrintedToBeCopied(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"rules", "print", "mps"}, environment(), &out, io.Discard))
	checked, err := check(t, "", "--config", write(t, "rules.yaml", out.String()))
	require.NoError(t, err)
	assert.Contains(t, checked, "rules: 15 without mistakes")
	assert.EqualError(t, run(t.Context(), []string{"rules", "print"}, environment(), io.Discard, io.Discard), "which? Name one of mps, rps, calls")
	assert.ErrorContains(t, run(t.Context(), []string{"rules", "print", "mp"}, environment(), io.Discard, io.Discard), `did you mean "mps"?`)
	assert.ErrorContains(t, run(t.Context(), []string{"rules", "print", "ilagent"}, environment(), io.Discard, io.Discard), "flags of the daemon's mapping")
}

func TestVersionAndCompletion(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"version"}, environment(), &out, io.Discard))
	assert.Regexp(t, `^mps-ilert \S+`, out.String())
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		out.Reset()
		require.NoError(t, run(t.Context(), []string{"completion", shell}, environment(), &out, io.Discard))
		assert.Contains(t, out.String(), "mps-ilert")
	}
}
