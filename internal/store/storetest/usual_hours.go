package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/mps-events/mps-events/internal/decision"
)

// aBusyDay makes a group speak each minute from 8 to 16 o'clock, and lets the rest of the day pass. It begins at midnight.
func (b *book) aBusyDay(h decision.Heard) {
	b.t.Helper()
	b.listens(8 * time.Hour)
	for range 8 * 60 {
		b.does(h)
		b.listens(minute)
	}
	b.listens(8 * time.Hour)
}

func testOnlySilenceInUsualHoursIsAnAlert(t *testing.T, open opener) {
	b, a := listening(t, open), silentFor(20*minute)
	a.AtLeast, a.UsualHours = 15, true
	h := a.heard("g", "s")
	b.listens(b.now.Truncate(24 * time.Hour).Add(24 * time.Hour).Sub(b.now))
	for range 2 {
		b.aBusyDay(h)
		assert.Empty(t, b.taken(), "at 16 o'clock the messages end each day")
		b.restart()
		b.Listen(b.now)
	}
	speak := func(n int) {
		for range n {
			b.does(h)
			b.listens(minute)
		}
	}
	speak(60) // on the third day, somebody works at midnight
	b.listens(9 * time.Hour)
	assert.Empty(t, b.taken())
	speak(14)
	b.listens(time.Hour) // and few do at 10 o'clock
	assert.Empty(t, b.taken())
	speak(60)
	b.listens(19 * minute)
	assert.Equal(t, []string{"ALERT g"}, b.taken(), "at noon it is silent")
	b.does(h)
	assert.Equal(t, []string{"RESOLVE g"}, b.taken())
	speak(180)
	b.listens(10 * time.Hour)
	assert.Empty(t, b.taken(), "in the last hour of the usual ones it may end for the day")
}

func testUsualHoursAreForgottenAfterAWeek(t *testing.T, open opener) {
	for days, want := range map[int][]string{6: {"ALERT g"}, 7: nil} {
		t.Run(fmt.Sprint(days), func(t *testing.T) {
			b, a := listening(t, open), silentFor(20*minute)
			a.AtLeast, a.UsualHours = 15, true
			h := a.heard("g", "s")
			b.listens(b.now.Truncate(24 * time.Hour).Add(24 * time.Hour).Sub(b.now))
			b.aBusyDay(h)
			for range days * 24 { // with timers in between
				b.listens(time.Hour)
				assert.Empty(t, b.taken())
			}
			b.listens(10 * time.Hour)
			for range 30 {
				b.does(h)
				b.listens(minute)
			}
			b.listens(time.Hour)
			assert.Equal(t, want, b.taken())
			b.does(decision.Dismiss{Rule: "silent", Group: "g"})
			b.taken()
			for range 9 * 24 {
				b.listens(time.Hour)
				b.taken()
			}
			assert.Zero(t, b.groups(), "a group that does not come back is forgotten")
		})
	}
}
