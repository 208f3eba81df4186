package alerting

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
)

// stormMember is a member of a storm that a notice reports for the first time.
type stormMember struct {
	id   AlertID
	told ilert.Type // the member's Told before
}

// Members returns the alert keys of the alerts of a storm that the notice reports for the first time, in lower case.
func (n *Notice) Members() (keys []string) {
	for _, m := range n.members {
		keys = append(keys, m.id.Folded)
	}
	return keys
}

// stormQuery returns the query for the members that a notice of a storm reports.
func stormQuery(s *Alert) StormQuery {
	return StormQuery{s.ID.Integration, s.Group, cmp.Or(s.MaxListed, maxReported)}
}

// claimStorm claims a storm, or its repeat, and returns its notice, which counts and reports its members. If no member is left, it
// ends the storm and returns false.
func (w *work) claimStorm(s *Alert, repeat bool, now time.Time) (n Notice, some bool) {
	n = noticeOf(s)
	n.Repeat = repeat
	n.Event = ilert.Event{EventType: s.next(), AlertKey: s.AlertKey, Priority: s.Priority}
	rule := ilert.Line(s.Group)
	if s.Desired == ilert.Resolve {
		n.Event.Summary = fmt.Sprintf("all alerts of rule %s have ended", rule)
	} else {
		w.listMembers(s, &n)
		if n.names == 0 {
			if s.end(&origin{at: now}, w.counts) {
				w.drop(s.ID)
			} else {
				w.keep(s)
			}
			return n, false
		}
		n.Event.Summary = fmt.Sprintf("%d alerts of rule %s", s.Size, rule)
	}
	s.markClaimed(&n)
	w.keep(s)
	return n, true
}

// listMembers adds members to a notice: those that no notice has reported or, in a reminder, which has none of these,
// any.
func (w *work) listMembers(s *Alert, n *Notice) {
	query := stormQuery(s)
	found, read := w.rows.Storms[query]
	if !read {
		panic(missing{Keys{Storms: []StormQuery{query}}})
	}
	s.Size, s.Untold = found.Size, found.Untold
	names := make([]string, len(found.Members))
	for i, id := range found.Members {
		m := w.alert(id)
		s.Repeat = m.Repeat // of the rule
		names[i] = ilert.Line(m.AlertKey)
		if found.Untold == 0 {
			continue
		}
		n.members = append(n.members, stormMember{id, m.Told})
		m.Claimed, m.Told = true, Unsure
		w.keep(m)
	}
	n.names = len(names)
	n.Event.Details = strings.Join(names, "\n")
	of := found.Untold
	if of == 0 {
		of = found.Size
	}
	if more := of - len(names); more > 0 {
		n.Event.Details += fmt.Sprintf("\nand %d more", more)
	}
}

// settleStorm changes a storm as the answer to a notice that reports members demands. After ilert has refused a
// notice, the next one reports half as many members, until one is left: the culprit. It leaves the storm, and its own
// event is sent from then on, which ilert takes or refuses. Each notice that ilert takes lets the next one report
// twice as many members.
func (w *work) settleStorm(s *Alert, answer Answer) {
	n := &answer.Notice
	culprit := false
	switch {
	case answer.Result == Taken && s.MaxListed > 0:
		if s.MaxListed *= 2; s.MaxListed >= maxReported {
			s.MaxListed = 0
		}
	case answer.Result == Refused && n.names > 1:
		s.MaxListed = n.names / 2
		answer.Result, answer.Retry = NotTaken, answer.At
	case answer.Result == Refused && len(n.members) == 1:
		culprit = true
		answer.Result, answer.Retry = NotTaken, answer.At
	case answer.Result == Refused && s.Version == n.version && s.Cause.Filter != nobody && !n.Repeat:
		w.addRefused(s.Cause, s.ID, &answer)
	}
	over := s.settle(&answer, w.counts)
	w.settleStormMembers(s, &answer, culprit)
	switch {
	case s.Desired == ilert.Resolve && over:
		w.drop(s.ID)
		return
	case s.Desired == ilert.Resolve:
	case s.Size == 0: // the last member was a culprit
		if s.end(&origin{at: answer.At}, w.counts) {
			w.drop(s.ID)
			return
		}
	case s.Untold == 0:
		s.cancelMembers(&origin{at: answer.At}, w.counts)
	case !s.Pending:
		s.reportNow(answer.At)
	}
	w.keep(s)
}

// settleStormMembers changes the members that a notice reports for the first time as its answer demands. If culprit,
// the only one of them leaves the storm.
func (w *work) settleStormMembers(s *Alert, answer *Answer, culprit bool) {
	for _, one := range answer.Notice.members {
		m := w.alert(one.id)
		if m == nil || m.Storm != InStorm || !m.Claimed {
			continue // the member has ended meanwhile
		}
		m.Claimed = false
		switch answer.Result {
		case Taken:
			m.Told, m.ToldAt, m.Pending = ilert.Alert, answer.At, false
			w.counts.of(m.Cause.Filter).Delivered++
			s.Untold--
		case NotTaken:
			m.Told = one.told
		}
		if culprit { // ilert does not know the member itself
			m.Storm, m.Told, m.NextTry = Apart, Nothing, answer.At
			s.Size--
			s.Untold--
		}
		w.keep(m)
	}
}
