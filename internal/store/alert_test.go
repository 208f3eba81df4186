package store_test

import (
	"database/sql"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/store"
)

func TestAnAlertIsToldOnceAndItsEndOnce(t *testing.T) {
	b := open(t)
	b.apply(raise("a"), raise("a"))
	assert.Equal(t, []string{"ALERT a"}, b.told())
	b.apply(raise("a"))
	assert.Empty(t, b.told(), "known already")
	b.apply(end("a"), end("a"))
	assert.Equal(t, []string{"RESOLVE a"}, b.told())
	b.apply(end("a"))
	assert.Empty(t, b.told(), "nothing is open")
	assert.Equal(t, store.Tally{Received: 6, Delivered: 2, Merged: 3, Ignored: 1}, b.tally())
}

func TestAnAlertThatEndsBeforeItIsToldCostsNothing(t *testing.T) {
	b := open(t)
	b.apply(raise("a"), end("a"), end("b"))
	assert.Empty(t, b.told())
	assert.Equal(t, store.Tally{Received: 3, Merged: 2, Ignored: 1}, b.tally())
}

func TestAnEndThatIsTakenBackBeforeItIsToldCostsNothing(t *testing.T) {
	b := open(t)
	b.apply(raise("a"))
	b.told()
	b.apply(end("a"), raise("a"))
	assert.Empty(t, b.told())
	b.apply(end("a"))
	assert.Equal(t, []string{"RESOLVE a"}, b.told())
}

func TestKeysAreComparedAsIlertComparesThem(t *testing.T) {
	b := open(t)
	b.apply(raise("Ä-1/X"), raise(" ä-1/x "))
	assert.Equal(t, []string{"ALERT Ä-1/X"}, b.told())
	b.apply(end("ä-1/x"))
	assert.Equal(t, []string{"RESOLVE Ä-1/X"}, b.told())
}

func TestARepeatedAlertIsToldAgainAfterTheReminder(t *testing.T) {
	b := open(t)
	b.apply(raise("a"))
	b.told()
	b.now = b.now.Add(store.Reminder - time.Millisecond)
	b.apply(raise("a"))
	assert.Empty(t, b.told())
	b.now = b.now.Add(time.Millisecond)
	b.apply(raise("a"))
	assert.Equal(t, []string{"ALERT a"}, b.told())
}

func TestWhatWaitsTakesTheNewestTextAlong(t *testing.T) {
	b := open(t)
	says := func(text string) store.Message {
		r := raising("a")
		r.For, r.Event.Summary = 10*time.Minute, text
		return message(r)
	}
	b.apply(says("81 degrees"))
	b.later(4 * time.Minute)
	b.apply(says("90 degrees"))
	assert.Equal(t, 6*time.Minute, b.next(), "its time stays the same")
	assert.Equal(t, store.Tally{Received: 2, Merged: 1, Pending: 1}, b.tally())

	b.later(6 * time.Minute)
	n := b.claim()[0]
	assert.Equal(t, "90 degrees", n.Event.Summary)
	retry := b.now.Add(time.Minute)
	require.NoError(t, b.Settle(t.Context(), []store.Answer{{Notice: n, Result: store.NotTold, At: b.now, Retry: retry}}))
	b.apply(says("95 degrees"))
	assert.Equal(t, time.Minute, b.next(), "a retry waits for its time")
	b.now = retry
	assert.Equal(t, []string{"ALERT 95 degrees"}, b.texts())
	assert.Equal(t, store.Tally{Received: 3, Merged: 2, Delivered: 1}, b.tally())

	b.apply(says("20 degrees"))
	assert.Empty(t, b.texts(), "what was told waits no more")
}

func TestARefusedTextIsTheLetterOfTheMessageThatRaised(t *testing.T) {
	b := open(t)
	first, second := raise("a"), raise("a")
	first.Topic, second.Topic = "first", "second"
	b.apply(first)
	b.apply(second)
	b.settle(b.claim()[0], store.Refused)
	letters := b.letters()
	require.Len(t, letters, 1)
	assert.Equal(t, "first", letters[0].Topic)
}

func TestWhatChangesWhileARequestIsUnderWay(t *testing.T) {
	for name, c := range map[string]struct {
		meanwhile store.Message
		result    store.Result
		then      []string
	}{
		"ended, and ilert took the alert":          {end("a"), store.Told, []string{"RESOLVE a"}},
		"ended, and nobody knows":                  {end("a"), store.Unknown, []string{"RESOLVE a"}},
		"ended, and it had not arrived":            {end("a"), store.NotTold, nil},
		"ended, and ilert called it invalid":       {end("a"), store.Refused, nil},
		"repeated, and ilert took it":              {raise("a"), store.Told, nil},
		"repeated, and nobody knows":               {raise("a"), store.Unknown, []string{"ALERT a"}},
		"repeated, and it had not arrived":         {raise("a"), store.NotTold, []string{"ALERT a"}},
		"repeated, and ilert called it invalid":    {raise("a"), store.Refused, nil},
		"another one ended, and ilert took it":     {end("b"), store.Told, nil},
		"another one was raised, and nobody knows": {raise("b"), store.Unknown, []string{"ALERT a", "ALERT b"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			b.apply(raise("a"))
			notices := b.claim()
			require.Len(t, notices, 1)
			b.apply(c.meanwhile)
			b.settle(notices[0], c.result)
			assert.ElementsMatch(t, c.then, b.told())
			assert.Empty(t, b.told())
			assert.Zero(t, b.tally().Pending)
		})
	}
}

func TestOneRequestIsUnderWayForAKeyAtATime(t *testing.T) {
	b := open(t)
	b.apply(raise("a"))
	require.Len(t, b.claim(), 1)
	b.apply(end("a"))
	assert.Empty(t, b.claim(), "order within a key")
}

func TestHighGoesFirstThenWhatIsDueLongest(t *testing.T) {
	b := open(t)
	b.apply(raise("a"))
	b.now = b.now.Add(time.Second)
	loud := raising("c")
	loud.Event.Priority = "HIGH"
	b.apply(raise("b"), message(loud))
	assert.Equal(t, []string{"ALERT c", "ALERT a", "ALERT b"}, b.told())
}

func TestARetryWaitsForItsTime(t *testing.T) {
	b := open(t)
	b.apply(raise("a"))
	n := b.claim()[0]
	later := b.now.Add(time.Minute)
	require.NoError(t, b.Settle(t.Context(), []store.Answer{{Notice: n, Result: store.NotTold, At: b.now, Retry: later}}))
	assert.Empty(t, b.claim())
	next, ok, err := b.NextTry(t.Context())
	require.NoError(t, err)
	assert.True(t, ok)
	assert.True(t, next.Equal(later), next)
	b.now = later
	again := b.claim()
	require.Len(t, again, 1)
	assert.Equal(t, 1, again[0].Tries)
}

func TestWhatCannotBeClaimedIsNotHandedOut(t *testing.T) {
	b := open(t)
	b.apply(raise("a"))
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: b.path}).String())
	require.NoError(t, err)
	defer db.Close()
	_, err = db.ExecContext(t.Context(), `CREATE TRIGGER full BEFORE INSERT ON alert BEGIN SELECT RAISE(ABORT, 'disk full'); END`)
	require.NoError(t, err)
	notices, err := b.Claim(t.Context(), b.now, 100, store.Unlimited)
	require.ErrorContains(t, err, "disk full")
	assert.Empty(t, notices)
}

// Whatever was claimed when the process died is unsure, so it is told again, and
// its end is told even if the alert may never have arrived.
func TestAClaimDoesNotSurviveTheProcess(t *testing.T) {
	b := open(t)
	b.apply(raise("a"), raise("b"))
	require.Len(t, b.claim(), 2)
	b.restart()
	b.apply(end("b"))
	assert.ElementsMatch(t, []string{"ALERT a", "RESOLVE b"}, b.told())
}
