package alerting

import (
	"math"
	"time"
)

const (
	slot           = 30 * time.Minute // half an hour
	halfHoursOfDay = 48
	// usualDays is the number of days for which a busy half hour is remembered: a week, so that a weekend or a holiday does
	// not make the working day after it unusual.
	usualDays = 7
	// usualMemory is the listened time after which a group that is silent has no usual hours any more.
	usualMemory = (usualDays + 1) * 24 * time.Hour
	// usualAfter is the time after a silence that must be usually busy, too: the end of the working day is not always at
	// the same time, and the clocks are changed by an hour.
	usualAfter = time.Hour
)

// UsualHours are the half hours of the day in which a group is usually busy. They are half hours of UTC.
type UsualHours struct {
	Newest int64 // number of the newest half hour since 1970
	N      uint16
	// Busy has, for each half hour of the day, the number of the last day since 1970 on which it was busy.
	Busy [halfHoursOfDay]uint16
}

// add counts a message that happened at a time. A half hour with at least so many messages is busy.
func (u *UsualHours) add(at, arrived time.Time, atLeast int) {
	number := halfHourOf(at)
	if u.Newest < number || u.Newest > halfHourOf(arrived) { // or the clock was put back
		u.Newest, u.N = number, 0
	}
	if u.Newest > number || u.N == math.MaxUint16 {
		return
	}
	if u.N++; int(u.N) >= atLeast {
		u.Busy[number%halfHoursOfDay] = uint16(number / halfHoursOfDay)
	}
}

func halfHourOf(t time.Time) int64 { return t.Unix() / int64(slot/time.Second) }

// hasUsual reports whether the rule asks for usual hours.
func (c *AwaitedCount) hasUsual() bool { return c != nil && c.Usual != nil }

// isUsual reports whether each half hour of a silence, and of the time after it, was busy on one of the days before. It
// is true if the rule does not ask for that.
func (c *AwaitedCount) isUsual(from, until time.Time) bool {
	if !c.hasUsual() {
		return true
	}
	for number := halfHourOf(from); number <= halfHourOf(until.Add(usualAfter)); number++ {
		if days := number/halfHoursOfDay - int64(c.Usual.Busy[number%halfHoursOfDay]); days < 0 || days > usualDays {
			return false
		}
	}
	return true
}
