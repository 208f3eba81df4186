package days

import (
	"fmt"
	"time"

	"github.com/mps-events/mps-events/event"
)

// habit is the way in which a device is used.
type habit int

const (
	always  habit = iota // a PC that is always connected
	desktop              // a PC that is switched off in the evening
	laptop               // a laptop of the office, which sleeps now and then
	home                 // a laptop of somebody who works at home
)

// device is a PC with AMT.
type device struct {
	guid   string
	habit  habit
	site   int     // 0, 1 or 2; the last one is a factory, without laptops and holidays
	on     bool    // the device tries to be connected
	cut    bool    // its network is broken
	gone   bool    // the device is not activated
	stays  bool    // its user goes home late today
	server *server // nil: not connected
}

// factory is the site whose devices are all connected in working hours.
const factory = 2

// factorySize returns the number of devices of the factory.
func factorySize(size int) int {
	switch {
	case size < 100:
		return size * 2 / 5
	case size < 1000:
		return size * 2 / 15
	default:
		return size / 3
	}
}

// newDevices returns the devices of an installation; those of the factory are the last.
func newDevices(size int) []*device {
	habits := [...]habit{always, desktop, laptop, home, laptop, always, desktop, home, laptop, always}
	all := make([]*device, size)
	offices := size - factorySize(size)
	for i := range all {
		d := &device{guid: fmt.Sprintf("4c4c4544-00%02x-4210-8033-%012x", i%251, 0xb6c04f500000+i), habit: habits[i%len(habits)]}
		switch {
		case i >= offices:
			d.site, d.habit = factory, habit(i%2) // always or desktop
		case i >= offices*3/5:
			d.site = 1
		}
		all[i] = d
	}
	return all
}

// chosen returns the devices for which a condition holds.
func (w *world) chosen(holds func(*device) bool) (some []*device) {
	for _, d := range w.devices {
		if holds(d) {
			some = append(some, d)
		}
	}
	return some
}

// connected returns up to n devices that are connected, in a random order.
func (w *world) connected(n int) []*device {
	some := w.chosen(func(d *device) bool { return d.server != nil })
	w.rng.Shuffle(len(some), func(a, b int) { some[a], some[b] = some[b], some[a] })
	return some[:min(n, len(some))]
}

// ofFactory reports whether a device is one of the factory.
func ofFactory(d *device) bool { return d.site == factory }

// turnOn makes a device connect, now and whenever it can.
func (w *world) turnOn(d *device) {
	d.on = true
	w.connect(d)
}

// turnOff disconnects a device until it is turned on.
func (w *world) turnOff(d *device) {
	d.on = false
	w.disconnect(d)
}

// connect connects a device to a server, if both are there.
func (w *world) connect(d *device) {
	if !d.on || d.cut || d.gone || d.server != nil {
		return
	}
	if s := w.anyServer(); s != nil {
		d.server = s
		w.publish(s, event.Connected(d.guid))
	}
}

// disconnect ends the connection of a device. Node's MPS publishes nothing about it.
func (w *world) disconnect(d *device) {
	s := d.server
	d.server = nil
	if s != nil && w.day.Publisher == Middleware {
		w.publish(s, event.Disconnected(d.guid, ""))
	}
}

// blip disconnects a device for a while.
func (w *world) blip(d *device, away time.Duration) {
	if d.server != nil {
		w.disconnect(d)
		w.in(away, func() { w.connect(d) })
	}
}

// cut breaks the network of devices: their connections end one after the other.
func (w *world) cut(some []*device, over time.Duration) {
	for _, d := range some {
		d.cut = true
		w.in(w.upTo(over), func() {
			if d.cut {
				w.disconnect(d)
			}
		})
	}
}

// mend repairs the network of devices: those that are on connect one after the other.
func (w *world) mend(some []*device, over time.Duration) {
	for _, d := range some {
		d.cut = false
		w.in(w.upTo(over), func() { w.connect(d) })
	}
}

// anyServer returns a random server that is up, or nil.
func (w *world) anyServer() *server {
	first := w.rng.IntN(len(w.servers))
	for i := range w.servers {
		if s := w.servers[(first+i)%len(w.servers)]; s.up {
			return s
		}
	}
	return nil
}

// lastWillDelay is the time after which the broker publishes the Last Will of a server that died: the time that
// the broker needs to notice it, and the delay of the will.
const lastWillDelay = 75 * time.Second

// die ends a server without a word.
func (w *world) die(s *server) {
	s.up = false
	w.leaveServer(s, 5*time.Minute)
	w.in(lastWillDelay, func() {
		if !s.up {
			w.status(s.name, "offline", false)
		}
	})
}

// stop ends a server in order: it publishes that its devices are disconnected, and then that it stops.
func (w *world) stop(s *server, back time.Duration) {
	if w.day.Publisher == Middleware {
		for _, d := range w.devices {
			if d.server == s {
				w.publish(s, event.Disconnected(d.guid, "server is shutting down"))
			}
		}
	}
	w.status(s.name, "offline", true)
	s.up = false
	w.leaveServer(s, back)
}

// leaveServer makes the devices of a server connect to another one.
func (w *world) leaveServer(s *server, over time.Duration) {
	for _, d := range w.devices {
		if d.server == s {
			d.server = nil
			w.in(w.upTo(over), func() { w.connect(d) })
		}
	}
}

// start starts a server again: the devices that have no server connect.
func (w *world) start(s *server, over time.Duration) {
	s.up = true
	w.status(s.name, "online", false)
	for _, d := range w.devices {
		if d.server == nil && d.on {
			w.in(w.upTo(over), func() { w.connect(d) })
		}
	}
}
