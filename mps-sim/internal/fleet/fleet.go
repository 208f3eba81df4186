// Package fleet is the simulated devices: what they are called, whether they are
// connected, on and well. What happens to them follows from the seed alone.
package fleet

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
)

// Device is a snapshot of one device.
type Device struct {
	GUID       string
	Hostname   string
	Connected  bool
	PowerState PowerState
	Trouble    bool // its AMT answers every call with an error
}

// PowerState is CIM's, as MPS reports it.
type PowerState int

// The two states that a simulated device knows.
const (
	On  PowerState = 2
	Off PowerState = 8
)

// Fleet is the devices. Its methods may be called concurrently.
type Fleet struct {
	mu      sync.Mutex
	devices []*Device
}

// New makes n devices, all connected and well. The same seed makes the same ones.
func New(n int, seed uint64) *Fleet {
	r := rand.New(rand.NewPCG(seed, 0))
	rooms := []string{"reception", "lab", "office", "warehouse", "kiosk", "meeting"}
	f := &Fleet{}
	for i := range n {
		f.devices = append(f.devices, &Device{
			GUID:       guid(r),
			Hostname:   fmt.Sprintf("%s-%02d", rooms[r.IntN(len(rooms))], i+1),
			Connected:  true,
			PowerState: []PowerState{On, On, Off}[r.IntN(3)],
		})
	}
	return f
}

// guid makes a UUID of version 4 out of the fleet's own random numbers.
func guid(r *rand.Rand) string {
	a, b := r.Uint64(), r.Uint64()
	a = a&^0xf000 | 0x4000
	b = b&^(3<<62) | 2<<62
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", a>>32, a>>16&0xffff, a&0xffff, b>>48, b&(1<<48-1))
}

// List returns all devices in their order.
func (f *Fleet) List() []Device {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]Device, len(f.devices))
	for i, d := range f.devices {
		all[i] = *d
	}
	return all
}

// Get returns a device, and false if there is none of that guid.
func (f *Fleet) Get(guid string) (Device, bool) {
	return f.Change(guid, func(*Device) {})
}

// Change changes a device and returns it as it is then, and false if there is
// none of that guid.
func (f *Fleet) Change(guid string, change func(*Device)) (Device, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range f.devices {
		if d.GUID == guid {
			change(d)
			return *d, true
		}
	}
	return Device{}, false
}

// Remove takes a device out of the fleet for good.
func (f *Fleet) Remove(guid string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.devices = slices.DeleteFunc(f.devices, func(d *Device) bool { return d.GUID == guid })
}
