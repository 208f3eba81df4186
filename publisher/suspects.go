package publisher

import (
	"fmt"

	"github.com/mps-events/mps-events/internal/mqttconn"
)

// suspects is the state, on the current connection, of the search for an event for which the
// broker ends connections. Such an event would be the first that is sent on each connection, and
// would stop all others.
//
// An event is a suspect if the broker ended several connections while the event was under way,
// and acknowledged no newer event on them. As long as there are suspects, a connection begins
// with one event alone: in turn with the oldest suspect, and with another event, the control.
// The suspect is the culprit, and is dropped, if several connections ended at it while the
// broker acknowledged the controls between; or if the broker said each time that the packet is at
// fault. So a broker that goes away at random, or after some events, makes no event a culprit.
// The control is the only event that may overtake others.
type suspects struct {
	limit    int    // maximum of unacknowledged events; it doubles when all are acknowledged
	control  int    // place of the control in underWay; -1 if there is none
	answered bool   // the broker has acknowledged an event
	passed   uint64 // highest number of an acknowledged event other than the control
}

const (
	suspectEnds = 3 // number of ended connections that make an event a suspect
	culpritEnds = 5 // number of connections ended at a suspect, as their first event, that make it the culprit
)

// history holds the numbers of connections that the broker ended while an event was under way.
type history struct {
	ends      int  // ended in a row, with no newer event acknowledged
	atFirst   int  // those of ends that began with the event alone
	confirmed int  // those of atFirst after which the broker took a control, or that it ended blaming the packet
	recent    bool // the last connection began and ended with the event alone
}

// beginTrial begins the search on a new connection.
func (q *queue) beginTrial() {
	q.suspects = suspects{limit: maxIDs, control: -1}
	for i := range q.underWay.len() {
		if p := q.underWay.at(i); !p.done && (p.history.ends >= suspectEnds || p.history.recent) {
			q.suspects.limit = 1
			return
		}
	}
}

// chooseControl returns the place in underWay of the control with which a connection begins
// because the one before ended at the oldest event. It returns false if it is the turn of the
// oldest event, or if there is no other.
func (q *queue) chooseControl() (place int, ok bool) {
	if q.next > 0 || q.suspects.control >= 0 || q.suspects.answered || q.qos == 0 || q.underWay.len() == 0 || !q.underWay.at(0).history.recent {
		return 0, false
	}
	for i := range q.underWay.len() {
		if p := q.underWay.at(i); !p.done && !p.history.recent {
			return i, true
		}
	}
	if q.waiting.len() > 0 && q.underWay.len()-q.settled <= q.capacity/2 && q.underWay.len() < maxIDs {
		q.bringUnderWay()
		return q.underWay.len() - 1, true
	}
	for i := 1; i < q.underWay.len(); i++ { // all of them have been tried: once more
		if p := q.underWay.at(i); !p.done {
			p.history.recent = false
			place, ok = i, true
		}
	}
	return place, ok
}

// noteAcknowledged notes that the broker has acknowledged the event at a place in underWay.
func (q *queue) noteAcknowledged(place int) {
	q.suspects.answered = true
	if place != q.suspects.control {
		q.suspects.passed = max(q.suspects.passed, q.underWay.at(place).number)
		return
	}
	q.suspects.control = -1
	q.underWay.at(0).history.recent = false
	for i := range q.underWay.len() {
		h := &q.underWay.at(i).history
		h.confirmed = h.atFirst
	}
}

// raiseLimit raises the limit of unacknowledged events when all are acknowledged.
func (q *queue) raiseLimit() {
	if q.unacked == 0 {
		q.suspects.limit = min(2*q.suspects.limit, maxIDs)
	}
}

// endTrial counts the end of a connection against the events that were under way, and drops the
// culprit if one is found.
func (q *queue) endTrial(ending mqttconn.Ending) {
	if !ending.ByBroker || ending.ExcusesPackets() || q.qos == 0 {
		return
	}
	var last *packet
	for i := range q.underWay.len() {
		p := q.underWay.at(i)
		switch {
		case p.done || i >= q.next && i != q.suspects.control: // not under way on this connection
		case p.number < q.suspects.passed:
			p.history = history{}
		default:
			p.history.ends++
			last = p
		}
	}
	if q.unacked != 1 || last == nil || q.suspects.answered {
		return
	}
	if last.history.ends <= suspectEnds && q.suspects.control < 0 {
		return // last is no suspect yet
	}
	last.history.recent = true
	last.history.atFirst++
	if ending.BlamesPacket() {
		last.history.confirmed = last.history.atFirst
	}
	if last.history.atFirst >= culpritEnds && last.history.confirmed >= culpritEnds-1 {
		q.dropCulprit(last, ending)
	}
}

// dropCulprit drops the event for which the broker ends connections. It keeps the histories of
// the others, as there may be more culprits.
func (q *queue) dropCulprit(p *packet, ending mqttconn.Ending) {
	q.losses.noteCulprit(fmt.Sprintf("topic %q, %d bytes, last end of a connection: %v", p.topic(), p.size(q.qos), ending))
	q.settle(p)
	q.countDropped(&q.stats.DroppedBy.EndsConnection, 1)
	q.trim()
}
