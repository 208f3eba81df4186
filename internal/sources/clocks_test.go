package sources

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// listener hears messages of one server.
type listener struct {
	*Clocks
	now time.Time
}

func listenAt(now time.Time) *listener {
	return &listener{NewClocks(time.Minute, 0, slog.New(slog.DiscardHandler)), now}
}

// reads lets messages come at intervals, that were written at other intervals, and returns how
// far the clock was found to be behind at most.
func (l *listener) reads(n int, every time.Duration, written time.Time, apart time.Duration) (greatest time.Duration) {
	for range n {
		l.now, written = l.now.Add(every), written.Add(apart)
		l.note("s", written, l.now)
		greatest = max(greatest, l.behindBy("s"))
	}
	return greatest
}

// The lateness of a backlog shrinks while it is read, however long that takes.
func TestABacklogThatIsReadForLongIsNoClock(t *testing.T) {
	for name, apart := range map[string]time.Duration{
		"read 25 times as fast as it came": 1250 * time.Millisecond,
		"twice as fast":                    100 * time.Millisecond,
		"a little faster":                  60 * time.Millisecond,
		"a burst that came at once":        time.Microsecond,
		"half as fast":                     25 * time.Millisecond,
	} {
		l := listenAt(noon)
		n := int(2 * time.Hour / max(apart-50*time.Millisecond, time.Second))
		assert.Zero(t, l.reads(max(n, 5000), 50*time.Millisecond, noon.Add(-2*time.Hour), apart), name)
	}
}

func TestAClockThatIsBehindIsFound(t *testing.T) {
	l := listenAt(noon)
	assert.Zero(t, l.reads(19, 3*time.Second, noon.Add(-time.Hour), 3*time.Second), "not at once")
	l.reads(20, 3*time.Second, l.now.Add(-time.Hour), 3*time.Second)
	assert.Equal(t, time.Hour, l.behindBy("s"))
	for range 100 { // some messages are late, and none early
		l.reads(1, 3*time.Second, l.now.Add(-time.Hour-20*time.Second), 3*time.Second)
		l.reads(1, 3*time.Second, l.now.Add(-time.Hour), 3*time.Second)
	}
	assert.Equal(t, time.Hour, l.behindBy("s"))

	l.ForgetLags() // a backlog of that server
	l.reads(1000, 50*time.Millisecond, l.now.Add(-2*time.Hour), 3600*time.Millisecond)
	assert.Equal(t, time.Hour, l.behindBy("s"))

	l.reads(1, time.Second, l.now.Add(-time.Hour+500*time.Millisecond), time.Second)
	assert.Equal(t, time.Hour-500*time.Millisecond, l.behindBy("s"), "that message proves it")
	l.reads(1, time.Second, l.now.Add(-30*time.Minute), time.Second)
	assert.Zero(t, l.behindBy("s"), "it was set")
	l.reads(50, 3*time.Second, l.now.Add(-30*time.Minute), 3*time.Second)
	assert.Equal(t, 30*time.Minute, l.behindBy("s"))
	l.reads(1, time.Second, l.now, time.Second)
	assert.Zero(t, l.behindBy("s"), "it is right")
}

// The lateness of messages by another connection proves nothing about those by this one.
func TestClocksAreJudgedAnewAfterEachConnection(t *testing.T) {
	l := listenAt(noon)
	for range 20 {
		l.ForgetLags()
		assert.Zero(t, l.reads(25, time.Second, l.now.Add(-time.Hour), time.Second))
	}
}

func TestTheStoreIsToldOfClocksOnlyWhenTheyChange(t *testing.T) {
	l := listenAt(noon)
	l.reads(100, 3*time.Second, noon.Add(-time.Hour), 3*time.Second)
	kept := l.TakeUnkept()
	assert.Len(t, kept, 1)
	l.reads(100, 3*time.Second, l.now.Add(-time.Hour), 3*time.Second)
	assert.Empty(t, l.TakeUnkept())
	l.PutBack(kept)
	assert.Equal(t, kept, l.TakeUnkept())
	l.reads(1500, 3*time.Second, l.now.Add(-time.Hour), 3*time.Second)
	assert.NotEmpty(t, l.TakeUnkept(), "it is still heard of")
	next := listenAt(l.now)
	next.Restore(kept)
	assert.Equal(t, time.Hour, next.behindBy("s"))
	next.reads(1, time.Second, next.now, time.Second)
	assert.Zero(t, next.TakeUnkept()[0].Behind)
}
