package fleet

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Life is a simulation of the days of a fleet. Some laptops disconnect in the evening and connect in the
// morning, the others stay in their docks; administrators switch other devices on and off, read their
// states and take over some screens; now and then the AMT of a device is in trouble for a while, a laptop
// gets a new owner, or a new laptop replaces an old one. Life reads no clock: the caller passes the time
// to Next. The same seed and the same steps give the same life.
type Life struct {
	fleet   *Fleet
	rand    *rand.Rand
	now     time.Duration // since midnight of the first day
	passed  time.Duration // in the last call of Next
	plans   plans
	planned int           // the number of plans ever made
	failed  []Call        // calls to repeat until they work
	quiet   bool          // no new trouble, and nobody leaves
	second  time.Duration // of the fleet's time in a second of the caller's clock
	maxAway int
	named   int // the number in the name of the newest device
}

// Occurrence is a change of a device that a server publishes although nobody has called it.
type Occurrence struct {
	Device Device
	Kind   OccurrenceKind
}

// OccurrenceKind is the kind of an Occurrence.
type OccurrenceKind int

// The kinds of an Occurrence.
const (
	Connected OccurrenceKind = iota
	Disconnected
	SessionStarted
	SessionEnded
	Activated // published by RPS
)

// Call is a call of the REST API that the caller of Next should make.
type Call struct {
	Method, Path, Body string
	GUID               string // of the device in Path
}

const day = 24 * time.Hour

// NewLife begins the life of a fleet at nine in the morning. A second of the caller's clock is that much
// of the fleet's time.
func NewLife(f *Fleet, seed uint64, second time.Duration) *Life {
	devices := f.List()
	l := &Life{
		fleet: f, rand: rand.New(rand.NewPCG(seed, 1)), now: 9 * time.Hour,
		second: max(second, 1), maxAway: MaxAway(len(devices)), named: len(devices),
	}
	for _, d := range devices {
		l.planDay(d)
	}
	l.schedule(l.now+l.around(30*time.Minute), "", (*Life).trouble)
	l.schedule(l.now+l.around(10*time.Minute), "", (*Life).sitDown)
	l.schedule(l.now+l.around(20*time.Minute), "", (*Life).wake)
	l.planTurnover()
	return l
}

// MaxAway returns the largest number of devices of a fleet that people disconnect at the same time. Those
// who would be more leave their laptops in the dock. So an evening never looks like an outage to the
// rules, however fast it passes: see OutageOf.
func MaxAway(devices int) int { return OutageOf(devices) - 2 }

// OutageOf returns the number of disconnected devices from which the rules of the demo take it for an
// outage. The built-in rules want at least ten devices and a fifth of the fleet.
func OutageOf(devices int) int { return max(3, min(devices/8, 8), devices/20) }

// Clock returns the time of day of the fleet.
func (l *Life) Clock() time.Duration { return l.now % day }

// SetQuiet sets whether Life brings no device into trouble and disconnects none, so that a scenario is the
// only cause of failures.
func (l *Life) SetQuiet(quiet bool) { l.quiet = quiet }

// Next moves the time on, and returns the occurrences of that time and the calls to make. The last
// call reads from a device; only an empty fleet has none.
func (l *Life) Next(passed time.Duration) (occurrences []Occurrence, calls []Call) {
	l.now += passed
	l.passed = passed
	var s step
	for len(l.plans) > 0 && l.plans[0].at <= l.now {
		p := heap.Pop(&l.plans).(plan)
		p.do(l, p.guid, &s)
	}
	if call, ok := l.nextLook(); ok {
		s.calls = append(s.calls, call)
	}
	return s.occurrences, s.calls
}

// Failed takes a call that has failed. Next returns it again later, as an administrator would try again.
// It does not repeat a deactivation, because no activation would follow.
func (l *Life) Failed(c Call) {
	if !strings.HasPrefix(c.Path, deactivatePath) && len(l.failed) < maxFailed && !slices.Contains(l.failed, c) {
		l.failed = append(l.failed, c)
	}
}

// maxFailed is the largest number of failed calls to repeat; others are forgotten.
const maxFailed = 100

// step collects the occurrences and calls of one call of Next.
type step struct {
	occurrences []Occurrence
	calls       []Call
}

// plan is a function to run at a time, for a device or, without a guid, for the fleet.
type plan struct {
	at   time.Duration
	n    int // the number of the plan, which orders plans of the same time
	guid string
	do   func(l *Life, guid string, s *step)
}

// plans is a heap of plans, the earliest first.
type plans []plan

func (p plans) Len() int { return len(p) }
func (p plans) Less(i, j int) bool {
	return p[i].at < p[j].at || p[i].at == p[j].at && p[i].n < p[j].n
}
func (p plans) Swap(i, j int) { p[i], p[j] = p[j], p[i] }

// Push implements heap.Interface.
func (p *plans) Push(x any) { *p = append(*p, x.(plan)) }

// Pop implements heap.Interface.
func (p *plans) Pop() any {
	last := (*p)[len(*p)-1]
	*p = (*p)[:len(*p)-1]
	return last
}

// schedule adds a plan.
func (l *Life) schedule(at time.Duration, guid string, do func(l *Life, guid string, s *step)) {
	l.planned++
	heap.Push(&l.plans, plan{at, l.planned, guid, do})
}

// around returns a random time between a half and one and a half of d.
func (l *Life) around(d time.Duration) time.Duration {
	return d/2 + time.Duration(l.rand.Int64N(int64(d)))
}

// nextTime returns a random time within an hour and a half of that hour of the day, today or tomorrow.
func (l *Life) nextTime(hour float64) time.Duration {
	at := l.now - l.now%day + time.Duration(hour*float64(time.Hour)) + time.Duration(l.rand.Int64N(int64(3*time.Hour))) - 90*time.Minute
	for at <= l.now {
		at += day
	}
	return at
}

// The hours around which people come, go to lunch and go home.
const morning, noon, evening = 8.5, 12.5, 18

// IsSwitched reports whether administrators switch devices of this role on in the morning and off in
// the evening.
func (r Role) IsSwitched() bool { return r == Lab || r == Meeting || r == Reception }

// planDay schedules the first plans of a device; each schedules the next.
func (l *Life) planDay(d Device) {
	switch {
	case d.Role == Office:
		l.schedule(l.nextTime(evening), d.GUID, (*Life).leave)
		if l.rand.IntN(3) == 0 {
			l.schedule(l.nextTime(noon), d.GUID, (*Life).lunch)
		}
	case d.Role.IsSwitched():
		l.schedule(l.nextTime(evening), d.GUID, (*Life).switchOff)
		l.schedule(l.nextTime(morning), d.GUID, (*Life).switchOn)
	}
}

func (l *Life) leave(guid string, s *step) {
	if !l.mayLeave() {
		l.schedule(l.nextTime(evening), guid, (*Life).leave)
		return
	}
	l.connect(guid, false, s)
	l.schedule(l.nextTime(morning), guid, (*Life).come)
}

func (l *Life) come(guid string, s *step) {
	l.connect(guid, true, s)
	l.schedule(l.nextTime(evening), guid, (*Life).leave)
}

// mayLeave reports whether a laptop may disconnect.
func (l *Life) mayLeave() bool {
	total, connected, _ := l.fleet.Count()
	return !l.quiet && total-connected < l.maxAway
}

func (l *Life) lunch(guid string, s *step) {
	if !l.mayLeave() {
		l.schedule(l.nextTime(noon), guid, (*Life).lunch)
		return
	}
	l.connect(guid, false, s)
	l.schedule(l.now+l.around(40*time.Minute), guid, func(l *Life, guid string, s *step) {
		l.connect(guid, true, s)
		l.schedule(l.nextTime(noon), guid, (*Life).lunch)
	})
}

// connect connects or disconnects a device, and adds an occurrence if that changes it.
func (l *Life) connect(guid string, connected bool, s *step) {
	before, d, ok := l.fleet.Change(guid, func(d *Device) { d.Connected = connected })
	if ok && before.Connected != connected {
		kind := Disconnected
		if connected {
			kind = Connected
		}
		s.occurrences = append(s.occurrences, Occurrence{d, kind})
	}
}

func (l *Life) switchOn(guid string, s *step) {
	s.calls = append(s.calls, Power(guid, 2))
	l.schedule(l.nextTime(morning), guid, (*Life).switchOn)
}

func (l *Life) switchOff(guid string, s *step) {
	s.calls = append(s.calls, Power(guid, 8))
	l.schedule(l.nextTime(evening), guid, (*Life).switchOff)
}

// trouble lets the AMT of a device answer with errors for a while. It spares devices that
// administrators switch, because a failed power action is an alert.
func (l *Life) trouble(_ string, s *step) {
	l.schedule(l.now+l.around(90*time.Minute), "", (*Life).trouble)
	d, ok := l.anyDevice()
	if !ok || l.quiet || !d.Connected || d.Role.IsSwitched() {
		return
	}
	l.fleet.Change(d.GUID, func(d *Device) { d.Trouble = true })
	s.calls = append(s.calls, Call{"GET", "/api/v1/amt/power/state/" + d.GUID, "", d.GUID})
	l.schedule(l.now+l.around(10*time.Minute), d.GUID, func(l *Life, guid string, _ *step) {
		l.fleet.Change(guid, func(d *Device) { d.Trouble = false })
	})
}

// sitDown lets an administrator ask for consent, take over the screen of a device and leave it.
func (l *Life) sitDown(_ string, s *step) {
	l.schedule(l.now+l.around(25*time.Minute), "", (*Life).sitDown)
	d, ok := l.anyDevice()
	if !ok || !d.Connected || d.Trouble {
		return
	}
	const consent = "/api/v1/amt/userConsentCode/"
	s.calls = append(s.calls, Call{"GET", consent + d.GUID, "", d.GUID})
	l.schedule(l.now+l.around(time.Minute), d.GUID, func(l *Life, guid string, s *step) {
		s.calls = append(s.calls, Call{"POST", consent + guid, `{"consentCode":"123456"}`, guid})
		l.schedule(l.now+l.around(time.Minute), guid, (*Life).session)
	})
}

// wake lets an administrator set an alarm that wakes a device, and delete it later.
func (l *Life) wake(_ string, s *step) {
	l.schedule(l.now+l.around(2*time.Hour), "", (*Life).wake)
	d, ok := l.anyDevice()
	if !ok || !d.Connected || d.Trouble {
		return
	}
	path := "/api/v1/amt/alarmOccurrences/" + d.GUID
	s.calls = append(s.calls, Call{"POST", path, `{"ElementName":"wake","StartTime":"2030-01-07T06:00:00.000Z"}`, d.GUID})
	l.schedule(l.now+l.around(time.Hour), d.GUID, func(_ *Life, guid string, s *step) {
		s.calls = append(s.calls, Call{"DELETE", path, `{"Name":"wake"}`, guid})
	})
}

// session lets an administrator take over the screen of a device for a few minutes.
func (l *Life) session(guid string, s *step) {
	if d, ok := l.fleet.Get(guid); ok && d.Connected {
		s.occurrences = append(s.occurrences, Occurrence{d, SessionStarted})
		l.schedule(l.now+l.around(6*time.Minute), guid, func(_ *Life, _ string, s *step) {
			s.occurrences = append(s.occurrences, Occurrence{d, SessionEnded})
		})
	}
}

// anyDevice returns a random device, and false if the fleet is empty.
func (l *Life) anyDevice() (Device, bool) { return l.fleet.At(l.rand.IntN(1 << 30)) }

// Power returns the call that switches a device: 2 on, 5 off and on again, 8 off, 10 reset.
func Power(guid string, action int) Call {
	return Call{"POST", "/api/v1/amt/power/action/" + guid, `{"action":` + strconv.Itoa(action) + `}`, guid}
}

// lookPaths lists the paths by which administrators and their tools read from devices, the frequent
// ones more than once.
var lookPaths = []string{
	"power/state", "power/state", "power/state", "power/state", "power/state", "features", "features", "version",
	"hardwareInfo", "generalSettings", "log/event", "log/audit", "alarmOccurrences", "power/capabilities", "networkSettings", "certificates",
}

// nextLook returns the next call that reads from a device. One time in four it repeats a failed call.
func (l *Life) nextLook() (Call, bool) {
	if len(l.failed) > 0 && l.rand.IntN(4) == 0 {
		c := l.failed[0]
		l.failed = l.failed[1:]
		if _, ok := l.fleet.Get(c.GUID); ok {
			return c, true
		}
	}
	d, ok := l.anyDevice()
	if ok && !d.Connected { // administrators seldom call a device that the list shows as disconnected
		d, ok = l.anyDevice()
	}
	if !ok {
		return Call{}, false
	}
	return Call{"GET", "/api/v1/amt/" + lookPaths[l.rand.IntN(len(lookPaths))] + "/" + d.GUID, "", d.GUID}, true
}
