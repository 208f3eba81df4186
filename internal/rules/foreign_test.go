package rules_test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/decision"
)

// Expressions as people write them who know Home Assistant, Telegraf, SQL, JavaScript or Python.
func TestWhatOtherLanguagesSayIsAMistakeWithItsMend(t *testing.T) {
	for condition, want := range map[string]string{
		`celsius > 80`:                         `at character 1: there is no celsius; what the message has is msg.celsius, and a text is "celsius" in quotes`,
		`topic == "a" && data.code == 5`:       `at character 17: there is no data; what the message has is msg.data, and a text is "data" in quotes`,
		`value_json == "x"`:                    `at character 1: there is no value_json; msg is the message, read as JSON: write msg`,
		`retained`:                             `at character 1: there is no retained; write retain`,
		`msg.t.replace("a", "b") == "x"`:       `msg.t.replace(...): write replace(msg.t, "x", "y")`,
		`payload.celsius > 80`:                 `at character 9: a text has no celsius; if a message in JSON has it, write msg.celsius`,
		`value_json.x == 1`:                    `at character 1: there is no value_json; msg is the message, read as JSON: write msg.x`,
		`$msg.celsius > 80`:                    `at character 1: there is no $msg; write msg, without a $`,
		`$.celsius > 80`:                       `at character 1: there is no $; msg is the message, read as JSON: write msg.celsius`,
		`event.guid == "4C4C4544"`:             `event.guid is never "4C4C4544", because it is always in small letters; write "4c4c4544"`,
		`"4C" == event.guid`:                   `event.guid is never "4C", because it is always in small letters; write "4c"`,
		`event.guid not in ["4c", "4C"]`:       `event.guid is never "4C", because it is always in small letters; write "4c"`,
		`event.guid startsWith "4C"`:           `event.guid is never "4C", because it is always in small letters; write "4c"`,
		"event.guid matches `^4C\\d+`":         `event.guid never matches "^4C\\d+", because it is always in small letters; write these, or (?i) at the beginning`,
		`qos == 1`:                             `at character 1: there is no qos; of a message there are msg, payload, event, topic, properties, server, retain, age`,
		`guid == "x"`:                          `at character 1: there is no guid; an event of Open AMT has event.guid, and other messages have msg.guid`,
		`tpoic == "x"`:                         `at character 1: there is no tpoic, did you mean "topic"?`,
		`count > 5`:                            `at character 1: there is no count here; {count} stands alone in its braces, in the texts of a rule with a window`,
		`exists(msg.a)`:                        `at character 1: there is no function exists; write != nil behind what may be missing`,
		`parseFloat(msg.a) > 5`:                `at character 1: there is no function parseFloat; write number(...)`,
		`msg.data-code == 5`:                   `at character 10: there is no code; a key with a - is written msg["data-code"]`,
		`msg.a == 1 AND msg.b == 2`:            `at character 12: AND: write and`,
		`msg.a == 1 Or msg.b == 2`:             `at character 12: Or: write or`,
		`NOT msg.a`:                            `at character 1: NOT: write not`,
		`msg.a NOT IN ["AND"]`:                 `at character 7: NOT: write not`,
		`msg.a IN ["x"]`:                       `at character 7: IN: write in`,
		`msg.a == 1 & msg.b == 2`:              `at character 12: &: write && or and`,
		`msg.a == 1 | msg.b == 2`:              `at character 12: |: write || or or`,
		`msg.a <> 1`:                           `at character 7: <>: write !=`,
		`msg.a === 1`:                          `at character 7: ===: write ==`,
		`msg.a !== 1`:                          `at character 7: !==: write !=`,
		`msg.a = 1`:                            `at character 7: write == to compare`,
		`msg.t =~ "E4"`:                        `at character 7: =~: write matches`,
		`msg.t matches ^E[0-9]+$`:              "at character 15: a pattern stands in quotes: matches `^E[0-9]+$`",
		`msg.t matches E4.* and msg.a == 1`:    "at character 15: a pattern stands in quotes: matches `E4.*`",
		`msg.t matches /E4/`:                   "at character 15: a pattern stands in quotes: matches `E4`",
		`msg.t matches E4`:                     `matches: want a pattern in quotes, that can be checked now`,
		`msg.t matches "\d+"`:                  "at character 17: in \" and ' a \\ is written \\\\; between ` it stands for itself, as in matches `\\d+`",
		`msg.t like "x%"`:                      `at character 7: like: write contains, startsWith, endsWith or matches`,
		`msg.t is not null`:                    `at character 7: is not null: write != nil`,
		`msg.t is null`:                        `at character 7: is null: write == nil`,
		`msg.a between 5 and 10`:               `at character 7: between: write two comparisons, as in msg.a >= 5 and msg.a <= 10`,
		`msg.a in (1, 2)`:                      `at character 7: in (: a list stands in square brackets, as in [1, 2]`,
		`msg.a == “x”`:                         `at character 10: “: write " or '`,
		`msg.a == "abc`:                        `at character 14: a text has no closing quote`,
		`msg.a > 5C`:                           `at character 10: 5C is no number; a text wants quotes around it`,
		`msg.temp°C > 5`:                       `at character 9: a key with other characters than letters, digits and _ is written msg["a key"]`,
		`msg.a == 5 C`:                         `at character 12: C does not go here`,
		`topic.1 == "x"`:                       `at character 6: .1: write [1]`,
		`topic[0] == "x"`:                      `at character 6: a text has no [...]; split(topic, "/")[0] is the first level of a topic, and topic[0:1] the first character`,
		`msg.t.contains("x")`:                  `msg.t.contains(...): write msg.t contains "x"`,
		`msg.t.startswith("x")`:                `msg.t.startswith(...): write msg.t startsWith "x"`,
		`topic.endsWith("x")`:                  `topic.endsWith(...): write topic endsWith "x"`,
		`msg.list.includes("x")`:               `msg.list.includes(...): write "x" in msg.list for a list, and msg.list contains "x" for a text`,
		`msg.t.toLowerCase() == "x"`:           `msg.t.toLowerCase(...): write lower(msg.t)`,
		`msg.t.length() > 3`:                   `msg.t.length(...): write len(msg.t)`,
		`topic.split("/")[1] == "x"`:           `topic.split(...): write split(topic, "/")`,
		`msg.t.foo()`:                          `msg.t.foo(...): functions stand before what they are asked of, as in lower(msg.t): there are default, find, float, fromJSON, int, len, lower, number, replace, split, string, trim, trimPrefix, trimSuffix, truncate, upper`,
		`event.message.length > 5`:             `at character 15: a text has no length; write len(...)`,
		`5.5 % 2 == 1`:                         `at character 5: % wants whole numbers; int(...) makes one`,
		`msg.n % 2.5 == 0`:                     `at character 7: % wants whole numbers; int(...) makes one`,
		`msg.celsius > "80"`:                   `msg.celsius > "80" compares texts, by which "100" comes before "20"; write msg.celsius > 80, or float(msg.celsius) > 80 where it may be a text`,
		`msg.on == true && '80.5' <= msg.a`:    `"80.5" <= msg.a compares texts, by which "100" comes before "20"; write 80.5 <= msg.a, or 80.5 <= float(msg.a) where it may be a text`,
		`not msg.a == 1`:                       `not msg.a == 1: not goes with msg.a alone; write not (msg.a == 1)`,
		`topic == "factory/+/alarm"`:           `topic is never "factory/+/alarm": + and # are for topics, below the rule's name; here write split(topic, "/")[0] == "factory", or matches`,
		`topic startsWith "factory/#"`:         `topic is never "factory/#": + and # are for topics, below the rule's name; here write split(topic, "/")[0] == "factory", or matches`,
		`topic == "a/b" or topic in ["#"]`:     `topic is never "#": + and # are for topics, below the rule's name; here write split(topic, "/")[0] == "factory", or matches`,
		`msg.t IS NOT NULL`:                    `at character 7: IS NOT NULL: write != nil`,
		`msg.t !~ "x"`:                         `at character 7: !~: write not matches`,
		`msg.t not like "x"`:                   `at character 7: not like: write not contains, not startsWith, not endsWith or not matches`,
		`msg.t NOT LIKE "x"`:                   `at character 7: NOT LIKE: write not contains, not startsWith, not endsWith or not matches`,
		`msg.t matches /foo bar/`:              "at character 15: a pattern stands in quotes: matches `foo bar`",
		`msg.t matches /foo \/bar/i`:           "at character 15: a pattern stands in quotes: matches `(?i)foo \\/bar`",
		`msg.t startswith "x"`:                 `at character 7: startswith: write startsWith`,
		`msg.t starts with "x"`:                `at character 7: starts with: write startsWith`,
		`msg.t begins with "x"`:                `at character 7: begins with: write startsWith`,
		`msg.t Contains "x"`:                   `at character 7: Contains: write contains`,
		`msg.t does not contain "x"`:           `at character 7: does not contain: write not contains`,
		`msg.t ENDSWITH "x"`:                   `at character 7: ENDSWITH: write endsWith`,
		`msg.t Matches "x"`:                    `at character 7: Matches: write matches`,
		`msg.a eq 1`:                           `at character 7: eq: write ==`,
		`msg.a ne 1`:                           `at character 7: ne: write !=`,
		`msg.a gt 5 and msg.b == 1`:            `at character 7: gt: write >`,
		`msg.a ge 5`:                           `at character 7: ge: write >=`,
		`msg.a lte 5`:                          `at character 7: lte: write <=`,
		`msg.a xor msg.b`:                      `at character 7: xor: write !=`,
		`msg.a > 1 then true`:                  `at character 11: then: write a ? b : c`,
		`msg.a ≥ 5`:                            `at character 7: ≥: write >=`,
		`msg.a ≤ 5`:                            `at character 7: ≤: write <=`,
		`msg.a ≠ 5`:                            `at character 7: ≠: write !=`,
		`msg.a => 5`:                           `at character 7: =>: write >=; there are no functions of one's own`,
		`msg.list.any(x => x > 1)`:             `at character 16: =>: write >=; there are no functions of one's own`,
		`msg->a == 1`:                          `at character 4: ->: write .`,
		`msg."a b" == 1`:                       `at character 4: a key with other characters than letters, digits and _ is written msg["a key"]`,
		`msg.t | upper == "X"`:                 `at character 7: | upper: write upper(...)`,
		`${msg.a} == 1`:                        `conditions take no braces; write msg.a == 1`,
		`{{ msg.a }} == 1`:                     `conditions take no braces; write msg.a == 1`,
		`{% if msg.a %}`:                       `conditions take no braces; write if msg.a`,
		`topic matches "a/+/c"`:                `topic matches "a/+/c": in a pattern + repeats what stands before it; write [^/]+ for a level, as in ^a/[^/]+/c`,
		`topic matches "^a/#"`:                 `topic matches "^a/#": topics hold no #; write .* for all levels that follow, as in ^a/.*`,
		`msg.a == 1 && && msg.b`:               `at character 15: && does not go here`,
		`msg.a == 1)`:                          `at character 11: ) does not go here`,
		`if msg.a then true`:                   `at character 1: if: write a ? b : c`,
		`msg.a == 1 and topic = "x" AND msg.b`: `at character 28: AND: write and`,
	} {
		t.Run(condition, func(t *testing.T) {
			assert.Equal(t, "f:5:11: when: "+want, mistakes(t, conditionOf(condition)))
		})
	}
}

// Texts that look like a mistake of the kinds above, and are right.
func TestWhatOnlyLooksForeignIsFine(t *testing.T) {
	for _, condition := range []string{
		`msg.t contains("x")`, `80 < msg.a < 90`, `msg.date > "2024-05-01"`, `msg.a == "80"`, `"AND" in msg.list`, `msg.AND == 1 and msg.is`, `msg.t matches "^a AND .+$"`,
		`msg.n % 2 == 0`, `!msg.a == true`, `not (msg.a == 1)`, `topic matches "^factory/[^/]+/alarm$"`, `msg.topic == "#"`, `split(topic, "/")[1] == "press"`, `payload == "x"`, `retain`, `age > 5`, `event.guid == "4c4c-1"`, "event.guid matches `^4c\\D`", `event.guid matches "(?i)4C"`, `msg.guid == "4C"`, `event.guid != ""`, `number(msg.t) > 5`,
		`event.guid | lower() == "x"`, `msg.payload == 1`, `(msg.a > 5) == (msg.b > 5)`, `msg.a > (msg.b ? 5 : 6)`, `msg.t not matches "x"`, `msg.t | upper() == "X"`, `topic matches "^a/+b"`, `topic matches "a/[+]/c"`, `msg.t not contains "x"`, "msg.t matches `\\d+`",
	} {
		load(t, conditionOf(condition))
	}
}

func TestWhatGoesWrongInAMessageIsSaidWithItsMend(t *testing.T) {
	for condition, want := range map[string]string{
		`msg.f % 2 == 1`:                  `msg.f % 2 == 1: % wants whole numbers; int(...) makes one`,
		`msg.t.length > 5`:                `msg.t.length > 5: a text has no length; write len(msg.t)`,
		`msg.t.x == 1`:                    `msg.t.x == 1: msg.t is a text and has no x; write msg.t?.x where it may be one`,
		`msg.f.x == 1`:                    `msg.f.x == 1: msg.f is a number and has no x; write msg.f?.x where it may be one`,
		`replace(msg.no, "a", "b") == ""`: `replace(msg.no, "a", "b") == "": msg.no is missing; write default(msg.no, "") where it may be`,
		`replace(msg.f, "a", "b") == ""`:  `replace(msg.f, "a", "b") == "": at character 1: replace: want three texts, such as replace(msg.name, "_", " ")`,
	} {
		d := load(t, conditionOf(condition)).Decide(ruleMessage(`{"f":5.5,"t":"x"}`))
		assert.Equal(t, "rule r: "+want, d.Dead)
	}
}

func TestTextsWithForeignBracesAreMistakes(t *testing.T) {
	for summary, want := range map[string]string{
		`$msg.site hot`:             `"$msg.site hot": an expression stands in braces, without a $; write {msg.site}, or {"$"}msg.site for that very text`,
		`hot at $msg.site.name`:     `"hot at $msg.site.name": an expression stands in braces, without a $; write {msg.site.name}, or {"$"}msg.site.name for that very text`,
		`{topic}: $topic`:           `"{topic}: $topic": an expression stands in braces, without a $; write {topic}, or {"$"}topic for that very text`,
		`pay $msg`:                  `"pay $msg": an expression stands in braces, without a $; write {msg}, or {"$"}msg for that very text`,
		`hot at msg.site`:           `"hot at msg.site": an expression stands in braces; write {msg.site}, or {"msg"}.site for that very text`,
		`{topic} says <msg.a.b>`:    `"{topic} says <msg.a.b>": an expression stands in braces; write {msg.a.b}, or {"msg"}.a.b for that very text`,
		`event.guid has failed`:     `"event.guid has failed" has no braces, so it is the same text for all messages; write {event.guid}`,
		`device event.guid failed`:  `"device event.guid failed": an expression stands in braces; write {event.guid}, or {"event"}.guid for that very text`,
		`{{ value_json.site }} hot`: `"{{ value_json.site }} hot": two braces are one that stands for itself; write {msg.site}`,
		`{{ payload }} hot`:         `"{{ payload }} hot": two braces are one that stands for itself; write {payload}`,
		`{{ payload.site }} hot`:    `"{{ payload.site }} hot": two braces are one that stands for itself; write {msg.site}`,
		`payload`:                   `"payload" has no braces, so it is the same text for all messages; write {payload}`,
		`{$msg.site} hot`:           `{$msg.site}: at character 1: there is no $msg; write msg, without a $`,
		`{site} hot`:                `{site}: at character 1: there is no site; what the message has is msg.site, and a text is "site" in quotes`,
		`{msg.site | upper} hot`:    `{msg.site | upper}: at character 10: | upper: write upper(...)`,
		`{msg.site || "?"}`:         `{msg.site || "?"}: at character 10: || stands between two conditions, not between anything and a text; compare each, as in event.guid != "", or write default(a, b) for what may be missing`,
	} {
		t.Run(summary, func(t *testing.T) {
			assert.Equal(t, "f:1:61: summary: "+want, mistakes(t, fmt.Sprintf("rules: [{name: r, ends: {age: 1h}, raise: {key: k, summary: '%s'}}]", summary)))
		})
	}
	for _, summary := range []string{"costs $5", "a {{b}}", "msgs from event.log", "see event.log", "mail a.msg@example.com", "{\"$\"}msg.site", "{\"msg\"}.site", "topic: {topic}", "$msgs", "https://a/?msg=1"} {
		load(t, fmt.Sprintf("rules: [{name: r, ends: {age: 1h}, raise: {key: k, summary: '%s'}}]", summary))
	}
}

// docs/rules-reference.md names the maximum size of an expression.
func TestTheLimitOfAnExpressionIsTheDocumentedOne(t *testing.T) {
	text, err := os.ReadFile("../../docs/rules-reference.md")
	require.NoError(t, err)
	const maxParts = 500
	said := regexp.MustCompile(`(?:An|an) expression (?:may have|\|) ([\d,]+) parts`).FindAllStringSubmatch(string(text), -1)
	require.Len(t, said, 2)
	for _, m := range said {
		assert.Equal(t, strconv.Itoa(maxParts), m[1])
	}
	load(t, conditionOf(strings.Repeat("!", maxParts-1)+"true"))
	assert.Contains(t, mistakes(t, conditionOf(strings.Repeat("!", maxParts)+"true")), fmt.Sprintf("more than %d names, values and operators", maxParts))
}

func ruleMessage(payload string) decision.Message {
	return decision.Message{Topic: "t", Payload: []byte(payload)}
}
