package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
)

var alertTests = []test{
	testAnAlertIsSentOnceAndItsEndOnce,
	testAnAlertThatEndsBeforeItIsSentCostsNothing,
	testAnEndThatIsTakenBackBeforeItIsSentCostsNothing,
	testKeysAreComparedAsIlertComparesThem,
	testARepeatedAlertIsSentAgainAfterTheReminder,
	testWhatWaitsTakesTheNewestTextAlong,
	testARefusedTextIsTheLetterOfTheMessageThatRaised,
	testWhatChangesWhileARequestIsUnderWay,
	testOneRequestIsUnderWayForAKeyAtATime,
	testHighGoesFirstThenWhatIsDueLongest,
	testARetryWaitsForItsTime,
	testAClaimDoesNotSurviveTheProcess,
}

func testAnAlertIsSentOnceAndItsEndOnce(t *testing.T, open opener) {
	b := open(t)
	b.apply(raise("a"), raise("a"))
	assert.Equal(t, []string{"ALERT a"}, b.taken())
	b.apply(raise("a"))
	assert.Empty(t, b.taken(), "known already")
	b.apply(end("a"), end("a"))
	assert.Equal(t, []string{"RESOLVE a"}, b.taken())
	b.apply(end("a"))
	assert.Empty(t, b.taken(), "nothing is open")
	assert.Equal(t, alerting.Tally{Received: 6, Delivered: 2, Merged: 3, Ignored: 1}, b.tally())
}

func testAnAlertThatEndsBeforeItIsSentCostsNothing(t *testing.T, open opener) {
	b := open(t)
	b.apply(raise("a"), end("a"), end("b"))
	assert.Empty(t, b.taken())
	assert.Equal(t, alerting.Tally{Received: 3, Merged: 2, Ignored: 1}, b.tally())
}

func testAnEndThatIsTakenBackBeforeItIsSentCostsNothing(t *testing.T, open opener) {
	b := open(t)
	b.apply(raise("a"))
	b.taken()
	b.apply(end("a"), raise("a"))
	assert.Empty(t, b.taken())
	b.apply(end("a"))
	assert.Equal(t, []string{"RESOLVE a"}, b.taken())
}

func testKeysAreComparedAsIlertComparesThem(t *testing.T, open opener) {
	b := open(t)
	b.apply(raise("Ä-1/X"), raise(" ä-1/x "))
	assert.Equal(t, []string{"ALERT Ä-1/X"}, b.taken())
	b.apply(end("ä-1/x"))
	assert.Equal(t, []string{"RESOLVE Ä-1/X"}, b.taken())
}

func testARepeatedAlertIsSentAgainAfterTheReminder(t *testing.T, open opener) {
	b := open(t)
	b.apply(raise("a"))
	b.taken()
	b.now = b.now.Add(alerting.Reminder - time.Millisecond)
	b.apply(raise("a"))
	assert.Empty(t, b.taken())
	b.now = b.now.Add(time.Millisecond)
	b.apply(raise("a"))
	assert.Equal(t, []string{"ALERT a"}, b.taken())
}

func testWhatWaitsTakesTheNewestTextAlong(t *testing.T, open opener) {
	b := open(t)
	says := func(text string) alerting.Message {
		r := raising("a")
		r.For, r.Event.Summary = 10*time.Minute, text
		return message(r)
	}
	b.apply(says("81 degrees"))
	b.later(4 * time.Minute)
	b.apply(says("90 degrees"))
	assert.Equal(t, 6*time.Minute, b.next(), "its time stays the same")
	assert.Equal(t, alerting.Tally{Received: 2, Merged: 1, Pending: 1}, b.tally())

	b.later(6 * time.Minute)
	n := b.claim()[0]
	assert.Equal(t, "90 degrees", n.Event.Summary)
	retry := b.now.Add(time.Minute)
	require.NoError(t, b.Settle(t.Context(), []alerting.Answer{{Notice: n, Result: alerting.NotTaken, At: b.now, Retry: retry}}))
	b.apply(says("95 degrees"))
	assert.Equal(t, time.Minute, b.next(), "a retry waits for its time")
	b.now = retry
	assert.Equal(t, []string{"ALERT 95 degrees"}, b.texts())
	assert.Equal(t, alerting.Tally{Received: 3, Merged: 2, Delivered: 1}, b.tally())

	b.apply(says("20 degrees"))
	assert.Empty(t, b.texts(), "what was sent waits no more")
}

func testARefusedTextIsTheLetterOfTheMessageThatRaised(t *testing.T, open opener) {
	b := open(t)
	first, second := raise("a"), raise("a")
	first.Topic, second.Topic = "first", "second"
	b.apply(first)
	b.apply(second)
	b.settle(b.claim()[0], alerting.Refused)
	letters := b.letters()
	require.Len(t, letters, 1)
	assert.Equal(t, "first", letters[0].Topic)
}

func testWhatChangesWhileARequestIsUnderWay(t *testing.T, open opener) {
	for name, c := range map[string]struct {
		meanwhile alerting.Message
		result    alerting.Result
		then      []string
	}{
		"ended, and ilert took the alert":           {end("a"), alerting.Taken, []string{"RESOLVE a"}},
		"ended, without an answer":                  {end("a"), alerting.Unknown, []string{"RESOLVE a"}},
		"ended, and it had not arrived":             {end("a"), alerting.NotTaken, nil},
		"ended, and ilert called it invalid":        {end("a"), alerting.Refused, nil},
		"repeated, and ilert took it":               {raise("a"), alerting.Taken, nil},
		"repeated, without an answer":               {raise("a"), alerting.Unknown, []string{"ALERT a"}},
		"repeated, and it had not arrived":          {raise("a"), alerting.NotTaken, []string{"ALERT a"}},
		"repeated, and ilert called it invalid":     {raise("a"), alerting.Refused, nil},
		"another one ended, and ilert took it":      {end("b"), alerting.Taken, nil},
		"another one was raised, without an answer": {raise("b"), alerting.Unknown, []string{"ALERT a", "ALERT b"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			b.apply(raise("a"))
			notices := b.claim()
			require.Len(t, notices, 1)
			b.apply(c.meanwhile)
			b.settle(notices[0], c.result)
			assert.ElementsMatch(t, c.then, b.taken())
			assert.Empty(t, b.taken())
			assert.Zero(t, b.tally().Pending)
		})
	}
}

func testOneRequestIsUnderWayForAKeyAtATime(t *testing.T, open opener) {
	b := open(t)
	b.apply(raise("a"))
	require.Len(t, b.claim(), 1)
	b.apply(end("a"))
	assert.Empty(t, b.claim(), "order within a key")
}

func testHighGoesFirstThenWhatIsDueLongest(t *testing.T, open opener) {
	b := open(t)
	b.apply(raise("a"))
	b.now = b.now.Add(time.Second)
	loud := raising("c")
	loud.Event.Priority = "HIGH"
	b.apply(raise("b"), message(loud))
	assert.Equal(t, []string{"ALERT c", "ALERT a", "ALERT b"}, b.taken())
}

func testARetryWaitsForItsTime(t *testing.T, open opener) {
	b := open(t)
	b.apply(raise("a"))
	n := b.claim()[0]
	later := b.now.Add(time.Minute)
	require.NoError(t, b.Settle(t.Context(), []alerting.Answer{{Notice: n, Result: alerting.NotTaken, At: b.now, Retry: later}}))
	assert.Empty(t, b.claim())
	next, ok, err := b.NextDue(t.Context())
	require.NoError(t, err)
	assert.True(t, ok)
	assert.True(t, next.Equal(later), next)
	b.now = later
	again := b.claim()
	require.Len(t, again, 1)
	assert.Equal(t, 1, again[0].Tries)
}

// After a crash the engine does not know whether a claimed notice has reached ilert. So it sends the notice
// again, and sends the end of the alert even though ilert may never have known the alert.
func testAClaimDoesNotSurviveTheProcess(t *testing.T, open opener) {
	b := open(t)
	b.apply(raise("a"), raise("b"))
	require.Len(t, b.claim(), 2)
	b.restart()
	b.apply(end("b"))
	assert.ElementsMatch(t, []string{"ALERT a", "RESOLVE b"}, b.taken())
}
