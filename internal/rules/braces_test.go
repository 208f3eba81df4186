package rules_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestForgottenBracesAreAMistake(t *testing.T) {
	const same = " has no braces, so it is the same text for all messages; write "
	for text, want := range map[string]string{
		`msg.site`:                  `"msg.site"` + same + `{msg.site}`,
		` msg.site `:                `" msg.site "` + same + `{msg.site}`,
		`msg?.site`:                 `"msg?.site"` + same + `{msg?.site}`,
		`msg["a b"].c is hot`:       `"msg[\"a b\"].c is hot"` + same + `{msg["a b"].c}`,
		`msg.site is hot`:           `"msg.site is hot"` + same + `{msg.site}`,
		`event.method failed`:       `"event.method failed"` + same + `{event.method}`,
		`properties.source`:         `"properties.source"` + same + `{properties.source}`,
		`option.none`:               `"option.none"` + same + `{option.none}`,
		`topic`:                     `"topic"` + same + `{topic}`,
		`topic + "/a"`:              `"topic + \"/a\""` + same + `{topic + "/a"}`,
		`server`:                    `"server"` + same + `{server}`,
		`split(topic, "/")[1]`:      `"split(topic, \"/\")[1]"` + same + `{split(topic, "/")[1]}`,
		`split(topic, "/")[1] open`: `"split(topic, \"/\")[1] open"` + same + `{split(...)}`,
		`lower(msg.a)`:              `"lower(msg.a)"` + same + `{lower(msg.a)}`,
		`${msg.site} is hot`:        `"${msg.site} is hot": an expression has no $ before its braces; write {msg.site}, or {"$"} for one that stands for itself`,
		`{{ msg.site }} is hot`:     `"{{ msg.site }} is hot": two braces are one that stands for itself; write {msg.site}`,
		`a {{msg.a.b}} {topic}`:     `"a {{msg.a.b}} {topic}": two braces are one that stands for itself; write {msg.a.b}`,
		`{{- topic -}}`:             `"{{- topic -}}": two braces are one that stands for itself; write {topic}`,
	} {
		quoted, err := json.Marshal(text)
		require.NoError(t, err)
		for key, file := range map[string]string{
			"summary": "rules: [{name: r, raise: {key: k, summary: %s}, ends: {age: 1h}}]",
			"details": "rules: [{name: r, raise: {key: k, summary: s, details: %s}, ends: {age: 1h}}]",
			"key":     "rules: [{name: r, raise: {summary: s, key: %s}, ends: {age: 1h}}]",
			"resolve": "rules: [{name: r, resolve: %s}]",
			"accept":  "rules: [{name: r, accept: %s}]",
			"group":   "rules: [{name: r, window: 1m, at_least: 1, clear: 1m, raise: {summary: s}, group: %s}]",
		} {
			got := mistakes(t, fmt.Sprintf(file, quoted))
			assert.Regexp(t, "^f:1:[0-9]+: "+regexp.QuoteMeta(key+": "+want)+"$", got)
		}
	}
}

func TestPlainTextsNeedNoBraces(t *testing.T) {
	for _, text := range []string{
		"Server is gone", "server is gone", "server/main", "topic of the day", "event: a", "messages", "rule 7", "{{}}", "{{ site }}", "{{{topic}}}", "{{a}} {topic}", "$ {topic}", "5$", "split", "the topic",
		"server-gone", "trimmed", "{\"msg.a\"}", "event", "{msg.a} topic",
	} {
		load(t, fmt.Sprintf("rules: [{name: r, raise: {key: %q, summary: %[1]q, details: %[1]q}, ends: {age: 1h}}]", text))
	}
}

func TestAGroupAndAMemberVaryByTheMessage(t *testing.T) {
	for text, want := range map[string]string{
		"site":  `"site" is the same for all messages; want an expression in braces, such as "{topic}"`,
		"topic": `"topic" has no braces, so it is the same text for all messages; write {topic}`,
		"":      `"" is the same for all messages; want an expression in braces, such as "{topic}"`,
	} {
		for _, key := range []string{"group", "member"} {
			got := mistakes(t, fmt.Sprintf("rules: [{%s: %q, name: r, window: 1m, at_least: 1, clear: 1m, raise: {summary: s}}]", key, text))
			assert.Contains(t, got, key+": "+want)
		}
	}
}

func TestConditionsTakeNoBraces(t *testing.T) {
	for condition, want := range map[string]string{
		`"{msg.a == 1}"`:            "write msg.a == 1",
		`"{msg.a} == 1"`:            "write msg.a == 1",
		`msg.a == {topic}`:          "write msg.a == topic",
		`lower(topic) == {msg.a.b}`: "write lower(topic) == msg.a.b",
		`{msg.a == 1}`:              "write it without them",
		`{msg.a: 1}`:                "write it without them",
	} {
		assert.Equal(t, "f:3:9: when: conditions take no braces; "+want, mistakes(t, "rules:\n- name: a\n  when: "+condition+"\n  ignore: true\n"), condition)
	}
	for _, condition := range []string{`'{"a": 1}[topic] == 1'`, `'topic == "{topic}"'`} {
		load(t, "rules: [{name: a, when: "+condition+", ignore: true}]")
	}
}
