package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

var repetitionTests = []test{
	testWhatStaysTrueIsSentAgainWithoutAMessage,
	testARuleHasItsOwnRepeat,
	testWhatIsNotOpenIsNotRepeated,
	testRepeatsAreSpread,
	testRepeatsGoBehindEverythingElse,
	testAStormIsRepeatedAsOne,
	testARepeatHasTheNewestText,
	testAStartRepeatsNothingAtOnce,
	testARepeatThatFailsIsRepeatedLater,
	testARefusedRepeatIsADeadLetter,
	testAnEndOvertakesARepeat,
	testAnAlertOfAnAbsenceIsRepeated,
	testManyRepeatsKeepWithinThePace,
}

// repeating opens an engine that repeats alerts of HIGH priority after 4 hours.
func repeating(t *testing.T, open opener) *book {
	t.Helper()
	b := open(t)
	b.repeat = 4 * time.Hour
	b.restart()
	return b
}

func urgent(key string) decision.Raise {
	r := raising(key)
	r.Event.Priority = "HIGH"
	return r
}

// wait moves the clock forward in steps, and returns what was sent, with the time since the call.
func (b *book) wait(d time.Duration) (all []string) {
	b.t.Helper()
	for began := b.now; b.now.Sub(began) < d; {
		b.later(10 * time.Minute)
		for _, text := range b.taken() {
			all = append(all, fmt.Sprintf("%s after %dh", text, int(b.now.Sub(began)/time.Hour)))
		}
	}
	return all
}

func testWhatStaysTrueIsSentAgainWithoutAMessage(t *testing.T, open opener) {
	b := repeating(t, open)
	b.does(urgent("high"))
	b.does(raising("low"))
	b.taken()
	assert.Equal(t, []string{"ALERT high after 4h", "ALERT high after 8h"}, b.wait(10*time.Hour))
	rest := b.wait(18 * time.Hour)
	assert.True(t, slices.ContainsFunc(rest, func(s string) bool { return s[:9] == "ALERT low" }), "%v", rest)
	assert.EqualValues(t, 2, b.tally().Delivered, "a repeat is no message")
	b.does(ending("high"), ending("low"))
	assert.Equal(t, []string{"RESOLVE high", "RESOLVE low"}, b.taken())
	assert.Empty(t, b.wait(50*time.Hour))
}

func testARuleHasItsOwnRepeat(t *testing.T, open opener) {
	b := repeating(t, open)
	often, never := raising("often"), urgent("never")
	often.Repeat, never.Repeat = time.Hour, -1
	b.does(often)
	b.does(never)
	b.taken()
	assert.Equal(t, []string{"ALERT often after 1h", "ALERT often after 2h"}, b.wait(3*time.Hour))
	assert.NotContains(t, b.wait(50*time.Hour), "ALERT never")

	b = open(t) // without a repeat by default
	b.does(often)
	b.does(urgent("a"))
	b.taken()
	assert.Equal(t, []string{"ALERT often after 1h"}, b.wait(2*time.Hour))
}

func testWhatIsNotOpenIsNotRepeated(t *testing.T, open opener) {
	b := repeating(t, open)
	for _, key := range []string{"accepted", "silenced", "site", "device"} {
		r := urgent(key)
		if key == "device" {
			r.Unless = []string{"site"}
		}
		if key != "site" {
			b.does(r)
		}
	}
	b.does(accepting("accepted"))
	b.taken()
	b.taken()
	b.does(urgent("site"))
	b.taken()
	_, err := alerting.Beside(b.store).AddSilence(t.Context(), alerting.Silence{Pattern: "silenced", CreatedAt: b.now, EndsAt: b.now.Add(12 * time.Hour)})
	require.NoError(t, err)
	_, err = b.FollowOrders(t.Context(), b.now)
	require.NoError(t, err)
	waits := urgent("waits")
	waits.For = 100 * time.Hour
	b.does(waits)
	assert.Equal(t, []string{"ALERT site after 4h"}, b.wait(8*time.Hour))
	b.does(ending("site"))
	b.taken()
	rest := b.wait(20 * time.Hour)
	for _, key := range []string{"silenced", "device"} {
		assert.True(t, slices.ContainsFunc(rest, func(s string) bool { return s[:len("ALERT ")+len(key)] == "ALERT "+key }), "%s: %v", key, rest)
	}
}

func testRepeatsAreSpread(t *testing.T, open opener) {
	b := repeating(t, open)
	var batch []alerting.Message
	for i := range 600 {
		batch = append(batch, message(urgent(fmt.Sprint("a", i))))
	}
	b.apply(batch...)
	for len(b.taken()) > 0 {
	}
	b.later(4 * time.Hour)
	most, all := 0, 0
	for range 31 {
		n := 0
		for some := len(b.taken()); some > 0; some = len(b.taken()) {
			n += some
		}
		most, all = max(most, n), all+n
		b.later(time.Minute)
	}
	assert.Equal(t, 600, all)
	assert.Less(t, most, 45, "20 a minute if they are spread evenly over half an hour")
}

func testRepeatsGoBehindEverythingElse(t *testing.T, open opener) {
	b := repeating(t, open)
	b.does(urgent("a"))
	b.does(urgent("b"))
	b.taken()
	b.later(5 * time.Hour)
	b.does(raising("new"))
	two := b.within(100, map[ilert.IntegrationKey]alerting.Budget{configured: {Any: 2, Singles: 2, Again: b.now.Add(minute)}})
	require.Len(t, two, 2)
	assert.Equal(t, "new", two[0].Event.AlertKey)
	assert.False(t, two[0].Repeat)
	assert.True(t, two[1].Repeat)
	assert.Equal(t, minute, b.next(), "the other waits for the budget")
}

func testAStormIsRepeatedAsOne(t *testing.T, open opener) {
	b := repeating(t, open)
	for i := range 6 {
		b.does(urgent(fmt.Sprint("a", i)))
	}
	for range 3 {
		b.later(minute)
		for _, n := range b.narrowly() {
			b.settle(n, alerting.Taken)
		}
	}
	assert.Equal(t, []string{"ALERT storm/r after 4h"}, b.wait(5*time.Hour))
	b.does(decision.EndAll{Rule: "r"})
	assert.Equal(t, []string{"RESOLVE storm/r"}, b.taken())
}

func testARepeatHasTheNewestText(t *testing.T, open opener) {
	b := repeating(t, open)
	w := window(decision.Window{Rule: "site", Condition: decision.Condition{Length: 10 * minute, Distinct: 2}, Held: true})
	for i := range 3 {
		hit := w.hit("site", fmt.Sprint("m", i))
		hit.Raise.Event.Summary = place("count") + " gone"
		b.does(hit)
	}
	assert.Equal(t, []string{"ALERT 3 gone"}, b.texts())
	b.does(w.leave("site", "m0"))
	b.later(30 * time.Hour)
	assert.Equal(t, []string{"ALERT 2 gone"}, b.texts())
}

func testAStartRepeatsNothingAtOnce(t *testing.T, open opener) {
	b := repeating(t, open)
	for i := range 50 {
		b.does(urgent(fmt.Sprint("a", i)))
	}
	b.taken()
	b.later(3 * 24 * time.Hour)
	b.restart()
	assert.Less(t, len(b.taken()), 10)
	sent := b.wait(time.Hour)
	assert.Greater(t, len(sent), 40)

	b.repeat = time.Hour
	b.restart()
	assert.Greater(t, len(b.wait(75*minute)), 40, "a shorter interval counts for what is open")
	b.repeat = 0
	b.restart()
	require.NoError(t, b.UseRepeat(t.Context(), b.now, 0))
	assert.Empty(t, b.wait(50*time.Hour), "it is turned off")
}

func testARepeatThatFailsIsRepeatedLater(t *testing.T, open opener) {
	b := repeating(t, open)
	b.does(urgent("a"))
	b.taken()
	b.later(5 * time.Hour)
	for _, result := range []alerting.Result{alerting.NotTaken, alerting.Unknown} {
		notices := b.claim()
		require.Len(t, notices, 1)
		require.NoError(t, b.Settle(t.Context(), []alerting.Answer{{Notice: notices[0], Result: result, At: b.now, Retry: b.now.Add(minute)}}))
		assert.Equal(t, minute, b.next())
		idle, err := b.Idle(t.Context(), []ilert.IntegrationKey{configured})
		require.NoError(t, err)
		assert.Empty(t, idle, "the repeat waits for its key")
		b.later(minute)
	}
	b.restart()
	b.later(30 * minute)
	assert.Equal(t, []string{"ALERT a"}, b.taken())
	idle, err := b.Idle(t.Context(), []ilert.IntegrationKey{configured})
	require.NoError(t, err)
	assert.NotEmpty(t, idle)

	b.later(5 * time.Hour)
	require.Len(t, b.claim(), 1)
	b.restart() // while the request is under way
	b.later(30 * minute)
	assert.Equal(t, []string{"ALERT a"}, b.taken())
}

func testARefusedRepeatIsADeadLetter(t *testing.T, open opener) {
	b := repeating(t, open)
	b.does(urgent("a"))
	b.taken()
	b.later(5 * time.Hour)
	b.settle(b.claim()[0], alerting.Refused)
	assert.Len(t, b.letters(), 1)
	assert.Empty(t, b.taken(), "only after the interval")
	assert.EqualValues(t, 1, b.tally().Delivered, "the message has its fate")
	b.later(5 * time.Hour)
	assert.Equal(t, []string{"ALERT a"}, b.taken())
}

func testAnEndOvertakesARepeat(t *testing.T, open opener) {
	b := repeating(t, open)
	b.does(urgent("a"))
	b.taken()
	b.later(5 * time.Hour)
	n := b.claim()[0]
	b.does(ending("a"))
	assert.Empty(t, b.claim(), "the end waits for the answer")
	b.settle(n, alerting.Unknown)
	assert.Equal(t, []string{"RESOLVE a"}, b.taken())
	assert.Equal(t, time.Duration(-1), b.next())
}

func testAnAlertOfAnAbsenceIsRepeated(t *testing.T, open opener) {
	b := repeating(t, open)
	b.Listen(b.now)
	b.awaits([]string{"quiet"})
	r := raising("quiet/g")
	r.Rule, r.Repeat = "quiet", 2*time.Hour
	b.does(decision.Heard{Absence: &decision.Absence{Rule: "quiet", After: minute}, Group: "g", Raise: r})
	b.restart()
	b.Listen(b.now)
	for range 10 {
		b.listens(20 * time.Second)
	}
	assert.Equal(t, []string{"ALERT quiet/g"}, b.taken())
	assert.Equal(t, []string{"ALERT quiet/g after 2h"}, b.wait(3*time.Hour))
}

// Eleven thousand open alerts are repeated within the pace of one integration key, 48 requests a minute. A tenth of
// that takes a tenth of the time in a test, and of the pace.
func testManyRepeatsKeepWithinThePace(t *testing.T, open opener) {
	b := repeating(t, open)
	const open1, minute4 = 1100, 4.8
	var batch []alerting.Message
	for i := range open1 {
		batch = append(batch, message(urgent(fmt.Sprint("a", i))))
	}
	b.apply(batch...)
	for len(b.taken()) > 0 {
	}
	last := map[string]time.Time{}
	longest, tokens := time.Duration(0), 0.0
	for began := b.now; b.now.Sub(began) < 14*time.Hour; b.later(minute) {
		tokens = min(tokens+minute4, 10)
		n := int(tokens)
		for _, one := range b.within(100, map[ilert.IntegrationKey]alerting.Budget{configured: {Any: n, Singles: n, Again: b.now.Add(minute)}}) {
			tokens--
			b.settle(one, alerting.Taken)
			key := one.Event.AlertKey
			if at, before := last[key]; before {
				longest = max(longest, b.now.Sub(at))
			}
			last[key] = b.now
		}
	}
	assert.Len(t, last, open1)
	assert.Less(t, longest, 5*time.Hour)
}
