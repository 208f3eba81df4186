package fleet

import (
	"fmt"
	"time"
)

// The mean intervals, in hours with people at work, at which laptops get a new owner and are replaced.
const (
	reinstallInterval = 4 * time.Hour
	replaceInterval   = 5 * time.Hour
)

// minSeconds is the mean of the shortest interval between two such changes, in seconds of the caller's
// clock. At a high speed they would otherwise overlap and look like one event that goes on.
const minSeconds = 20

const deactivatePath = "/api/v1/amt/deactivate/"

// planTurnover schedules the first changes of the set of devices.
func (l *Life) planTurnover() {
	l.schedule(l.now+l.around(reinstallInterval/2), "", (*Life).reinstall)
	l.schedule(l.now+l.around(replaceInterval/2), "", (*Life).replace)
}

// later returns a time after about that interval, and after some seconds of the caller's clock.
func (l *Life) later(interval time.Duration) time.Duration {
	return l.now + max(l.around(interval), l.around(minSeconds*l.second))
}

// anyLaptop returns a random laptop that is connected and works, and false if the drawn device is none,
// if people are not at work, or if it should be quiet.
func (l *Life) anyLaptop() (Device, bool) {
	d, ok := l.anyDevice()
	hour := l.Clock().Hours()
	return d, ok && !l.quiet && hour >= morning && hour < evening && d.Role == Office && d.Connected && !d.Trouble
}

// reinstall lets an administrator deactivate a laptop, and RPS activate it again a second later by the
// caller's clock, because a script does both. If the steps are longer than that, it does nothing: until the
// activation the rules would take the laptop for deactivated.
func (l *Life) reinstall(_ string, s *step) {
	d, ok := l.anyLaptop()
	if !ok || l.passed > l.second {
		l.schedule(l.now+l.around(20*time.Minute), "", (*Life).reinstall)
		return
	}
	l.schedule(l.later(reinstallInterval), "", (*Life).reinstall)
	s.calls = append(s.calls, Call{"DELETE", deactivatePath + d.GUID, "", d.GUID})
	l.schedule(l.now+l.second, d.GUID, func(l *Life, guid string, s *step) {
		if _, failed := l.fleet.Get(guid); failed {
			return // the call failed, so the laptop is still activated
		}
		l.activate(d, s)
		l.connect(guid, true, s)
	})
}

// replace lets RPS activate a new laptop, which connects soon. Hours later the old one of the same
// person disconnects, and an administrator deletes its record.
func (l *Life) replace(_ string, s *step) {
	old, ok := l.anyLaptop()
	if !ok {
		l.schedule(l.now+l.around(20*time.Minute), "", (*Life).replace)
		return
	}
	l.schedule(l.later(replaceInterval), "", (*Life).replace)
	l.named++
	d := Device{
		GUID: NewGUID(l.rand), Hostname: fmt.Sprintf("%s-%0*d", Office, digits(l.named), l.named), Role: Office,
		Site: old.Site, Server: old.Server, PowerState: On,
	}
	l.activate(d, s)
	l.schedule(l.now+l.around(2*time.Minute), d.GUID, func(l *Life, guid string, s *step) { l.connect(guid, true, s) })
	l.planDay(d)
	l.schedule(l.now+l.around(2*time.Hour), old.GUID, (*Life).retire)
}

// retire disconnects a laptop for good. Its record is deleted half an hour later.
func (l *Life) retire(guid string, s *step) {
	if !l.mayLeave() {
		l.schedule(l.now+l.around(20*time.Minute), guid, (*Life).retire)
		return
	}
	l.connect(guid, false, s)
	l.schedule(l.now+l.around(30*time.Minute), guid, func(l *Life, guid string, s *step) {
		if d, _ := l.fleet.Get(guid); d.Connected { // somebody still uses it
			l.retire(guid, s)
			return
		}
		s.calls = append(s.calls, Call{"DELETE", "/api/v1/devices/" + guid, "", guid})
	})
}

// activate adds a device to the fleet, not yet connected.
func (l *Life) activate(d Device, s *step) {
	d.Connected = false
	l.fleet.Add(d)
	s.occurrences = append(s.occurrences, Occurrence{d, Activated})
}
