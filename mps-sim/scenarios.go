package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/mps-sim/internal/fleet"
)

// scenarios returns all scenarios, the cards "What if ..." of the page, in their order.
func scenarios(o *options) []scenario {
	first := fleet.New(fleet.Config{Devices: o.devices, Sites: o.sites, Seed: o.seed})
	largest := 0
	for _, d := range first.List() {
		if d.Server == 0 {
			largest++
		}
	}
	all := []scenario{
		{"laptop", "A laptop goes offline", "One tile goes hollow.", 7, 0, laptopGoesOffline},
		{"site", fmt.Sprintf("A site of %s drops out", thousands(largest)), "One alert, not one for each.", 10, 0, siteDropsOut},
		{"server", "A server dies", "The broker reports it.", 9, ownBroker, serverDies},
		{"calls", "Half of all calls fail", "The rules count, then page.", 13, 0, halfOfCallsFail},
		{"broker", "The broker stops for 6 s", "Events wait until it is back.", 8, ownBroker, brokerStops(6 * time.Second)},
		{"ilert", "ilert is down", "The alert waits, and is sent.", 17, ownIlert, ilertIsDown},
		{"maintenance", "ilert in maintenance", "Sent again when it is over.", 15, ownIlert, ilertInMaintenance},
		{"reconnect", "10,000 PCs reconnect", "20,000 events, no alert.", 7, 0, manyReconnect},
		{"rollout", "A rollout", "30 activations, two fail.", 15, 0, rollout},
		{"deactivate", "A PC is deactivated", "Low priority, sent once.", 8, 0, deviceIsDeactivated},
	}
	if o.scenario == brokerMinute {
		all = append(all, scenario{brokerMinute, "The broker stops for a minute", "Events wait until it is back.", 62, ownBroker, brokerStops(time.Minute)})
	}
	return all
}

// brokerMinute is the id of a scenario that lasts longer than a visitor of the page waits. Only the
// flag --scenario offers it.
const brokerMinute = "broker-minute"

// thousands formats n with commas, such as 10,000.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// healthyDevices returns at most n devices that are connected, not in trouble, and accepted by which.
func (p *scenarioRun) healthyDevices(n int, which func(fleet.Device) bool) []fleet.Device {
	var all []fleet.Device
	for _, d := range p.sim.fleet.List() {
		if len(all) < n && d.Connected && !d.Trouble && which(d) {
			all = append(all, d)
		}
	}
	return all
}

func anyDevice(fleet.Device) bool { return true }

// disconnect disconnects devices until the repair.
func (p *scenarioRun) disconnect(devices []fleet.Device) {
	for _, d := range devices {
		p.sim.connect(d.GUID, false)
		p.onRepair(func() { p.sim.connect(d.GUID, true) })
	}
}

// readStates reads the power states of devices by the REST API, in turn, perSecond times a second,
// for the time d.
func (p *scenarioRun) readStates(devices []fleet.Device, perSecond int, d time.Duration) {
	for i := range int(d.Seconds() * float64(perSecond)) {
		if !p.wait(time.Second/time.Duration(perSecond)) || len(devices) == 0 {
			return
		}
		p.readState(devices[i%len(devices)])
	}
}

// readState reads the power state of a device by the REST API.
func (p *scenarioRun) readState(d fleet.Device) {
	p.sim.traffic.call(p, fleet.Call{Method: "GET", Path: "/api/v1/amt/power/state/" + d.GUID, GUID: d.GUID})
}

func laptopGoesOffline(p *scenarioRun) {
	devices := p.healthyDevices(1, func(d fleet.Device) bool { return d.Role == fleet.Office && d.GUID != p.sim.critical })
	if len(devices) == 0 {
		devices = p.healthyDevices(1, anyDevice)
	}
	p.disconnect(devices)
	p.readStates(devices, 1, 6*time.Second)
}

func siteDropsOut(p *scenarioRun) {
	p.disconnect(p.healthyDevices(p.before.Devices, func(d fleet.Device) bool { return d.Server == 0 }))
	p.awaitPage()
	p.wait(4 * time.Second)
}

// serverDies stops the server of the second site as a power cut would. Its devices lose their
// connections, but no server publishes that; they connect again when the server is back.
func serverDies(p *scenarioRun) {
	site := min(1, len(p.sim.servers)-1)
	v := p.sim.servers[site]
	lost := p.healthyDevices(p.before.Devices, func(d fleet.Device) bool { return d.Server == site })
	v.dead.Store(true)
	p.sim.broker.Kill(v.name)
	p.sim.counts.bridge.Add(1) // its Last Will
	for _, d := range lost {
		p.sim.fleet.Change(d.GUID, func(d *fleet.Device) { d.Connected = false })
	}
	p.onRepair(func() {
		p.sim.broker.Revive(v.name)
		v.dead.Store(false)
		for _, d := range lost {
			p.sim.connect(d.GUID, true)
		}
	})
	p.awaitPage()
	p.wait(4 * time.Second)
}

// failHalf lets the AMT of every second one of up to 40 devices answer with errors until the repair,
// and returns all of them.
func (p *scenarioRun) failHalf() (all []fleet.Device) {
	all = p.healthyDevices(40, func(d fleet.Device) bool { return !d.Role.IsSwitched() })
	if len(all) < 10 { // a very small fleet
		all = p.healthyDevices(40, anyDevice)
	}
	for i, d := range all {
		if i%2 == 0 {
			p.sim.fleet.Change(d.GUID, func(d *fleet.Device) { d.Trouble = true })
			p.onRepair(func() { p.sim.fleet.Change(d.GUID, func(d *fleet.Device) { d.Trouble = false }) })
		}
	}
	return all
}

func halfOfCallsFail(p *scenarioRun) {
	all := p.failHalf()
	p.readStates(all, 20, 6*time.Second)
	p.repair()
	p.readStates(all, 20, 4*time.Second)
}

// brokerStops returns a scenario in which the broker stops for the time d.
func brokerStops(d time.Duration) func(*scenarioRun) {
	return func(p *scenarioRun) {
		p.sim.broker.Pause()
		p.onRepair(p.sim.broker.Resume)
		p.wait(d)
	}
}

func ilertIsDown(p *scenarioRun) {
	p.sim.ilert.setMode(ilertDown)
	back := func() { p.sim.ilert.setMode(ilertWorking) }
	p.onRepair(back)
	kiosks := p.healthyDevices(1, func(d fleet.Device) bool { return d.GUID == p.sim.critical })
	p.disconnect(kiosks)
	p.wait(7 * time.Second)
	back()
	if len(kiosks) > 0 {
		p.awaitPage()
		p.wait(3 * time.Second)
	}
}

func ilertInMaintenance(p *scenarioRun) {
	p.sim.ilert.setMode(ilertMaintenance)
	back := func() { p.sim.ilert.setMode(ilertWorking) }
	p.onRepair(back)
	all := p.failHalf()
	p.readStates(all, 20, 5*time.Second)
	back()
	for n := 0; n < 12 && p.Err() == nil && p.sim.count(p).Pages == p.before.Pages; n++ {
		p.readStates(all, 20, time.Second/2)
	}
	p.repair()
	p.readStates(all, 20, 4*time.Second)
}

// manyReconnect publishes that 10,000 devices from outside the fleet have lost their connections and
// connected again.
func manyReconnect(p *scenarioRun) {
	const devices, batch = 10_000, 50
	r := rand.New(rand.NewPCG(p.sim.options.seed, 2))
	for i := range devices {
		guid, v := fleet.NewGUID(r), p.sim.servers[i%len(p.sim.servers)]
		_ = v.Publish(event.Disconnected(guid, "connection reset"))
		_ = v.Publish(event.Connected(guid))
		if i%batch == batch-1 && !p.wait(20*time.Millisecond) {
			return
		}
	}
}

func rollout(p *scenarioRun) {
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

// deviceIsDeactivated deactivates a device by MPS's REST API. RPS activates it again in the repair.
func deviceIsDeactivated(p *scenarioRun) {
	for _, d := range p.healthyDevices(1, func(d fleet.Device) bool { return d.GUID != p.sim.critical }) {
		p.sim.traffic.call(p, fleet.Call{Method: "DELETE", Path: "/api/v1/amt/deactivate/" + d.GUID, GUID: d.GUID})
		p.onRepair(func() {
			p.sim.fleet.Add(d)
			_ = p.sim.rps.Publish(event.Activated(d.GUID, "admin control mode"))
			p.sim.publishDeviceEvent(d, fleet.Connected)
		})
	}
	p.awaitPage()
	p.wait(3 * time.Second)
}

// scenarioIDs lists the values of --scenario.
func scenarioIDs() string {
	var ids []string
	for _, sc := range scenarios(&options{sites: []string{""}, scenario: brokerMinute}) {
		ids = append(ids, sc.id)
	}
	return strings.Join(ids, ", ")
}
