package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

var overTests = []test{
	testTheEndTellsWhatWasAndHowLongAndWhy,
	testTheEndTellsHowLongInWords,
	testTextsTellSinceWhen,
}

// told returns the type, summary and details of each notice that is due, all of which ilert takes.
func (b *book) told() []string {
	b.t.Helper()
	return b.takenAs(func(n alerting.Notice) string {
		return string(n.Event.EventType) + " " + n.Event.Summary + " | " + n.Event.Details
	})
}

func testTheEndTellsWhatWasAndHowLongAndWhy(t *testing.T, open opener) {
	const open57 = "RESOLVE a failed: over after 57 minutes | From 2026-11-22 04:31 UTC to 2026-11-22 05:28 UTC. "
	for name, c := range map[string]struct {
		raise func(*decision.Raise)
		end   func(*book)
		want  string
	}{
		"message": {end: func(b *book) { b.does(ending("a")) }, want: "A message has ended it."},
		"prefix":  {end: func(b *book) { b.does(decision.EndPrefix{Key: decision.Key{Alert: "a"}}) }, want: "A message has ended all alerts whose keys begin as its own."},
		"rule": {end: func(b *book) {
			_, err := b.Retain(t.Context(), b.now, map[string]ilert.IntegrationKey{})
			require.NoError(t, err)
		}, want: "Its rule has ended all of its alerts, or is no more."},
		"person":  {end: func(b *book) { b.closes(decision.Key{Alert: "a"}) }, want: "Somebody has closed it by hand, in mps-ilert."},
		"age":     {raise: func(r *decision.Raise) { r.Age = 57 * minute }, want: "It was open for as long as its rule allows. Whether its cause is gone is not known."},
		"silence": {raise: func(r *decision.Raise) { r.Silence = 57 * minute }, want: "It was not raised again for long enough."},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			r := raising("a")
			r.Event.Details = "details"
			if c.raise != nil {
				c.raise(&r)
			}
			b.does(r)
			assert.Equal(t, []string{"ALERT a failed | details"}, b.told())
			b.restart()
			b.later(57 * minute)
			if c.end != nil {
				c.end(b)
			}
			var sent []string
			for range 3 { // the alerts of a rule end in pages
				sent = append(sent, b.told()...)
				b.later(time.Second)
			}
			assert.Equal(t, []string{open57 + c.want}, sent)
			b.does(raising("a"))
			assert.Equal(t, []string{"ALERT a failed | "}, b.told(), "the next one")
		})
	}
}

func testTheEndTellsHowLongInWords(t *testing.T, open opener) {
	for d, want := range map[time.Duration]string{
		29 * time.Second: "less than a minute", minute: "1 minute", time.Hour: "1 hour", 61 * minute: "1 hour 1 minute",
		47 * time.Hour: "1 day 23 hours", 50 * time.Hour: "2 days 2 hours", 72*time.Hour + minute: "3 days",
	} {
		b := open(t)
		b.does(raising("a"))
		b.told()
		b.later(d)
		b.does(ending("a"))
		sent := b.told()
		assert.Len(t, sent, 1)
		assert.Contains(t, sent[0], "a failed: over after "+want+" | ")
	}
}

func testTextsTellSinceWhen(t *testing.T, open opener) {
	b := listening(t, open)
	plain := raising("plain")
	plain.Event.Summary, plain.For = "since "+place("since"), 5*minute
	w := window(decision.Window{Condition: decision.Condition{Length: time.Hour, AtLeast: 3}})
	w.text = place("count") + " since " + place("since")
	a := silentFor(20 * minute)
	b.does(plain, w.hit("window", "a"), a.heard("silent", "silent since "+place("since")))
	b.listens(10 * minute)
	b.does(w.hit("window", "a"))
	assert.Equal(t, []string{"ALERT since 2026-11-22 04:31 UTC"}, b.texts())
	b.listens(9 * minute)
	b.does(w.hit("window", "a"))
	assert.Equal(t, []string{"ALERT 3 since 2026-11-22 04:31 UTC"}, b.texts(), "the first of those that it counts")
	b.listens(minute)
	assert.Equal(t, []string{"ALERT silent since 2026-11-22 04:31 UTC"}, b.texts())
	b.restart()
	b.later(40 * minute)
	b.does(ending("window"), plain, ending("silent"), ending("plain"))
	assert.ElementsMatch(t, []string{"RESOLVE 3 since 2026-11-22 04:31 UTC", "RESOLVE silent since 2026-11-22 04:31 UTC", "RESOLVE since 2026-11-22 04:31 UTC"}, b.texts())
}
