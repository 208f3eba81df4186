package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

var acceptanceTests = []test{
	testAnAlertIsAcceptedOnceItIsSent,
	testARefusedAcceptanceMayBeRepeated,
	testAcceptingDoesNotHurryWhatHasToLast,
	testWhatBecomesOfAnAcceptance,
	testAnAlertThatBeginsAgainIsNoLongerAccepted,
}

func testAnAlertIsAcceptedOnceItIsSent(t *testing.T, open opener) {
	b := open(t)
	b.does(accepting("a"))
	assert.Equal(t, alerting.Tally{Received: 1, Ignored: 1}, b.tally())
	b.does(raising("a"))
	b.does(accepting("a"))
	b.does(accepting("a"))
	assert.Equal(t, []string{"ALERT a"}, b.taken())
	assert.Equal(t, []string{"ACCEPT a"}, b.taken())
	assert.Equal(t, alerting.Tally{Received: 4, Ignored: 1, Merged: 2, Delivered: 1}, b.tally())
	b.later(2 * time.Hour)
	b.does(raising("a"))
	assert.Empty(t, b.taken(), "it stays accepted, and quiet")
	b.does(ending("a"))
	b.does(accepting("a"))
	assert.Equal(t, []string{"RESOLVE a"}, b.taken())

	b.does(raising("b"))
	b.does(accepting("b"))
	b.does(ending("b"))
	assert.Empty(t, b.taken(), "accepted and ended before it was sent")
}

func testARefusedAcceptanceMayBeRepeated(t *testing.T, open opener) {
	b := open(t)
	b.does(raising("a"))
	b.taken()
	for range 2 {
		b.does(accepting("a"))
		n := b.claim()
		require.Len(t, n, 1)
		b.settle(n[0], alerting.Refused)
	}
	assert.Equal(t, alerting.Tally{Received: 3, Delivered: 1, Dead: 2}, b.tally())
	b.does(ending("a"))
	assert.Equal(t, []string{"RESOLVE a"}, b.taken())
}

func testAcceptingDoesNotHurryWhatHasToLast(t *testing.T, open opener) {
	b := open(t)
	r := raising("a")
	r.For = 5 * minute
	b.does(r)
	b.later(minute)
	b.does(accepting("a"))
	assert.Equal(t, 4*minute, b.next())
}

func testWhatBecomesOfAnAcceptance(t *testing.T, open opener) {
	for name, c := range map[string]struct {
		meanwhile []decision.Effect
		result    alerting.Result
		then      []string
	}{
		"taken":                               {nil, alerting.Taken, nil},
		"without an answer":                   {nil, alerting.Unknown, []string{"ACCEPT a"}},
		"not taken":                           {nil, alerting.NotTaken, []string{"ACCEPT a"}},
		"refused":                             {nil, alerting.Refused, nil},
		"ended, and taken":                    {[]decision.Effect{ending("a")}, alerting.Taken, []string{"RESOLVE a"}},
		"ended, and not taken":                {[]decision.Effect{ending("a")}, alerting.NotTaken, []string{"RESOLVE a"}},
		"ended and raised again, and taken":   {[]decision.Effect{ending("a"), raising("a")}, alerting.Taken, []string{"RESOLVE a", "ALERT a"}},
		"ended and raised again, and unknown": {[]decision.Effect{ending("a"), raising("a")}, alerting.Unknown, []string{"RESOLVE a", "ALERT a"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			b.does(raising("a"))
			b.taken()
			b.does(accepting("a"))
			n := b.claim()
			require.Len(t, n, 1)
			assert.Equal(t, ilert.Accept, n[0].Event.EventType)
			b.does(c.meanwhile...)
			b.settle(n[0], c.result)
			assert.Equal(t, c.then, append(b.taken(), b.taken()...))
			assert.Empty(t, b.taken())
			assert.Zero(t, b.tally().Pending)
		})
	}
}

// If an alert ends and begins again, the engine sends it again, whatever ilert answers: the person who had accepted
// the alert does not know that it has begun again.
func testAnAlertThatBeginsAgainIsNoLongerAccepted(t *testing.T, open opener) {
	for name, c := range map[string]struct {
		result alerting.Result
		then   []string
	}{
		"taken":   {alerting.Taken, []string{"ALERT a"}},
		"unknown": {alerting.Unknown, []string{"RESOLVE a", "ALERT a"}},
		"refused": {alerting.Refused, []string{"ALERT a"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			b.does(raising("a"))
			b.taken()
			b.does(accepting("a"))
			b.taken()
			b.does(ending("a"))
			b.does(raising("a"))
			n := b.claim()
			require.Len(t, n, 1)
			assert.Equal(t, ilert.Resolve, n[0].Event.EventType)
			b.settle(n[0], c.result)
			assert.Equal(t, c.then, append(b.taken(), b.taken()...))
			assert.Zero(t, b.tally().Pending)
			assert.Zero(t, b.tally().Dead)
		})
	}
}
