package rules_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/mps-events/mps-events/internal/decision"
)

// Publishers clear a retained message with one that has no payload, for instance when a server is taken
// away: it cannot be misunderstood.
func TestAMessageWithoutAPayloadIsNoDeadLetter(t *testing.T) {
	cleared := decision.Message{Topic: "status/a", Payload: nil}
	for name, file := range map[string]string{
		"fields":  `rules: [{name: r, when: msg.status == "offline", ends: {age: 1h}, raise: {key: "{topic}", summary: s}}]`,
		"default": `rules: [{name: r, when: 'lower(msg.status) == "offline"', ends: {age: 1h}, raise: {key: "{topic}", summary: s}}]`,
		"texts":   `rules: [{name: r, ends: {age: 1h}, raise: {key: "{topic}", summary: "{lower(msg.status)}"}}]`,
		"events":  `rules: [{name: r, when: event.type == "fail", ends: {age: 1h}, raise: {key: "{topic}", summary: s}}]`,
	} {
		assert.Equal(t, decision.Decision{}, load(t, file).Decide(cleared), name)
	}
	end := load(t, `rules: [{name: r, when: msg.status == "offline", ends: {when: msg == nil or msg.status == "online"}, raise: {key: "{topic}", summary: s}}]`)
	assert.Len(t, end.Decide(cleared).Effects, 1, "what is taken away may end its alert")
	press := load(t, `rules: [{name: r, when: topic == "status/a", ends: {age: 1h}, raise: {key: "{topic}", summary: pressed}}]`)
	assert.Len(t, press.Decide(cleared).Effects, 1, "rules that ask for nothing in it decide")
}
