package rulefile_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestMistakesInRulesThatWait(t *testing.T) {
	for keys, want := range map[string]string{
		`group: "{topic}", expect: [a], raise: {summary: s}`:                              `expect goes with absent, which says for how long no message comes`,
		`forget: msg.x, raise: {summary: s}`:                                              `forget goes with absent, whose group it forgets, or with leave, whose member it forgets`,
		`forget: msg.x, window: 1m, at_least: 2, clear: 1m, raise: {summary: s}`:          `forget goes with absent, whose`,
		`forget: msg.x, window: 1m, member: "{topic}", leave: msg.y, raise: {summary: s}`: ``,
		`absent: 1h, resolve: k`:                                                          `absent goes with raise`,
		`absent: 1h, window: 1h, at_least: 2, raise: {summary: s}`:                        `window does not go with absent: want one of them`,
		`absent: 1h, for: 1m, raise: {summary: s}`:                                        `for does not go with absent: absent itself is the time`,
		`absent: 1h, reminder: 1m, raise: {summary: s}`:                                   `reminder does not go with absent`,
		`absent: 1h, ends: {when: msg.x}, raise: {summary: s}`:                            `ends may have age alone`,
		`absent: 1h, ends: {silence: 1h}, raise: {summary: s}`:                            `ends may have age alone`,
		`absent: 1h, ends: {after: 1h}, raise: {summary: s}`:                              `ends may have age alone`,
		`absent: 1h, distinct: 3, raise: {summary: s}`:                                    `distinct goes with window`,
		`absent: 1h, member: "{topic}", raise: {summary: s}`:                              `member goes with window`,
		`absent: 1h, clear: 3m, raise: {summary: s}`:                                      `clear goes with window`,
		`absent: 1h, expect: [a], raise: {summary: s}`:                                    `expect names groups, and goes with group`,
		`absent: 1h, expect: [a, a], group: "{topic}", raise: {summary: s}`:               `expect: "a" stands there twice`,
		`absent: 1h, at_least: 3, expect: [a], group: "{topic}", raise: {summary: s}`:     `at_least goes without expect`,
		`absent: 1h, expect: [a], group: "{topic}", raise: {summary: "{topic}"}`:          `nothing of a message: there is none of a group that has never spoken`,
		`absent: 1h, expect: [a], group: "{topic}", raise: {summary: s, key: "{msg}"}`:    `nothing of a message`,
		`absent: 1h, raise: {summary: "{event.guid}"}`:                                    `without group the rule waits from the start`,
		`absent: 1h, raise: {summary: "{count} messages"}`:                                `of a rule with a window`,
		`absent: 0s, raise: {summary: s}`:                                                 `absent: "0s": want a duration`,
		`absent: 1h, group: "{topic}", raise: {summary: "{group}"}`:                       ``,
		`absent: 1h, group: "{topic}", raise: {summary: "{msg.x}"}, ends: {age: 1h}`:      ``,
		`absent: 1h, raise: {summary: "{rule}"}`:                                          ``,
		`absent: 1h, at_least: 3, raise: {summary: "{topic}"}`:                            ``,
		`absent: 1h, expect: [a], group: "{topic}", raise: {summary: "{group}"}`:          ``,
		`absent: 1h, usual_hours: true, raise: {summary: "{rule}"}`:                       `usual_hours goes with at_least`,
		`usual_hours: true, raise: {key: k, summary: s}, ends: {age: 1h}`:                 `usual_hours goes with absent`,
		`absent: 1h, at_least: 3, usual_hours: true, raise: {summary: "{topic}"}`:         ``,
		`absent: 1h, repeat: 30m, raise: {summary: s}`:                                    ``,
		`absent: 1h, repeat: 0, raise: {summary: s}`:                                      ``,
		`absent: 1h, repeat: -1m, raise: {summary: s}`:                                    `repeat: "-1m": want a duration such as 90s, 10m, 1h30m or 7d, above zero`,
		`repeat: 1h, resolve: k`:                                                          `repeat goes with raise`,
	} {
		text := "rules:\n  - {name: r, " + keys + "}\n"
		if want == "" {
			load(t, text)
			continue
		}
		if all := mistakes(t, text); assert.Contains(t, all, want, keys) {
			assert.True(t, strings.HasPrefix(all, "f:2:"), all)
		}
	}
	assert.Contains(t, mistakes(t, "options: {name: ''}\nrules:\n  - {name: r, absent: 1h, raise: {key: '{option.name}', summary: s}}"), "rule r: group \"\": key: is empty")
}
