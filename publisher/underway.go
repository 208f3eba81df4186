package publisher

import "github.com/mps-events/mps-events/internal/mqttconn"

// This file is the way of packets from the front of waiting to the connection, and until the
// broker has acknowledged them.

// maxIDs is the number of packet identifiers: 1 to 65535.
const maxIDs = 65535

// mayGoUnderWay reports whether p may go under way too. Packets under way cannot be dropped,
// so half of the memory is left for newer ones.
func (q *queue) mayGoUnderWay(p *packet) bool {
	n := q.underWay.len() - q.settled
	return n == 0 || n < q.capacity/2 && q.underWay.len() < maxIDs && q.underWay.bytes+p.memory() <= q.maxBytes/2
}

// batchBytes is the number of bytes at which one write is full; its last packet may exceed it.
const batchBytes = 64 << 10

// takeBatch appends packets to dst until the batch is full, marks them as written to the
// returned link and returns their number. The oldest packets come first: after a
// reconnect these are the ones that were under way. If n is 0, the sender waits until it is
// woken.
func (q *queue) takeBatch(dst []byte) (packets []byte, link *mqttconn.Link, n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.link != nil && !q.broken && len(dst) < batchBytes && (q.qos == 0 || q.unacked < min(q.limits.ReceiveMaximum, q.suspects.limit)) {
		place, ok := q.takeNext()
		if !ok {
			break
		}
		p := q.underWay.at(place)
		id := uint16((q.firstUnderWay+uint64(place))%maxIDs) + 1
		if place == q.next {
			q.next++
		}
		switch {
		case p.done:
		case p.expired():
			q.settle(p)
			q.countDropped(&q.stats.DroppedBy.Expired, 1)
		case q.limits.MaximumPacketSize > 0 && p.size(q.qos) > q.limits.MaximumPacketSize:
			q.settle(p)
			q.countDropped(&q.stats.DroppedBy.TooLarge, 1)
		default:
			dst = p.appendTo(dst, q.qos, id)
			p.tried = true
			q.unacked++
			n++
			continue
		}
		q.trim()
	}
	q.sender.idle = n == 0
	return dst, q.link, n
}

// takeNext returns the place in underWay of the packet to write next, after it has brought a
// waiting packet there if necessary. It returns false if there is none.
func (q *queue) takeNext() (place int, ok bool) {
	if place, ok = q.chooseControl(); ok {
		q.suspects.control = place
		return place, true
	}
	if q.next < q.underWay.len() {
		return q.next, true
	}
	if q.waiting.len() == 0 || !q.mayGoUnderWay(q.waiting.at(0)) {
		return 0, false
	}
	q.bringUnderWay()
	return q.next, true
}

// bringUnderWay moves the oldest waiting packet to underWay.
func (q *queue) bringUnderWay() {
	q.underWay.push(q.waiting.pop())
	q.disk.wake(q.wantsLoad())
}

// settle marks a packet under way as done.
func (q *queue) settle(p *packet) {
	p.done = true
	q.settled++
}

// trim removes the oldest packets under way as long as they are done. After a reconnect next may
// not have passed them again.
func (q *queue) trim() {
	for q.underWay.len() > 0 && q.underWay.at(0).done {
		recycle(q.underWay.pop())
		q.settled--
		q.firstUnderWay++
		q.next = max(q.next-1, 0)
	}
	if q.disk.spooling {
		if load := q.wantsLoad(); load || q.forgettable() {
			q.disk.wake(load)
		}
	}
	q.finishFlushes()
}

// written settles, at QoS 0, the packets that takeBatch returned last: the operating system has
// taken them, and there is no other acknowledgement.
func (q *queue) written(link *mqttconn.Link) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.link != link || q.qos > 0 {
		return
	}
	for i := range q.next {
		if p := q.underWay.at(i); !p.done {
			q.settle(p)
			q.stats.Acknowledged++
		}
	}
	q.unacked = 0
	q.trim()
}

// acknowledge settles the packets that the broker has accepted or refused on link. It ignores an
// identifier that is not under way there.
func (q *queue) acknowledge(link *mqttconn.Link, acks []mqttconn.Puback) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if link != q.link {
		return // the packets are sent again on the new connection
	}
	front := q.firstUnderWay % maxIDs
	for _, ack := range acks {
		place := int((uint64(ack.ID) - 1 + maxIDs - front) % maxIDs)
		if ack.ID == 0 || q.qos == 0 || place >= q.next && place != q.suspects.control || q.underWay.at(place).done {
			continue
		}
		q.settle(q.underWay.at(place))
		q.noteAcknowledged(place)
		q.unacked--
		if ack.Refused() {
			q.losses.refusal = ack
			q.countDropped(&q.stats.DroppedBy.Refused, 1)
		} else {
			q.stats.Acknowledged++
		}
	}
	q.trim()
	q.raiseLimit()
	q.wakeSender()
}

// connected begins a connection, on which the packets under way are written again. Only
// in the same session are they repeats (MQTT 5.0, section 3.3.1.1).
// It reports whether there are suspects.
func (q *queue) connected(link *mqttconn.Link, limits mqttconn.Limits, qos byte) (searching bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.link, q.limits, q.qos = link, limits, min(qos, limits.MaximumQoS)
	q.broken, q.next, q.unacked = false, 0, 0
	for i := range q.underWay.len() {
		p := q.underWay.at(i)
		p.tried = p.tried && limits.SessionPresent
	}
	q.beginTrial()
	q.wakeSender()
	return q.suspects.limit == 1
}

// writeFailed stops writing to link.
func (q *queue) writeFailed(link *mqttconn.Link) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.broken = q.broken || link == q.link
}

// disconnected ends the connection of link, and returns false if it had ended before. The
// connection was in vain if the broker ended it and had acknowledged none of the packets
// under way.
func (q *queue) disconnected(link *mqttconn.Link, ending mqttconn.Ending) (ended, inVain bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if link != q.link || link == nil {
		return false, false
	}
	q.link = nil
	q.endTrial(ending)
	return true, ending.ByBroker && q.unacked > 0 && !q.suspects.answered
}
