package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/mps-events/mps-events/internal/alerting"
)

var staleTests = []test{
	testWhatAnotherSourceHasSaidLaterIsNotChanged,
	testWithinASourceTheOrderOfArrivalCounts,
	testAnAlertThatHasEndedIsNotRaisedByWhatWasBefore,
	testWhoEndedAnAlertIsForgottenAfterAnHour,
}

// by returns a message of a source whose own time is some time after now, or before if that is below zero.
func (b *book) by(source string, after time.Duration, m alerting.Message) alerting.Message {
	m.Source, m.MaxSkew = source, time.Minute
	m.Decision.At = b.now.Add(after)
	return m
}

func testWhatAnotherSourceHasSaidLaterIsNotChanged(t *testing.T, open opener) {
	b := open(t)
	b.now = b.now.Add(time.Hour)
	b.apply(b.by("s1", 0, raise("a")))
	assert.Equal(t, []string{"ALERT a"}, b.taken())
	b.apply(b.by("s2", -61*time.Second, end("a")))
	assert.Empty(t, b.taken(), "that was before")
	b.apply(b.by("s2", -61*time.Second, raise("a")), b.by("s2", -61*time.Second, message(accepting("a"))))
	assert.Empty(t, b.taken())
	assert.EqualValues(t, 3, b.tally().Ignored)
	b.apply(b.by("s2", -59*time.Second, end("a")))
	assert.Equal(t, []string{"RESOLVE a"}, b.taken(), "clocks are not that exact")
}

func testWithinASourceTheOrderOfArrivalCounts(t *testing.T, open opener) {
	b := open(t)
	b.now = b.now.Add(time.Hour)
	b.apply(b.by("s1", 0, raise("a")))
	b.taken()
	b.apply(b.by("s1", -time.Hour, end("a")))
	assert.Equal(t, []string{"RESOLVE a"}, b.taken(), "its clock was put back")
}

func testAnAlertThatHasEndedIsNotRaisedByWhatWasBefore(t *testing.T, open opener) {
	for name, sent := range map[string]bool{"it was sent": true, "it was too short": false} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			b.now = b.now.Add(time.Hour)
			b.apply(b.by("s1", -10*time.Minute, raise("a")))
			if sent {
				b.taken()
			}
			b.apply(b.by("s2", 0, end("a")))
			b.taken()
			b.restart()
			b.apply(b.by("s1", -5*time.Minute, raise("a")))
			assert.Empty(t, b.taken(), "it is older than the end")
			b.apply(b.by("s1", 0, raise("a")))
			assert.Equal(t, []string{"ALERT a"}, b.taken())
		})
	}
}

func testWhoEndedAnAlertIsForgottenAfterAnHour(t *testing.T, open opener) {
	b := open(t)
	b.now = b.now.Add(time.Hour)
	b.apply(b.by("s1", 0, raise("a")), b.by("s1", 0, end("a")))
	b.later(2 * time.Hour)
	b.taken() // a Claim also forgets old reports
	b.apply(b.by("s2", -3*time.Hour, raise("a")))
	assert.Equal(t, []string{"ALERT a"}, b.taken())
}
