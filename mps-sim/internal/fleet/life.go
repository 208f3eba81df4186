package fleet

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"
)

// Life is what happens to a fleet by itself: laptops come in the morning and go home in the
// evening, administrators switch the others on and off, look at devices and sit down at some,
// and now and then a device's AMT is in trouble for a while. It knows no clock: each step is told
// how much time has passed. The same seed and the same steps make the same life.
type Life struct {
	fleet   *Fleet
	rand    *rand.Rand
	now     time.Duration // since midnight of the first day
	plans   plans
	planned int    // how many plans were ever made
	owed    []Call // failed, to be repeated until they work
	quiet   bool
}

// Happening is what a server says of a device by itself, without a call.
type Happening struct {
	Device Device
	What   What
}

// What is the kind of a Happening.
type What int

// What a server says by itself.
const (
	Connected What = iota
	Disconnected
	SessionStarted
	SessionEnded
)

// Call is a call of the REST API to be made.
type Call struct {
	Method, Path, Body string
	GUID               string // of the device in Path
}

const day = 24 * time.Hour

// NewLife begins the life of a fleet, at nine in the morning.
func NewLife(f *Fleet, seed uint64) *Life {
	l := &Life{fleet: f, rand: rand.New(rand.NewPCG(seed, 1)), now: 9 * time.Hour}
	for _, d := range f.List() {
		l.plan(d)
	}
	l.add(l.now+l.about(30*time.Minute), "", (*Life).trouble)
	l.add(l.now+l.about(10*time.Minute), "", (*Life).sitDown)
	l.add(l.now+l.about(20*time.Minute), "", (*Life).wake)
	return l
}

// Clock returns the time of day of the fleet.
func (l *Life) Clock() time.Duration { return l.now % day }

// SetQuiet lets nothing go wrong by itself until it is set otherwise, so that what goes wrong in
// the meantime has one cause.
func (l *Life) SetQuiet(quiet bool) { l.quiet = quiet }

// Next lets time pass, and returns what has happened and the calls to make. The last call is one
// look at a device, which is always made unless the fleet is empty.
func (l *Life) Next(passed time.Duration) (happened []Happening, calls []Call) {
	l.now += passed
	var s story
	for len(l.plans) > 0 && l.plans[0].at <= l.now {
		p := heap.Pop(&l.plans).(plan)
		p.do(l, p.guid, &s)
	}
	if call, ok := l.look(); ok {
		s.calls = append(s.calls, call)
	}
	return s.happened, s.calls
}

// Failed asks for a call to be made again, as an administrator would.
func (l *Life) Failed(c Call) {
	if len(l.owed) < maxOwed && !slices.Contains(l.owed, c) {
		l.owed = append(l.owed, c)
	}
}

const maxOwed = 100

// story collects what a step makes happen.
type story struct {
	happened []Happening
	calls    []Call
}

// plan is something that happens at a time, to a device or, without a guid, to the fleet.
type plan struct {
	at   time.Duration
	n    int // the order in which plans were made decides between those of the same time
	guid string
	do   func(l *Life, guid string, s *story)
}

type plans []plan

func (p plans) Len() int { return len(p) }
func (p plans) Less(i, j int) bool {
	return p[i].at < p[j].at || p[i].at == p[j].at && p[i].n < p[j].n
}
func (p plans) Swap(i, j int) { p[i], p[j] = p[j], p[i] }

// Push is part of heap.Interface.
func (p *plans) Push(x any) { *p = append(*p, x.(plan)) }

// Pop is part of heap.Interface.
func (p *plans) Pop() any {
	last := (*p)[len(*p)-1]
	*p = (*p)[:len(*p)-1]
	return last
}

func (l *Life) add(at time.Duration, guid string, do func(l *Life, guid string, s *story)) {
	l.planned++
	heap.Push(&l.plans, plan{at, l.planned, guid, do})
}

// about returns a time around d, between the half and one and a half of it.
func (l *Life) about(d time.Duration) time.Duration {
	return d/2 + time.Duration(l.rand.Int64N(int64(d)))
}

// next returns when it is the next time that hour of the day, give or take an hour and a half.
func (l *Life) next(hour float64) time.Duration {
	at := l.now - l.now%day + time.Duration(hour*float64(time.Hour)) + time.Duration(l.rand.Int64N(int64(3*time.Hour))) - 90*time.Minute
	for at <= l.now {
		at += day
	}
	return at
}

// The hours around which people come, have lunch and go.
const morning, noon, evening = 8.5, 12.5, 18

// IsSwitched reports whether administrators switch devices of this role on in the morning and off
// in the evening.
func (r Role) IsSwitched() bool { return r == Lab || r == Meeting || r == Reception }

// plan plans the day of a device.
func (l *Life) plan(d Device) {
	switch {
	case d.Role == Office:
		l.add(l.next(evening), d.GUID, (*Life).leave)
		if l.rand.IntN(3) == 0 {
			l.add(l.next(noon), d.GUID, (*Life).lunch)
		}
	case d.Role.IsSwitched():
		l.add(l.next(evening), d.GUID, (*Life).switchOff)
		l.add(l.next(morning), d.GUID, (*Life).switchOn)
	}
}

func (l *Life) leave(guid string, s *story) {
	l.connect(guid, false, s)
	l.add(l.next(morning), guid, (*Life).come)
}

func (l *Life) come(guid string, s *story) {
	l.connect(guid, true, s)
	l.add(l.next(evening), guid, (*Life).leave)
}

func (l *Life) lunch(guid string, s *story) {
	l.connect(guid, false, s)
	l.add(l.now+l.about(40*time.Minute), guid, func(l *Life, guid string, s *story) {
		l.connect(guid, true, s)
		l.add(l.next(noon), guid, (*Life).lunch)
	})
}

func (l *Life) connect(guid string, connected bool, s *story) {
	before, d, ok := l.fleet.Change(guid, func(d *Device) { d.Connected = connected })
	if ok && before.Connected != connected {
		what := Disconnected
		if connected {
			what = Connected
		}
		s.happened = append(s.happened, Happening{d, what})
	}
}

func (l *Life) switchOn(guid string, s *story) {
	s.calls = append(s.calls, Power(guid, 2))
	l.add(l.next(morning), guid, (*Life).switchOn)
}

func (l *Life) switchOff(guid string, s *story) {
	s.calls = append(s.calls, Power(guid, 8))
	l.add(l.next(evening), guid, (*Life).switchOff)
}

// trouble lets the AMT of a device answer with errors for a while, but of none that somebody may
// want to switch on or off in the meantime.
func (l *Life) trouble(_ string, s *story) {
	l.add(l.now+l.about(90*time.Minute), "", (*Life).trouble)
	d, ok := l.any()
	if !ok || l.quiet || !d.Connected || d.Role.IsSwitched() {
		return
	}
	l.fleet.Change(d.GUID, func(d *Device) { d.Trouble = true })
	s.calls = append(s.calls, Call{"GET", "/api/v1/amt/power/state/" + d.GUID, "", d.GUID})
	l.add(l.now+l.about(10*time.Minute), d.GUID, func(l *Life, guid string, _ *story) {
		l.fleet.Change(guid, func(d *Device) { d.Trouble = false })
	})
}

// sitDown lets an administrator ask for consent, take over a screen and leave it again.
func (l *Life) sitDown(_ string, s *story) {
	l.add(l.now+l.about(25*time.Minute), "", (*Life).sitDown)
	d, ok := l.any()
	if !ok || !d.Connected || d.Trouble {
		return
	}
	const consent = "/api/v1/amt/userConsentCode/"
	s.calls = append(s.calls, Call{"GET", consent + d.GUID, "", d.GUID})
	l.add(l.now+l.about(time.Minute), d.GUID, func(l *Life, guid string, s *story) {
		s.calls = append(s.calls, Call{"POST", consent + guid, `{"consentCode":"123456"}`, guid})
		l.add(l.now+l.about(time.Minute), guid, (*Life).session)
	})
}

// wake lets an administrator set an alarm that wakes a device, and delete it some time later.
func (l *Life) wake(_ string, s *story) {
	l.add(l.now+l.about(2*time.Hour), "", (*Life).wake)
	d, ok := l.any()
	if !ok || !d.Connected || d.Trouble {
		return
	}
	path := "/api/v1/amt/alarmOccurrences/" + d.GUID
	s.calls = append(s.calls, Call{"POST", path, `{"ElementName":"wake","StartTime":"2030-01-07T06:00:00.000Z"}`, d.GUID})
	l.add(l.now+l.about(time.Hour), d.GUID, func(_ *Life, guid string, s *story) {
		s.calls = append(s.calls, Call{"DELETE", path, `{"Name":"wake"}`, guid})
	})
}

// session lets the screen of a device be taken over for a few minutes.
func (l *Life) session(guid string, s *story) {
	if d, ok := l.fleet.Get(guid); ok && d.Connected {
		s.happened = append(s.happened, Happening{d, SessionStarted})
		l.add(l.now+l.about(6*time.Minute), guid, func(_ *Life, _ string, s *story) {
			s.happened = append(s.happened, Happening{d, SessionEnded})
		})
	}
}

func (l *Life) any() (Device, bool) { return l.fleet.At(l.rand.IntN(1 << 30)) }

// Power returns the call that switches a device: 2 on, 5 off and on again, 8 off, 10 reset.
func Power(guid string, action int) Call {
	return Call{"POST", "/api/v1/amt/power/action/" + guid, `{"action":` + strconv.Itoa(action) + `}`, guid}
}

// looks are the calls by which administrators and their tools look at devices, the frequent ones
// more than once.
var looks = []string{
	"power/state", "power/state", "power/state", "power/state", "power/state", "features", "features", "version",
	"hardwareInfo", "generalSettings", "log/event", "log/audit", "alarmOccurrences", "power/capabilities", "networkSettings", "certificates",
}

// look returns the next look at a device: one time in four at one whose call has failed before.
func (l *Life) look() (Call, bool) {
	if len(l.owed) > 0 && l.rand.IntN(4) == 0 {
		c := l.owed[0]
		l.owed = l.owed[1:]
		if _, ok := l.fleet.Get(c.GUID); ok {
			return c, true
		}
	}
	d, ok := l.any()
	if ok && !d.Connected { // who looks at a list sees that it is away, most of the time
		d, ok = l.any()
	}
	if !ok {
		return Call{}, false
	}
	return Call{"GET", "/api/v1/amt/" + looks[l.rand.IntN(len(looks))] + "/" + d.GUID, "", d.GUID}, true
}
