package fleet

import (
	"math/rand/v2"
	"slices"
)

// Life is what happens to a fleet by itself, one step for each call that is made
// to it: now and then a device is in trouble for a while, or goes away and comes
// back. The same seed makes the same happenings in the same order.
type Life struct {
	fleet *Fleet
	rand  *rand.Rand
	step  int
	later map[int][]func() []Happening // what has begun and will end
	owed  []Call                       // failed, to be repeated until they work
}

// Happening is a device that has connected or disconnected.
type Happening struct {
	Device    Device
	Connected bool
}

// Call is a call to be made to a device.
type Call struct {
	GUID string
	Kind Kind
}

// Kind is one of the calls that the fleet's own traffic makes.
type Kind int

// The kinds of calls.
const (
	ReadPower Kind = iota
	ReadVersion
	Reset
)

// NewLife begins the life of a fleet.
func NewLife(f *Fleet, seed uint64) *Life {
	return &Life{fleet: f, rand: rand.New(rand.NewPCG(seed, 1)), later: map[int][]func() []Happening{}}
}

// How often and for how many calls something happens: at one call a second a
// whole story, from trouble to recovery, is told in half a minute.
const (
	troubleEvery, troubleFor       = 15, 10
	disconnectEvery, disconnectFor = 25, 12
)

// Next makes time pass by one call: it returns what has happened, and the call to
// make, or false when no device is left.
func (l *Life) Next() (happened []Happening, call Call, ok bool) {
	l.step++
	for _, end := range l.later[l.step] {
		happened = append(happened, end()...)
	}
	delete(l.later, l.step)
	if l.step%troubleEvery == 5 {
		l.trouble()
	}
	if l.step%disconnectEvery == 0 {
		happened = append(happened, l.disconnect()...)
	}
	call, ok = l.call()
	return happened, call, ok
}

// trouble lets a device be in trouble for a while, a fifth of the fleet at most.
func (l *Life) trouble() {
	all := l.fleet.List()
	well := connectedAndWell(all)
	if len(well) == 0 || len(all)-len(well) > len(all)/5 {
		return
	}
	guid := well[l.rand.IntN(len(well))].GUID
	l.fleet.Change(guid, func(d *Device) { d.Trouble = true })
	l.Failed(Call{guid, Kind(l.rand.IntN(2))})
	l.in(troubleFor, func() []Happening {
		l.fleet.Change(guid, func(d *Device) { d.Trouble = false })
		return nil
	})
}

func (l *Life) disconnect() []Happening {
	well := connectedAndWell(l.fleet.List())
	if len(well) < 2 {
		return nil
	}
	guid := well[l.rand.IntN(len(well))].GUID
	l.in(disconnectFor, func() []Happening { return l.connect(guid, true) })
	return l.connect(guid, false)
}

func (l *Life) connect(guid string, connected bool) []Happening {
	d, ok := l.fleet.Change(guid, func(d *Device) { d.Connected = connected })
	if !ok {
		return nil
	}
	return []Happening{{d, connected}}
}

func (l *Life) in(steps int, end func() []Happening) {
	l.later[l.step+steps] = append(l.later[l.step+steps], end)
}

// Failed asks for a call to be made again, as an administrator would: an alert
// ends only by the success of the call that raised it, so a call that then finds
// its device gone away has failed as well.
func (l *Life) Failed(c Call) {
	if !slices.Contains(l.owed, c) {
		l.owed = append(l.owed, c)
	}
}

// call is every other time one that has failed before.
func (l *Life) call() (Call, bool) {
	if len(l.owed) > 0 && l.step%2 == 0 {
		c := l.owed[0]
		l.owed = l.owed[1:]
		if _, ok := l.fleet.Get(c.GUID); ok {
			return c, true
		}
	}
	all := l.fleet.List()
	if len(all) == 0 {
		return Call{}, false
	}
	return Call{all[l.rand.IntN(len(all))].GUID, []Kind{ReadPower, ReadPower, ReadVersion, Reset}[l.rand.IntN(4)]}, true
}

func connectedAndWell(all []Device) []Device {
	var well []Device
	for _, d := range all {
		if d.Connected && !d.Trouble {
			well = append(well, d)
		}
	}
	return well
}
