package rules_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/rules"
)

// grafana is a webhook of Grafana: one message with several alerts.
const grafana = `
rules:
  - name: grafana
    each: msg.alerts
    when: item.status == "firing"
    raise:
      key: "{item.labels.alertname}/{item.labels.host}"
      summary: "{item.annotations?.summary ?? item.labels.alertname}"
      priority: "{item.labels.severity == 'critical' ? 'HIGH' : 'LOW'}"
      custom_details: {alert: "{item}"}
    ends: {when: item.status == "resolved"}
`

func TestARuleDecidesForEachElement(t *testing.T) {
	loaded := load(t, grafana)
	m := ruleMessage(`{"status":"firing","alerts":[
		{"status":"firing","labels":{"alertname":"Disk","host":"a","severity":"critical"},"annotations":{"summary":"full"}},
		{"status":"resolved","labels":{"alertname":"CPU","host":"a"}},
		{"status":"firing","labels":{"alertname":"Mem","host":"b"}},
		{"status":"firing","labels":5}]}`)
	d := loaded.Decide(m)
	assert.Equal(t, []string{"End CPU/a", "Raise Disk/a", "Raise Mem/b"}, effects(d))
	raise := d.Effects[1].(decision.Raise)
	assert.Equal(t, "full", raise.Event.Summary)
	assert.Equal(t, "HIGH", raise.Event.Priority)
	assert.Equal(t, "Mem", d.Effects[2].(decision.Raise).Event.Summary)
	assert.Equal(t, []string{"grafana"}, d.Matched, "a message is counted once")
	assert.Equal(t, []decision.Failure{{Rule: "grafana", Reason: "element 4: key: item.labels.alertname: item.labels is a number and has no alertname; write item.labels?.alertname where it may be one"}}, d.Failed)

	verdicts, err := loaded.Explain(m)
	require.NoError(t, err)
	assert.Equal(t, rules.Verdict{Rule: "grafana", Matched: true, Reasons: []string{
		"element 2 ends the alert CPU/a", "element 1 raises the alert Disk/a", "element 3 raises the alert Mem/b", "fails: " + d.Failed[0].Reason,
	}}, verdicts[0])
	verdicts, err = loaded.Explain(ruleMessage(`{"alerts":[{"status":"pending"}]}`))
	require.NoError(t, err)
	assert.Equal(t, []string{`element 1 not true: item.status == "firing"`}, verdicts[0].Reasons)
	verdicts, err = loaded.Explain(ruleMessage(`{}`))
	require.NoError(t, err)
	assert.Equal(t, []string{`there is no element in msg.alerts`}, verdicts[0].Reasons)
}

func TestEachIsAListOrAnObjectOrNothing(t *testing.T) {
	for each, want := range map[string][]string{
		`msg.list`:                  {"Raise 1", "Raise a"},
		`msg.object`:                {`Raise {"key":"a","value":2}`, `Raise {"key":"b","value":1}`},
		`msg.none`:                  nil,
		`[]`:                        nil,
		`["x", topic]`:              {"Raise x", "Raise t"},
		`split("a,b", ",")`:         {"Raise a", "Raise b"},
		`fromJSON("[7]")`:           {"Raise 7"},
		`properties`:                {`Raise {"key":"p","value":"v"}`},
		`find(msg.things, "id", 2)`: {`Raise {"key":"id","value":2}`},
	} {
		loaded := load(t, "rules: [{name: r, each: '"+strings.ReplaceAll(each, "'", "''")+"', raise: {key: '{item}', summary: s}, ends: {age: 1h}}]")
		m := ruleMessage(`{"list":[1,"a"],"object":{"b":1,"a":2},"things":[5,{"id":1},{"id":2}]}`)
		m.Topic, m.Properties = "t", []decision.Property{{Key: "p", Value: "v"}}
		d := loaded.Decide(m)
		assert.Equal(t, want, effects(d), each)
		assert.Empty(t, d.Failed)
	}
	assert.Equal(t, []string{"Raise A", "Raise B"}, effects(load(t, "rules: [{name: r, each: event.methods, raise: {key: '{item}', summary: s}, ends: {age: 1h}}]").
		Decide(decision.Message{Payload: []byte(`{"type":"fail","message":"","methods":["A","B"],"timestamp":1}`)})))
}

func TestAListMayFailARule(t *testing.T) {
	list := func(n int, element string) string { return "[" + strings.Repeat(element+",", n-1) + element + "]" }
	long := `"` + strings.Repeat("x", 30_000) + `"`
	for payload, c := range map[string]struct {
		raise, want string
		effects     int
	}{
		list(1000, "1"):     {`{key: "{item}", summary: s}`, "", 1000},
		list(1001, "1"):     {`{key: "{item}", summary: s}`, "each: 1001 elements: want at most 1000", 0},
		`5`:                 {`{key: "{item}", summary: s}`, "each: msg: want a list or an object, have a number", 0},
		`"text"`:            {`{key: "{item}", summary: s}`, "each: msg: want a list or an object, have a text", 0},
		list(3, `"a"`):      {`{key: "{item + 1}", summary: s}`, "element 1: key: item + 1: a text and a number do not go together by +; float(item) makes a number of the text, string(...) a text of a number", 0},
		list(1000, long):    {`{key: "{msg[0]}", summary: s}`, "each: 1000 elements of a message that is named for each of them, 30003002000 bytes in all: want at most 8388608; name item instead", 0},
		list(1000, `"[]"`):  {`{key: "{fromJSON(msg[0])}", summary: s}`, "each: 1000 elements of a message that is named for each of them, 20005000 bytes in all: want at most 8388608; name item instead", 0},
		list(1000, `"[1]"`): {`{key: "{fromJSON(item)}", summary: s}`, "", 1000},
		list(100, long):     {`{key: "{item}", summary: "{item}"}`, "each: the texts of the first 18 elements have 1080000 bytes: want at most 1048576 for all; the others have no effect", 18},
	} {
		d := load(t, "rules: [{name: r, each: msg, raise: "+c.raise+", ends: {age: 1h}}]").Decide(ruleMessage(payload))
		assert.Len(t, d.Effects, c.effects)
		if c.want == "" {
			assert.Empty(t, d.Failed)
			continue
		}
		require.Len(t, d.Failed, 1, c.want)
		assert.Equal(t, c.want, d.Failed[0].Reason)
	}
	assert.Equal(t, decision.Decision{}, load(t, "rules: [{name: r, each: msg.a, raise: {key: '{item}', summary: s}, ends: {age: 1h}}]").Decide(decision.Message{}), "no rule fails on an empty message")
}

func TestAWindowCountsEachElement(t *testing.T) {
	loaded := load(t, `
rules:
  - name: hot
    each: msg.sensors
    when: item.celsius > 80
    window: 5m
    group: "{msg.hall}"
    member: "{item.id}"
    distinct: 2
    leave: item.celsius < 70
    raise: {summary: "{count} hot"}
`)
	d := loaded.Decide(ruleMessage(`{"hall":1,"sensors":[{"id":"a","celsius":90},{"id":"b","celsius":60},{"id":"c","celsius":85}]}`))
	assert.Equal(t, []string{"Leave hot of 1: b", "Hit hot of 1: a", "Hit hot of 1: c"}, effects(d))
}

func TestAllAlertsEndOnceForAList(t *testing.T) {
	loaded := load(t, `rules: [{name: r, each: msg, when: item == 1, raise: {key: k, summary: s}, ends: {when: item == 2, all: true}}]`)
	assert.Equal(t, []string{"EndAll r"}, effects(loaded.Decide(ruleMessage(`[3,2,2,2]`))))
}

func TestFindFindsTheFirstObject(t *testing.T) {
	m := ruleMessage(`{"devices":[1,{"id":7,"name":"x"},{"id":7,"name":"y"},{"id":"8"}],"o":{}}`)
	for _, condition := range []string{
		`find(msg.devices, "id", 7).name == "x"`, `find(msg.devices, "id", 7.0)?.name == "x"`, `find(msg.devices, "id", 8) == nil`, `find(msg.devices, "id", "8") != nil`,
		`find(msg.no, "id", 8) == nil`, `find(msg.devices, "no", nil).id == 7`, `find(msg.devices, "id", 9)?.name == nil`,
	} {
		assert.True(t, holds(t, condition, m), condition)
	}
	d := load(t, `rules: [{name: r, when: 'find(msg.o, "id", 7) != nil', accept: k}]`).Decide(m)
	require.Len(t, d.Failed, 1)
	assert.Contains(t, d.Failed[0].Reason, `find: want a list and the name of a field, such as find(msg.sensors, "id", 7), have an object and a text`)
}

func TestItemGoesWithEach(t *testing.T) {
	for rule, want := range map[string]string{
		`when: item.a == 1, accept: k`:                                "f:1:30: when: there is no item without each, such as each: msg.alerts",
		`accept: "{item}"`:                                            "f:1:32: accept: there is no item without each, such as each: msg.alerts",
		`raise: {key: k, summary: s, labels: {a: "{item}"}}`:          "f:1:64: labels: there is no item without each, such as each: msg.alerts",
		`each: "{msg.a}", accept: k`:                                  "f:1:30: each: conditions take no braces; write msg.a",
		`each: item.a, accept: k`:                                     "f:1:30: each: there are no group and no item yet",
		`each: "filter(msg.a, true)", accept: k`:                      "f:1:30: each: functions that loop over a list are not allowed; use in, find, or each",
		`each: msg.a, accept: "{$item}"`:                              "f:1:45: accept: {$item}: at character 1: there is no $item; write item, without a $",
		`each: msg.a, raise: {key: "{item}", summary: "$item.x hot"}`: "",
	} {
		text := "rules: [{name: r, ends: {age: 1h}, " + rule + "}]"
		if strings.Contains(rule, "accept") {
			text = fmt.Sprintf("rules: [{name: r, ends: , %s}]", rule)
			text = strings.Replace(text, " ends: ,", "", 1)
		}
		got := mistakes(t, text)
		if want != "" {
			_, got, _ = strings.Cut(got, ": ")
			_, want, _ = strings.Cut(want, ": ")
			assert.Equal(t, want, got, rule)
		}
	}
}
