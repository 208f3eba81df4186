package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
)

var cancelTests = []test{
	testAnAlertIsCancelledWhileItWaits,
	testNothingCancelsAnAlertThatIlertKnowsOrMayKnow,
	testALateMessageOfAnotherSourceCancelsNothing,
	testACancelledMemberLeavesItsStorm,
}

func cancelling(key string) decision.End {
	return decision.End{Key: decision.Key{Alert: key}, Waiting: true}
}

func testAnAlertIsCancelledWhileItWaits(t *testing.T, open opener) {
	b := open(t)
	r := flapping("a")
	r.For = 5 * minute
	b.does(r)
	b.later(4 * minute)
	b.does(cancelling("a"), cancelling("nobody's"))
	assert.EqualValues(t, -1, b.next(), "it is over at once, although an end would be held")
	b.later(minute)
	b.does(r)
	b.later(4 * minute)
	assert.Empty(t, b.taken(), "it waits anew")
	b.later(minute)
	n := b.claim()
	require.Len(t, n, 1)
	b.settle(n[0], alerting.NotTaken)
	b.does(cancelling("a"))
	assert.Empty(t, b.claim(), "ilert does not know it")
	assert.Equal(t, alerting.Tally{Received: 4, Merged: 4}, b.tally())
}

func testNothingCancelsAnAlertThatIlertKnowsOrMayKnow(t *testing.T, open opener) {
	b := open(t)
	b.does(raising("known"), raising("under way"), raising("unsure"), raising("refused"))
	for _, n := range b.claim() {
		switch n.Event.AlertKey {
		case "known":
			b.settle(n, alerting.Taken)
		case "unsure":
			b.settle(n, alerting.Unknown)
		case "refused":
			b.settle(n, alerting.Refused)
		}
	}
	b.does(ending("known"), cancelling("known"), raising("known"))
	b.does(cancelling("known"), cancelling("under way"), cancelling("unsure"), cancelling("refused"))
	assert.Equal(t, []string{"ALERT unsure"}, b.taken())
	assert.Len(t, b.states(), 4)
}

func testALateMessageOfAnotherSourceCancelsNothing(t *testing.T, open opener) {
	b := open(t)
	b.later(time.Hour)
	r := raising("a")
	r.For = minute
	b.apply(b.by("one", 0, message(r)))
	b.apply(b.by("two", -2*minute, message(cancelling("a"))))
	b.later(minute)
	assert.Equal(t, []string{"ALERT a"}, b.taken())
}

func testACancelledMemberLeavesItsStorm(t *testing.T, open opener) {
	b := open(t)
	names := b.fails("r", 0, 10)
	for _, n := range b.narrowly() {
		b.settle(n, alerting.NotTaken)
	}
	b.does(cancelling(names[3]))
	assert.Equal(t, []string{"ALERT storm/r: 9 alerts of rule r"}, b.passesAs())
	b.does(cancelling(names[4]))
	assert.Empty(t, b.passesAs(), "ilert knows it")
}
