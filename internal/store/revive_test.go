package store_test

import (
	"database/sql"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/store"
)

// refused claims one notice, and says that ilert called it invalid.
func (b *book) refused(want string) {
	b.t.Helper()
	due := b.claim()
	require.Len(b.t, due, 1)
	n := due[0]
	require.Equal(b.t, want, string(n.Event.EventType)+" "+n.Event.AlertKey+by(n.IntegrationKey))
	b.settle(n, store.Refused)
	b.later(time.Minute)
}

// retried takes the only dead letter in again as a message with these effects.
func (b *book) retried(effects ...decision.Effect) (keep string) {
	b.t.Helper()
	letters := b.letters()
	require.Len(b.t, letters, 1)
	_, err := b.AskToRetry(b.t.Context(), store.Letters{})
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
	assert.False(b.t, letter.Retry, "until somebody asks again")
	return keep
}

// sources are the same alert at two alert sources.
var sources = map[string]decision.Key{"configured": {Alert: "A "}, "of a rule": {Integration: doors, Alert: "A "}}

func TestARefusedEndIsSentAgainUnlessTheAlertIsRaisedAgain(t *testing.T) {
	for name, k := range sources {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			r := raising("")
			r.Key = k
			b.does(r)
			b.told()
			b.does(decision.End{Key: k})
			b.refused("RESOLVE A " + by(k.Integration))
			assert.Equal(t, store.IsRefused, b.alerts("")["A "].State)
			assert.EqualValues(t, 1, b.status().Open, "at ilert")
			b.does(decision.End{Key: k})
			assert.Empty(t, b.told(), "it would be refused again")
			assert.EqualValues(t, 1, b.tally().Ignored)
			b.restart()

			assert.Empty(t, b.retried(decision.End{Key: k}))
			assert.Equal(t, []string{"RESOLVE A " + by(k.Integration)}, b.told())
			assert.Empty(t, b.alerts(""))
			assert.Equal(t, store.Tally{Received: 3, Ignored: 1, Delivered: 2}, b.tally())

			b.does(r)
			b.told()
			b.does(decision.End{Key: k})
			b.refused("RESOLVE A " + by(k.Integration))
			b.does(r)
			assert.Equal(t, []string{"ALERT A " + by(k.Integration)}, b.told(), "ilert may have closed it")
			assert.Equal(t, "its alert has been raised again since", b.retried(decision.End{Key: k}))
			assert.Empty(t, b.told())
			b.does(decision.End{Key: k})
			b.told()
			assert.Equal(t, "its alert has been resolved since, or is not known any more", b.retried(decision.End{Key: k}))
			assert.Empty(t, b.told())
		})
	}
}

func TestARefusedAlertIsRaisedAgainUnlessItHasEnded(t *testing.T) {
	for name, k := range sources {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			r := raising("")
			r.Key, r.Event.Summary = k, "too long"
			b.does(r)
			b.refused("ALERT A " + by(k.Integration))
			assert.Equal(t, store.IsRefused, b.alerts("")["A "].State)
			assert.Zero(t, b.status().Open+b.status().Waiting)
			r.Event.Summary = "short"
			assert.Empty(t, b.retried(r, ending("another")))
			assert.Equal(t, []string{"ALERT short"}, b.texts(), "as the rules say now")
			b.does(decision.End{Key: k})
			b.told()
			assert.Equal(t, store.Tally{Received: 2, Delivered: 2}, b.tally())

			b.does(r)
			b.refused("ALERT A " + by(k.Integration))
			b.does(decision.Accept{Key: k})
			assert.Empty(t, b.told(), "of what ilert does not know")
			b.does(decision.End{Key: k})
			assert.EqualValues(t, 2, b.tally().Merged)
			assert.Equal(t, "its alert has ended since", b.retried(r))
			assert.Empty(t, b.told())
			b.does(r)
			assert.Equal(t, []string{"ALERT A " + by(k.Integration)}, b.told())
			assert.Empty(t, b.retried(r), "ilert knows it since")
			assert.Empty(t, b.told())
			assert.Equal(t, store.Tally{Received: 6, Delivered: 3, Merged: 3}, b.tally())
		})
	}
}

func TestARefusedAlertEndsByTime(t *testing.T) {
	b := open(t)
	r := raising("a")
	r.Silence = 5 * time.Minute
	b.does(r)
	b.refused("ALERT a")
	b.later(10 * time.Minute)
	assert.Equal(t, "its alert has ended since", b.retried(r))
	assert.Empty(t, b.told())
}

func TestARefusedEndIsForgottenInTheEnd(t *testing.T) {
	b := open(t)
	b.does(raising("a"))
	b.told()
	b.does(ending("a"))
	b.refused("RESOLVE a")
	b.later(b.next())
	assert.Empty(t, b.told())
	assert.Empty(t, b.alerts(""))
	assert.Equal(t, time.Duration(-1), b.next())
}

// Two messages, one of which raises two alerts: each letter is about its own.
func TestALetterOfAnAlertDoesNothingElseAgain(t *testing.T) {
	b := open(t)
	w := window(decision.Window{Length: 10 * minute, AtLeast: 2})
	b.does(raising("a"), w.hit("g", "m"))
	b.refused("ALERT a")
	assert.Empty(t, b.retried(raising("a"), w.hit("g", "m"), raising("new"), decision.Send{Path: "/p"}))
	assert.Equal(t, []string{"ALERT a"}, b.told(), "and the hit counts once")
}

func TestARefusedWindowIsRaisedAgainWithItsNumbers(t *testing.T) {
	b := open(t)
	w := window(decision.Window{Length: 10 * minute, AtLeast: 2})
	w.text = place("count") + " too long"
	b.does(w.hit("g", ""))
	b.does(w.hit("g", ""))
	b.refused("ALERT g")
	w.text = place("count")
	assert.Empty(t, b.retried(w.hit("g", "")))
	assert.Equal(t, []string{"ALERT 2"}, b.texts())
}

// The dead letter of an alert's own notice has no message: its end by time.
func TestTheNoticeOfNobodyIsSentAgainToItsSource(t *testing.T) {
	b := open(t)
	r := of(doors, "a", "LOW")
	r.Age = time.Minute
	b.does(r)
	b.told()
	b.later(time.Minute)
	b.refused("RESOLVE a by env:DOORS_KEY")
	letter := b.letters()[0]
	assert.Equal(t, store.Rules, letter.Filter)
	assert.Equal(t, doors, letter.IntegrationKey)
	assert.Empty(t, b.retried())
	assert.Equal(t, []string{"RESOLVE a by env:DOORS_KEY"}, b.told())
	tallies, err := b.Tallies(t.Context())
	require.NoError(t, err)
	assert.Equal(t, store.Tally{Received: 1, Delivered: 1}, tallies[store.Rules])
}

func TestTheRefusedEndOfAStormIsSentAgain(t *testing.T) {
	b := open(t)
	b.fails("r", 0, 6)
	b.passes()
	b.does(decision.EndAll{Rule: "r"})
	b.refused("RESOLVE storm/r")
	assert.Empty(t, b.retried())
	assert.Equal(t, []string{"RESOLVE storm/r"}, b.told())
	assert.Empty(t, b.alerts(""))
}

func TestALetterThatCouldNotBeReadIsOvertakenByWhatCameSince(t *testing.T) {
	says := func(m store.Message, source string) store.Message {
		m.Source, m.MaxSkew = source, minute
		return m
	}
	for _, source := range []string{"one", "other"} {
		b := open(t)
		b.apply(says(dead("t", "no such rule"), "one"))
		b.later(10 * time.Minute)
		b.apply(says(raise("a"), source))
		b.told()
		assert.Empty(t, b.retried(raising("a")), "says the same")
		assert.Equal(t, store.Tally{Received: 2, Delivered: 1, Merged: 1}, b.tally())

		b.apply(says(dead("t", "no such rule"), "one"))
		b.later(10 * time.Minute)
		b.apply(says(end("a"), source))
		b.told()
		assert.Equal(t, "what has come since says otherwise of its alert", b.retried(raising("a")))
		b.later(10 * time.Minute)
		b.apply(says(raise("a"), source))
		b.told()
		assert.Equal(t, "what has come since says otherwise of its alert", b.retried(ending("a")))
		assert.Empty(t, b.told())
	}
}

func sends(key ilert.IntegrationKey, typ ilert.Type, alertKey string) decision.Send {
	return decision.Send{IntegrationKey: key, Path: ilert.EventsPath, Event: ilert.Event{EventType: typ, Summary: "s", AlertKey: alertKey}}
}

// What is sent just so has no state, but what came later of the same alert key is known.
func TestAnOutboxItemIsSentAgainUnlessOvertaken(t *testing.T) {
	for name, c := range map[string]struct {
		first, later decision.Send
		overtaken    bool
	}{
		"its end":                  {sends(third, ilert.Alert, "a"), sends(third, ilert.Resolve, " A"), true},
		"raised again":             {sends(third, ilert.Resolve, "a"), sends(third, ilert.Alert, "a"), true},
		"nobody looks any more":    {sends(third, ilert.Accept, "a"), sends(third, ilert.Resolve, "a"), true},
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
				b.settle(b.claim()[0], store.Refused)
				b.does(c.later)
				if when == "taken" {
					require.Len(t, b.told(), 1)
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

func TestAStoreOfVersion1IsBroughtUpToDate(t *testing.T) {
	b := open(t)
	require.NoError(t, b.Close())
	db, err := sql.Open("sqlite", "file:"+url.PathEscape(b.path))
	require.NoError(t, err)
	for _, text := range []string{
		`DROP TABLE volume; DROP INDEX dead_letter_died; ALTER TABLE outbox DROP COLUMN bytes; ALTER TABLE dead_letter DROP COLUMN bytes`,
		`DELETE FROM goose_db_version`, `DROP TABLE receipt; DROP TABLE clock; DROP TABLE request; DROP TABLE hold; DROP TABLE subscription`, `ALTER TABLE lane DROP COLUMN unproven`, `DROP TABLE proven_key`, `DROP INDEX outbox_unproven`, `DROP INDEX dead_letter_sent`,
		`ALTER TABLE outbox DROP COLUMN unproven`, `ALTER TABLE outbox DROP COLUMN queued_at`, `ALTER TABLE outbox DROP COLUMN folded_key`, `ALTER TABLE outbox DROP COLUMN event_type`,
		`ALTER TABLE dead_letter DROP COLUMN kind`, `ALTER TABLE dead_letter DROP COLUMN integration_key`, `ALTER TABLE dead_letter DROP COLUMN folded_key`,
		`ALTER TABLE dead_letter DROP COLUMN event_type`, `ALTER TABLE dead_letter DROP COLUMN overtaken_by`, `ALTER TABLE dead_letter DROP COLUMN kept`,
		`ALTER TABLE alert DROP COLUMN max_listed`,
		`INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, 1), (1, 1)`,
		`INSERT INTO outbox (id, integration_key, path, body, claimed, tries, next_try, filter, topic, payload, received_at, properties)
			VALUES (1, 'env:DOORS_KEY', '/p', '{"summary":"of a message"}', 0, 0, 0, 'http', 't', x'', 1, ''),
			       (2, '', '/p', '{"summary":"of ours"}', 0, 0, 0, 'http', 't', x'', 1, '')`,
		`INSERT INTO dead_letter (id, filter, topic, payload, received_at, died_at, reason, tries, properties, retry)
			VALUES (1, 'rules', '/api/events', '{"eventType":"ALERT","summary":"s"}', 1, 2, 'no', 1, '', 0)`,
		`INSERT INTO tally VALUES ('http', 2, 0, 0, 0, 0, 0, 0), ('rules', 1, 0, 0, 0, 0, 1, 0)`,
	} {
		_, err := db.ExecContext(t.Context(), text)
		require.NoError(t, err, text)
	}
	require.NoError(t, db.Close())
	b.restart()
	status := b.status()
	assert.Equal(t, []uint64{46, 2, 62}, []uint64{status.LetterBytes, status.Outbox, status.OutboxBytes})
	assert.ElementsMatch(t, []string{"of a message" + by(ilert.LiteralKey("env:DOORS_KEY")), "of ours"}, bodies(b.claim()))
	assert.Equal(t, "it is of an earlier version, which did not keep its integration key", b.retried())
	assert.Empty(t, b.claim())
}
