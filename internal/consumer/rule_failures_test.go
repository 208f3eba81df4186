package consumer

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/mps-events/mps-events/internal/decision"
)

func TestARuleFailsMostlyOnHalfOfTenMinutes(t *testing.T) {
	var f ruleFailures
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(minutes int) time.Time { return start.Add(time.Duration(minutes) * time.Minute) }
	good, bad := decision.Decision{Looked: []string{"r"}}, decision.Decision{Looked: []string{"r"}, Failed: []decision.Failure{{Rule: "r", Reason: "why"}}}
	times := func(n int, d decision.Decision, minutes int) {
		for range n {
			f.note(d, at(minutes))
		}
	}
	mostly := func(minutes int) bool {
		_, _, is := f.mostly("r", at(minutes))
		return is
	}
	times(9, bad, 0)
	assert.False(t, mostly(0), "fewer than ten")
	times(11, good, 5)
	times(1, bad, 5)
	assert.False(t, mostly(5), "10 of 21")
	times(1, bad, 9)
	assert.True(t, mostly(9), "11 of 22")
	assert.False(t, mostly(10), "the first nine are too old")
	times(20, bad, 25)
	summary, details, is := f.mostly("r", at(25))
	assert.True(t, is)
	assert.Equal(t, "Rule r fails on most messages: on 20 of 20 within 10 minutes", summary)
	assert.Contains(t, details, "why")
	f.read([]string{"r"})
	assert.False(t, mostly(25), "the rule was read again: it may be corrected")
	failed, last := f.of("r")
	assert.EqualValues(t, 31, failed)
	assert.Equal(t, &RuleFailure{at(25), "why"}, last)
	f.read(nil)
	failed, last = f.of("r")
	assert.Zero(t, failed)
	assert.Nil(t, last)
	times(10, decision.Decision{Failed: []decision.Failure{{Rule: "r"}}}, 30)
	assert.True(t, mostly(30), "what ends its alerts has failed")
}
