package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

var awaitedTests = []test{
	testSilenceIsAnAlertUntilTheNextMessage,
	testEachGroupIsAwaitedByItself,
	testTheTextsAreThoseOfTheLastMessage,
	testTheClockStandsWhileNobodyListens,
	testAfterALongPauseEachGroupHasTheWholeTimeAgain,
	testABacklogIsNoSilence,
	testAKilledProcessErrsToTheLateSide,
	testASilentGroupStaysSilentOverARestart,
	testAClockThatIsPutBackRaisesNoAlert,
	testADismissedGroupIsNotAwaited,
	testOnlyABusyGroupIsAwaited,
	testWhatABacklogBringsMakesNoGroupBusy,
	testOnlySilenceInUsualHoursIsAnAlert,
	testUsualHoursAreForgottenAfterAWeek,
	testARedeliveredMessageIsNotHeardAgain,
	testARetainedMessageMakesAGroupKnown,
	testAMessageOfAnAwaitedGroupWritesNoRow,
}

// absent is a rule that waits for groups. The alert of a group has the group's name as its alert key.
type absent struct{ decision.Absence }

func (a *absent) heard(group, summary string) decision.Heard {
	r := decision.Raise{Rule: a.Rule, Key: decision.Key{Alert: group}, Event: ilert.Event{Summary: summary, Priority: "HIGH"}}
	return decision.Heard{Absence: &a.Absence, Group: group, Raise: r}
}

func silentFor(after time.Duration) *absent {
	return &absent{decision.Absence{Rule: "silent", After: after}}
}

// listening opens a book whose engine listens.
func listening(t *testing.T, open opener) *book {
	t.Helper()
	b := open(t)
	b.Listen(b.now)
	return b
}

// listens lets time pass in which the engine listens.
func (b *book) listens(d time.Duration) {
	b.t.Helper()
	b.later(d)
	_, err := b.Listened(b.t.Context(), b.now)
	require.NoError(b.t, err)
}

// awaits tells the engine the rules and the groups that they name.
func (b *book) awaits(rules []string, expected ...decision.Heard) {
	b.t.Helper()
	keys := map[string]ilert.IntegrationKey{}
	for _, rule := range rules {
		keys[rule] = configured
	}
	require.NoError(b.t, b.Await(b.t.Context(), b.now, keys, expected))
	b.check()
}

func (b *book) groups() int {
	n, _ := b.AwaitedGroups()
	return n
}

func testSilenceIsAnAlertUntilTheNextMessage(t *testing.T, open opener) {
	b, a := listening(t, open), silentFor(20*minute)
	b.does(a.heard("g", "g is silent"))
	for range 5 { // as long as it speaks
		b.listens(20*minute - time.Second)
		assert.Empty(t, b.taken())
		b.does(a.heard("g", "g is silent"))
	}
	assert.Equal(t, alerting.Tally{Received: 6, Ignored: 6}, b.tally())
	b.listens(20*minute - time.Millisecond)
	assert.Empty(t, b.taken())
	assert.Equal(t, time.Duration(-1), b.next(), "the engine has to listen first")
	b.listens(time.Millisecond)
	assert.LessOrEqual(t, b.next(), time.Duration(0))
	assert.Equal(t, []string{"ALERT g"}, b.taken())
	b.listens(10 * time.Hour)
	assert.Empty(t, b.taken(), "it is raised once")
	b.does(a.heard("g", "g is silent"))
	assert.Equal(t, []string{"RESOLVE g"}, b.taken())
	assert.Equal(t, alerting.Tally{Received: 7, Ignored: 6, Delivered: 1}, b.tally())
	b.listens(20 * minute)
	assert.Equal(t, []string{"ALERT g"}, b.taken(), "and again")
}

func testEachGroupIsAwaitedByItself(t *testing.T, open opener) {
	b, a := listening(t, open), silentFor(20*minute)
	b.does(a.heard("a", "s"), a.heard("b", "s"))
	b.listens(15 * minute)
	b.does(a.heard("b", "s"))
	b.listens(5 * minute)
	assert.Equal(t, []string{"ALERT a"}, b.taken())
	at, waits := b.AwaitedUntil("silent", "b")
	assert.True(t, waits)
	assert.Equal(t, 15*minute, at.Sub(b.now))
	b.listens(15 * minute)
	assert.Equal(t, []string{"ALERT b"}, b.taken())
	b.does(a.heard("a", "s"))
	assert.Equal(t, []string{"RESOLVE a"}, b.taken())
}

func testTheTextsAreThoseOfTheLastMessage(t *testing.T, open opener) {
	b, a := listening(t, open), silentFor(20*minute)
	b.does(a.heard("g", "last reading: 20"))
	b.listens(time.Millisecond) // too little for a change of its row
	b.does(a.heard("g", "last reading: 21"))
	b.listens(20 * minute)
	assert.Equal(t, []string{"ALERT last reading: 21"}, b.texts())
}

func testTheClockStandsWhileNobodyListens(t *testing.T, open opener) {
	b, a := listening(t, open), silentFor(20*minute)
	b.does(a.heard("g", "s"))
	for range 30 { // pauses shorter than those after which each group has the whole time again
		b.listens(30 * time.Second)
		b.Pause()
		b.later(50 * time.Second)
		b.Listen(b.now)
	}
	assert.Empty(t, b.taken(), "15 of 20 minutes, within 40")
	b.listens(5 * minute)
	assert.Equal(t, []string{"ALERT g"}, b.taken())
}

func testAfterALongPauseEachGroupHasTheWholeTimeAgain(t *testing.T, open opener) {
	b, a := listening(t, open), silentFor(20*minute)
	b.does(a.heard("g", "s"))
	b.listens(19 * minute)
	b.Pause()
	b.listens(3 * time.Hour) // does not count
	b.Listen(b.now)
	b.listens(20*minute - time.Millisecond)
	assert.Empty(t, b.taken())
	b.restart()
	b.Listen(b.now)
	assert.Empty(t, b.taken())
	b.listens(time.Millisecond)
	assert.Equal(t, []string{"ALERT g"}, b.taken(), "a short pause changes nothing")
}

func testABacklogIsNoSilence(t *testing.T, open opener) {
	b, a := listening(t, open), silentFor(20*minute)
	b.does(a.heard("g", "s"))
	b.Pause()
	b.later(2 * time.Hour)
	old := message(a.heard("g", "s"))
	old.Decision.At = b.now.Add(-110 * minute) // by its own time
	b.apply(old)
	assert.Empty(t, b.taken())
	b.Listen(b.now)
	b.listens(20*minute - time.Millisecond)
	assert.Empty(t, b.taken())
	b.listens(time.Millisecond)
	assert.Equal(t, []string{"ALERT g"}, b.taken())
}

func testAKilledProcessErrsToTheLateSide(t *testing.T, open opener) {
	b, a := listening(t, open), silentFor(32*minute)
	b.does(a.heard("g", "s"))
	b.listens(30 * time.Second)
	b.does(a.heard("g", "s")) // the store need not know this
	b.listens(20 * time.Second)
	b.restart()
	b.Listen(b.now)
	b.listens(32*minute - time.Millisecond)
	assert.Empty(t, b.taken(), "the silence before the restart is not proven")
	b.listens(time.Millisecond)
	assert.Equal(t, []string{"ALERT g"}, b.taken(), "but it is not later than the whole time")
}

func testASilentGroupStaysSilentOverARestart(t *testing.T, open opener) {
	b, a := listening(t, open), silentFor(20*minute)
	b.does(a.heard("g", "s"))
	b.listens(20 * minute)
	assert.Equal(t, []string{"ALERT g"}, b.taken())
	b.restart()
	b.later(time.Hour)
	b.Listen(b.now)
	b.listens(10 * time.Hour)
	assert.Empty(t, b.taken())
	b.does(a.heard("g", "s"))
	assert.Equal(t, []string{"RESOLVE g"}, b.taken())
}

func testAClockThatIsPutBackRaisesNoAlert(t *testing.T, open opener) {
	for name, jump := range map[string]time.Duration{"back": -3 * time.Hour, "ahead and back": 0} {
		t.Run(name, func(t *testing.T) {
			b, a := listening(t, open), silentFor(20*minute)
			b.does(a.heard("g", "s"))
			b.listens(10 * minute)
			b.later(jump)
			b.listens(0)
			b.does(a.heard("g", "s"))
			b.Pause()
			b.Listen(b.now)
			b.listens(20*minute - time.Millisecond)
			assert.Empty(t, b.taken())
			b.listens(10 * minute)
			assert.Equal(t, []string{"ALERT g"}, b.taken())
		})
	}
}

func testADismissedGroupIsNotAwaited(t *testing.T, open opener) {
	b, a := listening(t, open), silentFor(20*minute)
	b.does(a.heard("g", "s"))
	b.does(decision.Dismiss{Rule: "silent", Group: "g"}, decision.Dismiss{Rule: "silent", Group: "unknown"})
	b.listens(time.Hour)
	assert.Empty(t, b.taken())
	assert.Zero(t, b.groups())
	b.does(a.heard("g", "s"), decision.Dismiss{Rule: "silent", Group: "g"}, a.heard("g", "s"))
	b.listens(time.Hour)
	assert.Equal(t, []string{"ALERT g"}, b.taken())
	b.does(decision.Dismiss{Rule: "silent", Group: "g"})
	assert.Equal(t, []string{"RESOLVE g"}, b.taken())
	b.restart()
	assert.Zero(t, b.groups())
}

func testOnlyABusyGroupIsAwaited(t *testing.T, open opener) {
	b, a := listening(t, open), silentFor(16*minute)
	a.AtLeast = 20
	speak := func(n int, every time.Duration) {
		for range n {
			b.does(a.heard("g", "s"))
			b.listens(every)
		}
	}
	speak(19, 30*time.Second)
	b.listens(time.Hour)
	assert.Empty(t, b.taken())
	assert.Zero(t, b.groups(), "it is forgotten until it speaks again")
	speak(40, minute) // 16 in 16 minutes
	b.listens(time.Hour)
	assert.Empty(t, b.taken())
	speak(20, 30*time.Second)
	b.restart()
	b.Listen(b.now)
	b.listens(time.Hour)
	assert.Equal(t, []string{"ALERT g"}, b.taken())
	b.does(a.heard("g", "s"))
	assert.Equal(t, []string{"RESOLVE g"}, b.taken())
	b.listens(time.Hour)
	assert.Empty(t, b.taken(), "one message makes it not busy again")
}

func testWhatABacklogBringsMakesNoGroupBusy(t *testing.T, open opener) {
	for name, c := range map[string]struct {
		every time.Duration // by their own times; 0: they have none
		want  []string
	}{
		"without times of their own": {0, nil},
		"few by their times":         {minute, nil},
		"many by their times":        {10 * time.Second, []string{"ALERT g"}},
	} {
		t.Run(name, func(t *testing.T) {
			b, a := open(t), silentFor(16*minute)
			a.AtLeast = 20
			for i := range 100 {
				m := message(a.heard("g", "s"))
				if c.every > 0 {
					m.Decision.At = b.now.Add(-time.Duration(100-i) * c.every)
				}
				b.apply(m)
			}
			b.Listen(b.now)
			b.listens(time.Hour)
			assert.Equal(t, c.want, b.taken())
		})
	}
}

func testARedeliveredMessageIsNotHeardAgain(t *testing.T, open opener) {
	b, a := listening(t, open), silentFor(20*minute)
	m := message(a.heard("g", "s"))
	m.Fingerprint = 7
	b.apply(m)
	b.listens(20 * minute)
	assert.Equal(t, []string{"ALERT g"}, b.taken())
	b.apply(m)
	assert.Empty(t, b.taken())
}

// The broker sends what it has retained when a session is new, however old that is.
func testARetainedMessageMakesAGroupKnown(t *testing.T, open opener) {
	b, a := listening(t, open), silentFor(20*minute)
	retained := message(a.heard("g", "s"))
	retained.Retained = true
	b.apply(retained)
	b.listens(10 * minute)
	b.apply(retained)
	b.listens(10 * minute)
	assert.Equal(t, []string{"ALERT g"}, b.taken())
	b.apply(retained)
	assert.Empty(t, b.taken(), "it does not show that the group speaks")
	b.does(a.heard("g", "s"))
	assert.Equal(t, []string{"RESOLVE g"}, b.taken())
}

func testAMessageOfAnAwaitedGroupWritesNoRow(t *testing.T, open opener) {
	b, a := listening(t, open), silentFor(32*minute)
	row := func() alerting.Awaited {
		all := b.memory().Awaited
		require.Len(t, all, 1)
		return *all[0]
	}
	b.does(a.heard("g", "0"))
	first := row()
	for i := range 60 {
		b.does(a.heard("g", fmt.Sprint(i)))
		b.listens(time.Second)
	}
	assert.Equal(t, first, row())
	b.listens(time.Second)
	b.does(a.heard("g", "last"))
	assert.Greater(t, row().Heard, first.Heard)
	assert.Contains(t, row().Body, "last")
}
