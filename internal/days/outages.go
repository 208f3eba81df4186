package days

import (
	"fmt"
	"time"

	"github.com/mps-events/mps-events/event"
)

const high = "HIGH"

// deactivation is the part that the key of a page about deactivated devices has: a page about their lost
// connections is another one.
const deactivation = "deactivat"

// outageKinds are days on which somebody must be paged.
var outageKinds = []Kind{
	{Name: "server-dies", only: Middleware, About: "One of two servers dies; the broker publishes its Last Will; it is back after an hour. One HIGH page within 5 minutes, which ends then.", plan: func(w *world) {
		at, back := march(4, 10, 0), march(4, 11, 0)
		w.at(at, func() { w.die(w.servers[1]) })
		w.at(back, func() { w.start(w.servers[1], 4*time.Minute) })
		w.want(Page{Part: "mps-2", Priority: high, From: at, By: at.Add(5 * time.Minute), EndFrom: back, EndBy: back.Add(5 * time.Minute)})
	}},
	{Name: "server-dies-in-silence", only: Node, About: "All servers with Node's MPS die in working hours, and are back after 90 minutes. One HIGH page within 30 minutes, which ends when they are back; 20 devices are silent for longer on ordinary days.", plan: func(w *world) {
		at, back := march(4, 10, 0), march(4, 11, 30)
		w.at(at, func() { w.die(w.servers[0]); w.die(w.servers[1]) })
		w.at(back, func() { w.start(w.servers[0], 4*time.Minute); w.start(w.servers[1], 4*time.Minute) })
		w.want(Page{Priority: high, From: at, By: at.Add(30 * time.Minute), EndFrom: back, EndBy: back.Add(20 * time.Minute), Optional: w.day.Size < 100})
	}},
	{Name: "server-crashes-again-and-again", only: Middleware, About: "One of two servers crashes every 5 minutes for two hours, and is back 2 minutes after each crash. One HIGH page within half an hour.", plan: func(w *world) {
		from, until := march(4, 10, 0), march(4, 12, 0)
		s := w.servers[1]
		w.every(from, until, 5*time.Minute, func() {
			w.die(s)
			w.in(2*time.Minute, func() { w.start(s, time.Minute) })
		})
		w.want(Page{Part: "mps-2", Priority: high, From: from, By: from.Add(30 * time.Minute), EndBy: until.Add(time.Hour)})
	}},
	{Name: "site-drops", About: "The factory drops (8 of 20, 40 of 300, a third of 5,000), and is back after an hour. One HIGH page within 10 minutes, which ends within 20 minutes of the return.", plan: func(w *world) {
		w.siteDrops(march(4, 14, 0))
	}},
	{Name: "site-drops-clock-behind", About: "The same, while the clock of one server is 10 minutes behind. The same page.", plan: func(w *world) {
		w.servers[0].behind = 10 * time.Minute
		w.siteDrops(march(4, 14, 0))
	}},
	{Name: "site-back-people-gone", About: "The factory drops at half past three, and is back an hour later, when a quarter of its devices has been switched off. One HIGH page, which ends within 20 minutes of the return.", plan: func(w *world) {
		at, back := march(4, 15, 30), march(4, 16, 30)
		some := w.chosen(ofFactory)
		w.at(at, func() { w.cut(some, 90*time.Second) })
		w.at(back, func() {
			for i, d := range some {
				d.on, d.stays = i%4 > 0, true
			}
			w.mend(some, 5*time.Minute)
		})
		w.wantIfShown(Page{Priority: high, From: at, By: at.Add(10 * time.Minute), EndFrom: back, EndBy: back.Add(20 * time.Minute)})
	}},
	{Name: "drop-and-leavers", About: "40 % of the fleet drops at 15:00; others go home as usual; the dropped devices are back at 17:30. One HIGH page, which ends when the dropped devices are back, not when the leavers are.", plan: func(w *world) {
		at, back := march(4, 15, 0), march(4, 17, 30)
		var some []*device
		w.at(at, func() {
			some = w.connected(w.day.Size * 2 / 5)
			for _, d := range some {
				d.stays = true
			}
			w.cut(some, 90*time.Second)
		})
		w.at(back, func() { w.mend(some, 10*time.Minute) })
		w.wantIfShown(Page{Priority: high, From: at, By: at.Add(10 * time.Minute), EndFrom: back, EndBy: back.Add(20 * time.Minute)})
	}},
	{Name: "all-gone-evenly", About: "All devices lose their connection within an hour, evenly: a certificate has expired. It is renewed three hours later. One HIGH page within 70 minutes.", plan: func(w *world) {
		at, back := march(4, 10, 0), march(4, 13, 0)
		w.at(at, func() { w.cut(w.devices, time.Hour) })
		w.at(back, func() { w.mend(w.devices, 20*time.Minute) })
		w.wantIfShown(Page{Priority: high, From: at, By: at.Add(70 * time.Minute), EndFrom: back, EndBy: back.Add(45 * time.Minute)})
	}},
	{Name: "vpn-outage", About: "All who work at home lose the VPN for 40 minutes. One page within 10 minutes; of 20 devices these are too few for one.", plan: func(w *world) {
		at, back := march(4, 10, 0), march(4, 10, 40)
		some := w.chosen(func(d *device) bool { return d.habit == home })
		w.at(at, func() { w.cut(some, 90*time.Second) })
		w.at(back, func() { w.mend(some, 5*time.Minute) })
		w.wantIfShown(Page{From: at, By: at.Add(10 * time.Minute), EndBy: back.Add(20 * time.Minute), Optional: w.day.Size < 100})
	}},
	{Name: "power-cut-at-night", About: "The factory has no power from 2 to 3 in the night; half of its devices were connected. One HIGH page within 15 minutes; of 20 devices these are too few for one.", plan: func(w *world) {
		at, back := march(4, 2, 0), march(4, 3, 0)
		some := w.chosen(ofFactory)
		w.at(at, func() { w.cut(some, 90*time.Second) })
		w.at(back, func() { w.mend(some, 5*time.Minute) })
		w.wantIfShown(Page{Priority: high, From: at, By: at.Add(15 * time.Minute), EndBy: back.Add(20 * time.Minute), Optional: w.day.Size < 100})
	}},
	{Name: "half-of-calls-fail", About: "The database of both servers is down for 4 hours: half of all calls fail, with quiet times between; then all is well. One page for each server (Node: one) within half an hour.", plan: func(w *world) {
		from, until := march(4, 9, 0), march(4, 13, 0)
		w.halfOfCallsFail(from, until, from.Add(30*time.Minute))
		for t := from; t.Before(until.Add(2 * time.Hour)); t = t.Add(22 * time.Minute) {
			w.load(t, t.Add(10*time.Minute), 5*time.Second)
		}
	}},
	{Name: "half-of-few-calls-fail", About: "The same, where people make only 15 calls within 5 minutes to the two servers. One page for each server (Node: one) within 45 minutes.", plan: func(w *world) {
		from, until := march(4, 9, 0), march(4, 13, 0)
		w.halfOfCallsFail(from, until, from.Add(45*time.Minute))
		w.load(from, until.Add(2*time.Hour), 20*time.Second)
	}},
	{Name: "failures-rise", About: "The share of calls that fail rises from 1 to 30 % within 6 hours, and is mended half an hour later. One page.", plan: func(w *world) {
		from, until := march(4, 9, 0), march(4, 15, 30)
		w.fault = func(*device, *server) *failure {
			hours := w.now.Sub(from).Hours()
			if hours > 0 && w.now.Before(until) && w.chance(min(0.01+0.29*hours/6, 0.3)) {
				return broken
			}
			return nil
		}
		w.load(march(3, 8, 0), march(3, 18, 0), 12*time.Second)
		w.load(march(4, 8, 0), march(4, 18, 0), 12*time.Second)
		w.want(Page{From: from, By: until, EndBy: until.Add(time.Hour)})
	}},
	{Name: "slow-site", About: "All AMT calls to the factory time out for two hours, others work. At most one page.", plan: func(w *world) {
		from, until := march(4, 10, 0), march(4, 12, 0)
		w.fault = func(d *device, _ *server) *failure {
			if d.site == factory && w.now.After(from) && w.now.Before(until) {
				return timedOut
			}
			return nil
		}
		w.load(march(4, 8, 0), march(4, 18, 0), 15*time.Second)
		w.want(Page{From: from, By: until, EndBy: until.Add(time.Hour), Optional: true})
	}},
	{Name: "health-fails", About: "The health check of a server fails each minute for half an hour. One HIGH page within 10 minutes, which ends.", plan: func(w *world) {
		from, until := march(4, 10, 0), march(4, 10, 30)
		w.every(from, until, time.Minute, func() { w.failHealth(w.servers[0]) })
		w.want(Page{Priority: high, From: from, By: from.Add(10 * time.Minute), EndFrom: until.Add(-2 * time.Minute), EndBy: until.Add(30 * time.Minute)})
	}},
	{Name: "rps-unhealthy", only: Node, About: "The health check of RPS fails each minute for half an hour. One HIGH page within 10 minutes, which ends.", plan: func(w *world) {
		from, until := march(4, 10, 0), march(4, 10, 30)
		w.every(from, until, time.Minute, func() {
			w.publishTo("rps/events", w.servers[0], event.Event{Type: event.Fail, Message: "Failed to get health", Methods: []string{"getHealthCheck"}})
		})
		w.want(Page{Priority: high, From: from, By: from.Add(10 * time.Minute), EndFrom: until.Add(-2 * time.Minute), EndBy: until.Add(30 * time.Minute)})
	}},
	{Name: "one-profile-fails", About: "All activations with one of three profiles fail all day; the others work. One page within two hours.", plan: func(w *world) {
		w.activationsFail(func(n int) string {
			if n%3 == 0 {
				return ""
			}
			return "profile factory: wrong password"
		})
	}},
	{Name: "each-activation-fails", About: "All activations fail all day, each for a reason in words of its own. One page within two hours.", plan: func(w *world) {
		w.activationsFail(func(n int) string { return fmt.Sprintf("no answer from 10.0.%d.%d after %d ms", n/200, n%200, 30000+n) })
	}},
	{Name: "brute-force", only: Middleware, About: "Somebody tries passwords for ten minutes, every two seconds. One page within 15 minutes.", plan: func(w *world) {
		from := march(4, 3, 0)
		w.every(from, from.Add(10*time.Minute), 2*time.Second, func() { w.signInInVain(w.servers[0]) })
		w.want(Page{From: from, By: from.Add(15 * time.Minute), EndBy: from.Add(25 * time.Hour)})
	}},
	{Name: "200-deactivated", only: Middleware, About: "200 devices (15 of 20) are deactivated within 10 minutes. One HIGH page within 20 minutes, which ends within a day.", plan: func(w *world) {
		w.manyDeactivated(march(4, 11, 0))
	}},
	{Name: "200-deactivated-after-one", only: Middleware, About: "The same, after one device was deactivated in order that morning. One HIGH page, and at most a LOW one for the device.", plan: func(w *world) {
		at := march(4, 9, 0)
		w.at(at, func() { w.deactivate(w.connected(1)[0]) })
		w.want(Page{Part: deactivation, Priority: "LOW", From: at, By: at.Add(time.Hour), EndBy: at.Add(26 * time.Hour), Optional: true})
		w.manyDeactivated(march(4, 11, 0))
	}},
	{Name: "deactivated-then-disconnected", only: Middleware, About: "12 devices are deactivated within 4 minutes, and each is disconnected then; later people go home. One page, about the deactivations.", plan: func(w *world) {
		at := march(4, 15, 0)
		w.at(at, func() {
			for i, d := range w.connected(12) {
				w.in(time.Duration(i)*20*time.Second, func() { w.deactivate(d) })
			}
		})
		w.want(Page{Part: deactivation, From: at, By: at.Add(30 * time.Minute), EndBy: march(5, 17, 0)})
		w.day.End = march(5, 18, 0)
	}},
	{Name: "critical-device-12-of-15", About: "A critical device is disconnected for 12 of 15 minutes, for 4 hours. One HIGH page within half an hour.", plan: func(w *world) {
		w.criticalDevice(12*time.Minute, 15*time.Minute, 30*time.Minute)
	}},
	{Name: "critical-device-4-of-7", About: "A critical device is disconnected for 4 of 7 minutes, for 4 hours. One HIGH page within an hour.", plan: func(w *world) {
		w.criticalDevice(4*time.Minute, 7*time.Minute, time.Hour)
	}},
}

// siteDrops makes the factory drop for an hour.
func (w *world) siteDrops(at time.Time) {
	back := at.Add(time.Hour)
	some := w.chosen(ofFactory)
	w.at(at, func() { w.cut(some, 90*time.Second) })
	w.at(back, func() { w.mend(some, 5*time.Minute) })
	w.wantIfShown(Page{Priority: high, From: at, By: at.Add(10 * time.Minute), EndFrom: back, EndBy: back.Add(20 * time.Minute)})
}

// halfOfCallsFail makes half of all calls fail because of the server. The pages are to come by a time.
func (w *world) halfOfCallsFail(from, until, by time.Time) {
	w.fault = func(*device, *server) *failure {
		if w.now.After(from) && w.now.Before(until) && w.chance(0.5) {
			return broken
		}
		return nil
	}
	page := Page{From: from, By: by, EndFrom: until.Add(-30 * time.Minute), EndBy: until.Add(time.Hour)}
	if w.day.Publisher == Node {
		w.want(page)
		return
	}
	for _, s := range w.servers {
		page.Part = s.name
		w.want(page)
	}
}

// activationsFail makes activations fail all day. Their page ends within a day after the last one.
func (w *world) activationsFail(fails func(n int) string) {
	from, until := march(4, 9, 0), march(4, 17, 0)
	w.activateSteadily(march(3, 9, 0), march(3, 17, 0), 6*time.Minute, func(int) string { return "" })
	w.activateSteadily(from, until, 100*time.Second, fails)
	w.day.End = march(5, 18, 0)
	w.want(Page{From: from, By: from.Add(2 * time.Hour), EndFrom: until.Add(-time.Hour), EndBy: march(5, 17, 30)})
}

// manyDeactivated deactivates 200 devices within 10 minutes.
func (w *world) manyDeactivated(at time.Time) {
	n := 200
	if w.day.Size < 250 {
		n = w.day.Size * 3 / 4
	}
	w.at(at, func() {
		for _, d := range w.connected(n) {
			w.in(w.upTo(10*time.Minute), func() { w.deactivate(d) })
		}
	})
	w.want(Page{Part: deactivation, Priority: high, From: at, By: at.Add(20 * time.Minute), EndBy: at.Add(26 * time.Hour)})
}

// criticalDevice makes a critical device lose its connection again and again.
func (w *world) criticalDevice(down, interval, within time.Duration) {
	d := w.devices[0] // it is one of those that are always connected
	w.day.Options = map[string]string{"critical": d.guid}
	from, until := march(4, 9, 0), march(4, 13, 0)
	w.every(from, until, interval, func() { w.blip(d, down) })
	w.wantIfShown(Page{Part: d.guid, Priority: high, From: from, By: from.Add(within), EndFrom: until.Add(-2 * interval), EndBy: until.Add(time.Hour)})
}
