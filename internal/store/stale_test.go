package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/mps-events/mps-events/internal/store"
)

// by lets a source say it, some time before or after now.
func (b *book) by(source string, after time.Duration, m store.Message) store.Message {
	m.Source, m.MaxSkew = source, time.Minute
	m.Decision.At = b.now.Add(after)
	return m
}

func TestWhatAnotherSourceHasSaidLaterIsNotChanged(t *testing.T) {
	b := open(t)
	b.now = b.now.Add(time.Hour)
	b.apply(b.by("s1", 0, raise("a")))
	assert.Equal(t, []string{"ALERT a"}, b.told())
	b.apply(b.by("s2", -61*time.Second, end("a")))
	assert.Empty(t, b.told(), "that was before")
	b.apply(b.by("s2", -61*time.Second, raise("a")), b.by("s2", -61*time.Second, message(accepting("a"))))
	assert.Empty(t, b.told())
	assert.EqualValues(t, 3, b.tally().Ignored)
	b.apply(b.by("s2", -59*time.Second, end("a")))
	assert.Equal(t, []string{"RESOLVE a"}, b.told(), "clocks are not that exact")
}

func TestWithinASourceTheOrderOfArrivalCounts(t *testing.T) {
	b := open(t)
	b.now = b.now.Add(time.Hour)
	b.apply(b.by("s1", 0, raise("a")))
	b.told()
	b.apply(b.by("s1", -time.Hour, end("a")))
	assert.Equal(t, []string{"RESOLVE a"}, b.told(), "its clock was put back")
}

func TestAnAlertThatHasEndedIsNotRaisedByWhatWasBefore(t *testing.T) {
	for name, told := range map[string]bool{"ilert was told": true, "it was too short": false} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			b.now = b.now.Add(time.Hour)
			b.apply(b.by("s1", -10*time.Minute, raise("a")))
			if told {
				b.told()
			}
			b.apply(b.by("s2", 0, end("a")))
			b.told()
			b.restart()
			b.apply(b.by("s1", -5*time.Minute, raise("a")))
			assert.Empty(t, b.told(), "it is older than the end")
			b.apply(b.by("s1", 0, raise("a")))
			assert.Equal(t, []string{"ALERT a"}, b.told())
		})
	}
}

func TestWhoEndedAnAlertIsForgottenAfterAnHour(t *testing.T) {
	b := open(t)
	b.now = b.now.Add(time.Hour)
	b.apply(b.by("s1", 0, raise("a")), b.by("s1", 0, end("a")))
	b.later(2 * time.Hour)
	b.told() // which tidies up
	b.apply(b.by("s2", -3*time.Hour, raise("a")))
	assert.Equal(t, []string{"ALERT a"}, b.told())
}
