package rules_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/rules"
)

func TestARuleHasManyKeys(t *testing.T) {
	loaded := load(t, `
topics: [mps/#, a/+]
integration_key: {env: ALL}
options: {site: Berlin}
rules:
  - name: full
    description: for people
    topics: mps/events
    when: event.type == "fail"
    integration_key: {file: /run/key}
    for: 90s
    cancel: 'event.type == "request"'
    reminder: 2h
    repeat: 3h
    raise:
      key: "{event.guid}/{event.method}"
      summary: "{event.message} at {option.site}"
      details: "{rule} {topic} {server}"
      priority: "{event.httpstatus >= 500 ? 'HIGH' : 'LOW'}"
      severity: 2
      routing_key: "{lower(event.method)}"
      links: [{href: "https://x/{event.guid}", text: "{event.guid}"}]
      images: [{src: "https://x/i.png"}]
      labels: {site: "{option.site}"}
      custom_details: {event: "{event}", status: "{event.httpstatus}", "list": [1, true, null, "{topic}"]}
    ends: {when: 'event.type == "success"', after: 5m, silence: 10m, age: 7d}
`)
	assert.Equal(t, []string{"a/+", "mps/#"}, loaded.Topics)
	assert.Equal(t, []string{"full"}, loaded.Names)
	assert.Equal(t, []ilert.IntegrationKey{ilert.FileKey("/run/key")}, loaded.Keys)
	m := failed("mps/events", "broken")
	m.Properties = []decision.Property{{Key: "httpstatus", Value: "503"}, {Key: "outcome", Value: "server"}, {Key: "source", Value: "mps-1"}}
	key := decision.Key{Integration: ilert.FileKey("/run/key"), Alert: "g1/A"}
	assert.Equal(t, decision.Decision{
		Matched: []string{"full"},
		Looked:  []string{"full"},
		At:      time.UnixMilli(1795322346039),
		Effects: []decision.Effect{decision.Raise{
			Rule: "full", Key: key, For: 90 * time.Second, Reminder: 2 * time.Hour, Repeat: 3 * time.Hour, Silence: 10 * time.Minute, Age: 7 * 24 * time.Hour, After: 5 * time.Minute,
			Event: ilert.Event{
				Summary: "broken at Berlin", Details: "full mps/events mps-1", Priority: "HIGH",
				Severity: []byte(`2`), RoutingKey: []byte(`"a"`),
				Links:  []byte(`[{"href":"https://x/g1","text":"g1"}]`),
				Images: []byte(`[{"src":"https://x/i.png"}]`),
				Labels: []byte(`{"site":"Berlin"}`),
				CustomDetails: []byte(`{"event":{"type":"fail","message":"broken","method":"A","methods":["A"],"guid":"g1",` +
					`"timestamp":1795322346039,"outcome":"server","httpstatus":503},"list":[1,true,null,"mps/events"],"status":503}`),
			},
		}},
	}, loaded.Decide(m))
	assert.Equal(t, []decision.Effect{decision.End{Key: key}}, loaded.Decide(say("mps/events", "success", "A", "G1", "")).Effects)
	assert.Equal(t, []decision.Effect{decision.End{Key: key, Waiting: true}}, loaded.Decide(say("mps/events", "request", "A", "G1", "")).Effects)
	assert.Empty(t, loaded.Decide(failed("mps/other", "broken")).Effects)
}

func TestAWindowIsFedInTheOrderEndsLeavesWholeAndParts(t *testing.T) {
	loaded := load(t, `
rules:
  - name: w
    when: event.type != "success"
    window: 10m
    group: "{server}"
    member: "{lower(event.guid)}"
    distinct: 3
    ratio: 0.5
    of: event.type in ["fail", "request"]
    leave: event.type == "request"
    left: 0.8
    clear: 5m
    for: 1m
    raise: {summary: "{count} of {of} ({percent}%), {distinct}: {{{members}}}", key: "k/{group}"}
    ends: {when: event.type == "request", silence: 3m}
`)
	m := say("t", "request", "A", "G1", "")
	d := loaded.Decide(m)
	assert.Equal(t, []string{"Reset w of t", "Leave w of t: g1", "Count w of t", "Hit w of t: g1"}, effects(d))
	hit := d.Effects[3].(decision.Hit)
	assert.Equal(t, decision.Window{Rule: "w", Condition: decision.Condition{Length: 10 * time.Minute, Distinct: 3, Ratio: 0.5}, Held: true, Left: 0.8, Clear: 5 * time.Minute}, *hit.Window)
	assert.Equal(t, decision.Key{Alert: "k/t"}, hit.Raise.Key)
	assert.Equal(t, time.Minute, hit.Raise.For)
	assert.Equal(t, 3*time.Minute, hit.Raise.Silence)
	told := decision.Numbers{Count: 3, Of: 4, Part: 3, Distinct: 2, Members: []string{`"a"`, "b"}, More: 7}.Fill([]byte(`"` + hit.Raise.Event.Summary + `"`))
	assert.Equal(t, `"3 of 4 (75%), 2: {\"a\", b and 7 more}"`, string(told))
	assert.Empty(t, hit.Raise.Event.Details, "the members stand in the summary")
	assert.Equal(t, []string{"Count w of t", "Hit w of t: g2"}, effects(loaded.Decide(say("t", "fail", "A", "G2", ""))))
}

func TestAWindowHasDefaults(t *testing.T) {
	loaded := load(t, `
rules:
  - {name: of-all, window: 5m, member: "{event.guid}", distinct: 2, clear: 1m, raise: {summary: s}}
  - {name: of-groups, window: 5m, group: "{topic}", at_least: 2, clear: 1m, raise: {summary: s}}
  - {name: held, window: 5m, member: "{event.guid}", leave: event.type == "success", raise: {summary: s}}
  - {name: fleet, window: 5m, member: "{event.guid}", distinct: 2, ratio: 0.1, of: fleet, clear: 1m, raise: {summary: s, details: d}}
`)
	d := loaded.Decide(say("t", "fail", "A", "G1", ""))
	assert.Empty(t, d.Device, "anybody may ask for a guid that is no device's")
	assert.Equal(t, "g1", loaded.Decide(say("t", "success", "A", "G1", "")).Device, "a rule asks for the fleet, where a device is one in either case")
	require.Len(t, d.Effects, 4)
	hits := make([]decision.Hit, 4)
	for i, effect := range d.Effects {
		hits[i] = effect.(decision.Hit)
	}
	assert.Equal(t, []string{"of-all", "of-groups/t", "held", "fleet"}, []string{hits[0].Raise.Key.Alert, hits[1].Raise.Key.Alert, hits[2].Raise.Key.Alert, hits[3].Raise.Key.Alert})
	assert.Equal(t, "a, b", string(decision.Numbers{Members: []string{"a", "b"}}.Fill([]byte(hits[0].Raise.Event.Details))), "whom it is about stands in the details")
	assert.Empty(t, hits[1].Raise.Event.Details)
	assert.Equal(t, "d", hits[3].Raise.Event.Details)
	assert.Equal(t, decision.Window{Rule: "held", Condition: decision.Condition{Length: 5 * time.Minute, Distinct: 1}, Held: true, Left: 1}, *hits[2].Window)
	assert.True(t, hits[3].Window.Fleet)
}

func TestAllAlertsOfARuleEndAtOnce(t *testing.T) {
	loaded := load(t, `
rules:
  - {name: a, when: event.type == "fail", raise: {key: "{event.guid}", summary: s}, ends: {when: event.type == "success", all: true}}
`)
	assert.Equal(t, []string{"EndAll a"}, effects(loaded.Decide(decision.Message{Payload: []byte(`{"type":"success","message":"","methods":[],"timestamp":1}`)})),
		"though the message has no guid, and so no key")
}

func TestServerIsTheSourceElseTheTopic(t *testing.T) {
	loaded := load(t, `rules: [{name: a, accept: "{server}"}]`)
	for want, properties := range map[string][]decision.Property{
		"Accept t":     {{Key: "source", Value: ""}},
		"Accept mps-1": {{Key: "id", Value: "5"}, {Key: "source", Value: "mps-1"}},
	} {
		assert.Equal(t, []string{want}, effects(loaded.Decide(decision.Message{Topic: "t", Payload: []byte("{}"), Properties: properties})))
	}
}

func TestAtIsTheEventsOwnTime(t *testing.T) {
	loaded := load(t, `rules: [{name: a, when: event.type == "fail", ignore: true}]`)
	for timestamp, want := range map[string]time.Time{
		"1795322346039":       time.UnixMilli(1795322346039),
		"0":                   {},
		"-5":                  {},
		"9223372036854775807": {},
	} {
		m := decision.Message{Payload: []byte(`{"type":"fail","message":"","methods":[],"timestamp":` + timestamp + `}`)}
		assert.Equal(t, decision.Decision{At: want, Matched: []string{"a"}, Looked: []string{"a"}}, loaded.Decide(m), timestamp)
	}
}

func TestWhoAsksForEventsMeetsNothingElse(t *testing.T) {
	// A rule that names event, in its condition or in a text, applies to events only.
	loaded := load(t, `
rules:
  - {name: text, topics: a/#, raise: {key: "{event.guid}", summary: s}, ends: {age: 1h}}
  - {name: condition, topics: b, when: event.guid == "", raise: {key: k, summary: s}, ends: {age: 1h}}
  - {name: any, topics: [a/any, b], raise: {key: any, summary: "{msg.x}!"}, ends: {age: 1h}}
`)
	assert.Equal(t, []string{"Raise g1", "Raise any"}, effects(loaded.Decide(failed("a/any", ""))))
	assert.Equal(t, []string{"Raise any"}, effects(loaded.Decide(decision.Message{Topic: "a/any", Payload: []byte(`{"x":1}`)})))
	assert.Equal(t, []string{"Raise any"}, effects(loaded.Decide(decision.Message{Topic: "b", Payload: []byte(`{"x":1}`)})))
	assert.Equal(t, []string{"Dead event: type is missing"}, effects(loaded.Decide(decision.Message{Topic: "a", Payload: []byte(`{"x":1}`)})),
		"where only events are asked for, what is none is broken")
	assert.Equal(t, []string{"Dead rule any: msg.x: msg is a text and has no x; write msg?.x where it may be one"}, effects(loaded.Decide(decision.Message{Topic: "b", Payload: []byte(`to`)})))
}

func TestARuleFailsWithAReason(t *testing.T) {
	for rule, want := range map[string]string{
		`when: msg.a.b == 1`:                   `rule r: msg.a.b == 1: msg.a is missing; write msg.a?.b where it may be`,
		`when: msg.a.b.c > 1`:                  `rule r: msg.a.b.c > 1: msg.a is missing; write msg.a?.b where it may be`,
		`when: msg.a["b"] == 1`:                `rule r: msg.a["b"] == 1: msg.a is missing; write msg.a?.b where it may be`,
		`when: msg.a <= 1`:                     `rule r: msg.a <= 1: msg.a is missing; write msg.a != nil && ... where it may be, or default(msg.a, ...)`,
		`when: topic == "" && 5 > msg?.a?.b`:   `rule r: topic == "" && 5 > msg?.a?.b: msg?.a?.b is missing; write msg?.a?.b != nil && ... where it may be, or default(msg?.a?.b, ...)`,
		`when: msg.n + (msg.n - msg.a) > 1`:    `rule r: msg.n + (msg.n - msg.a) > 1: msg.a is missing; write msg.a != nil && ... where it may be, or default(msg.a, ...)`,
		`when: msg.s <= 1`:                     `rule r: msg.s <= 1: a text and a number do not go together by <=; a number stands without quotes, and float(msg.s) makes one of a text`,
		`when: msg.s + msg.n == ""`:            `rule r: msg.s + msg.n == "": a text and a number do not go together by +; float(msg.s) makes a number of the text, string(...) a text of a number`,
		`when: msg.l > msg.n`:                  `rule r: msg.l > msg.n: a list and a number do not go together by >`,
		`when: -msg.a == 1`:                    `rule r: -msg.a == 1: msg.a is missing; write default(msg.a, 0) where it may be`,
		`when: lower(msg.a) == ""`:             `rule r: lower(msg.a) == "": msg.a is missing; write default(msg.a, "") where it may be`,
		`when: float(msg.a) > 1`:               `rule r: float(msg.a) > 1: msg.a is missing; write default(msg.a, 0) where it may be`,
		`when: msg.n[0:1] == ""`:               `rule r: msg.n[0:1] == "": at character 6: only a text or a list can be cut, as in msg.id[0:8]`,
		`when: msg.n`:                          `rule r: msg.n: at character 1: want true or false, have a number`,
		`when: "!msg.a"`:                       `rule r: !msg.a: msg.a is missing; write msg.a == false, or msg.a != true if it holds for what is missing, too`,
		`when: msg.n % 0 == 1`:                 `rule r: msg.n % 0 == 1: at character 7: division by zero`,
		`when: int(msg.s) == 1`:                `rule r: int(msg.s) == 1: at character 1: "x" is no number`,
		`when: lower(msg.n) == ""`:             `rule r: lower(msg.n) == "": at character 1: want a text, have a number`,
		`when: msg.s in msg.n`:                 `rule r: msg.s in msg.n: at character 7: in: want a list or an object, have a number`,
		`when: msg.l[7] == 1`:                  `rule r: msg.l[7] == 1: at character 6: there is no [7] in a list of 1`,
		`when: 'truncate(msg.n, 1) == ""'`:     `rule r: truncate(msg.n, 1) == "": at character 1: truncate: want a text and a whole number, such as truncate(event.message, 80)`,
		`raise: {key: "{msg.a}", summary: s}`:  `rule r: key: is empty`,
		`raise: {key: " {msg.a}", summary: s}`: `rule r: key: is empty`,
		`raise: {key: k, summary: "{msg.a}"}`:  `rule r: summary: is empty`,
		`raise: {key: k, summary: "{1 / 0}"}`:  `rule r: 1 / 0: this is no value that can be written: json: unsupported value: +Inf`,
	} {
		if rule[0] == 'w' {
			rule += "\n    raise: {key: k, summary: s}"
		}
		m := decision.Message{Payload: []byte(`{"n":1,"zero":0,"s":"x","l":[1]}`)}
		failed := []decision.Failure{{Rule: "r", Reason: strings.TrimPrefix(want, "rule r: ")}}
		alone := "\n  - name: r\n    ends: {age: 1h}\n    " + rule
		assert.Equal(t, decision.Decision{Dead: want, Failed: failed, Looked: []string{"r"}}, load(t, "rules:"+alone).Decide(m), rule)
		d := load(t, "rules:\n  - {name: before, accept: b}"+alone+"\n  - {name: after, accept: a}").Decide(m)
		assert.Equal(t, []string{"Accept b", "Accept a"}, effects(d), rule)
		assert.Equal(t, failed, d.Failed, rule)
		assert.Equal(t, []string{"before", "after"}, d.Matched, rule)
	}
}

func TestARuleThatFailsFailsAlone(t *testing.T) {
	loaded := load(t, `
rules:
  - {name: hot, when: msg.temperature > 60, raise: {key: hot, summary: s}, ends: {when: msg.temperature < 50, age: 1h}}
  - {name: leak, when: msg.water_leak, raise: {key: leak, summary: s}, ends: {when: msg.water_leak == false}}
  - {name: quiet, when: msg.quiet, ignore: true}
  - {name: key, topics: k, raise: {key: "{msg.id}", summary: s}, ends: {when: topic == "k"}}
`)
	for payload, want := range map[string]decision.Decision{
		`{"water_leak":true}`:                  {Matched: []string{"leak"}},
		`{"quiet":true}`:                       {Matched: []string{"quiet"}}, // somebody knows the message
		`{"other":1}`:                          {Dead: "rule hot: "},
		`{"temperature":70,"water_leak":true}`: {Matched: []string{"hot", "leak"}},
	} {
		d := loaded.Decide(decision.Message{Topic: "x", Payload: []byte(payload)})
		assert.Equal(t, want.Matched, d.Matched, payload)
		assert.Equal(t, want.Dead != "", d.Dead != "", payload)
		assert.Contains(t, d.Dead, want.Dead)
		if strings.Contains(payload, "temperature") {
			assert.Empty(t, d.Failed, payload)
		} else {
			assert.Len(t, d.Failed, 1, "both conditions of a rule fail, which is one failure: %s", payload)
		}
	}
	d := loaded.Decide(decision.Message{Topic: "k"})
	assert.Empty(t, d.Dead, "no rule fails on an empty message")
	assert.Empty(t, d.Failed)
}

// An alert is worth more than its optional fields.
func TestAnOptionalTextThatFailsIsLeftOut(t *testing.T) {
	for raise, want := range map[string][]ilert.Omission{
		`priority: " high "`: nil, `priority: "{msg.nothing}", severity: "{msg.nothing}", labels: {a: "{msg.nothing}"}`: nil,
		`priority: "{msg.s}"`:                                    {{Field: "priority", Reason: `rule r: "x": want HIGH or LOW`}},
		`severity: "{msg.n}0"`:                                   {{Field: "severity", Reason: `rule r: "10": want a number from 1 to 5`}},
		`details: "{msg.n % msg.zero}"`:                          {{Field: "details", Reason: `rule r: msg.n % msg.zero: at character 7: division by zero`}},
		`priority: "{msg.no + 1}"`:                               {{Field: "priority", Reason: `rule r: msg.no + 1: msg.no is missing; write msg.no != nil && ... where it may be, or default(msg.no, ...)`}},
		`custom_details: {a: "{msg.n % msg.zero}"}, severity: 3`: {{Field: "customDetails", Reason: `rule r: msg.n % msg.zero: at character 7: division by zero`}},
		`custom_details: "{0.0 / 0}"`:                            {{Field: "customDetails", Reason: `rule r: 0.0 / 0: this is no value that can be written: json: unsupported value: NaN`}},
		`links: [{href: "{msg.nothing}", text: a}]`:              {{Field: "links", Reason: `rule r: one has no href`}},
		`routing_key: "{lower(msg.n)}"`:                          {{Field: "routingKey", Reason: `rule r: lower(msg.n): at character 1: want a text, have a number`}},
	} {
		loaded := load(t, "rules:\n  - name: r\n    ends: {age: 1h}\n    raise: {key: k, summary: s, "+raise+"}")
		m := decision.Message{Payload: []byte(`{"n":1,"zero":0,"s":"x"}`)}
		d := loaded.Decide(m)
		assert.Equal(t, []string{"Raise k"}, effects(d), raise)
		assert.Equal(t, want, d.Omitted, raise)
		verdicts, err := loaded.Explain(m)
		require.NoError(t, err)
		said := "raises the alert k"
		for _, o := range want {
			said += ", without " + o.Field + ": " + strings.TrimPrefix(o.Reason, "rule r: ")
		}
		assert.Equal(t, []string{said}, verdicts[0].Reasons)
	}
}

func TestAReasonIsShort(t *testing.T) {
	condition := strings.Repeat(`topic == "a" || `, 100) + "msg.a.b == 1"
	d := load(t, "rules: [{name: r, accept: k, when: '"+condition+"'}]").Decide(decision.Message{Payload: []byte("{}")})
	assert.True(t, strings.HasPrefix(d.Dead, `rule r: topic == "a" ||`))
	assert.Len(t, d.Dead, 603)
}

func TestWhatIsMissingDoesNotMatch(t *testing.T) {
	loaded := load(t, "rules:\n  - {name: r, when: msg.flag, accept: k}")
	for payload, want := range map[string][]string{`{}`: nil, `{"flag":null}`: nil, `{"flag":false}`: nil, `{"flag":true}`: {"Accept k"}} {
		assert.Equal(t, want, effects(loaded.Decide(decision.Message{Payload: []byte(payload)})), payload)
	}
}

func TestExplainSaysWhyEachRuleDidNotMatch(t *testing.T) {
	loaded := load(t, `
rules:
  - {name: topic, topics: [a, b/#], accept: k}
  - {name: condition, when: 'event.type == "fail" && event.guid != "" && event.method startsWith "B"', raise: {key: k, summary: s}, ends: {when: event.guid == "g1"}}
  - {name: first, when: event.type == "fail", raise: {key: "{event.guid}", summary: s}, ends: {age: 1h}}
  - {name: second, when: event.type == "fail", raise: {key: k, summary: s}, ends: {when: event.type == "success", all: true}}
  - {name: accepted, accept: "{event.method}"}
  - {name: resolved, resolve: k}
  - {name: window, window: 5m, group: "{topic}", member: "{event.guid}", distinct: 3, ratio: 0.1, of: 'event.method != ""', leave: 'event.guid != ""', raise: {summary: s}, ends: {when: event.type == "fail"}}
  - {name: ignored, ignore: true}
  - {name: broken, topics: x, resolve: "{msg.no}"}
`)
	verdicts, err := loaded.Explain(failed("x", "m"))
	require.NoError(t, err)
	assert.Equal(t, []rules.Verdict{
		{Rule: "topic", Reasons: []string{"the topic is not among a, b/#"}},
		{Rule: "condition", Matched: true, Reasons: []string{"ends the alert k"}},
		{Rule: "first", Matched: true, Reasons: []string{"raises the alert g1"}},
		{Rule: "second", Matched: true, Reasons: []string{"raises the alert k; that has no effect, because rule condition above it decides about this alert"}},
		{Rule: "accepted", Matched: true, Reasons: []string{"accepts the alert A"}},
		{Rule: "resolved", Matched: true, Reasons: []string{"ends the alert k"}},
		{Rule: "window", Matched: true, Reasons: []string{"ends the alert of x", "takes g1 out of the window of x", "counts towards the whole of the window of x", "counts in the window of x"}},
		{Rule: "ignored", Matched: true, Reasons: []string{"is ignored"}},
		{Rule: "broken", Reasons: []string{"fails: key: is empty"}},
	}, verdicts)
	assert.Equal(t, []decision.Failure{{Rule: "broken", Reason: "key: is empty"}}, loaded.Decide(failed("x", "m")).Failed)

	verdicts, err = loaded.Explain(decision.Message{Topic: "a", Payload: []byte("{}")})
	require.NoError(t, err)
	assert.Equal(t, rules.Verdict{Rule: "first", Reasons: []string{"the message is no event"}}, verdicts[2])
	assert.Equal(t, rules.Verdict{Rule: "ignored", Matched: true, Reasons: []string{"is ignored"}}, verdicts[7])

	_, err = load(t, `rules: [{name: r, when: event.type == "fail", ignore: true}]`).Explain(decision.Message{Topic: "x", Payload: []byte("{")})
	assert.ErrorContains(t, err, "is not the JSON of an event")
	verdicts, err = load(t, `rules: [{name: r, when: msg.a.b == 1, ignore: true}]`).Explain(decision.Message{Payload: []byte("{}")})
	require.NoError(t, err)
	assert.Equal(t, []string{"fails: msg.a.b == 1: msg.a is missing; write msg.a?.b where it may be"}, verdicts[0].Reasons)
}
