package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
)

var delayedTests = []test{
	testADelayRestsWhileNobodyListens,
	testAnEndThatComesAfterAPauseIsSeenFirst,
	testAfterAShortPauseADelayGoesOn,
	testTheNextProcessDelaysForTheWholeTime,
	testALateMessageIsDelayedFromItsOwnTime,
	testTheDelayOfAWindowRests,
	testALouderAlertIsDelayedForTheShorterTime,
	testADelayedAlertKeepsItsTimeThroughOtherChanges,
	testADelayedAlertMayBeHeld,
	testOurOwnAlertWaitsByPlainTime,
	testWithoutListeningADelayIsPlainTime,
	testADelayedAlertIsShown,
	testACrowdOfDelayedAlertsTakesSeveralClaims,
}

// delayed returns a raise that is sent after 3 minutes.
func delayed(key string) decision.Raise {
	r := raising(key)
	r.For = 3 * minute
	return r
}

// rests asserts that the engine has nothing to do, and sends nothing, however long it does not listen.
func (b *book) rests() {
	b.t.Helper()
	for range 3 {
		b.listens(10 * time.Hour)
		assert.Equal(b.t, time.Duration(-1), b.next(), "nothing is due")
		assert.Empty(b.t, b.taken())
	}
}

// delays asserts that something is sent after a time, and not before.
func (b *book) delays(d time.Duration, want ...string) {
	b.t.Helper()
	b.listens(d - time.Millisecond)
	assert.Empty(b.t, b.taken())
	b.listens(time.Millisecond)
	assert.Equal(b.t, want, b.taken())
}

func testADelayRestsWhileNobodyListens(t *testing.T, open opener) {
	b := listening(t, open)
	b.does(delayed("a"))
	assert.Empty(t, b.taken())
	b.listens(2 * minute)
	b.Pause()
	b.rests()
	b.Listen(b.now)
	b.delays(3*minute, "ALERT a")
	b.does(ending("a"))
	assert.Equal(t, []string{"RESOLVE a"}, b.taken())
	assert.False(t, b.NeedsListening())
}

// The Last Will of a server comes shortly before our own connection ends, or waits at the broker.
func testAnEndThatComesAfterAPauseIsSeenFirst(t *testing.T, open opener) {
	b := listening(t, open)
	b.does(delayed("a"))
	b.Pause()
	b.later(time.Hour)
	b.does(delayed("b"))
	b.later(10 * minute) // to read the backlog takes long
	assert.Empty(t, b.taken())
	b.does(ending("a"), ending("b"))
	b.Listen(b.now)
	b.listens(time.Hour)
	assert.Empty(t, b.taken())
}

func testAfterAShortPauseADelayGoesOn(t *testing.T, open opener) {
	b := listening(t, open)
	b.does(delayed("a"))
	b.listens(minute)
	b.Pause()
	b.later(50 * time.Second)
	b.Listen(b.now)
	b.delays(2*minute, "ALERT a")
}

func testTheNextProcessDelaysForTheWholeTime(t *testing.T, open opener) {
	b := listening(t, open)
	b.listens(time.Hour)
	b.does(delayed("a"))
	b.listens(50 * time.Second) // the store need not know this
	b.restart()
	b.Pause() // as a process does that will listen
	b.rests()
	b.Listen(b.now)
	b.delays(3*minute, "ALERT a")
}

func testALateMessageIsDelayedFromItsOwnTime(t *testing.T, open opener) {
	b := listening(t, open)
	b.listens(time.Hour)
	late := message(delayed("a"))
	late.Decision.At = b.now.Add(-2 * minute)
	b.apply(late)
	b.delays(minute, "ALERT a")
	late = message(delayed("b"))
	late.Decision.At = b.now.Add(-time.Hour)
	b.apply(late)
	assert.LessOrEqual(t, b.next(), time.Duration(0))
	assert.Equal(t, []string{"ALERT b"}, b.taken())

	b.Pause()
	b.later(30 * time.Second)
	late = message(delayed("c"))
	late.Decision.At = b.now.Add(-time.Hour)
	b.apply(late)
	assert.Empty(t, b.taken(), "what ends it may wait at the broker")
	b.Listen(b.now)
	assert.Equal(t, []string{"ALERT c"}, b.taken())
}

func testTheDelayOfAWindowRests(t *testing.T, open opener) {
	b := listening(t, open)
	w := window(decision.Window{Condition: decision.Condition{Length: time.Hour, AtLeast: 2}})
	w.hold = 3 * minute
	b.does(w.hit("g", ""))
	b.does(w.hit("g", ""))
	b.listens(2 * minute)
	b.Pause()
	b.later(5 * minute)
	assert.Empty(t, b.taken())
	b.Listen(b.now)
	b.delays(3*minute, "ALERT g")
}

func testALouderAlertIsDelayedForTheShorterTime(t *testing.T, open opener) {
	for name, c := range map[string]struct{ louder, want time.Duration }{
		"shorter": {minute, minute},
		"longer":  {10 * minute, 2 * minute},
	} {
		t.Run(name, func(t *testing.T) {
			b := listening(t, open)
			b.does(delayed("a"))
			b.listens(minute)
			r := raising("a")
			r.Event.Priority, r.For = "HIGH", c.louder
			b.does(r)
			b.delays(c.want, "ALERT a")
		})
	}
	b := listening(t, open)
	b.does(delayed("a"))
	r := raising("a")
	r.Event.Priority = "HIGH"
	b.Pause()
	b.does(r)
	assert.Equal(t, []string{"ALERT a"}, b.taken(), "at once")
}

func testADelayedAlertKeepsItsTimeThroughOtherChanges(t *testing.T, open opener) {
	b := listening(t, open)
	b.does(delayed("accepted"), delayed("raised again"), delayed("cancelled"))
	b.listens(2 * minute)
	b.does(accepting("accepted"), delayed("raised again"), cancelling("cancelled"))
	b.delays(minute, "ALERT accepted", "ALERT raised again")
	assert.Equal(t, []string{"ACCEPT accepted"}, b.taken())
}

func testADelayedAlertMayBeHeld(t *testing.T, open opener) {
	b := listening(t, open)
	silenced, dependent := delayed("silenced"), delayed("dependent")
	dependent.Unless = []string{"cause"}
	id := b.silences("silenced", time.Hour)
	b.does(raising("cause"), silenced, dependent)
	assert.Equal(t, []string{"ALERT cause"}, b.taken())
	b.removes(id)
	b.follows()
	b.does(ending("cause"))
	assert.Equal(t, []string{"RESOLVE cause"}, b.taken(), "nothing holds them, and their time is not over")
	b.silences("silenced", time.Hour)
	b.does(raising("cause"))
	assert.Equal(t, []string{"ALERT cause"}, b.taken())
	b.listens(3 * minute)
	assert.Empty(t, b.taken())
	assert.Equal(t, alerting.StateHeld, b.states()["dependent"])
	b.does(ending("cause"))
	assert.Equal(t, []string{"RESOLVE cause", "ALERT dependent"}, b.takenInPages())
	b.listens(time.Hour)
	assert.Equal(t, []string{"ALERT silenced"}, b.takenInPages())
}

func testOurOwnAlertWaitsByPlainTime(t *testing.T, open opener) {
	b := listening(t, open)
	b.Pause()
	require.NoError(t, b.Do(t.Context(), b.now, delayed("mps-ilert")))
	assert.Equal(t, 3*minute, b.next())
	b.later(3 * minute)
	assert.Equal(t, []string{"ALERT mps-ilert"}, b.taken())
}

func testWithoutListeningADelayIsPlainTime(t *testing.T, open opener) {
	b := open(t)
	b.does(delayed("a"))
	assert.Equal(t, 3*minute, b.next())
	b.later(3 * minute)
	assert.Equal(t, []string{"ALERT a"}, b.taken())

	b.Listen(b.now)
	b.does(delayed("b"))
	b.restart() // this process will not listen
	assert.LessOrEqual(t, b.next(), time.Duration(0))
	assert.Empty(t, b.taken())
	assert.Equal(t, 3*minute, b.next())
	b.later(3 * minute)
	assert.Equal(t, []string{"ALERT b"}, b.taken())
}

func testADelayedAlertIsShown(t *testing.T, open opener) {
	b := listening(t, open)
	b.does(delayed("a"))
	shown := b.alerts("")["a"]
	assert.Equal(t, alerting.StateDelayed, shown.State)
	assert.Equal(t, 3*minute, shown.Until.Sub(b.now))
	b.Pause()
	b.later(time.Hour)
	shown = b.alerts("")["a"]
	assert.Equal(t, alerting.StateDelayed, shown.State)
	assert.Zero(t, shown.Until, "nobody knows")
	status, err := b.Status(t.Context(), b.now)
	require.NoError(t, err)
	assert.EqualValues(t, 1, status.Later)
	assert.Zero(t, status.Waiting)
	assert.Zero(t, status.Oldest)
}

func testACrowdOfDelayedAlertsTakesSeveralClaims(t *testing.T, open opener) {
	b := listening(t, open)
	const crowd = 5000
	messages := make([]alerting.Message, crowd)
	for i := range messages {
		messages[i] = message(delayed(fmt.Sprint(i)))
	}
	b.apply(messages...)
	b.listens(2 * minute)
	b.Pause()
	b.later(time.Hour)
	b.Listen(b.now)
	b.listens(2 * minute)
	assert.Empty(t, b.claim(), "they have the whole time again")
	b.listens(minute)
	for n := 1; ; n++ {
		b.claim()
		status, err := b.Status(t.Context(), b.now)
		require.NoError(t, err)
		if status.Later == 0 {
			break
		}
		require.Less(t, n, 10)
	}
}
