package days

import (
	"time"

	"github.com/mps-events/mps-events/event"
)

// quietKinds are days without an outage.
var quietKinds = []Kind{
	{Name: "ordinary-month", About: "People come between 7 and 9 and go between 16 and 18; laptops sleep; a few calls fail; now and then a device is deactivated, and one activated; the servers are updated once; PCs restart on Patch Tuesday. No page.", plan: func(w *world) {
		w.day.Start, w.day.End, w.replaces = march(1, 0, 0), march(31, 23, 59), true
		w.at(march(10, 12, 0), func() { // Patch Tuesday
			for _, d := range w.connected(w.day.Size) {
				w.in(w.upTo(time.Hour), func() { w.blip(d, w.between(time.Minute, 3*time.Minute)) })
			}
		})
		w.restart(march(19, 22, 0), w.servers[0], time.Minute, 2*time.Minute)
		w.restart(march(19, 22, 15), w.servers[1], time.Minute, 2*time.Minute)
	}},
	{Name: "holiday", About: "Nobody works on a Wednesday. No page.", plan: func(w *world) {
		w.holiday["2026-03-04"] = true
	}},
	{Name: "summer-time", About: "The clocks change to summer time in the night to Sunday. No page.", plan: func(w *world) {
		w.day.Start, w.day.End = march(27, 0, 0), march(30, 14, 0)
	}},
	{Name: "new-installation", About: "All devices connect for the first time in one afternoon, and people go home as usual. No page.", plan: func(w *world) {
		w.day.Start, w.day.End = march(4, 12, 0), march(5, 14, 0)
		w.at(w.day.Start, func() {
			for _, d := range w.devices {
				d.gone = true
			}
		})
		w.at(march(4, 12, 30), func() {
			for _, d := range w.devices {
				w.in(w.upTo(150*time.Minute), func() { w.activate(d) })
				if d.habit != always {
					w.at(march(4, 16, 0).Add(w.upTo(2*time.Hour)), func() { w.turnOff(d) })
				}
			}
		})
	}},
	{Name: "upgrade-of-only-server", About: "The only server publishes that each device is disconnected, restarts within 3 minutes, and has its devices back within 7. No page.", plan: func(w *world) {
		w.servers = w.servers[:1]
		w.restart(march(4, 10, 0), w.servers[0], 3*time.Minute, 4*time.Minute)
	}},
	{Name: "restarts-in-turn", About: "Two servers are restarted in working hours, one after the other; their devices use the other one meanwhile. No page.", plan: func(w *world) {
		w.restart(march(4, 12, 30), w.servers[0], 2*time.Minute, time.Minute)
		w.restart(march(4, 12, 45), w.servers[1], 2*time.Minute, time.Minute)
	}},
	{Name: "server-retired", only: Middleware, About: "One of two servers is stopped for good; its devices use the other one. No page, or a LOW one that ends within a day.", plan: func(w *world) {
		at := march(4, 10, 0)
		w.at(at, func() { w.stop(w.servers[1], time.Minute) })
		w.want(Page{Part: "mps-2", Priority: "LOW", From: at, By: at.Add(time.Hour), EndBy: at.Add(25 * time.Hour), Optional: true})
	}},
	{Name: "wifi-flaps", About: "The wireless network of the factory drops devices for less than a minute, again and again for an hour. No page.", plan: func(w *world) {
		w.every(march(4, 10, 0), march(4, 11, 0), 3*time.Minute, func() {
			for _, d := range w.chosen(ofFactory) {
				w.in(w.upTo(3*time.Minute), func() { w.blip(d, w.between(15*time.Second, 55*time.Second)) })
			}
		})
	}},
	{Name: "router-restart", About: "The router of the factory restarts; its devices are back after 100 seconds. No page.", plan: func(w *world) {
		w.at(march(4, 10, 0), func() {
			some := w.chosen(ofFactory)
			w.cut(some, 10*time.Second)
			w.in(80*time.Second, func() { w.mend(some, 20*time.Second) })
		})
	}},
	{Name: "flapping-device", About: "One device loses its connection every two minutes, all day. No page.", plan: func(w *world) {
		d := w.devices[0]
		w.every(march(4, 8, 0), march(4, 18, 0), 2*time.Minute, func() { w.blip(d, 40*time.Second) })
	}},
	{Name: "hung-device", About: "A technician reloads the page of one hung device again and again: all of its calls fail. No page. MPS of Node does not tell of which device an exception is, so its calls may look like an outage.", plan: func(w *world) {
		d := w.devices[0]
		if w.day.Publisher == Node {
			w.want(Page{Part: "failing/", Priority: high, From: march(4, 10, 0), By: march(4, 10, 30), EndBy: march(4, 14, 0), Optional: true})
		}
		w.fault = func(of *device, _ *server) *failure {
			if of == d && w.now.After(march(4, 10, 0)) && w.now.Before(march(4, 10, 30)) {
				return broken
			}
			return nil
		}
		w.every(march(4, 10, 0), march(4, 10, 30), 30*time.Second, func() {
			for _, a := range actions[:7] {
				w.make(a, d)
			}
		})
	}},
	{Name: "mass-power-off", About: "A third of the connected PCs is switched off by power actions within ten minutes; AMT stays connected. No page.", plan: func(w *world) {
		w.at(march(4, 12, 0), func() {
			for _, d := range w.connected(w.day.Size / 3) {
				w.in(w.upTo(10*time.Minute), func() { w.make(actions[2], d) })
			}
		})
	}},
	{Name: "absent-devices", About: "A script asks all devices for their power state in the night, when most are off. No page.", plan: func(w *world) {
		for i, d := range w.devices {
			w.at(march(4, 2, 0).Add(time.Duration(i)*time.Hour/time.Duration(w.day.Size)), func() { w.make(actions[0], d) })
		}
	}},
	{Name: "twice-in-vain", About: "One device is activated twice in vain. No page.", plan: func(w *world) {
		w.at(march(4, 10, 0), func() { w.failActivation("new-device", "wrong password") })
		w.at(march(4, 10, 2), func() { w.failActivation("new-device", "wrong password") })
	}},
	{Name: "backlog", About: "The consumer is away for half an hour in working hours, and then gets all messages at once. No page, except that of the consumer itself.", plan: func(w *world) {
		at := march(4, 10, 0)
		w.at(at, func() { w.silence(30 * time.Minute) })
		w.gap(at, 30*time.Minute)
		w.want(Page{Part: consumerKey, From: at, By: at.Add(30 * time.Minute), Optional: true})
	}},
	{Name: "broker-stopped", About: "The broker is stopped in order for 3 minutes, and publishes the Last Will of each server before. At most the page of the consumer itself.", plan: func(w *world) {
		at := march(4, 11, 0)
		w.at(at, func() {
			for _, s := range w.servers {
				w.status(s.name, "offline", false)
			}
			w.brokerGone = true
		})
		w.at(at.Add(3*time.Minute), func() {
			waiting := w.unreachable
			w.brokerGone, w.unreachable = false, nil
			for _, s := range w.servers {
				w.status(s.name, "online", false)
			}
			w.unreachable = waiting
			w.flush()
		})
		w.gap(at, 3*time.Minute)
		w.want(Page{Part: consumerKey, From: at, By: at.Add(10 * time.Minute), EndBy: at.Add(15 * time.Minute), Optional: true})
	}},
	{Name: "first-days", About: "The consumer is installed at noon, beside servers that have run for long: the first events of most devices are that they are disconnected. No page.", plan: func(w *world) {
		w.day.Start, w.day.End = march(4, 12, 0), march(5, 14, 0)
		w.at(w.day.Start.Add(-time.Second), func() {
			for _, d := range w.devices {
				d.on, d.server = true, w.anyServer()
				if d.habit != always {
					w.at(march(4, 16, 0).Add(w.upTo(2*time.Hour)), func() { w.turnOff(d) })
				}
			}
		})
	}},
}

// consumerKey is the part that the key of the consumer's own alerts has.
const consumerKey = "mps-ilert/"

// restart restarts a server in order.
func (w *world) restart(at time.Time, s *server, away, back time.Duration) {
	w.at(at, func() {
		w.stop(s, back)
		w.in(away, func() { w.start(s, back) })
	})
}

// activateSteadily activates new devices from one time to another; fails reports the reason why the device with
// that number cannot be activated, or "".
func (w *world) activateSteadily(from, until time.Time, interval time.Duration, fails func(n int) string) {
	n := 0
	w.every(from, until, interval, func() {
		n++
		guid := w.devices[n%len(w.devices)].guid + "-new"
		if reason := fails(n); reason != "" {
			w.failActivation(guid, reason)
		} else if s := w.anyServer(); s != nil {
			w.publishTo("rps/events", s, event.Activated(guid, "client control mode"))
		}
	})
}
