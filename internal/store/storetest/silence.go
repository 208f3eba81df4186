package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
)

var silenceTests = []test{
	testASilencedAlertIsSentWhenTheSilenceEnds,
	testAnAlertThatWaitsIsSilencedToo,
	testWhatIlertKnowsIsOnlyEndedOrAcceptedDuringASilence,
	testARemovedSilenceFreesItsAlerts,
	testOfSilencesThatOverlapTheLastOneFrees,
	testThePatternOfASilence,
	testAStormDoesNotTellOfSilencedAlerts,
	testASilencedStormIsNotSent,
	testTheAlertOfASilencedWindowEndsInTime,
	testASilenceAndAnotherAlertMayHoldTheSameAlert,
	testSilencesOutliveARestart,
	testSilencesAreKeptForADay,
	testThereAreOnlySoManySilences,
	testAnAlertIsClosedByHand,
	testAnAlertThatIsNotOpenCannotBeClosed,
	testAMemberOfAStormIsClosedByHand,
}

// silences adds a silence, and lets the engine follow it.
func (b *book) silences(pattern string, length time.Duration) (id int64) {
	b.t.Helper()
	id, err := alerting.Beside(b.store).AddSilence(b.t.Context(), alerting.Silence{
		Pattern: pattern, Comment: "we work on it", Creator: "ada", CreatedAt: b.now, EndsAt: b.now.Add(length),
	})
	require.NoError(b.t, err)
	b.follows()
	return id
}

// follows lets the engine do what people have asked for.
func (b *book) follows() alerting.Followed {
	b.t.Helper()
	done, err := b.FollowOrders(b.t.Context(), b.now)
	require.NoError(b.t, err)
	return done
}

// removes ends silences by hand.
func (b *book) removes(ids ...int64) (unknown []int64) {
	b.t.Helper()
	unknown, err := alerting.Beside(b.store).RemoveSilences(b.t.Context(), b.now, ids)
	require.NoError(b.t, err)
	b.follows()
	return unknown
}

func testASilencedAlertIsSentWhenTheSilenceEnds(t *testing.T, open opener) {
	b := open(t)
	id := b.silences("Door-*", time.Hour)
	b.does(raising("door-1"), raising("door-2"), raising("window-1"))
	assert.Equal(t, []string{"ALERT window-1"}, b.taken())
	a := b.alerts("")["door-1"]
	require.NotNil(t, a.Silence)
	want := alerting.Silence{ID: id, Pattern: "Door-*", Comment: "we work on it", Creator: "ada", CreatedAt: b.now, EndsAt: b.now.Add(time.Hour)}
	assert.Equal(t, want, *a.Silence)
	assert.Equal(t, alerting.StateSilenced, a.State)
	assert.Equal(t, want.EndsAt, a.Until)
	status, err := b.Status(t.Context(), b.now)
	require.NoError(t, err)
	assert.EqualValues(t, 2, status.Silenced)
	assert.Zero(t, status.Waiting)
	assert.Zero(t, status.Oldest)
	assert.Equal(t, time.Hour, b.next())
	b.does(ending("door-2"))
	b.later(time.Hour)
	assert.Equal(t, []string{"ALERT door-1"}, b.taken())
	assert.Equal(t, -time.Duration(1), b.next())
	assert.Empty(t, b.ActiveSilences())
}

func testAnAlertThatWaitsIsSilencedToo(t *testing.T, open opener) {
	b := open(t)
	later := raising("d1")
	later.For = minute
	b.does(later, raising("d2"))
	b.silences("d*", time.Hour)
	b.later(minute)
	assert.Empty(t, b.taken())
	b.later(time.Hour)
	assert.ElementsMatch(t, []string{"ALERT d1", "ALERT d2"}, b.taken())
}

func testWhatIlertKnowsIsOnlyEndedOrAcceptedDuringASilence(t *testing.T, open opener) {
	b := open(t)
	b.does(raising("d1"), raising("d2"), raising("d3"))
	assert.Len(t, b.taken(), 3)
	b.silences("d*", 10*time.Hour)
	b.later(2 * time.Hour)
	loud := raising("d1")
	loud.Event.Priority = "HIGH"
	b.does(loud)
	b.does(ending("d2"), accepting("d3"))
	assert.ElementsMatch(t, []string{"RESOLVE d2", "ACCEPT d3"}, b.taken())
	b.does(raising("d2"))
	b.does(accepting("d2"))
	assert.Empty(t, b.taken(), "a person looks after an alert that ilert does not know")
	b.later(8 * time.Hour)
	assert.ElementsMatch(t, []string{"ALERT d1", "ALERT d2"}, b.taken())
	assert.Equal(t, []string{"ACCEPT d2"}, b.taken())
}

func testARemovedSilenceFreesItsAlerts(t *testing.T, open opener) {
	b := open(t)
	id := b.silences("d", time.Hour)
	b.does(raising("d"))
	assert.Empty(t, b.taken())
	assert.Equal(t, []int64{id + 1}, b.removes(id, id+1))
	assert.LessOrEqual(t, b.next(), time.Duration(0))
	assert.Equal(t, []string{"ALERT d"}, b.taken())
	assert.Equal(t, []int64{id}, b.removes(id))
}

func testOfSilencesThatOverlapTheLastOneFrees(t *testing.T, open opener) {
	b := open(t)
	b.silences("d*", time.Hour)
	long := b.silences("*1", 2*time.Hour)
	b.does(raising("d1"))
	assert.Equal(t, long, b.alerts("")["d1"].Silence.ID)
	b.later(time.Hour)
	assert.Empty(t, b.taken())
	short := b.silences("d1", 2*time.Hour)
	b.removes(long)
	assert.Empty(t, b.taken())
	assert.Equal(t, short, b.alerts("")["d1"].Silence.ID)
	b.later(2 * time.Hour)
	assert.Equal(t, []string{"ALERT d1"}, b.taken())
}

func testThePatternOfASilence(t *testing.T, open opener) {
	b := open(t)
	keys := []string{"a", "ab", "abc", "aXbXc", "ba", "a*b", "a?b", "[a]", "Ä", "aab", "a_b"}
	for _, key := range keys {
		b.does(raising(key))
	}
	const blanks = " A "
	for pattern, want := range map[string][]string{
		"a": {"a"}, blanks: {"a"}, "a*": {"a", "ab", "abc", "aXbXc", "a*b", "a?b", "aab", "a_b"}, "*a": {"a", "ba"}, "a*b": {"ab", "a*b", "a?b", "aab", "a_b"},
		"a*b*c": {"abc", "aXbXc"}, "*b*": {"ab", "abc", "aXbXc", "ba", "a*b", "a?b", "aab", "a_b"}, "a?b": {"a?b"}, "[a]": {"[a]"}, "a_b": {"a_b"},
		"ä": {"Ä"}, "*": keys, "**": keys, "aa": nil, "ab*b": nil, "a**b": {"ab", "a*b", "a?b", "aab", "a_b"},
	} {
		id := b.silences(pattern, time.Hour)
		b.claim()
		b.restart() // what was under way waits again
		b.claim()
		b.restart()
		var silenced []string
		for key, a := range b.alerts("") {
			if a.State == alerting.StateSilenced {
				silenced = append(silenced, key)
			}
		}
		assert.ElementsMatch(t, want, silenced, pattern)
		b.removes(id)
	}
}

func testAStormDoesNotTellOfSilencedAlerts(t *testing.T, open opener) {
	b := open(t)
	b.fails("r", 0, 8)
	storm := b.narrowly()
	require.Len(t, storm, 1)
	b.settle(storm[0], alerting.NotTaken)
	b.silences("*1", time.Hour)
	b.fails("r", 10, 14)
	sent := b.narrowly()
	require.Len(t, sent, 1)
	assert.Equal(t, "10 alerts of rule r", sent[0].Event.Summary)
	assert.NotContains(t, sent[0].Event.Details, "0001")
	assert.NotContains(t, sent[0].Event.Details, "0011")
	b.settle(sent[0], alerting.Taken)
	b.later(time.Hour)
	assert.ElementsMatch(t, []string{"ALERT LOW r0001 r0001 failed", "ALERT LOW r0011 r0011 failed"}, b.passes())
}

func testASilencedStormIsNotSent(t *testing.T, open opener) {
	b := open(t)
	b.silences("storm/r", time.Hour)
	b.fails("r", 0, 8)
	assert.Empty(t, b.passes())
	assert.Equal(t, alerting.StateSilenced, b.states()["storm/r"])
	b.later(time.Hour)
	assert.Equal(t, []string{"ALERT LOW storm/r 8 alerts of rule r"}, b.passes())
}

func testTheAlertOfASilencedWindowEndsInTime(t *testing.T, open opener) {
	b := open(t)
	w := site(2, 1)
	hit := func(member string) {
		h := w.hit("g", member)
		h.Raise.Age = time.Hour
		b.does(h)
	}
	hit("a")
	hit("b")
	assert.Equal(t, []string{"ALERT 2: a, b"}, b.texts())
	b.silences("*", 10*time.Hour)
	hit("c")
	b.later(2 * time.Hour)
	assert.Equal(t, []string{"RESOLVE 3: a, b, c"}, b.texts())
	assert.Empty(t, b.states())
}

func testASilenceAndAnotherAlertMayHoldTheSameAlert(t *testing.T, open opener) {
	b := open(t)
	b.silences("d", time.Hour)
	b.does(raising("server/x"))
	b.does(device("d", "server/x"))
	assert.Equal(t, []string{"ALERT server/x"}, b.taken())
	b.later(time.Hour)
	assert.Empty(t, b.taken())
	assert.Equal(t, alerting.StateHeld, b.states()["d"])
	b.silences("d", time.Hour)
	b.does(ending("server/x"))
	assert.Equal(t, []string{"RESOLVE server/x"}, b.taken())
	b.later(time.Hour)
	assert.Equal(t, []string{"ALERT d"}, b.taken())
}

func testSilencesOutliveARestart(t *testing.T, open opener) {
	b := open(t)
	id := b.silences("d*", time.Hour)
	b.does(raising("d1"))
	b.restart()
	b.does(raising("d2"))
	assert.Empty(t, b.takenInPages())
	_, err := alerting.Beside(b.store).RemoveSilences(t.Context(), b.now, []int64{id})
	require.NoError(t, err)
	b.restart() // before the engine has learned of it
	assert.ElementsMatch(t, []string{"ALERT d1", "ALERT d2"}, b.takenInPages())
	b.silences("d*", time.Hour)
	b.does(raising("d3"))
	b.later(time.Hour)
	b.restart() // which finds that its time is over
	assert.Equal(t, []string{"ALERT d3"}, b.takenInPages())
}

func testSilencesAreKeptForADay(t *testing.T, open opener) {
	b := open(t)
	b.silences("d", time.Hour)
	count := func() int {
		all, err := b.Silences(t.Context())
		require.NoError(t, err)
		return len(all)
	}
	b.later(25 * time.Hour)
	b.claim()
	b.follows()
	assert.Equal(t, 1, count())
	b.later(time.Second)
	b.follows()
	assert.Zero(t, count())
}

func testThereAreOnlySoManySilences(t *testing.T, open opener) {
	b := open(t)
	s := alerting.Silence{Pattern: "d", CreatedAt: b.now, EndsAt: b.now.Add(time.Hour)}
	b.change(func(ctx context.Context, tx alerting.Tx) error {
		var changes alerting.Changes
		for range alerting.MaxSilences - 1 {
			one := s
			changes.Silences = append(changes.Silences, &one)
		}
		return tx.Save(ctx, &changes)
	})
	last := b.silences("d", time.Hour)
	_, err := alerting.Beside(b.store).AddSilence(t.Context(), s)
	require.ErrorContains(t, err, "1000 silences are active")
	b.removes(last)
	next := b.silences("d", time.Hour)
	assert.Greater(t, next, last, "an ID is not used again")
	all, err := b.Silences(t.Context())
	require.NoError(t, err)
	assert.Len(t, all, alerting.MaxSilences, "the one that has ended gives way")
}

// closes asks for the end of an alert, and lets the engine follow.
func (b *book) closes(key decision.Key) (closed int) {
	b.t.Helper()
	require.NoError(b.t, alerting.Beside(b.store).AskToClose(b.t.Context(), key, "ada"))
	return len(b.follows().Closed)
}

func testAnAlertIsClosedByHand(t *testing.T, open opener) {
	b := open(t)
	b.does(raising("a"), raising("b"))
	assert.Len(t, b.taken(), 2)
	assert.Equal(t, 1, b.closes(decision.Key{Alert: " A"}))
	assert.Equal(t, []string{"RESOLVE a"}, b.taken())
	b.does(raising("a"), raising("c"))
	assert.Equal(t, 1, b.closes(decision.Key{Alert: "c"}), "it is not sent yet")
	assert.Equal(t, []string{"ALERT a"}, b.taken(), "it may begin again")
	require.NoError(t, alerting.Beside(b.store).AskToClose(t.Context(), decision.Key{Alert: "b"}, "ada"))
	b.restart()
	assert.Len(t, b.follows().Closed, 1, "it may be asked for while no engine runs")
	assert.Equal(t, []string{"RESOLVE b"}, b.taken())
	assert.Zero(t, b.follows())
	w := site(2, 1)
	b.hits(w, "a", "b")
	assert.Len(t, b.texts(), 1)
	for key := range b.alerts("w") {
		assert.Equal(t, 1, b.closes(decision.Key{Alert: key}))
	}
	b.hits(w, "c")
	assert.Equal(t, []string{"RESOLVE 2: a, b"}, b.texts(), "its window is empty")
}

func testAnAlertThatIsNotOpenCannotBeClosed(t *testing.T, open opener) {
	b := open(t)
	assert.Zero(t, b.closes(decision.Key{Alert: "none"}))
	b.does(raising("a"))
	assert.Zero(t, b.closes(decision.Key{Integration: doors, Alert: "a"}))
	assert.Equal(t, []string{"ALERT a"}, b.taken())
	found, err := b.AlertsWithKey(t.Context(), b.now, "A ")
	require.NoError(t, err)
	require.Len(t, found, 1)
	assert.Equal(t, decision.Key{Alert: "a"}, found[0].Key)
	found, err = b.AlertsWithKey(t.Context(), b.now, "none")
	require.NoError(t, err)
	assert.Empty(t, found)
}

func testAMemberOfAStormIsClosedByHand(t *testing.T, open opener) {
	b := open(t)
	names := b.fails("r", 0, 6)
	assert.Len(t, b.passes(), 1)
	assert.Zero(t, b.closes(decision.Key{Alert: "storm/r"}), "it ends with its members")
	for _, name := range names {
		assert.Equal(t, 1, b.closes(decision.Key{Alert: name}), fmt.Sprint(name))
	}
	assert.Equal(t, []string{"RESOLVE LOW storm/r all alerts of rule r have ended"}, b.passes())
}
