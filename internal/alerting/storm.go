package alerting

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

// When more alerts wait than ilert takes in a minute, the engine sends those of a rule as one storm: an alert of
// its own whose notices count and report them. They are members of the storm until each of them ends. The storm
// ends with its last member.

// maxJoining is the number of alerts of a rule that join its storm in one Claim. It is small enough that no message
// waits long for the transaction.
const maxJoining = 20_000

// stormKeys returns the two alert keys that the storm of a rule can have. The second is for a rule whose name ilert
// cannot tell from another one in an alert key, and for one whose first key another alert has.
func stormKeys(rule string) [2]string {
	plain := "storm/" + ilert.Line(rule)
	return [2]string{plain, fmt.Sprintf("%s~%.4x", plain, sha256.Sum256([]byte(rule)))}
}

// findStorm returns the storm of a rule. If there is none, it returns nil and the alert key for a new one, which is
// empty if other alerts have both keys.
func (w *work) findStorm(key ilert.IntegrationKey, rule string) (s *Alert, free string) {
	for _, alertKey := range stormKeys(rule) {
		a := w.alert(idOf(decision.Key{Integration: key, Alert: alertKey}))
		switch {
		case a == nil && free == "":
			free = alertKey
		case a != nil && a.Storm == IsStorm && a.Group == rule:
			return a, ""
		}
	}
	return nil, free
}

// formStorms makes storms of the alerts that are due of lanes for which more waits than their budget allows in a
// minute. It replaces the alerts by their storms in the work of the lane, and returns for each lane the number of
// alerts that have joined.
func (w *work) formStorms(lanes []visit, now time.Time) (joined []int, err error) {
	joined = make([]int, len(lanes))
	var k Keys
	for i := range lanes {
		for _, backlog := range lanes[i].work.Rules {
			for _, alertKey := range stormKeys(backlog.Rule) {
				k.Alerts = append(k.Alerts, idOf(decision.Key{Integration: lanes[i].key, Alert: alertKey}))
			}
		}
	}
	if len(k.Alerts) == 0 {
		return joined, nil
	}
	if err := w.load(k); err != nil {
		return nil, err
	}
	var joins []StormJoin
	var storms []*Alert // of each join
	var lane []int      // of each join: its index in lanes
	for i := range lanes {
		for _, backlog := range lanes[i].work.Rules {
			if w.isEnding(lanes[i].key, backlog.Rule) {
				continue // these alerts end with it
			}
			s, free := w.findStorm(lanes[i].key, backlog.Rule)
			if s.open() || backlog.N > 1 && (s != nil || free != "") {
				if s == nil {
					s = &Alert{
						ID: idOf(decision.Key{Integration: lanes[i].key, Alert: free}), AlertKey: free, Group: backlog.Rule, Storm: IsStorm,
						Priority: Priorities[backlog.Priority],
					}
					w.keep(s) // so that no other rule takes its alert key
				}
				joins, storms, lane = append(joins, StormJoin{lanes[i].key, backlog.Rule, maxJoining}), append(storms, s), append(lane, i)
			}
		}
	}
	if len(joins) == 0 {
		return joined, nil
	}
	counts, err := w.tx.JoinStorms(w.ctx, now, joins)
	if err != nil {
		return nil, err
	}
	for i, join := range joins {
		v := &lanes[lane[i]]
		joined[lane[i]] += counts[i]
		v.replaceByStorm(w, join.Rule, storms[i], counts[i], now)
		w.noteJoined(storms[i], counts[i], now)
	}
	return joined, nil
}

// replaceByStorm removes the alerts of a rule from the rows of the lane that are due, since n of them have joined its
// storm, and adds the storm.
func (v *visit) replaceByStorm(w *work, rule string, s *Alert, n int, now time.Time) {
	var priority string
	for _, backlog := range v.work.Rules {
		if backlog.Rule == rule {
			priority = Priorities[backlog.Priority]
		}
	}
	hasJoined := func(a *Alert) bool {
		return a != nil && a.ID.Integration == v.key && a.Rule == rule && a.Class().Kind() == Firsts
	}
	v.work.Alerts = slices.DeleteFunc(v.work.Alerts, hasJoined)
	maps.DeleteFunc(w.rows.Alerts, func(_ AlertID, a *Alert) bool { return hasJoined(a) }) // the store has changed them
	s.grow(n, priority, now, w.counts)
	w.keep(s)
	w.hold(s)
	v.addIfDue(s, now)
}

// grow adds n members to a storm.
func (a *Alert) grow(n int, priority string, now time.Time, counts tallies) {
	a.Size += n
	a.Untold += n
	if priority == high || a.Priority == "" {
		a.Priority = priority
	}
	a.EndsAt = time.Time{}                       // which is set if ilert has refused its end
	if a.Desired == ilert.Resolve && a.Pending { // its end waits, and is not sent any more
		counts.of(a.Cause.Filter).Merged++
	}
	if a.Desired != ilert.Alert || !a.Pending {
		a.reportNow(now)
	}
}

// reportNow makes a storm due to report new members.
func (a *Alert) reportNow(now time.Time) {
	a.setDesired(ilert.Alert, &origin{at: now})
	a.Listing = true
}

// stormOf returns the storm of a member.
func (w *work) stormOf(m *Alert) *Alert {
	s, _ := w.findStorm(m.ID.Integration, m.Rule)
	if s == nil {
		panic("alerting: the storm of alert " + m.AlertKey + " is missing")
	}
	return s
}

// leaveStorm ends a member, and its storm with the last one.
func (w *work) leaveStorm(m *Alert, o *origin) {
	s := w.stormOf(m)
	w.noteEnd(m, o)
	w.drop(m.ID)
	if s.Size--; s.Size == 0 {
		w.noteEnd(s, &origin{arrived: o.arrived, by: ByStorm})
	}
	if m.Pending {
		w.counts.of(m.Cause.Filter).Merged++
		s.Untold--
	}
	switch {
	case s.Size > 0:
		o.merged = true
		if s.Untold == 0 {
			s.cancelMembers(o, w.counts)
		}
	case s.end(o, w.counts):
		w.drop(s.ID)
		return
	}
	w.keep(s)
}

// raiseInStorm raises a member of a storm again. The storm is sent again if the member is the first of HIGH priority,
// or as a reminder.
func (w *work) raiseInStorm(m *Alert, r raising, o *origin) {
	if m.Storm == IsStorm { // a message cannot raise the storm itself
		o.merged = true
		return
	}
	s := w.stormOf(m)
	m.prolong(r, o.at)
	if r.Event.Priority == high {
		m.Priority = high
	}
	w.keep(m)
	switch {
	case r.Event.Priority == high && s.Priority != high:
		if s.Pending {
			w.counts.of(s.Cause.Filter).Merged++
		}
		s.Priority = high
		s.setDesired(ilert.Alert, o)
	case !s.Pending && !s.isLeftInPeace(o.at) && o.at.Sub(s.ToldAt) >= r.reminder():
		s.setDesired(ilert.Alert, o)
	default:
		o.merged = true
		return
	}
	w.keep(s)
}
