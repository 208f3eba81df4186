package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

var stormKeyTests = []test{
	testStormsOfIntegrationKeysAreApart,
	testRulesWhoseNamesDifferByLittleHaveStormsOfTheirOwn,
	testAStormTakesNoKeyThatAnAlertHas,
	testAnAlertWithTheKeyOfItsStormIsAMember,
}

func testStormsOfIntegrationKeysAreApart(t *testing.T, open opener) {
	b := open(t)
	for n := range 12 {
		r := raising(fmt.Sprint(n % 6))
		r.Key.Integration = []ilert.IntegrationKey{configured, doors}[n/6]
		b.does(r)
	}
	due := b.narrowly()
	require.Len(t, due, 2)
	assert.Equal(t, ilert.Alert, due[0].Event.EventType)
	assert.NotEqual(t, due[0].IntegrationKey, due[1].IntegrationKey)
}

func testRulesWhoseNamesDifferByLittleHaveStormsOfTheirOwn(t *testing.T, open opener) {
	for _, other := range []string{"hot", "HOT", "Hot ", " Hot", "Hot\n", "Hot\x00", "Hot\xff", "H\u00f6t"} {
		t.Run(fmt.Sprintf("%q", other), func(t *testing.T) {
			b := open(t)
			members := map[string][]string{"Hot": b.named("Hot", "a", 6), other: b.named(other, "b", 8)}
			keys := map[string]string{}
			for range 2 {
				for _, n := range b.narrowly() {
					rule := "Hot"
					if strings.HasPrefix(n.Event.Details, "b") {
						rule = other
					}
					assert.Equal(t, strings.Join(members[rule], "\n"), n.Event.Details)
					keys[strings.ToLower(strings.TrimSpace(n.Event.AlertKey))] = rule
					b.settle(n, alerting.Taken)
				}
			}
			assert.Len(t, keys, 2)
			b.restart()
			b.named(other, "c", 6)
			assert.Len(t, b.passes(), 1)
			for _, name := range members["Hot"] {
				b.does(ending(name))
			}
			assert.Len(t, b.passes(), 1)
			b.does(decision.EndAll{Rule: other})
			assert.Len(t, b.passes(), 1)
			assert.Equal(t, time.Duration(-1), b.next())
			assert.Zero(t, b.tally().Pending)
		})
	}
}

// A rule may raise an alert that has the alert key of another rule's storm.
func testAStormTakesNoKeyThatAnAlertHas(t *testing.T, open opener) {
	b := open(t)
	b.named("", "storm/r", 1)
	r := raising("Storm/R")
	r.Rule = "other"
	b.does(r)
	assert.Len(t, b.passes(), 2)
	names := b.fails("r", 0, 6)
	due := b.narrowly()
	require.Len(t, due, 1)
	assert.Equal(t, strings.Join(names, "\n"), due[0].Event.Details)
	assert.NotEqual(t, "storm/r", strings.ToLower(due[0].Event.AlertKey))
	b.settle(due[0], alerting.Taken)
	b.does(ending("storm/r"))
	assert.Equal(t, []string{"RESOLVE LOW Storm/R Storm/R failed"}, b.passes())
}

// A rule may raise an alert that has the alert key of the rule's own storm. It joins the storm as the others do, though it is
// not among the first that wait.
func testAnAlertWithTheKeyOfItsStormIsAMember(t *testing.T, open opener) {
	b := open(t)
	b.fails("r", 0, 20)
	b.later(time.Second)
	b.does(raising("storm/r"))
	due := b.narrowly()
	require.Len(t, due, 1)
	assert.Equal(t, "21 alerts of rule r", due[0].Event.Summary)
	assert.Contains(t, due[0].Event.Details, "storm/r")
	b.settle(due[0], alerting.Taken)
	assert.Empty(t, b.narrowly())
	assert.Equal(t, alerting.Tally{Received: 21, Delivered: 21}, b.tally())
	for n := range 20 {
		b.does(ending(fmt.Sprintf("r%04d", n)))
	}
	assert.Empty(t, b.passes())
	b.does(ending("storm/r"))
	assert.Len(t, b.passes(), 1)
	assert.Zero(t, b.tally().Pending)
}
