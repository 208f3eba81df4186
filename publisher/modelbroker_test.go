package publisher

import (
	"bytes"

	"github.com/eclipse/paho.golang/packets"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/mqttconn"
)

// This file is the part of the model that is the sender's connection and the broker.

// send lets the sender take the next packets, if it was woken.
func (w *world) send() {
	if w.writing != nil {
		return
	}
	if w.waiting {
		select {
		case <-w.queue.sender.signal:
		default:
			return
		}
	}
	written, link, n := w.queue.takeBatch(nil)
	if w.waiting = n == 0; w.waiting {
		return
	}
	w.must(link == w.link, "written to another connection")
	w.writingTo = link
	for r := bytes.NewReader(written); r.Len() > 0; n-- {
		p, err := packets.ReadPacket(r)
		require.NoError(w.t, err)
		w.sent(p.Content.(*packets.Publish))
	}
	w.must(n == 0, "takeBatch returned %d more than it wrote", n)
	w.meetCulprit()
}

// meetCulprit lets the broker end the connection if a culprit was sent. Before that the broker
// may acknowledge the events before the culprit.
func (w *world) meetCulprit() {
	for i, n := range w.open {
		if _, culprit := w.culprits[n]; !culprit {
			continue
		}
		w.culprits[n]++
		if before := i; before > 0 && w.random.IntN(3) > 0 {
			w.acknowledge(before)
		}
		ending := mqttconn.Ending{ByBroker: true}
		if w.random.IntN(4) == 0 {
			ending.Reason = packets.DisconnectPacketTooLarge
		}
		w.endConnection(ending)
		return
	}
}

// acknowledge lets the broker acknowledge a number of the oldest open events.
func (w *world) acknowledge(events int) {
	var acks []mqttconn.Puback
	for _, n := range w.open[:events] {
		w.ends(n, delivered)
		acks = append(acks, mqttconn.Puback{ID: w.ids[n]})
	}
	w.open = w.open[events:]
	w.queue.acknowledge(w.link, acks)
}

// sent checks a packet that was sent. On one connection events come in their order, except the
// first one when there is a suspect. Over all connections they come for the first time in their
// order. A repeat has the same packet identifier as before, and is marked as a repeat only in the
// same session. No event is sent that has left the queue. No more events are open than the
// broker allows.
func (w *world) sent(p *packets.Publish) {
	n := eventIn(p.Payload)
	w.must(p.QoS == w.qos, "event %d at QoS %d", n, p.QoS)
	w.must(w.fates[n] == "", "event %d is sent, but it was %s", n, w.fates[n])
	w.must(n > w.last || w.controls, "event %d after %d", n, w.last)
	w.controls = w.last < 0 && w.queue.suspects.limit == 1
	w.last = n
	w.writing = append(w.writing, n)
	w.must(n > w.newest || w.ever[n], "event %d for the first time after %d", n, w.newest)
	w.newest, w.ever[n] = max(w.newest, n), true
	w.must(p.Duplicate == (w.tried[n] && w.qos > 0), "event %d: marked as a repeat: %v", n, p.Duplicate)
	w.tried[n] = true
	if w.qos == 0 {
		return
	}
	w.must(p.PacketID > 0 && (w.ids[n] == 0 || w.ids[n] == p.PacketID), "event %d had identifier %d, now %d", n, w.ids[n], p.PacketID)
	w.ids[n] = p.PacketID
	for _, other := range w.open {
		w.must(w.ids[other] != p.PacketID, "events %d and %d have one identifier", other, n)
	}
	w.open = append(w.open, n)
	w.must(len(w.open) <= w.receiveMaximum, "%d are open, the broker allows %d", len(w.open), w.receiveMaximum)
}

// written lets the write return. At QoS 0 that delivers its events if the connection is still
// there.
func (w *world) written() {
	if w.writing == nil {
		return
	}
	w.queue.written(w.writingTo)
	if w.writingTo == w.link && w.qos == 0 {
		for _, n := range w.writing {
			w.ends(n, delivered)
		}
	}
	w.writing = nil
}

// answer lets the broker acknowledge some open events, mostly the oldest. It refuses some, and
// sometimes sends acknowledgements twice or on a lost connection.
func (w *world) answer() {
	if w.link == nil || len(w.open) == 0 {
		return
	}
	if lost := new(mqttconn.Link); w.random.IntN(10) == 0 { // it changes nothing
		w.queue.acknowledge(lost, []mqttconn.Puback{{ID: w.ids[w.open[0]]}})
		w.queue.disconnected(lost, mqttconn.Ending{ByBroker: true})
	}
	var acks []mqttconn.Puback
	for range 1 + w.random.IntN(len(w.open)) {
		i := 0
		if w.random.IntN(10) == 0 {
			i = w.random.IntN(len(w.open))
		}
		n := w.open[i]
		w.open = append(w.open[:i], w.open[i+1:]...)
		ack, fate := mqttconn.Puback{ID: w.ids[n]}, delivered
		if w.random.IntN(20) == 0 {
			ack.Code, fate = packets.PubackNotAuthorized, Refused
		}
		w.ends(n, fate)
		acks = append(acks, ack, ack) // the second is a broker's mistake
	}
	w.queue.acknowledge(w.link, acks)
}

// connect makes a connection, sometimes to a broker of QoS 0 or one without the session.
func (w *world) connect() {
	w.disconnect()
	w.link, w.last, w.qos, w.receiveMaximum = new(mqttconn.Link), -1, 1, 1+w.random.IntN(20)
	if w.random.IntN(8) == 0 {
		w.qos = 0
	}
	limits := mqttconn.Limits{ReceiveMaximum: w.receiveMaximum, MaximumQoS: w.qos, SessionPresent: w.random.IntN(2) == 0}
	if !limits.SessionPresent {
		clear(w.tried)
	}
	w.queue.connected(w.link, limits, 1)
}

// disconnect closes the connection. A write may be under way.
func (w *world) disconnect() { w.endConnection(mqttconn.Ending{}) }

// endConnection ends the connection. It checks that the queue drops an event as a culprit only
// when the broker has ended several connections for that event alone.
func (w *world) endConnection(ending mqttconn.Ending) {
	dropped := w.queue.snapshot().DroppedBy.EndsConnection
	w.queue.disconnected(w.link, ending)
	if w.queue.snapshot().DroppedBy.EndsConnection > dropped {
		w.must(len(w.open) == 1, "one of %v is dropped", w.open)
		w.must(w.culprits[w.open[0]] >= suspectEnds+culpritEnds, "event %d has ended %d connections", w.open[0], w.culprits[w.open[0]])
		w.ends(w.open[0], EndsConnection)
	}
	w.link, w.open = nil, nil
}
