package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// A plant is the publisher of states and events that knows which alerts each alert source should show.
type plant struct {
	t        *testing.T
	random   *rand.Rand
	client   *mqttClient
	mu       sync.Mutex // guards truth and passed
	truth    map[shown]string
	unknown  map[shown]bool          // alerts that a reload has left undecided until the next message
	members  map[string]map[int]bool // of the halls that are hot
	passed   map[string]int          // events that a daemon only passes on, by source
	optional optionalRule
	numbered int // messages with a number
	equal    int // messages of one topic that all have the same bytes
}

// An optionalRule is the rule that reloads change. Without a name the file has no such rule.
type optionalRule struct{ name, source string }

const (
	presses  = 60 // alerts dev/N of the source cfg
	teams    = 20 // alerts of the same keys of the source team
	optional = 10
)

// rules returns the text of the rules file.
func (p *plant) rules() string {
	const simple = `
  - {name: %s, topics: %s/+, %swhen: msg.state == "SET", raise: {key: "%s/{msg.dev}", summary: "%s {default(msg.n, 0)}"}, ends: {when: msg.state == "CLR", age: 30d}}`
	const team = "integration_key: {env: TEAM_KEY}, "
	text := `rules:
  - {name: press-seen, topics: a/+, when: msg.state == "ACK", accept: "dev/{msg.dev}"}
  - {name: team-seen, topics: b/+, ` + team + `when: msg.state == "ACK", accept: "dev/{msg.dev}"}
  - {name: equal, topics: n/+, when: msg.hot, window: 1h, at_least: 1000000, clear: 1h, raise: {summary: "cfg {count}"}}
  - name: hall
    topics: w/+/+
    when: msg.hot
    window: 1h
    group: "{split(topic, '/')[1]}"
    member: "{split(topic, '/')[2]}"
    distinct: 3
    leave: not msg.hot
    raise: {key: "hall/{group}", summary: "cfg {count} 0", details: "{members}"}
    ends: {age: 30d}`
	text += fmt.Sprintf(simple, "press", "a", "", "dev", "cfg") + fmt.Sprintf(simple, "slow", "d", "for: 2s, ", "slow", "cfg") +
		fmt.Sprintf(simple, "team", "b", team, "dev", "team")
	switch p.optional.source {
	case "cfg":
		text += fmt.Sprintf(simple, p.optional.name, "c", "", "opt", "cfg")
	case "team":
		text += fmt.Sprintf(simple, p.optional.name, "c", team, "opt", "team")
	}
	return text + "\n"
}

// say publishes a state of a device, and notes its effect on the truth.
func (p *plant) say(topic string, dev int, state string) {
	p.t.Helper()
	at, name := shown{"cfg", fmt.Sprint("dev/", dev)}, fmt.Sprint(dev)
	switch topic {
	case "a":
		if dev == 13 {
			name = "poison" // ilert calls it invalid
		}
	case "b":
		at.source = "team"
	case "c":
		at = shown{p.optional.source, fmt.Sprint("opt/", dev)}
	case "d":
		at.key = fmt.Sprint("slow/", dev)
	}
	message := map[string]any{"state": state, "dev": name}
	if dev%2 == 1 { // the messages of the other devices repeat their bytes
		p.numbered++
		message["n"] = p.numbered
	}
	payload, err := json.Marshal(message)
	require.NoError(p.t, err)
	p.client.Publish(fmt.Sprint(topic, "/", dev%3), payload)
	if at.source == "" || name == "poison" {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case state == "CLR":
		p.truth[at] = ""
	case state == "SET" && p.truth[at] == "":
		p.truth[at] = "open"
	case state == "ACK" && p.truth[at] != "" && topic < "c":
		p.truth[at] = "accepted"
	}
	if state != "ACK" {
		delete(p.unknown, at)
	}
}

// sense publishes whether a sensor of a hall is hot.
func (p *plant) sense(hall, sensor int, hot bool) {
	p.t.Helper()
	p.client.Publish(fmt.Sprintf("w/%d/%d", hall, sensor), fmt.Appendf(nil, `{"hot":%v}`, hot))
	at := shown{"cfg", fmt.Sprint("hall/", hall)}
	if p.members[at.key] == nil {
		p.members[at.key] = map[int]bool{}
	}
	if hot {
		p.members[at.key][sensor] = true
	} else {
		delete(p.members[at.key], sensor)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch len(p.members[at.key]) {
	case 0:
		p.truth[at] = ""
	case 3, 4, 5:
		p.truth[at] = "open"
	}
}

// posted and mapped are the alert sources of events that a daemon only passes on, from HTTP and from
// MQTT. The integration key in the message may be the configured one, or that of a rule.
var (
	posted = []string{"team", "cfg", "lit1"}
	mapped = []string{"two", "lit2"}
)

// event returns the next event for a source, and notes its effect on the truth.
func (p *plant) event(source string) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.passed[source]++
	n := p.passed[source]
	at, typ, state := shown{source, fmt.Sprint("pass/", n%7)}, "ALERT", "open"
	if n/7%2 == 1 {
		typ, state = "RESOLVE", ""
	}
	p.truth[at] = state
	return fmt.Appendf(nil, `{"integrationKey":"key-%s","eventType":%q,"alertKey":%q,"summary":"%s passes %d"}`, source, typ, at.key, source, n)
}

// burst publishes a random number of messages below maxMessages.
func (p *plant) burst(maxMessages int) {
	p.t.Helper()
	state := func() string { return []string{"SET", "SET", "CLR", "ACK"}[p.random.IntN(4)] }
	for range p.random.IntN(maxMessages) {
		switch p.random.IntN(12) {
		case 0, 1, 2:
			p.say("a", p.random.IntN(presses), state())
		case 3, 4:
			p.say("b", p.random.IntN(teams), state())
		case 5, 6:
			p.say("c", p.random.IntN(optional), state())
		case 7:
			p.say("d", p.random.IntN(10), state())
		case 8:
			p.sense(p.random.IntN(3), p.random.IntN(5), p.random.IntN(2) == 0)
		case 9:
			if p.random.IntN(4) == 0 {
				p.client.Publish("ilert/e", p.event(mapped[p.random.IntN(len(mapped))]))
			}
		default:
			p.client.Publish("n/x", []byte(`{"hot":true}`))
			p.equal++
		}
	}
}

// replaceRule replaces the optional rule, and notes the effect on the truth. Without quiet, messages may
// be on their way, about which either rule may decide.
func (p *plant) replaceRule(by optionalRule, quiet bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if by == p.optional {
		return
	}
	p.optional = by
	for at := range p.truth {
		if strings.HasPrefix(at.key, "opt/") {
			p.truth[at] = ""
			delete(p.unknown, at)
		}
	}
	for dev := range optional {
		if !quiet && by.source != "" {
			p.unknown[shown{by.source, fmt.Sprint("opt/", dev)}] = true
		}
	}
}

// settle publishes a state of each device whose alert is undecided.
func (p *plant) settle() {
	p.t.Helper()
	if len(p.unknown) == 0 {
		return
	}
	for dev := range optional {
		p.say("c", dev, []string{"SET", "CLR"}[p.random.IntN(2)])
	}
}
