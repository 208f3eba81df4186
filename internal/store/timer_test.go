package store_test

import (
	"database/sql"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/store"
)

// rows counts those of a table.
func (b *book) rows(table string) (n int) {
	b.t.Helper()
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: b.path}).String())
	require.NoError(b.t, err)
	defer db.Close()
	require.NoError(b.t, db.QueryRowContext(b.t.Context(), "SELECT count(*) FROM "+table).Scan(&n))
	return n
}

func TestWhatHasPassedIsForgotten(t *testing.T) {
	b := open(t)
	calls, devices := window(decision.Window{Rule: "calls", Length: time.Hour, AtLeast: 100}), site(100, 1)
	for i := range 20 {
		name := fmt.Sprint(i)
		m := message(calls.hit(name, name), devices.hit("site", name), calls.only("g"+name))
		m.Decision.Device = name
		b.apply(m)
		b.later(time.Second)
	}
	assert.Equal(t, 41, b.rows("window_group"))
	assert.Equal(t, 40, b.rows("member"))
	assert.Equal(t, 20, b.rows("device"))
	looks := 0
	for next := b.next(); next >= 0; next = b.next() {
		b.later(next)
		assert.Empty(t, b.told())
		looks++
	}
	assert.LessOrEqual(t, looks, 4, "many at once")
	assert.Zero(t, b.rows("window_group"))
	assert.Zero(t, b.rows("member"))
	b.later(8 * 24 * time.Hour)
	b.claim()
	assert.Zero(t, b.rows("device"))
}

func TestTheWindowOfARefusedAlertIsForgottenWhenItEnds(t *testing.T) {
	b := open(t)
	w := site(2, 1)
	b.hits(w, "a", "b")
	b.settle(b.claim()[0], store.Refused)
	b.later(time.Hour)
	b.claim()
	assert.Equal(t, 2, b.rows("member"), "they are still away")
	b.leaves(w, "a", "b")
	assert.Empty(t, b.told())
	assert.Zero(t, b.rows("window_group"))
	assert.Zero(t, b.rows("member"))
}

func TestMembersOfABusyWindowAreForgotten(t *testing.T) {
	b := open(t)
	w := window(decision.Window{Length: minute, AtLeast: 1000, Distinct: 3})
	for i := range 20 {
		b.does(w.hit("g", fmt.Sprint(i)))
		b.later(20 * time.Second)
		b.claim()
	}
	assert.LessOrEqual(t, b.rows("member"), 4)
}

// The times of messages count, not those of their arrival.
func TestABacklogWaitsForNothing(t *testing.T) {
	b := open(t)
	began := b.now
	b.later(time.Hour)
	at := func(d time.Duration, r decision.Raise) store.Message {
		m := message(r)
		m.Decision.At = began.Add(d)
		return m
	}
	lasting, silent, repeated := raising("lasting"), raising("silent"), raising("repeated")
	lasting.For, silent.Silence, repeated.Silence = 30*minute, 30*minute, 30*minute
	b.apply(at(0, lasting), at(0, silent), at(0, repeated), at(20*minute, repeated), at(45*minute, repeated))
	assert.ElementsMatch(t, []string{"ALERT lasting", "ALERT repeated"}, b.told())
	assert.Equal(t, 15*minute, b.next())
}

func TestASecondLookIsNeverDueBeforeTheFirst(t *testing.T) {
	b := open(t)
	r := raising("a")
	r.Age = minute
	w := window(decision.Window{Length: time.Second, AtLeast: 1, Clear: time.Microsecond})
	b.does(r, w.hit("g", ""))
	for range 10 {
		b.told()
		next := b.next()
		if next < 0 {
			return
		}
		assert.Positive(t, next)
		b.later(next)
	}
	assert.Fail(t, "it never comes to rest")
}

func TestACrowdOfTimersTakesSeveralLooks(t *testing.T) {
	b := open(t)
	const crowd = 5000
	messages := make([]store.Message, crowd)
	for i := range messages {
		r := raising(fmt.Sprint(i))
		r.Age, r.For = time.Minute, time.Hour
		messages[i] = message(r)
	}
	b.apply(messages...)
	b.later(time.Minute)
	b.claim()
	assert.Zero(t, b.next(), "there is more to do at once")
	for range 3 {
		b.claim()
	}
	assert.EqualValues(t, crowd, b.tally().Merged, "all have ended before they were told")
}
