package rules_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestAMemberMayBeForgotten(t *testing.T) {
	loaded := load(t, `
rules:
  - name: many
    when: msg.state == "gone"
    window: 5m
    group: "{msg.hall}"
    member: "{msg.id}"
    leave: msg.state == "back"
    forget: msg.removed == true
    raise: {summary: s}
`)
	decide := func(payload string) []string { return effects(loaded.Decide(reading("t", payload))) }
	assert.Equal(t, []string{"Forget many of north: 7"}, decide(`{"state": "off", "removed": true, "hall": "north", "id": 7}`))
	assert.Equal(t, []string{"Leave many of north: 7", "Forget many of north: 7"}, decide(`{"state": "back", "removed": true, "hall": "north", "id": 7}`), "the last one counts")
	assert.Equal(t, []string{"Forget many of north: 7", "Hit many of north: 7"}, decide(`{"state": "gone", "removed": true, "hall": "north", "id": 7}`))
}
