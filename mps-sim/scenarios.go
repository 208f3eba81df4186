package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/mps-sim/internal/fleet"
	"github.com/mps-events/mps-events/mps-sim/internal/ilertsim"
)

// scenarios returns every "What if ..." in the order of the page.
func scenarios(o *options) []scenario {
	first := fleet.New(fleet.Config{Devices: o.devices, Sites: o.sites, Seed: o.seed})
	largest := 0
	for _, d := range first.List() {
		if d.Server == 0 {
			largest++
		}
	}
	return []scenario{
		{"laptop", "A laptop goes offline", "One tile goes hollow.", 7, 0, laptopGoesOffline},
		{"site", fmt.Sprintf("A site of %s drops out", thousands(largest)), "One alert, not one for each.", 10, 0, siteDropsOut},
		{"server", "A server dies", "Its Last Will speaks.", 9, ownBroker, serverDies},
		{"calls", "Half of all calls fail", "The rules count, then speak.", 13, 0, halfOfCallsFail},
		{"broker", "The broker stops", "Events wait at its door.", 8, ownBroker, brokerStops},
		{"ilert", "ilert is down", "The alert waits, and is sent.", 17, ownIlert, ilertIsDown},
		{"maintenance", "ilert in maintenance", "Sent again when it is over.", 15, ownIlert, ilertInMaintenance},
		{"reconnect", "10,000 PCs reconnect", "A flood, and silence.", 7, 0, manyReconnect},
		{"rollout", "A rollout", "30 activations, two fail.", 15, 0, rollout},
		{"deactivate", "A PC is deactivated", "Low priority, sent once.", 8, 0, deviceIsDeactivated},
	}
}

// thousands returns n with commas.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// chosen returns the connected and healthy devices that fulfil a condition, n at most.
func (p *performance) chosen(n int, which func(fleet.Device) bool) []fleet.Device {
	var all []fleet.Device
	for _, d := range p.sim.fleet.List() {
		if len(all) < n && d.Connected && !d.Trouble && which(d) {
			all = append(all, d)
		}
	}
	return all
}

func anyDevice(fleet.Device) bool { return true }

// lose disconnects devices until the repair.
func (p *performance) lose(devices []fleet.Device) {
	for _, d := range devices {
		p.sim.connect(d.GUID, false)
		p.finally(func() { p.sim.connect(d.GUID, true) })
	}
}

// look calls the REST API for devices, so many times a second, for d.
func (p *performance) look(devices []fleet.Device, perSecond int, d time.Duration) {
	for i := range int(d.Seconds() * float64(perSecond)) {
		if !p.wait(time.Second/time.Duration(perSecond)) || len(devices) == 0 {
			return
		}
		p.lookAt(devices[i%len(devices)])
	}
}

func (p *performance) lookAt(d fleet.Device) {
	p.sim.traffic.call(p, fleet.Call{Method: "GET", Path: "/api/v1/amt/power/state/" + d.GUID, GUID: d.GUID})
}

func laptopGoesOffline(p *performance) {
	devices := p.chosen(1, func(d fleet.Device) bool { return d.Role == fleet.Office && d.GUID != p.sim.critical })
	if len(devices) == 0 {
		devices = p.chosen(1, anyDevice)
	}
	p.lose(devices)
	p.look(devices, 1, 6*time.Second)
}

func siteDropsOut(p *performance) {
	p.lose(p.chosen(p.before.Devices, func(d fleet.Device) bool { return d.Server == 0 }))
	p.awaitPage()
	p.wait(4 * time.Second)
}

// serverDies takes the power from the server of the second site. Its devices lose their
// connection, which nobody is there to say; when it is back they connect again.
func serverDies(p *performance) {
	site := min(1, len(p.sim.servers)-1)
	v := p.sim.servers[site]
	lost := p.chosen(p.before.Devices, func(d fleet.Device) bool { return d.Server == site })
	v.dead.Store(true)
	p.sim.broker.Kill(v.name)
	p.sim.counts.bridge.Add(1) // its Last Will
	for _, d := range lost {
		p.sim.fleet.Change(d.GUID, func(d *fleet.Device) { d.Connected = false })
	}
	p.finally(func() {
		p.sim.broker.Revive(v.name)
		v.dead.Store(false)
		for _, d := range lost {
			p.sim.connect(d.GUID, true)
		}
	})
	p.awaitPage()
	p.wait(4 * time.Second)
}

// failHalf lets the AMT of every second device answer with errors until the repair, and calls
// them all, as a tool does that reads the state of a fleet.
func (p *performance) failHalf() (all []fleet.Device) {
	all = p.chosen(40, func(d fleet.Device) bool { return !d.Role.IsSwitched() })
	if len(all) < 10 { // of a very small fleet
		all = p.chosen(40, anyDevice)
	}
	for i, d := range all {
		if i%2 == 0 {
			p.sim.fleet.Change(d.GUID, func(d *fleet.Device) { d.Trouble = true })
			p.finally(func() { p.sim.fleet.Change(d.GUID, func(d *fleet.Device) { d.Trouble = false }) })
		}
	}
	return all
}

func halfOfCallsFail(p *performance) {
	all := p.failHalf()
	p.look(all, 20, 6*time.Second)
	p.repair()
	p.look(all, 20, 4*time.Second)
}

func brokerStops(p *performance) {
	p.sim.broker.Pause()
	p.finally(p.sim.broker.Resume)
	p.wait(6 * time.Second)
}

func ilertIsDown(p *performance) {
	p.sim.ilert.SetMode(ilertsim.Down)
	back := func() { p.sim.ilert.SetMode(ilertsim.Working) }
	p.finally(back)
	kiosks := p.chosen(1, func(d fleet.Device) bool { return d.GUID == p.sim.critical })
	p.lose(kiosks)
	p.wait(7 * time.Second)
	back()
	if len(kiosks) > 0 {
		p.awaitPage()
		p.wait(3 * time.Second)
	}
}

func ilertInMaintenance(p *performance) {
	p.sim.ilert.SetMode(ilertsim.Maintenance)
	back := func() { p.sim.ilert.SetMode(ilertsim.Working) }
	p.finally(back)
	all := p.failHalf()
	p.look(all, 20, 5*time.Second)
	back()
	for n := 0; n < 12 && p.Err() == nil && p.sim.count(p).Pages == p.before.Pages; n++ {
		p.look(all, 20, time.Second/2)
	}
	p.repair()
	p.look(all, 20, 4*time.Second)
}

// manyReconnect lets ten thousand devices of elsewhere lose their connection and open it again.
func manyReconnect(p *performance) {
	const devices, atOnce = 10_000, 50
	r := rand.New(rand.NewPCG(p.sim.options.seed, 2))
	for i := range devices {
		guid, v := fleet.NewGUID(r), p.sim.servers[i%len(p.sim.servers)]
		_ = v.Publish(event.Disconnected(guid, "connection reset"))
		_ = v.Publish(event.Connected(guid))
		if i%atOnce == atOnce-1 && !p.wait(20*time.Millisecond) {
			return
		}
	}
}

func rollout(p *performance) {
	r := rand.New(rand.NewPCG(p.sim.options.seed, 3))
	for i := range 30 {
		guid := fleet.NewGUID(r)
		if i%15 == 7 {
			_ = p.sim.rps.Publish(event.ActivationFailed(guid, "wrong password"))
		} else {
			_ = p.sim.rps.Publish(event.Activated(guid, "admin control mode"))
			_ = p.sim.servers[0].Publish(event.Connected(guid))
		}
		if !p.wait(150 * time.Millisecond) {
			return
		}
	}
}

// deviceIsDeactivated deactivates a device by MPS's API; in the end RPS activates it again.
func deviceIsDeactivated(p *performance) {
	for _, d := range p.chosen(1, func(d fleet.Device) bool { return d.GUID != p.sim.critical }) {
		p.sim.traffic.call(p, fleet.Call{Method: "DELETE", Path: "/api/v1/amt/deactivate/" + d.GUID, GUID: d.GUID})
		p.finally(func() {
			p.sim.fleet.Add(d)
			_ = p.sim.rps.Publish(event.Activated(d.GUID, "admin control mode"))
			p.sim.say(d, fleet.Connected)
		})
	}
	p.awaitPage()
	p.wait(3 * time.Second)
}

// scenarioIDs returns the names that --scenario takes.
func scenarioIDs() string {
	var ids []string
	for _, sc := range scenarios(&options{sites: []string{""}}) {
		ids = append(ids, sc.id)
	}
	return strings.Join(ids, ", ")
}
