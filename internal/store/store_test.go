package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/store"
)

const filter = "mps/events"

var start = time.UnixMilli(1795321902892)

// book is an open store with short names for what the tests do to it.
type book struct {
	t *testing.T
	*store.Store
	now  time.Time
	path string
}

func open(t *testing.T) *book {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store ?%.db")
	s, err := store.Open(t.Context(), path)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	return &book{t, s, start, path}
}

func (b *book) apply(effects ...store.Message) {
	b.t.Helper()
	for i := range effects {
		effects[i].Filter, effects[i].ReceivedAt = filter, b.now
	}
	require.NoError(b.t, b.Apply(b.t.Context(), effects))
	b.check()
}

func (b *book) claim() []store.Notice {
	b.t.Helper()
	notices, err := b.Claim(b.t.Context(), b.now, 100)
	require.NoError(b.t, err)
	b.check()
	return notices
}

func (b *book) settle(n store.Notice, result store.Result) {
	b.t.Helper()
	require.NoError(b.t, b.Settle(b.t.Context(), []store.Answer{{Notice: n, Result: result, At: b.now, Retry: b.now, Reason: "no"}}))
	b.check()
}

// told claims what is due and says that ilert took it; it returns what it was.
func (b *book) told() []string {
	b.t.Helper()
	var states []string
	for _, n := range b.claim() {
		states = append(states, n.State+" "+n.AlertKey)
		b.settle(n, store.Told)
	}
	return states
}

func (b *book) tally() store.Tally {
	b.t.Helper()
	tallies, err := b.Tallies(b.t.Context())
	require.NoError(b.t, err)
	return tallies[filter]
}

// check holds the identity, which is true at every moment.
func (b *book) check() {
	b.t.Helper()
	t := b.tally()
	require.Equal(b.t, t.Received, t.Ignored+t.Merged+t.Delivered+t.Dead+t.Purged+t.Pending, "%+v", t)
}

func raise(key string) store.Message {
	return store.Message{Effect: store.Raise, AlertKey: key, Summary: key + " failed", Priority: "LOW"}
}

func end(key string) store.Message { return store.Message{Effect: store.End, AlertKey: key} }

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
	high := raise("c")
	high.Priority = "HIGH"
	b.apply(raise("b"), high)
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

// letters returns the dead letters, the oldest first.
func (b *book) letters() (all []store.Message) {
	b.t.Helper()
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: b.path}).String())
	require.NoError(b.t, err)
	defer db.Close()
	rows, err := db.QueryContext(b.t.Context(), `SELECT filter, topic, payload, received_at, reason FROM dead_letter ORDER BY id`)
	require.NoError(b.t, err)
	defer rows.Close()
	for rows.Next() {
		m := store.Message{Effect: store.Dead}
		var receivedAt int64
		require.NoError(b.t, rows.Scan(&m.Filter, &m.Topic, &m.Payload, &receivedAt, &m.Reason))
		m.ReceivedAt = time.UnixMilli(receivedAt)
		all = append(all, m)
	}
	require.NoError(b.t, rows.Err())
	return all
}

func TestDeadMessagesAreKeptAndCounted(t *testing.T) {
	b := open(t)
	broken := store.Message{Effect: store.Dead, Topic: "mps/events", Payload: []byte{0, 0xff}, Reason: "no JSON"}
	empty := store.Message{Effect: store.Dead, Topic: "mps/events", Reason: "empty"}
	dead := []store.Message{broken, empty}
	b.apply(dead...)
	assert.Equal(t, dead, b.letters(), "with filter and time of arrival")
	assert.Equal(t, store.Tally{Received: 2, Dead: 2}, b.tally())
}

func TestWhatIlertCallsInvalidIsKeptAsItArrived(t *testing.T) {
	b := open(t)
	message := func(m store.Message, topic, payload string) store.Message {
		m.Topic, m.Payload = topic, []byte(payload)
		return m
	}
	arrived := b.now
	b.apply(message(raise("a"), "mps/events/1", "first"), message(raise("a"), "mps/events/2", "a repeat"))
	b.now = b.now.Add(time.Minute)
	b.settle(b.claim()[0], store.Refused)
	letter := store.Message{
		Filter: filter, Topic: "mps/events/1", Payload: []byte("first"), ReceivedAt: arrived, Effect: store.Dead, Reason: "no",
	}
	assert.Equal(t, []store.Message{letter}, b.letters())

	b.apply(message(raise("b"), "mps/events/3", "an alert"))
	b.told()
	b.apply(message(end("b"), "mps/events/4", "its end"))
	b.settle(b.claim()[0], store.Refused)
	letter.Topic, letter.Payload, letter.ReceivedAt = "mps/events/4", []byte("its end"), b.now
	assert.Equal(t, letter, b.letters()[1])

	b.apply(raise("c"))
	underWay := b.claim()[0]
	b.apply(end("c"))
	b.settle(underWay, store.Refused)
	assert.Len(t, b.letters(), 2, "overtaken, and so merged")
	assert.Equal(t, store.Tally{Received: 6, Delivered: 1, Merged: 3, Dead: 2}, b.tally())
}

func TestWhatCannotBeClaimedIsNotHandedOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s, err := store.Open(t.Context(), path)
	require.NoError(t, err)
	defer s.Close()
	b := &book{t, s, start, path}
	b.apply(raise("a"))
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	defer db.Close()
	_, err = db.ExecContext(t.Context(), `CREATE TRIGGER full BEFORE INSERT ON alert BEGIN SELECT RAISE(ABORT, 'disk full'); END`)
	require.NoError(t, err)
	notices, err := s.Claim(t.Context(), b.now, 100)
	require.ErrorContains(t, err, "disk full")
	assert.Empty(t, notices)
}

// Whatever was claimed when the process died is unsure, so it is told again, and
// its end is told even if the alert may never have arrived.
func TestAClaimDoesNotSurviveTheProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	first, err := store.Open(t.Context(), path)
	require.NoError(t, err)
	b := &book{t, first, start, path}
	b.apply(raise("a"), raise("b"))
	require.Len(t, b.claim(), 2)
	require.NoError(t, first.Close())

	b.Store, err = store.Open(t.Context(), path)
	require.NoError(t, err)
	defer b.Close()
	b.apply(end("b"))
	assert.ElementsMatch(t, []string{"ALERT a", "RESOLVE b"}, b.told())
}

func TestASecondProcessIsKeptAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	first, err := store.Open(t.Context(), path)
	require.NoError(t, err)
	_, err = store.Open(t.Context(), path)
	require.EqualError(t, err, "store: "+path+": another process uses it")
	require.NoError(t, first.Close())
	again, err := store.Open(t.Context(), path)
	require.NoError(t, err)
	require.NoError(t, again.Close())
}

func TestDeadLettersAreTakenInAgainOrPurged(t *testing.T) {
	b := open(t)
	dead := func(topic, reason string) store.Message {
		return store.Message{Effect: store.Dead, Topic: topic, Payload: []byte(topic), Reason: reason}
	}
	b.apply(dead("a", "no JSON"), dead("b", "No json"), dead("c", "other"), dead("d", "other"))
	topics := func(which store.Letters) (all []string) {
		letters, err := b.DeadLetters(t.Context(), which)
		require.NoError(t, err)
		for _, l := range letters {
			all = append(all, l.Topic)
		}
		return all
	}
	assert.Equal(t, []string{"a", "b", "c", "d"}, topics(store.Letters{}))
	assert.Equal(t, []string{"a", "b"}, topics(store.Letters{Reason: "JSON"}))
	assert.Equal(t, []string{"b"}, topics(store.Letters{IDs: []int64{2, 3}, Reason: "json"}))
	assert.Equal(t, []string{"a", "b", "c"}, topics(store.Letters{Filter: filter, Limit: 3}))
	assert.Equal(t, []string{"d"}, topics(store.Letters{Topic: "d"}))
	assert.Empty(t, topics(store.Letters{Before: b.now}))
	assert.Len(t, topics(store.Letters{Before: b.now.Add(time.Millisecond)}), 4)

	n, err := b.AskToRetry(t.Context(), store.Letters{Limit: 3})
	require.NoError(t, err)
	assert.EqualValues(t, 3, n)
	letters, err := b.ToRetry(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, letters, 3)
	n, err = b.Purge(t.Context(), store.Letters{IDs: []int64{2}})
	require.NoError(t, err)
	assert.EqualValues(t, 1, n)
	b.check()
	again := []store.Message{raise("x"), raise("y"), dead("c", "still")}
	for i := range again {
		again[i].ReceivedAt = b.now
	}
	require.NoError(t, b.Revive(t.Context(), letters, again))
	b.check()
	assert.Equal(t, []string{"ALERT x"}, b.told(), "the second had been purged meanwhile")
	assert.Equal(t, store.Tally{Received: 4, Dead: 2, Purged: 1, Delivered: 1}, b.tally())
	letters, err = b.ToRetry(t.Context(), 10)
	require.NoError(t, err)
	assert.Empty(t, letters, "what died again waits to be asked for again")
}

func TestALetterThatDiesAgainDiesNow(t *testing.T) {
	b := open(t)
	b.apply(store.Message{Effect: store.Dead, Topic: "a", Reason: "no JSON"})
	old, err := b.DeadLetters(t.Context(), store.Letters{})
	require.NoError(t, err)
	again := store.Message{Effect: store.Dead, Topic: "a", Reason: "still", ReceivedAt: old[0].ReceivedAt}
	require.NoError(t, b.Revive(t.Context(), old, []store.Message{again}))
	letters, err := b.DeadLetters(t.Context(), store.Letters{})
	require.NoError(t, err)
	require.Len(t, letters, 1)
	assert.WithinDuration(t, time.Now(), letters[0].DiedAt, time.Minute)
	assert.Equal(t, old[0].ReceivedAt, letters[0].ReceivedAt)
}

// An answer whose commit was in doubt is stored again.
func TestALetterMayBeSettledTwice(t *testing.T) {
	b := open(t)
	b.apply(send("", "1"))
	n := b.claim()[0]
	b.settle(n, store.Told)
	b.settle(n, store.Told)
	assert.Equal(t, store.Tally{Received: 1, Delivered: 1}, b.tally())
}

func TestNobodyElseCanReadIt(t *testing.T) {
	b := open(t)
	b.apply(raise("a"))
	files, err := filepath.Glob(filepath.Join(filepath.Dir(b.path), "*"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		info, err := os.Stat(file)
		require.NoError(t, err)
		assert.Zero(t, info.Mode().Perm()&0o077, file)
	}
}

func TestAStoreFromANewerVersionIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s, err := store.Open(t.Context(), path)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)`)
	require.NoError(t, err)
	require.NoError(t, db.Close())
	_, err = store.Open(t.Context(), path)
	assert.ErrorContains(t, err, "version 99, this program knows up to 1: use a newer program")
}

// A model of ilert is told whatever the store wants it to be told, with every
// kind of answer, in random order; when the dust settles it knows what is true.
func TestIlertEndsWithTheTruth(t *testing.T) {
	const keys, steps = 5, 1000
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	b := open(t)
	failing, open := map[string]bool{}, map[string]bool{}
	var underWay []store.Notice
	arrive := func(n store.Notice) { open[n.AlertKey] = n.State == store.StateAlert }
	for range steps {
		b.now = b.now.Add(time.Duration(r.IntN(10)) * time.Minute)
		switch r.IntN(4) {
		case 0, 1:
			k := fmt.Sprint(r.IntN(keys))
			failing[k] = r.IntN(2) == 0
			if failing[k] {
				b.apply(raise(k))
			} else {
				b.apply(end(k))
			}
		case 2:
			underWay = append(underWay, b.claim()...)
		case 3:
			if len(underWay) == 0 {
				continue
			}
			n := underWay[0]
			underWay = underWay[1:]
			result := []store.Result{store.Told, store.Unknown, store.NotTold}[r.IntN(3)]
			if result == store.Told || result == store.Unknown && r.IntN(2) == 0 {
				arrive(n)
			}
			b.settle(n, result)
		}
	}
	for _, n := range underWay {
		b.settle(n, store.Unknown)
	}
	for notices := b.claim(); len(notices) > 0; notices = b.claim() {
		for _, n := range notices {
			arrive(n)
			b.settle(n, store.Told)
		}
	}
	for k := range keys {
		assert.Equal(t, failing[fmt.Sprint(k)], open[fmt.Sprint(k)], "key %d", k)
	}
	assert.Zero(t, b.tally().Pending)
}

func send(integrationKey, body string) store.Message {
	return store.Message{Effect: store.Send, IntegrationKey: integrationKey, Path: "/api/events", Body: []byte(body), Topic: "t", Payload: []byte("of " + body)}
}

// bodies are what notices say, with their keys.
func bodies(notices []store.Notice) (all []string) {
	for _, n := range notices {
		all = append(all, n.IntegrationKey+": "+string(n.Body))
	}
	return all
}

func TestWhatIsSentJustSoGoesOutInOrderWithinItsKey(t *testing.T) {
	b := open(t)
	b.apply(send("", "1"), send("k", "2"), send("", "3"), send("", "4"), send("k", "5"))
	assert.EqualValues(t, 5, b.tally().Pending)
	first := b.claim()
	require.Equal(t, []string{": 1", "k: 2"}, bodies(first), "one of each key at a time")
	assert.Empty(t, b.claim())

	later := b.now.Add(time.Minute)
	require.NoError(t, b.Settle(t.Context(), []store.Answer{
		{Notice: first[0], Result: store.NotTold, Retry: later},
		{Notice: first[1], Result: store.Told},
	}))
	b.check()
	second := b.claim()
	require.Equal(t, []string{"k: 5"}, bodies(second), "the other key waits for its first")
	next, waiting, err := b.NextTry(t.Context())
	require.NoError(t, err)
	assert.True(t, waiting)
	assert.True(t, next.Equal(later))
	b.settle(second[0], store.Told)

	b.now = later
	for _, want := range []string{": 1", ": 3", ": 4"} {
		due := b.claim()
		require.Equal(t, []string{want}, bodies(due))
		b.settle(due[0], store.Told)
	}
	assert.Equal(t, store.Tally{Received: 5, Delivered: 5}, b.tally())
}

func TestWhatIlertRefusesHoldsUpNothingAndIsKept(t *testing.T) {
	b := open(t)
	b.apply(send("", "1"), send("", "2"))
	b.settle(b.claim()[0], store.Refused)
	assert.Equal(t, []string{": 2"}, bodies(b.claim()))
	letters := b.letters()
	require.Len(t, letters, 1)
	assert.Equal(t, "of 1", string(letters[0].Payload))
	assert.Equal(t, "no", letters[0].Reason)
	assert.Equal(t, store.Tally{Received: 2, Dead: 1, Pending: 1}, b.tally())
}

func TestWhatWasUnderWayWhenTheProcessDiedIsSentAgain(t *testing.T) {
	b := open(t)
	b.apply(send("", "1"), send("", "2"))
	require.Len(t, b.claim(), 1)
	require.NoError(t, b.Close())
	var err error
	b.Store, err = store.Open(t.Context(), b.path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.Close() })
	assert.Equal(t, []string{": 1"}, bodies(b.claim()))
}

// A backlog of one key must not make each step slower.
func BenchmarkClaimOfABacklog(b *testing.B) {
	for _, backlog := range []int{100, 100_000} {
		b.Run(fmt.Sprint(backlog), func(b *testing.B) {
			s, err := store.Open(context.Background(), filepath.Join(b.TempDir(), "store.db"))
			require.NoError(b, err)
			defer s.Close()
			for range backlog / 100 {
				batch := make([]store.Message, 100)
				for i := range batch {
					batch[i] = send("k", "x")
					batch[i].Filter, batch[i].ReceivedAt = filter, start
				}
				require.NoError(b, s.Apply(context.Background(), batch))
			}
			for b.Loop() {
				notices, err := s.Claim(context.Background(), start, 16)
				require.NoError(b, err)
				require.Len(b, notices, 1)
				require.NoError(b, s.Settle(context.Background(), []store.Answer{{Notice: notices[0], Result: store.NotTold, Retry: start}}))
				_, _, err = s.NextTry(context.Background())
				require.NoError(b, err)
			}
		})
	}
}

func BenchmarkApply(b *testing.B) {
	s, err := store.Open(context.Background(), filepath.Join(b.TempDir(), "store.db"))
	require.NoError(b, err)
	defer s.Close()
	for _, size := range []int{1, 256} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			batch := make([]store.Message, size)
			for n := 0; b.Loop(); n++ {
				for i := range batch {
					batch[i] = raise(fmt.Sprint(n*size + i))
					batch[i].Filter, batch[i].ReceivedAt = filter, start
				}
				require.NoError(b, s.Apply(context.Background(), batch))
			}
			b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}
