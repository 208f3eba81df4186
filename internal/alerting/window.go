package alerting

import (
	"time"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

// maxBuckets is the number of buckets of a window. The newest bucket is not over yet, so a hit counts for up to one
// bucket less than the length of a condition, and never for longer.
const maxBuckets = 300

// bucketLength returns the length of a window's bucket in nanoseconds.
func bucketLength(w *decision.Window) int64 { return max(int64(w.Longest())/maxBuckets, 1) }

// setWindow sets the window as the rule has it now, and moves the counts to its buckets.
func (g *Group) setWindow(w *decision.Window) {
	if g.Window == *w {
		return
	}
	if before, now := bucketLength(&g.Window), bucketLength(w); before != now {
		old := g.Buckets
		g.Buckets = nil
		for _, b := range old {
			g.add(b[0]*before/now, b[1], b[2])
		}
	}
	g.Window = *w
}

// advance moves the window to the time of a message. A late message does not move it back. But the window is never
// ahead of the consumer's clock, which somebody may have put back.
func (g *Group) advance(o *origin) {
	if g.Latest.After(o.arrived) {
		g.Latest = o.arrived
	}
	if g.Latest.Before(o.at) {
		g.Latest = o.at
	}
	oldest := g.numberOf(g.Latest) - maxBuckets
	gone := 0
	for gone < len(g.Buckets) && g.Buckets[gone][0] <= oldest {
		gone++
	}
	g.Buckets = g.Buckets[gone:]
}

// add adds to the counts of the bucket with a number.
func (g *Group) add(number, hits, of int64) {
	i := len(g.Buckets)
	for i > 0 && g.Buckets[i-1][0] > number {
		i--
	}
	if i > 0 && g.Buckets[i-1][0] == number {
		g.Buckets[i-1][1] += hits
		g.Buckets[i-1][2] += of
		return
	}
	g.Buckets = append(g.Buckets, Bucket{})
	copy(g.Buckets[i+1:], g.Buckets[i:])
	g.Buckets[i] = Bucket{number, hits, of}
}

// countHit counts a hit. raiseByHit raises the alert later, if that is needed.
func (w *work) countHit(h decision.Hit, o *origin) {
	g := w.groupOf(h.Window, h.Group, o)
	if g.hasForgotten(h.Member, o.at) {
		return
	}
	g.add(g.numberOf(o.at), 1, 0)
	if g.Row++; !h.Window.CountsRows() {
		g.Row = 0 // no message breaks it
	}
	if h.Member != "" {
		w.addMember(g, h.Member, o.at)
	}
	o.hits = append(o.hits, h)
}

// countWhole counts a message towards the whole of a group. endIfHealthy ends the alert later, if the group is healthy.
func (w *work) countWhole(e decision.Whole, o *origin) {
	g := w.groupOf(e.Window, e.Group, o)
	g.add(g.numberOf(o.at), 0, 1)
	if e.Window.Healthy > 0 {
		o.wholes = append(o.wholes, g.ID)
	}
}

// groupOf returns a group in which a message counts, at the time of the message.
func (w *work) groupOf(window *decision.Window, name string, o *origin) *Group {
	id := GroupID{window.Rule, name}
	g := w.endOverdueGroup(id, o)
	if g == nil {
		g = &Group{ID: id, Window: *window, Epoch: w.lastEpoch(), Members: map[string]*GroupMember{}}
		w.rows.Groups[id] = g
	}
	change := w.changeOf(id)
	change.dirty = true
	if change.arrived.Before(o.arrived) {
		change.arrived = o.arrived
	}
	held := g.Window.Held
	g.setWindow(window)
	g.advance(o)
	if !held && w.isCrowd(g) { // the rule has been changed
		w.beginCrowd(g, window.Longest())
	}
	return g
}

// numberOf returns the number of the bucket of a time.
func (g *Group) numberOf(at time.Time) int64 { return at.UnixNano() / bucketLength(&g.Window) }

// endOverdueGroup ends the alert of a group if its time or its rule has ended before the change that o causes. It
// returns the window that is left, or nil.
func (w *work) endOverdueGroup(id GroupID, o *origin) *Group {
	g := w.endGroupWithRule(id, o.arrived)
	if g == nil {
		return nil
	}
	if a := w.alertOf(g); a != nil {
		w.endOverdue(a.ID, o)
	}
	return w.group(id)
}

// raiseByHit raises the alert of a hit's group if the condition of the window holds.
func (w *work) raiseByHit(h decision.Hit, o *origin) {
	g := w.group(GroupID{h.Window.Rule, h.Group})
	if g == nil { // a later effect of the message has deleted it
		return
	}
	a := w.alertOf(g)
	c, joins := w.holding(g, g.Latest), false
	if a != nil && g.Window.Held && !g.holds(h.Member) {
		c, joins = w.joinCrowd(g)
	}
	w.noteHit(g, h, c != nil, o)
	if joins { // first, since a reminder would be sent at once
		a.reportMembers(g.reportAt(a, o.at), o)
		w.keep(a)
	}
	if c == nil {
		return
	}
	r := raising{Raise: h.Raise, windowed: true, group: g.ID.Group}
	r.Rule = g.ID.Rule
	if a == nil {
		w.raiseByWindow(g, c, r, o)
		return
	}
	w.raiseAlert(a, r, o)
	w.keep(a)
	g.wasTrue(c, g.Latest)
	g.scheduleCheck()
}

// raiseByWindow raises the alert of a group that has none, and makes it hold the group's members.
func (w *work) raiseByWindow(g *Group, c *decision.Condition, r raising, o *origin) {
	g.Alert = idOf(r.Key)
	r.since = w.since(g, o.at)
	w.raise(r, o)
	a := w.alertOf(g)
	if a == nil { // an alert with the same key is open for another reason
		return
	}
	g.Hold = r.For
	g.wasTrue(c, g.Latest)
	g.scheduleCheck()
	if !g.Window.Held {
		return
	}
	if a.Told == ilert.Alert { // its end waited, and is not sent any more
		a.reportMembers(g.reportAt(a, o.at), o)
	}
	w.beginCrowd(g, c.Length)
}

// since returns the time of the first hit that counts for the condition of a window at a time.
func (w *work) since(g *Group, at time.Time) time.Time {
	begins := at.Add(-g.Window.Length)
	if c := w.holding(g, g.Latest); c != nil {
		begins = at.Add(-c.Length)
	}
	length := bucketLength(&g.Window)
	for _, b := range g.Buckets {
		if first := time.Unix(0, b[0]*length); b[1] > 0 && first.After(begins) {
			return earlier(first.Truncate(time.Millisecond), at)
		}
	}
	return at
}

// reportAt returns the time at which a notice reports the members that have joined at a time. The longer the alert has
// been open, the rarer such notices are: each is a line in ilert's log, and the first ones matter most.
func (g *Group) reportAt(a *Alert, at time.Time) time.Time {
	const (
		shortest, longest = time.Minute, time.Hour
		share             = 4
	)
	due := at.Add(max(g.Hold, shortest))
	interval := shortest
	if !a.Since.IsZero() {
		interval = min(max(a.ToldAt.Sub(a.Since)/share, shortest), longest)
	}
	if earliest := a.ToldAt.Add(interval); due.Before(earliest) {
		return earliest
	}
	return due
}

// scheduleCheck sets the time at which to check whether the condition still holds.
func (g *Group) scheduleCheck() {
	g.CheckAt = time.Time{}
	if g.Window.Clear > 0 {
		g.CheckAt = g.Latest.Add(g.checkInterval())
	}
}

// checkInterval returns the interval after which to check again a condition that holds.
func (g *Group) checkInterval() time.Duration {
	return max(min(g.step(), g.Window.Clear), time.Second)
}

// step returns the interval at which checkGroup looks at a condition that does not hold.
func (g *Group) step() time.Duration { return max(g.Window.Shortest()/60, time.Second) }

// forgetAt returns the time at which all that has arrived is too old for the window. It is a full minute, so that one
// transaction deletes many groups.
func (g *Group) forgetAt(arrived time.Time) time.Time {
	return arrived.Add(g.Window.Longest()).Truncate(time.Minute).Add(time.Minute)
}

// alertOf returns the group's alert if it is open, or nil.
func (w *work) alertOf(g *Group) *Alert {
	if g.Alert == (AlertID{}) {
		return nil
	}
	a := w.alert(g.Alert)
	if !a.open() || !a.Windowed || a.Rule != g.ID.Rule || a.Group != g.ID.Group {
		return nil
	}
	return a
}

// breakRow makes the next hit of a group the first of a row.
func (w *work) breakRow(id GroupID, o *origin) {
	g := w.endGroupWithRule(id, o.arrived)
	if g == nil || g.Row == 0 {
		return
	}
	if w.alertOf(g) != nil && g.LastTrue.Before(o.at) {
		if c := w.holding(g, o.at); c != nil {
			g.wasTrue(c, o.at)
		}
	}
	g.Row = 0
	w.changeOf(id).dirty = true
}

// reset deletes the window of a group and ends its alert.
func (w *work) reset(id GroupID, o *origin) {
	g := w.endGroupWithRule(id, o.arrived)
	if g == nil {
		return
	}
	if a := w.alertOf(g); a != nil {
		w.endOrHold(a, o)
		return
	}
	w.forgetGroup(id)
}
