package alerting

import (
	"time"

	"github.com/mps-events/mps-events/internal/decision"
)

// sums returns the counts of a time of some length before another one.
func (g *Group) sums(length time.Duration, at time.Time) (hits, of int) {
	bucket := bucketLength(&g.Window)
	number := at.UnixNano() / bucket
	oldest := number - min(int64(length)/bucket, maxBuckets)
	for i := len(g.Buckets) - 1; i >= 0 && g.Buckets[i][0] > oldest; i-- {
		if b := g.Buckets[i]; b[0] <= number {
			hits += int(b[1])
			of += int(b[2])
		}
	}
	return hits, of
}

// holding returns the first condition of the window that is true at a time, or nil if none is. If an open alert holds
// members, it is true of these.
func (w *work) holding(g *Group, at time.Time) *decision.Condition {
	crowd := w.isCrowd(g)
	for _, c := range g.Window.Conditions() {
		if w.isTrue(g, c, at, crowd) {
			return c
		}
	}
	return nil
}

// wasTrue notes that a condition of the window was true at a time. An alert that holds members remains that of the
// condition which has raised it.
func (g *Group) wasTrue(c *decision.Condition, at time.Time) {
	g.LastTrue = at
	if !g.Window.Held || g.Size == 0 {
		g.ByOr = c == &g.Window.Or
	}
	g.WasHits, g.WasOf = g.sums(c.Length, at)
}

// lastTrue returns the condition of the window that was true last, or the first one if none was.
func (g *Group) lastTrue() *decision.Condition {
	if g.ByOr && g.Window.Or.Length > 0 {
		return &g.Window.Or
	}
	return &g.Window.Condition
}

// isTrue reports whether a condition of the window is true at a time: for the members that the open alert holds if crowd,
// or else for those that have hit within the time of the condition. It counts members and devices last, because that
// takes longest.
func (w *work) isTrue(g *Group, c *decision.Condition, at time.Time, crowd bool) bool {
	hits, of := g.sums(c.Length, at)
	if hits < max(c.AtLeast, c.InARow) || g.Row < c.InARow || hits == 0 && !g.Window.Held {
		return false
	}
	if c.Ratio > 0 && !g.Window.Fleet && (of == 0 || float64(hits)/float64(of) < c.Ratio) {
		return false
	}
	has := func(need int) bool {
		if crowd {
			return g.Size >= need
		}
		return hits >= need && g.hasMembers(at.Add(-c.Length), need)
	}
	switch {
	case !has(g.distinct(c)):
		return false
	case c.Ratio == 0 || !g.Window.Fleet:
		return true
	case w.fleetSize() == 0 || !crowd && !w.fleetIsWhole():
		return false
	}
	return has(w.members(g, c))
}

// distinct returns the number of members that a condition asks for, whatever their share.
func (g *Group) distinct(c *decision.Condition) int {
	if g.Window.Held {
		return max(c.Distinct, 1)
	}
	return c.Distinct
}

// members returns the number of members that a condition asks for, of the fleet as it is.
func (w *work) members(g *Group, c *decision.Condition) int {
	need := g.distinct(c)
	if c.Ratio == 0 || !g.Window.Fleet {
		return need
	}
	size := float64(w.fleetSize())
	share := int(c.Ratio * size)
	for size > 0 && float64(share)/size < c.Ratio {
		share++
	}
	return max(need, share)
}

// Reached is the part of a condition of a window that is reached.
type Reached struct {
	Hits    int
	Of      int // the total of which hits are a part; with Fleet the number of devices
	Members int
}

// maxCounted is the number of members up to which reached counts those of a condition.
const maxCounted = 10_000

// reached returns how much of the conditions of a window is reached at the last message.
func (g *Group) reached(crowd bool, fleetSize func() int) (first, or Reached) {
	for _, c := range g.Window.Conditions() {
		var r Reached
		r.Hits, r.Of = g.sums(c.Length, g.Latest)
		if g.Window.Fleet {
			r.Of = fleetSize()
		}
		switch {
		case g.Window.Held && crowd:
			r.Members = g.Size
		case len(g.Members) <= maxCounted:
			r.Members = g.countMembers(g.Latest.Add(-c.Length))
		default: // to count them for each message would take too long
			r.Members = len(g.Members)
		}
		if c == &g.Window.Or {
			or = r
		} else {
			first = r
		}
	}
	return first, or
}
