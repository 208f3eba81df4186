package alerting

import (
	"math"
	"slices"

	"github.com/mps-events/mps-events/internal/decision"
)

// Health is the judgement on the newest messages of a group.
type Health struct {
	Hits, Of int
	Enough   bool // the messages are enough to judge by
	Good     bool // so few are hits that the alert ends
}

// health judges the messages of the shorter condition of the window. If these are few, it looks back further, until
// the messages are many or the longer condition has no more: so a lull or some luck is not taken for health, and old
// hits do not outweigh many messages without one.
func (g *Group) health() (h Health) {
	few := 0
	for _, c := range g.Window.Conditions() {
		few = max(few, c.AtLeast, c.InARow, c.Distinct)
	}
	many := int(math.Ceil(float64(few) / g.Window.Healthy))
	number := g.numberOf(g.Latest)
	oldest, recent := number-maxBuckets, number-int64(g.Window.Shortest())/bucketLength(&g.Window)
	looksBack := false
	for i := len(g.Buckets) - 1; i >= 0 && g.Buckets[i][0] > oldest; i-- {
		b := g.Buckets[i]
		if b[0] <= recent && (h.Of >= many || !looksBack && h.isBad(g.Window.Healthy)) {
			break
		}
		looksBack = looksBack || b[0] <= recent
		h.Hits += int(b[1])
		h.Of += int(b[2])
	}
	h.Enough = h.Of >= few
	h.Good = h.Enough && !h.isBad(g.Window.Healthy)
	return h
}

// isBad reports whether a share of the messages, or more, are hits.
func (h *Health) isBad(share float64) bool {
	return h.Hits > 0 && float64(h.Hits) >= share*float64(h.Of)
}

// endIfHealthy ends the alert of a group after a message that is no hit, if the newest messages show health.
func (w *work) endIfHealthy(id GroupID, o *origin) {
	g := w.group(id)
	if g == nil { // a later effect of the message has deleted it
		return
	}
	isHit := slices.ContainsFunc(o.hits, func(h decision.Hit) bool { return h.Group == id.Group && h.Window.Rule == id.Rule })
	a := w.alertOf(g)
	if a == nil || !a.EndHeldUntil.IsZero() || isHit || !g.health().Good {
		return
	}
	o.by = ByHealth
	w.endOrHold(a, o)
	o.by = ""
}
