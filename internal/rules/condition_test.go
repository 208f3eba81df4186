package rules_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/rules/rulefile"
)

// conditionOf returns a file with one rule that has this condition.
func conditionOf(condition string) string {
	return "options: {hosts: [a, b], codes: [500, 503], limit: 5, none: , on: true, name: x}\nrules:\n  - name: r\n    accept: k\n    when: |\n      " + condition + "\n"
}

func TestConditionsAskForAllThatAMessageHas(t *testing.T) {
	m := decision.Message{
		Topic:   "mps/events/1",
		Payload: []byte(`{"type":"fail","message":"It FAILED","methods":["A","B"],"guid":"G-1","timestamp":1795322346039,"more":{"n":1,"list":["a",2]},"big":9007199254740993}`),
		Properties: []decision.Property{
			{Key: "source", Value: "mps-1"}, {Key: "outcome", Value: "server"}, {Key: "httpstatus", Value: "503"}, {Key: "a b", Value: "c"},
		},
	}
	for _, condition := range []string{
		`topic == "mps/events/1"`, `server == "mps-1"`, `rule == "r"`,
		`event.type == "fail"`, `event.message contains "FAILED"`, `event.method == "A"`, `"B" in event.methods`, `event.methods[1] == "B"`,
		`event.guid == "g-1"`, `event.timestamp == 1795322346039`, `event.outcome == "server"`, `event.httpstatus >= 500`,
		`msg.more.n == 1`, `"a" in msg.more.list`, `msg.more.list[1] == 2`, `msg["type"] == "fail"`, `msg.guid == "G-1"`, `msg.big == 9007199254740993`, `msg.no == nil`, `msg.no?.deeper == nil`, `"more" in msg`,
		`properties.source == "mps-1"`, `properties["a b"] == "c"`, `properties.no == ""`,
		`option.name == "x"`, `option.on`, `event.httpstatus in option.codes`, `"a" in option.hosts`, `not ("c" in option.hosts)`, `not (event.guid in option.none)`, `option.limit + 1 == 6`, `len(option.hosts) == 2`,
		`lower(event.guid) == "g-1"`, `upper("a") == "A"`, `trim(" a ") == "a"`, `trimPrefix(topic, "mps/") == "events/1"`, `trimSuffix(topic, "/1") == "mps/events"`,
		`split(topic, "/")[2] == "1"`, `string(5) == "5"`, `int("5") == 5`, `float("0.5") == 0.5`, `len(event.methods) == 2`, `default(msg.no, "d") == "d"`, `default(event.guid, "d") == "g-1"`, `truncate("äb", 2) == "ä"`, `truncate("äb", 1) == ""`,
		`event.guid matches "^g-[0-9]$"`, `event.type == "fail" ? true : false`, `event.guid startsWith "g" and event.guid endsWith "1"`, `event.type != "request" or false`, `(msg.no ?? "x") == "x"`, `event.guid | lower() == "g-1"`,
	} {
		assert.Equal(t, []string{"Accept k"}, effects(load(t, conditionOf(condition)).Decide(m)), condition)
	}
}

func TestForbiddenConditions(t *testing.T) {
	for condition, want := range map[string]string{
		`any(event.methods, # == "x")`:                     "functions that loop over a list are not allowed; use in, find, or each",
		`all(event.methods, true)`:                         "functions that loop over a list are not allowed; use in, find, or each",
		`1..1000000 == nil`:                                "ranges (..) are not allowed",
		`topic matches msg.pattern`:                        "matches: want a pattern in quotes, that can be checked now",
		`topic matches "a{1000}b{900}"`:                    "matches: the patterns come to more than 1000 steps; want shorter ones, or fewer repetitions such as {100}",
		`let a = msg.x + msg.x; a == ""`:                   "variables (let) are not allowed",
		`true; false`:                                      "variables (let) are not allowed",
		`$env.msg.x == 1`:                                  "there is no $env",
		`now() == nil`:                                     `at character 1: there is no now; a rule asks for no clock; what is about time is said by for, window and ends`,
		`repeat("a", 9) == ""`:                             `at character 1: there is no function repeat: there are default, find, float, fromJSON, int, len, lower, number, replace, split, string, trim, trimPrefix, trimSuffix, truncate, upper`,
		`event.type == fail`:                               `at character 15: there is no fail; what the message has is msg.fail, and a text is "fail" in quotes`,
		`null == msg.a`:                                    `at character 1: there is no null; write nil`,
		`msg.a == None`:                                    `at character 10: there is no None; write nil`,
		`msg.a == True`:                                    `at character 10: there is no True; write true`,
		`event.methods == "A"`:                             `at character 15: a list and a text are never equal; ask for a member with in, as in "AMT_PowerAction" in event.methods`,
		`event.httpstatus == "500"`:                        `at character 18: a number and a text are never equal; a number stands without quotes, and float(...) makes one of a text`,
		`event.httpstatus >= "500"`:                        `at character 18: a number and a text do not go together by >=; a number stands without quotes, and float(...) makes one of a text`,
		`event == "a"`:                                     `at character 7: an object and a text are never equal`,
		`event.methods < 5`:                                `at character 15: a list and a number do not go together by <`,
		`topic and event.type == "fail"`:                   `at character 7: and stands between two conditions, not between a text and true or false; compare each, as in event.guid != ""`,
		`not topic`:                                        `at character 1: not: want true or false, have a text; compare it, as in event.guid != ""`,
		`-topic == 5`:                                      `at character 1: -: want a number, have a text`,
		`event.method == "AMT_PowerActoin"`:                `event.method "AMT_PowerActoin" is none of Open AMT, did you mean "AMT_PowerAction"?; if it is one of your own, write "AMT_PowerActoin" in event.methods`,
		`event.method in ["AMT_Unprovision", "activater"]`: `event.method "activater" is none of Open AMT, did you mean "Activator"?; if it is one of your own, write "activater" in event.methods`,
		`event.method != "cira_disconnected"`:              `event.method "cira_disconnected" is none of Open AMT, did you mean "CIRA_Disconnected"?; if it is one of your own, write "cira_disconnected" in event.methods`,
		`event.type = "fail"`:                              `at character 12: write == to compare`,
		`event.typ == "fail"`:                              `at character 7: event has no field typ, did you mean "type"?`,
		`event.type == "fial"`:                             `event.type is never "fial": want one of request, success, fail, did you mean "fail"?`,
		`event.type != "error"`:                            `event.type is never "error": want one of request, success, fail`,
		`event.outcome in ["ok", "sever"]`:                 `event.outcome is never "sever": want one of ok, client, unreachable, device, server, did you mean "server"?`,
		`event.guid`:                                       `want true or false, have a text; compare it, as in event.guid != ""`,
		`event`:                                            `want true or false, have an object; compare it, as in event.guid != ""`,
		`contains(topic, "a")`:                             `at character 1: contains stands between two values, as in event.message contains "..."`,
		`topic == "a" and`:                                 `at character 16: it ends too early; to YAML, # begins a comment where no quotes are around the whole`,
		`option.hots == nil`:                               `option.hots is not among the options of this file, did you mean "hosts"?`,
		`option[topic] == nil`:                             `option: want a name, as in option.name`,
		`group == ""`:                                      `there is no group yet; it may stand in what raise says`,
		strings.Repeat("!", 600) + "true":                  `at character 604: more than 500 names, values and operators`,
		strings.Repeat("(", 5000):                          `an expression of 5000 characters: want at most 4000`,
		"topic" + strings.Repeat("+topic", 51) + ` == ""`:  `more than 50 calls of functions and additions`,
		strings.Repeat("lower(", 51) + "topic" + strings.Repeat(")", 51) + ` == ""`: `more than 50 calls of functions and additions`,
	} {
		assert.Equal(t, "f:5:11: when: "+want, mistakes(t, conditionOf(condition)), "%.100s", condition)
	}
	assert.Equal(t, "f:1:25: when: option.a: this file has no options: want them above the rules, such as options: {a: ...}",
		mistakes(t, `rules: [{name: a, when: option.a == 1, ignore: true}]`))
}

func TestMethodsThatAreKnownOrNearToNoneAreFine(t *testing.T) {
	for _, name := range []string{"mps", "rps"} {
		text, err := os.ReadFile("../../testdata/facts/" + name + "-events.json")
		require.NoError(t, err)
		var routes []struct{ Events []struct{ Methods []string } }
		require.NoError(t, json.Unmarshal(text, &routes))
		for _, route := range routes {
			for _, e := range route.Events {
				for _, method := range e.Methods {
					load(t, conditionOf(fmt.Sprintf("event.method == %q", method)))
				}
			}
		}
	}
	for _, condition := range []string{
		`event.method == "CIRA_Disconnected"`, `event.method in ["OWN", "A", "openDoor"]`, `"AMT_PowerActoin" in event.methods`, `event.method startsWith "AMT_Power"`,
		`event.message == "AMT_PowerActoin"`,
	} {
		load(t, conditionOf(condition))
	}
}

func TestOptionsAreSetByNameAndKind(t *testing.T) {
	file := "options: {text: a, flag: false, number: 1, share: 0.5, list: [a], empty: , codes: [1]}\nrules: [{name: r, accept: '{option.text} {option.flag} {option.number} {option.share} {option.list} {option.empty} {option.codes}'}]"
	with := func(options map[string]string) (rulefile.Loaded, error) {
		return rulefile.Load{Sources: []rulefile.Source{{Name: "f", Text: []byte(file)}}, Options: options}.Do()
	}
	for want, options := range map[string]map[string]string{
		`a false 1 0.5 ["a"] [] [1]`:               nil,
		`b=c true 2.5 3 ["b","c"] ["d","e"] [7,8]`: {"text": "b=c", "flag": "true", "number": "2.5", "share": "3", "list": "c, b,,", "empty": "d,e", "codes": "7,8"},
		` false -1 0.5 [] [] []`:                   {"text": "", "number": "-1", "list": "", "codes": " "},
	} {
		loaded, err := with(options)
		assert.NoError(t, err)
		assert.Equal(t, []string{"Accept " + want}, effects(loaded.Decide(decision.Message{Payload: []byte("1")})))
	}
	for option, want := range map[string]string{
		"flag=yes":    "f:1:20: option flag=yes: want true or false",
		"number=5x":   "f:1:33: option number=5x: want a number",
		"number=NaN":  "f:1:33: option number=NaN: want a number",
		"share=1e999": "f:1:44: option share=1e999: want a number",
		"codes=a":     "f:1:76: option codes=a: want a number",
		"nmber=5":     `--option nmber: no file has such an option, did you mean "number"?`,
		"quite=5":     `--option quite: no file has such an option: it may have codes, empty, flag, list, number, share, text`,
	} {
		name, value, _ := strings.Cut(option, "=")
		_, err := with(map[string]string{name: value})
		assert.EqualError(t, err, want)
	}
}

// The message has the maximum size, and the expression tries to make a much larger value of it.
func TestExpressionsCostLittle(t *testing.T) {
	const size = 250_000
	text := strings.Repeat("aB", size/2)
	list := strings.TrimSuffix(strings.Repeat("1,", size/2), ",")
	m := decision.Message{Payload: fmt.Appendf(nil, `{"s":%q}`, text)}
	lists := decision.Message{Payload: []byte(`{"l":[` + list + `]}`)}
	twice := func(times int, s string) string { return strings.TrimSuffix(strings.Repeat(s, times), " and ") }
	for condition, m := range map[string]decision.Message{
		"msg.s" + strings.Repeat(" + msg.s", 49) + ` == ""`:                                   m,
		strings.Repeat("lower(upper(", 24) + "msg.s" + strings.Repeat("))", 24) + ` != ""`:    m,
		twice(50, `len(split(msg.s, "")) > 1 and `)[:50*30-5-30*26]:                           m,
		`msg.s matches "(a|B|ab|aB|[a-z]+)*x(.{1,50}){1,5}$"`:                                 m,
		`msg.s matches "(x+x+)+y" or msg.s matches ".*.*.*.*=.*"`:                             m,
		twice(40, `not (2 in msg.l) and `):                                                    lists,
		twice(40, `msg.l == msg.l and `):                                                      lists,
		`len(string(msg)) > 5`:                                                                lists,
		strings.Repeat(`len(msg.l) > 5 ? `, 45) + "true" + strings.Repeat(" : false", 45):     lists,
		`2 ** 1000000 > 1 and -2 ** 63 < 1 and 9223372036854775807 + 9223372036854775807 < 0`: lists,
	} {
		d := load(t, conditionOf(condition)).Decide(m)
		assert.Empty(t, d.Dead, "%.100s", condition)
	}
}
