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

var reviveTests = []test{
	testARefusedEndIsSentAgainUnlessTheAlertIsRaisedAgain,
	testARefusedAlertIsRaisedAgainUnlessItHasEnded,
	testARefusedAlertEndsByTime,
	testARefusedEndIsForgottenInTheEnd,
	testALetterOfAnAlertDoesNothingElseAgain,
	testARefusedWindowIsRaisedAgainWithItsNumbers,
	testANoticeWithoutAMessageIsSentAgainToItsAlertSource,
	testTheRefusedEndOfAStormIsSentAgain,
	testALetterThatCouldNotBeReadIsOvertakenByWhatCameSince,
	testALetterThatHasAnEffectIsTakenIn,
	testAnOutboxItemIsSentAgainUnlessOvertaken,
	testLettersAreTakenInTogether,
}

// refused claims the only notice that is due, and settles it as called invalid by ilert.
func (b *book) refused(want string) {
	b.t.Helper()
	due := b.claim()
	require.Len(b.t, due, 1)
	n := due[0]
	require.Equal(b.t, want, string(n.Event.EventType)+" "+n.Event.AlertKey+by(n.IntegrationKey))
	b.settle(n, alerting.Refused)
	b.later(time.Minute)
}

// retried takes the only dead letter in again as a message with these effects, and returns the reason why the
// letter stays, or "".
func (b *book) retried(effects ...decision.Effect) (keep string) {
	b.t.Helper()
	letters := b.letters()
	require.Len(b.t, letters, 1)
	_, err := b.AskToRetry(b.t.Context(), alerting.LetterQuery{})
	require.NoError(b.t, err)
	b.later(time.Minute)
	keep = b.revive(letters[0], message(effects...))
	if keep == "" {
		assert.Empty(b.t, b.letters())
		return ""
	}
	letter := b.letters()[0]
	assert.Equal(b.t, letters[0].ID, letter.ID, "it stays")
	assert.Equal(b.t, letters[0].Reason, letter.Reason)
	assert.Equal(b.t, keep, letter.Kept)
	assert.False(b.t, letter.Retry, "until a person asks again")
	return keep
}

// sources holds the key of the same alert at two alert sources, of which each is a case of a test.
var sources = map[string]decision.Key{"configured": {Alert: "A "}, "of a rule": {Integration: doors, Alert: "A "}}

func testARefusedEndIsSentAgainUnlessTheAlertIsRaisedAgain(t *testing.T, open opener) {
	for name, k := range sources {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			r := raising("")
			r.Key = k
			b.does(r)
			b.taken()
			b.does(decision.End{Key: k})
			b.refused("RESOLVE A " + by(k.Integration))
			assert.Equal(t, alerting.StateRefused, b.alerts("")["A "].State)
			assert.EqualValues(t, 1, b.status().Open, "at ilert")
			b.does(decision.End{Key: k})
			assert.Empty(t, b.taken(), "it would be refused again")
			assert.EqualValues(t, 1, b.tally().Ignored)
			b.restart()

			assert.Empty(t, b.retried(decision.End{Key: k}))
			assert.Equal(t, []string{"RESOLVE A " + by(k.Integration)}, b.taken())
			assert.Empty(t, b.alerts(""))
			assert.Equal(t, alerting.Tally{Received: 3, Ignored: 1, Delivered: 2}, b.tally())

			b.does(r)
			b.taken()
			b.does(decision.End{Key: k})
			b.refused("RESOLVE A " + by(k.Integration))
			b.does(r)
			assert.Equal(t, []string{"ALERT A " + by(k.Integration)}, b.taken(), "ilert may have closed it")
			assert.Equal(t, "its alert has been raised again since", b.retried(decision.End{Key: k}))
			assert.Empty(t, b.taken())
			b.does(decision.End{Key: k})
			b.taken()
			assert.Equal(t, "its alert has been resolved since, or is not known any more", b.retried(decision.End{Key: k}))
			assert.Empty(t, b.taken())
		})
	}
}

func testARefusedAlertIsRaisedAgainUnlessItHasEnded(t *testing.T, open opener) {
	for name, k := range sources {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			r := raising("")
			r.Key, r.Event.Summary = k, "too long"
			b.does(r)
			b.refused("ALERT A " + by(k.Integration))
			assert.Equal(t, alerting.StateRefused, b.alerts("")["A "].State)
			assert.Zero(t, b.status().Open+b.status().Waiting)
			r.Event.Summary = "short"
			assert.Empty(t, b.retried(r, ending("another")))
			assert.Equal(t, []string{"ALERT short"}, b.texts(), "as the rules say now")
			b.does(decision.End{Key: k})
			b.taken()
			assert.Equal(t, alerting.Tally{Received: 2, Delivered: 2}, b.tally())

			b.does(r)
			b.refused("ALERT A " + by(k.Integration))
			b.does(decision.Accept{Key: k})
			assert.Empty(t, b.taken(), "of what ilert does not know")
			b.does(decision.End{Key: k})
			assert.EqualValues(t, 2, b.tally().Merged)
			assert.Equal(t, "its alert has ended since", b.retried(r))
			assert.Empty(t, b.taken())
			b.does(r)
			assert.Equal(t, []string{"ALERT A " + by(k.Integration)}, b.taken())
			assert.Empty(t, b.retried(r), "ilert knows it since")
			assert.Empty(t, b.taken())
			assert.Equal(t, alerting.Tally{Received: 6, Delivered: 3, Merged: 3}, b.tally())
		})
	}
}

func testARefusedAlertEndsByTime(t *testing.T, open opener) {
	b := open(t)
	r := raising("a")
	r.Silence = 5 * time.Minute
	b.does(r)
	b.refused("ALERT a")
	b.later(10 * time.Minute)
	assert.Equal(t, "its alert has ended since", b.retried(r))
	assert.Empty(t, b.taken())
}

func testARefusedEndIsForgottenInTheEnd(t *testing.T, open opener) {
	b := open(t)
	b.does(raising("a"))
	b.taken()
	b.does(ending("a"))
	b.refused("RESOLVE a")
	b.later(b.next())
	assert.Empty(t, b.taken())
	assert.Empty(t, b.alerts(""))
	assert.Equal(t, time.Duration(-1), b.next())
}

// The dead letter is about one alert of a message. Its retry sends that alert again, and repeats no other effect.
func testALetterOfAnAlertDoesNothingElseAgain(t *testing.T, open opener) {
	b := open(t)
	w := window(decision.Window{Condition: decision.Condition{Length: 10 * minute, AtLeast: 2}})
	b.does(raising("a"), w.hit("g", "m"))
	b.refused("ALERT a")
	assert.Empty(t, b.retried(raising("a"), w.hit("g", "m"), raising("new"), decision.Send{Path: "/p"}))
	assert.Equal(t, []string{"ALERT a"}, b.taken(), "and the hit counts once")
}

func testARefusedWindowIsRaisedAgainWithItsNumbers(t *testing.T, open opener) {
	b := open(t)
	w := window(decision.Window{Condition: decision.Condition{Length: 10 * minute, AtLeast: 2}})
	w.text = place("count") + " too long"
	b.does(w.hit("g", ""))
	b.does(w.hit("g", ""))
	b.refused("ALERT g")
	w.text = place("count")
	assert.Empty(t, b.retried(w.hit("g", "")))
	assert.Equal(t, []string{"ALERT 2"}, b.texts())
}

// An alert that ends by time makes a notice without a message. Its dead letter must keep the integration key.
func testANoticeWithoutAMessageIsSentAgainToItsAlertSource(t *testing.T, open opener) {
	b := open(t)
	r := of(doors, "a", "LOW")
	r.Age = time.Minute
	b.does(r)
	b.taken()
	b.later(time.Minute)
	b.refused("RESOLVE a by env:DOORS_KEY")
	letter := b.letters()[0]
	assert.Equal(t, alerting.FilterRules, letter.Filter)
	assert.Equal(t, doors, letter.Alert.Integration)
	assert.Empty(t, b.retried())
	assert.Equal(t, []string{"RESOLVE a by env:DOORS_KEY"}, b.taken())
	tallies, err := b.Tallies(t.Context())
	require.NoError(t, err)
	assert.Equal(t, alerting.Tally{Received: 1, Delivered: 1}, tallies[alerting.FilterRules])
}

func testTheRefusedEndOfAStormIsSentAgain(t *testing.T, open opener) {
	b := open(t)
	b.fails("r", 0, 6)
	b.passes()
	b.does(decision.EndAll{Rule: "r"})
	b.refused("RESOLVE storm/r")
	assert.Empty(t, b.retried())
	assert.Equal(t, []string{"RESOLVE storm/r"}, b.taken())
	assert.Empty(t, b.alerts(""))
}

func testALetterThatCouldNotBeReadIsOvertakenByWhatCameSince(t *testing.T, open opener) {
	says := func(m alerting.Message, source string) alerting.Message {
		m.Source, m.MaxSkew = source, minute
		return m
	}
	for _, source := range []string{"one", "other"} {
		b := open(t)
		b.apply(says(dead("t", "no such rule"), "one"))
		b.later(10 * time.Minute)
		b.apply(says(raise("a"), source))
		b.taken()
		assert.Empty(t, b.retried(raising("a")), "says the same")
		assert.Equal(t, alerting.Tally{Received: 2, Delivered: 1, Merged: 1}, b.tally())

		b.apply(says(dead("t", "no such rule"), "one"))
		b.later(10 * time.Minute)
		b.apply(says(end("a"), source))
		b.taken()
		assert.Equal(t, "what has come since says otherwise of its alert", b.retried(raising("a")))
		b.later(10 * time.Minute)
		b.apply(says(raise("a"), source))
		b.taken()
		assert.Equal(t, "what has come since says otherwise of its alert", b.retried(ending("a")))
		assert.Empty(t, b.taken())
	}
}

// An effect may be about many alerts. The letter is taken in if one of them has no later report of another source.
func testALetterThatHasAnEffectIsTakenIn(t *testing.T, open opener) {
	other := raising("other")
	other.Rule = "other"
	for name, effects := range map[string][]decision.Effect{
		"it ends one of two":        {decision.EndAll{Rule: "r"}},
		"and it raises another one": {other, decision.EndAll{Rule: "r"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			b.does(raising("a"))
			b.taken()
			b.apply(dead("t", "no such rule"))
			b.later(10 * time.Minute)
			for n := range effects {
				m := raise(fmt.Sprint("later ", n))
				m.Source, m.MaxSkew = "one", minute
				b.apply(m)
			}
			b.taken()
			assert.Empty(t, b.retried(effects...))
			assert.Contains(t, b.taken(), "RESOLVE a")
			assert.Len(t, b.alerts("r"), len(effects))
		})
	}
}

func sends(key ilert.IntegrationKey, typ ilert.Type, alertKey string) decision.Send {
	return decision.Send{IntegrationKey: key, Path: ilert.EventsPath, Event: ilert.Event{EventType: typ, Summary: "s", AlertKey: alertKey}}
}

// An outbox item has no desired state. But the engine knows a later item of the same alert key that contradicts it.
func testAnOutboxItemIsSentAgainUnlessOvertaken(t *testing.T, open opener) {
	for name, c := range map[string]struct {
		first, later decision.Send
		overtaken    bool
	}{
		"its end":                  {sends(third, ilert.Alert, "a"), sends(third, ilert.Resolve, " A"), true},
		"raised again":             {sends(third, ilert.Resolve, "a"), sends(third, ilert.Alert, "a"), true},
		"nothing left to accept":   {sends(third, ilert.Accept, "a"), sends(third, ilert.Resolve, "a"), true},
		"the same again":           {sends(third, ilert.Alert, "a"), sends(third, ilert.Alert, "a"), false},
		"a comment":                {sends(third, ilert.Alert, "a"), sends(third, ilert.Comment, "a"), false},
		"of another":               {sends(third, ilert.Alert, "a"), sends(third, ilert.Resolve, "b"), false},
		"of another alert source":  {sends(third, ilert.Alert, "a"), sends(configured, ilert.Resolve, "a"), false},
		"of an alert without name": {sends(third, ilert.Alert, ""), sends(third, ilert.Resolve, ""), false},
	} {
		for _, when := range []string{"taken", "waiting"} {
			t.Run(name+", "+when, func(t *testing.T) {
				b := open(t)
				b.does(c.first)
				b.settle(b.claim()[0], alerting.Refused)
				b.does(c.later)
				if when == "taken" {
					require.Len(t, b.taken(), 1)
				}
				keep := b.retried(c.first)
				if c.overtaken {
					assert.Equal(t, string(c.later.Event.EventType)+" of the same alert key has come since", keep)
				} else {
					assert.Empty(t, keep)
				}
			})
		}
	}
}

// The letters of one transaction: one that still cannot be read, and one of an alert with a window that time has ended.
func testLettersAreTakenInTogether(t *testing.T, open opener) {
	b := open(t)
	w := window(decision.Window{Condition: decision.Condition{Length: 10 * time.Hour, AtLeast: 1}})
	hit := w.hit("g", "")
	hit.Raise.Silence = 2 * time.Hour
	b.apply(dead("t", "no JSON"))
	b.does(hit)
	assert.Equal(t, []string{"ALERT g"}, b.taken())
	b.later(time.Hour)
	b.does(hit)
	b.refused("ALERT g")
	b.later(3 * time.Hour)
	letters := b.letters()
	require.Len(t, letters, 2)
	revivals := []alerting.Revival{{Letter: letters[0], Message: dead("t", "no rule")}, {Letter: letters[1], Message: message()}}
	require.NoError(t, b.Revive(t.Context(), b.now, revivals))
	b.check()
	assert.Equal(t, "no rule", revivals[0].Keep)
	assert.Equal(t, "its alert has ended since", revivals[1].Keep)
	assert.Equal(t, "no rule", b.letters()[0].Reason)
}
