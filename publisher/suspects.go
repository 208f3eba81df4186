package publisher

import (
	"fmt"

	"github.com/mps-events/mps-events/internal/mqttconn"
)

// suspects holds the queue's knowledge, on the current connection, of events for which the
// broker may end it. Such an event would be sent again, first, on each connection, and
// stop all others.
//
// An event is a suspect when it was under way at the end of several connections, and no
// acknowledgement passed it. As long as there are suspects a connection begins with one event
// alone: in turn with the oldest suspect, and with another event, the control. The suspect is
// the culprit, and is dropped, when several connections ended at it, while those between took
// the control; or when the broker says of them all that the packet is at fault. So a broker that
// goes away at random, or after some events, makes no culprits. The control is the only event
// that may overtake.
type suspects struct {
	limit    int    // of events that may be unacknowledged; it doubles when all are acknowledged
	control  int    // place under way of the control; -1 without one
	answered bool   // the broker has acknowledged an event
	passed   uint64 // the highest number of these, but for the control's
}

const (
	suspectEnds = 3 // connections that ended while an event was under way make it a suspect
	culpritEnds = 5 // connections that ended at a suspect, as their first event, make it the culprit
)

// record counts against an event the connections that the broker ended.
type record struct {
	ends      int  // in a row while the event was under way, and no acknowledgement passed it
	atFirst   int  // of those that began with the event, alone
	confirmed int  // of these, before the broker took a control, or said that the packet is at fault
	recent    bool // the last connection was one that began and ended with the event alone
}

// beginTrial starts a connection.
func (q *queue) beginTrial() {
	q.suspects = suspects{limit: maxIDs, control: -1}
	for i := range q.underWay.len() {
		if p := q.underWay.at(i); !p.done && (p.record.ends >= suspectEnds || p.record.recent) {
			q.suspects.limit = 1
			return
		}
	}
}

// chooseControl returns the place under way of the event with which a connection begins
// because the one before ended at the oldest event; false if it is the turn of the oldest, or
// if there is no other.
func (q *queue) chooseControl() (place int, ok bool) {
	if q.next > 0 || q.suspects.control >= 0 || q.suspects.answered || q.qos == 0 || q.underWay.len() == 0 || !q.underWay.at(0).record.recent {
		return 0, false
	}
	for i := range q.underWay.len() {
		if p := q.underWay.at(i); !p.done && !p.record.recent {
			return i, true
		}
	}
	if q.waiting.len() > 0 && q.underWay.len()-q.settled <= q.capacity/2 && q.underWay.len() < maxIDs {
		q.bringUnderWay()
		return q.underWay.len() - 1, true
	}
	for i := 1; i < q.underWay.len(); i++ { // they have all been tried: once more
		if p := q.underWay.at(i); !p.done {
			p.record.recent = false
			place, ok = i, true
		}
	}
	return place, ok
}

// passed notes that the broker has acknowledged the event at a place under way.
func (q *queue) passed(place int) {
	q.suspects.answered = true
	if place != q.suspects.control {
		q.suspects.passed = max(q.suspects.passed, q.underWay.at(place).number)
		return
	}
	q.suspects.control = -1
	q.underWay.at(0).record.recent = false
	for i := range q.underWay.len() {
		r := &q.underWay.at(i).record
		r.confirmed = r.atFirst
	}
}

// widen lets more events be under way once all that were have been acknowledged.
func (q *queue) widen() {
	if q.unacked == 0 {
		q.suspects.limit = min(2*q.suspects.limit, maxIDs)
	}
}

// endTrial concludes what it says of the events under way that the connection has ended.
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
			p.record = record{}
		default:
			p.record.ends++
			last = p
		}
	}
	if q.unacked != 1 || last == nil || q.suspects.answered {
		return
	}
	if last.record.ends <= suspectEnds && q.suspects.control < 0 {
		return // it is no suspect yet
	}
	last.record.recent = true
	last.record.atFirst++
	if ending.BlamesPacket() {
		last.record.confirmed = last.record.atFirst
	}
	if last.record.atFirst >= culpritEnds && last.record.confirmed >= culpritEnds-1 {
		q.dropCulprit(last, ending)
	}
}

// dropCulprit drops the event for which the broker ends connections. What is known of others
// stays: where there was one there may be more.
func (q *queue) dropCulprit(p *packet, ending mqttconn.Ending) {
	q.losses.noteCulprit(fmt.Sprintf("topic %q, %d bytes, last end of a connection: %v", p.topic(), p.size(q.qos), ending))
	q.settle(p)
	q.drop(&q.stats.DroppedBy.EndsConnection, 1)
	q.trim()
}
