package store

import (
	"encoding/json"
	"time"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

// groupKey names a group of a rule.
type groupKey struct{ rule, group string }

// group is the window of one group: what was counted lately, and who it was.
type group struct {
	groupKey
	spec    decision.Window // as the rule had it at the last hit
	buckets []bucket        // the oldest first
	key     key             // of its alert
	hold    time.Duration
	latest  time.Time // up to when it has counted
	// When the condition was last seen to hold.
	lastTrue time.Time
	checkAt  time.Time // when to look again; zero is never

	// Of members that an open alert holds: how many, how many of these ilert was not
	// told, and the most that they were.
	size, untold, peak int

	dirty   bool
	arrived time.Time          // of the last message, if it was in this transaction
	members map[string]*member // those of this transaction, and the newest others
	loaded  int                // how many of the newest were read
}

// bucket counts what happened in a part of the window: its number since 1970, hits, and
// what counts towards Of.
type bucket [3]int64

// parts is how many buckets a window has. The last is never whole, so a hit counts for
// up to a part less than the window's length, and never for longer.
const parts = 300

// part is the length of a bucket.
func part(w *decision.Window) int64 { return max(int64(w.Length)/parts, 1) }

// adopt takes over what the rule says now.
func (g *group) adopt(w *decision.Window) {
	if g.spec == *w {
		return
	}
	if before, now := part(&g.spec), part(w); before != now {
		old := g.buckets
		g.buckets = nil
		for _, b := range old {
			g.add(b[0]*before/now, b[1], b[2])
		}
	}
	g.spec = *w
	g.loaded = 0
}

// advance moves the window to the time of a message. Of one that is late it stays where
// it is, but not ahead of our own clock, should that have been put back.
func (g *group) advance(o *origin) {
	if g.latest.After(o.arrived) {
		g.latest = o.arrived
	}
	if g.latest.Before(o.at) {
		g.latest = o.at
	}
	if g.arrived.Before(o.arrived) {
		g.arrived = o.arrived
	}
	oldest := g.latest.UnixNano()/part(&g.spec) - parts
	gone := 0
	for gone < len(g.buckets) && g.buckets[gone][0] <= oldest {
		gone++
	}
	g.buckets = g.buckets[gone:]
}

// add counts in the bucket of a number.
func (g *group) add(number, hits, of int64) {
	i := len(g.buckets)
	for i > 0 && g.buckets[i-1][0] > number {
		i--
	}
	if i > 0 && g.buckets[i-1][0] == number {
		g.buckets[i-1][1] += hits
		g.buckets[i-1][2] += of
		return
	}
	g.buckets = append(g.buckets, bucket{})
	copy(g.buckets[i+1:], g.buckets[i:])
	g.buckets[i] = bucket{number, hits, of}
}

// sums is what the window has counted at a time.
func (g *group) sums(at time.Time) (hits, of int) {
	number := at.UnixNano() / part(&g.spec)
	for _, b := range g.buckets {
		if b[0] > number-parts && b[0] <= number {
			hits += int(b[1])
			of += int(b[2])
		}
	}
	return hits, of
}

// hit is one that may raise the alert, and whether its member is new to an open one.
type hit struct {
	decision.Hit
	joined bool
}

// hit counts, and leaves to weigh what that means.
func (c *change) hit(h decision.Hit, o *origin) error {
	g, err := c.current(groupKey{h.Window.Rule, h.Group}, o)
	if err != nil {
		return err
	}
	if g == nil {
		g = &group{groupKey: groupKey{h.Window.Rule, h.Group}, spec: *h.Window, members: map[string]*member{}}
		c.groups[g.groupKey] = g
	}
	g.dirty = true
	held := g.spec.Held
	g.adopt(h.Window)
	g.advance(o)
	if g.spec.Held && !held { // the rule has been changed
		if err := c.holdMembers(g); err != nil {
			return err
		}
	}
	number := o.at.UnixNano() / part(h.Window)
	if h.Only {
		g.add(number, 0, 1)
		return nil
	}
	g.add(number, 1, 0)
	joined := false
	if h.Member != "" {
		if joined, err = c.join(g, h.Member, o.at); err != nil {
			return err
		}
	}
	o.hits = append(o.hits, hit{h, joined})
	return nil
}

// current returns the window of a group, or nil, unless time has ended its alert.
func (c *change) current(k groupKey, o *origin) (*group, error) {
	g, err := c.group(k)
	if err != nil || g == nil {
		return nil, err
	}
	a, err := c.alertOf(g)
	if err == nil {
		_, err = c.expire(a, o)
	}
	return c.groups[k], err
}

// weigh raises the alert of a hit's group if the condition holds.
func (c *change) weigh(h hit, o *origin) error {
	g, err := c.group(groupKey{h.Window.Rule, h.Group})
	if err != nil || g == nil { // the message has emptied it, too
		return err
	}
	a, err := c.alertOf(g)
	if err != nil {
		return err
	}
	holds, err := c.holds(g, g.latest)
	if err != nil {
		return err
	}
	if h.joined && a != nil { // before it could be a mere reminder, which would be told at once
		a.list(g.listAt(a, o.at), o)
		c.keep(a)
	}
	if !holds {
		return nil
	}
	r := raising{Raise: h.Raise, windowed: true, group: g.group}
	r.Rule = g.rule
	if a == nil {
		return c.begin(g, r, o)
	}
	a.raise(r, o, c.count)
	c.keep(a)
	g.lastTrue = g.latest
	g.watch()
	return nil
}

// begin raises the alert of a group.
func (c *change) begin(g *group, r raising, o *origin) error {
	g.key = keyOf(r.Key)
	if err := c.raise(r, o); err != nil {
		return err
	}
	a, err := c.alertOf(g)
	if err != nil || a == nil { // one of the same key is open for another reason
		return err
	}
	g.hold, g.lastTrue = r.For, g.latest
	g.watch()
	if !g.spec.Held {
		return nil
	}
	if a.told == ilert.Alert { // its end was taken back before it was told
		a.list(g.listAt(a, o.at), o)
	}
	return c.holdMembers(g)
}

// listAt is when ilert is told of members that have joined at a time.
func (g *group) listAt(a *alert, at time.Time) time.Time {
	due := at.Add(max(g.hold, time.Minute))
	if earliest := a.toldAt.Add(time.Minute); due.Before(earliest) {
		return earliest
	}
	return due
}

// watch sets when to look whether the condition still holds.
func (g *group) watch() {
	g.checkAt = time.Time{}
	if g.spec.Clear > 0 {
		g.checkAt = g.latest.Add(g.pause())
	}
}

// pause is how long a condition that holds is not looked at.
func (g *group) pause() time.Duration {
	return max(min(g.step(), g.spec.Clear), time.Second)
}

func (g *group) step() time.Duration { return max(g.spec.Length/60, time.Second) }

// forgetAt is when nothing of what arrived until then is left in the window. It is no
// matter of seconds: many groups are forgotten at once.
func (g *group) forgetAt(arrived time.Time) time.Time {
	return arrived.Add(g.spec.Length).Truncate(time.Minute).Add(time.Minute)
}

// alertOf returns the group's alert if it is open, or nil.
func (c *change) alertOf(g *group) (*alert, error) {
	a, err := c.load(g.key)
	if err != nil || !a.open() || !a.windowed || a.rule != g.rule || a.group != g.group {
		return nil, err
	}
	return a, nil
}

// holds says whether the window's condition is true at a time. It asks for members and
// fleet only if the rest is.
func (c *change) holds(g *group, at time.Time) (bool, error) {
	w := &g.spec
	hits, of := g.sums(at)
	if hits < w.AtLeast || hits == 0 && !w.Held {
		return false, nil
	}
	if w.Ratio > 0 && !w.Fleet && (of == 0 || float64(hits)/float64(of) < w.Ratio) {
		return false, nil
	}
	need := w.Distinct
	if w.Held {
		need = max(need, 1)
	}
	n, err := c.distinct(g, at, need)
	if err != nil || n < need || w.Ratio == 0 || !w.Fleet {
		return n >= need, err
	}
	fleet, err := c.fleetSize(at)
	if err != nil || fleet == 0 {
		return false, err
	}
	need = int(w.Ratio * float64(fleet))
	for float64(need)/float64(fleet) < w.Ratio {
		need++
	}
	n, err = c.distinct(g, at, need)
	return n >= need, err
}

// reset empties a group's window and ends its alert.
func (c *change) reset(r decision.Reset, o *origin) error {
	g, err := c.group(groupKey{r.Rule, r.Group})
	if err != nil || g == nil {
		return err
	}
	a, err := c.alertOf(g)
	if err != nil {
		return err
	}
	if a != nil {
		return c.end(a, o)
	}
	return c.forgetGroup(g.groupKey)
}

// leave takes a member out of a group, and ends the alert if enough have left.
func (c *change) leave(l decision.Leave, o *origin) error {
	g, err := c.group(groupKey{l.Rule, l.Group})
	if err != nil || g == nil {
		return err
	}
	m, err := c.member(g, l.Member)
	if err != nil || m == nil {
		return err
	}
	a, err := c.alertOf(g)
	if err != nil {
		return err
	}
	if err := c.removeMember(g, l.Member); err != nil || a == nil || !g.spec.Held {
		return err
	}
	g.size--
	if !m.told {
		g.untold--
	}
	g.dirty = true
	share := g.spec.Left
	if share == 0 {
		share = 1
	}
	if g.size <= 0 || float64(g.peak-g.size)/float64(g.peak) >= share {
		return c.end(a, o)
	}
	if !m.told && g.untold == 0 {
		a.unlist(o, c.count)
		c.keep(a)
	}
	return nil
}

// encode and decode write the parts of a group that are no column of their own.
func (g *group) encode() (spec, buckets string, err error) {
	one, err := json.Marshal(g.spec)
	if err != nil {
		return "", "", err
	}
	two, err := json.Marshal(g.buckets)
	return string(one), string(two), err
}

func (g *group) decode(spec, buckets string) error {
	if err := json.Unmarshal([]byte(spec), &g.spec); err != nil {
		return err
	}
	return json.Unmarshal([]byte(buckets), &g.buckets)
}
