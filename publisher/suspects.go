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
// acknowledgement passed it. Suspects are sent one at a time. A suspect that is alone under
// way when the broker ends the connection is the culprit, and is dropped, if the broker says
// that the packet is at fault, or if it had acknowledged another event on that
// connection; and if that happens three times. So a broker that merely goes away makes no culprits.
// To get that other acknowledgement the connection begins with another event, a control,
// which is the only one that may overtake.
type suspects struct {
	limit    int    // of events that may be unacknowledged; it doubles when all are acknowledged
	control  int    // place under way of the control; -1 without one
	answered bool   // the broker has acknowledged an event
	passed   uint64 // the highest number of these, but for the control's
}

const (
	suspectEnds = 3 // connections that ended while an event was under way make it a suspect
	culpritEnds = 3 // connections that ended for a suspect alone make it the culprit
)

// record counts for or against an event that connections ended while it was under way.
type record struct {
	ends     int  // how many in a row, none of which saw an acknowledgement pass the event
	alone    bool // it was a suspect or the control, and nothing else was under way at the end of one
	evidence int  // how many of those say that the event is at fault
}

// beginTrial starts a connection.
func (q *queue) beginTrial() {
	q.suspects = suspects{limit: maxIDs, control: -1}
	for i := range q.underWay.len() {
		if p := q.underWay.at(i); !p.done && p.record.ends >= suspectEnds {
			q.suspects.limit = 1
			return
		}
	}
}

// chooseControl returns the place under way of the event with which a connection begins
// because the oldest one, alone, has seen the end of another; false if the oldest one may be
// sent, or if there is no other.
func (q *queue) chooseControl() (place int, ok bool) {
	if q.next > 0 || q.suspects.answered || q.qos == 0 || q.underWay.len() == 0 || !q.underWay.at(0).record.alone {
		return 0, false
	}
	for i := range q.underWay.len() {
		if p := q.underWay.at(i); !p.done && !p.record.alone {
			return i, true
		}
	}
	if q.waiting.len() > 0 && q.underWay.len() <= min(q.capacity/2, maxIDs-1) {
		q.bringUnderWay()
		return q.underWay.len() - 1, true
	}
	for i := 1; i < q.underWay.len(); i++ { // they have all been tried: once more
		if p := q.underWay.at(i); !p.done {
			p.record.alone = false
			place, ok = i, true
		}
	}
	return place, ok
}

// passed notes that the broker has acknowledged the event at a place under way.
func (q *queue) passed(place int) {
	q.suspects.answered = true
	if place == q.suspects.control {
		q.suspects.control = -1
	} else {
		q.suspects.passed = max(q.suspects.passed, q.underWay.at(place).number)
	}
}

// widen lets more events be under way once all that were have been acknowledged.
func (q *queue) widen() {
	if q.unacked == 0 && (q.underWay.len() == 0 || !q.underWay.at(0).record.alone) {
		q.suspects.limit = min(2*q.suspects.limit, maxIDs)
	}
}

// endTrial concludes what it says of the events under way that the connection has ended.
func (q *queue) endTrial(ending mqttconn.Ending) {
	if !ending.ByBroker || q.qos == 0 {
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
	if q.unacked != 1 || last == nil {
		return
	}
	suspect := last.record.ends > suspectEnds
	last.record.alone = suspect || q.suspects.control >= 0
	if suspect && (q.suspects.answered || ending.BlamesPacket()) {
		last.record.evidence++
	}
	if last.record.evidence == culpritEnds {
		q.dropCulprit(last, ending)
	}
}

// dropCulprit drops the event for which the broker ends connections. As this explains how
// earlier ones ended, no other event is a suspect any more.
func (q *queue) dropCulprit(p *packet, ending mqttconn.Ending) {
	q.losses.atFault = fmt.Errorf("topic %q, %d bytes: the broker ends the connection for it: %v", p.topic(), p.size(q.qos), ending)
	q.settle(p)
	q.drop(&q.stats.DroppedBy.EndsConnection, 1)
	for i := range q.underWay.len() {
		q.underWay.at(i).record = record{}
	}
	q.trim()
}
