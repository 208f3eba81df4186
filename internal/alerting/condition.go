package alerting

import (
	"time"

	"github.com/mps-events/mps-events/internal/decision"
)

// sums returns the counts of a condition at a time.
func (g *Group) sums(c *decision.Condition, at time.Time) (hits, of int) {
	length := bucketLength(&g.Window)
	number := at.UnixNano() / length
	oldest := number - min(int64(c.Length)/length, maxBuckets)
	for i := len(g.Buckets) - 1; i >= 0 && g.Buckets[i][0] > oldest; i-- {
		if b := g.Buckets[i]; b[0] <= number {
			hits += int(b[1])
			of += int(b[2])
		}
	}
	return hits, of
}

// holds reports whether the condition of the window is true at a time.
func (w *work) holds(g *Group, at time.Time) bool { return w.isTrue(g, &g.Window.Condition, at) }

// isTrue reports whether a condition of the window is true at a time. It counts members and devices last, because
// that takes longest.
func (w *work) isTrue(g *Group, c *decision.Condition, at time.Time) bool {
	hits, of := g.sums(c, at)
	if hits < max(c.AtLeast, c.InARow) || g.Row < c.InARow || hits == 0 && !g.Window.Held {
		return false
	}
	if c.Ratio > 0 && !g.Window.Fleet && (of == 0 || float64(hits)/float64(of) < c.Ratio) {
		return false
	}
	need := c.Distinct
	if g.Window.Held {
		need = max(need, 1)
	}
	since := at.Add(-c.Length)
	if !w.hasMembers(g, since, need) || c.Ratio == 0 || !g.Window.Fleet {
		return w.hasMembers(g, since, need)
	}
	size := w.fleetSize()
	if size == 0 || !w.fleetIsWhole() {
		return false
	}
	need = int(c.Ratio * float64(size))
	for float64(need)/float64(size) < c.Ratio {
		need++
	}
	return w.hasMembers(g, since, need)
}
