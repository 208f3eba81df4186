package days

import (
	"time"

	"github.com/mps-events/mps-events/event"
)

// liveADay schedules the ordinary life of the day that begins at a local midnight.
func (w *world) liveADay(midnight time.Time) {
	l := Local(midnight)
	clock := func(hour int) time.Time { return march(l.Day(), hour, 0) }
	works := l.Weekday() != time.Saturday && l.Weekday() != time.Sunday && !w.holiday[l.Format(time.DateOnly)]
	for _, d := range w.devices {
		if w.chance(0.15) { // the network hiccups
			w.in(w.upTo(24*time.Hour), func() { w.blip(d, w.between(20*time.Second, 80*time.Second)) })
		}
		switch {
		case d.habit == always:
		case works && (d.site == factory || w.chance(0.92)):
			w.liveAWorkday(d, clock)
		case !works && d.site != factory && d.habit >= laptop && w.chance(0.03):
			w.stint(d, clock(9).Add(w.upTo(8*time.Hour)), w.between(time.Hour, 3*time.Hour))
		}
	}
	calls := float64(40 + w.day.Size/2)
	if !works {
		calls /= 20
	}
	for range int(calls) {
		w.at(clock(7).Add(30*time.Minute+w.upTo(10*time.Hour)), w.call)
	}
	for range int(calls / 25) {
		w.in(w.upTo(24*time.Hour), w.call)
	}
	if !works || !w.replaces {
		return
	}
	for range w.often(float64(w.day.Size) / 1250) {
		w.at(clock(8).Add(w.upTo(8*time.Hour)), w.replace)
	}
}

// often returns a random whole number whose mean is n.
func (w *world) often(n float64) int {
	whole := int(n)
	if w.chance(n - float64(whole)) {
		whole++
	}
	return whole
}

// liveAWorkday schedules the coming and going of a device's user.
func (w *world) liveAWorkday(d *device, clock func(int) time.Time) {
	comes, goes := clock(7).Add(w.upTo(2*time.Hour)), clock(16).Add(w.upTo(2*time.Hour))
	if comes.Before(w.now) { // the day begins later
		comes = w.now
	}
	w.at(comes, func() { w.turnOn(d) })
	w.at(goes, func() {
		if d.stays {
			d.stays = false
			w.in(4*time.Hour, func() { w.turnOff(d) })
			return
		}
		w.turnOff(d)
	})
	if d.habit < laptop {
		return
	}
	if w.chance(0.3) { // lunch
		w.nap(d, clock(11).Add(w.between(40*time.Minute, 100*time.Minute)), w.between(30*time.Minute, time.Hour))
	}
	for range w.rng.IntN(3) {
		w.nap(d, clock(9).Add(w.upTo(6*time.Hour)), w.between(5*time.Minute, 40*time.Minute))
	}
}

// nap makes a device sleep that is on.
func (w *world) nap(d *device, from time.Time, length time.Duration) {
	w.at(from, func() {
		if d.on && !d.stays {
			w.turnOff(d)
			w.in(length, func() { w.turnOn(d) })
		}
	})
}

// stint makes a device that is off be on for some time.
func (w *world) stint(d *device, from time.Time, length time.Duration) {
	w.at(from, func() { w.turnOn(d) })
	w.at(from.Add(length), func() { w.turnOff(d) })
}

// replace takes a device away, and activates it for somebody else two days later.
func (w *world) replace() {
	some := w.connected(1)
	if len(some) == 0 {
		return
	}
	d := some[0]
	w.deactivate(d)
	w.in(48*time.Hour, func() {
		if w.chance(0.1) {
			w.failActivation(d.guid, "")
		}
		w.in(3*time.Minute, func() { w.activate(d) })
	})
}

// deactivate deactivates a device, of which Node's MPS publishes nothing.
func (w *world) deactivate(d *device) {
	s := d.server
	if s != nil && w.day.Publisher == Middleware {
		w.publish(s, w.words("DELETE", "/api/v1/amt/deactivate/:guid").Request.event(event.Request, d.guid))
		w.publish(s, event.Deactivated(d.guid))
	}
	w.in(10*time.Second, func() {
		w.disconnect(d)
		d.gone = true
	})
}

// activate activates a device, which then connects.
func (w *world) activate(d *device) {
	d.gone = false
	if s := w.anyServer(); s != nil {
		w.publishTo("rps/events", s, event.Activated(d.guid, "admin control mode"))
	}
	w.in(40*time.Second, func() { w.turnOn(d) })
}

// failActivation publishes that a device could not be activated. RPS never gives the reason.
func (w *world) failActivation(guid, reason string) {
	if w.day.Publisher == Node {
		reason = ""
	}
	if s := w.anyServer(); s != nil {
		w.publishTo("rps/events", s, event.ActivationFailed(guid, reason))
	}
}
