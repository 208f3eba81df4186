// Package fleet simulates devices: their names, sites and servers, and whether they are connected,
// switched on and in trouble. It draws everything that happens to them from a seed, so the same seed
// gives the same fleet and the same life. It opens no connection and reads no clock.
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
	Site       string
	Role       Role
	Server     int // the index of its site, which is also that of its server
	Connected  bool
	PowerState PowerState
	Trouble    bool // its AMT answers every call with an error

	version uint64 // the version of the fleet at the last change of the device
}

// PowerState is a power state by its number in CIM, as MPS reports it.
type PowerState int

// On and Off are the two power states of a simulated device.
const (
	On  PowerState = 2
	Off PowerState = 8
)

// Role is the purpose of a device and the first part of its name.
type Role string

// The roles decide when a device connects and who switches it; see Life.
const (
	Office    Role = "office"    // laptops, which go home with their people
	Lab       Role = "lab"       // switched on in the morning and off in the evening
	Meeting   Role = "meeting"   // the same
	Reception Role = "reception" // the same
	Warehouse Role = "warehouse" // always on
	Kiosk     Role = "kiosk"     // always on; its absence is an alert
)

// roles lists the roles from which New draws, the frequent ones more than once.
var roles = []Role{Office, Office, Office, Lab, Meeting, Reception, Warehouse, Kiosk}

// Config holds the size and the sites of a fleet.
type Config struct {
	Devices int
	Sites   []string // the first is the largest
	Seed    uint64
}

// Fleet is a set of devices. Its methods may be called concurrently.
type Fleet struct {
	mu      sync.Mutex
	devices []*Device // in the order in which they were added
	byGUID  map[string]*Device
	version uint64
	gone    map[string]uint64 // guids of removed devices, with the version of the removal
}

// New makes a fleet whose devices are all connected and not in trouble. The same Config makes the
// same fleet.
func New(c Config) *Fleet {
	r := rand.New(rand.NewPCG(c.Seed, 0))
	f := &Fleet{version: 1, byGUID: map[string]*Device{}, gone: map[string]uint64{}}
	for i := range c.Devices {
		role := roles[r.IntN(len(roles))]
		if i == c.Devices-1 {
			role = Kiosk // see Critical
		}
		site := siteOf(i, c.Devices, len(c.Sites))
		d := &Device{
			GUID: NewGUID(r), Hostname: fmt.Sprintf("%s-%0*d", role, digits(c.Devices), i+1), Role: role,
			Site: c.Sites[site], Server: site, Connected: true, PowerState: On, version: 1,
		}
		if role != Kiosk && r.IntN(6) == 0 {
			d.PowerState = Off
		}
		f.devices = append(f.devices, d)
		f.byGUID[d.GUID] = d
	}
	return f
}

// digits returns the number of digits in the names of n devices.
func digits(n int) int { return max(2, len(fmt.Sprint(n))) }

// siteOf returns the index of the site of the ith of n devices. Two thirds belong to the first site,
// two thirds of the others to the second, and so on.
func siteOf(i, n, sites int) int {
	site := 0
	for n > 0 && site < sites-1 {
		here := (2*n + 2) / 3
		if i < here {
			break
		}
		i, n, site = i-here, n-here, site+1
	}
	return site
}

// NewGUID makes a UUID of version 4 from the random numbers of r.
func NewGUID(r *rand.Rand) string {
	a, b := r.Uint64(), r.Uint64()
	a = a&^0xf000 | 0x4000
	b = b&^(3<<62) | 2<<62
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", a>>32, a>>16&0xffff, a&0xffff, b>>48, b&(1<<48-1))
}

// List returns all devices in the order in which they were added.
func (f *Fleet) List() []Device {
	all, _, _ := f.Changes(0)
	return all
}

// Changes returns the devices that have changed since a version, the guids of the devices removed
// since then, and the current version. For version 0 it returns all devices.
func (f *Fleet) Changes(since uint64) (changed []Device, gone []string, now uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	changed = []Device{}
	if f.version == since {
		return changed, nil, since
	}
	for _, d := range f.devices {
		if d.version > since {
			changed = append(changed, *d)
		}
	}
	if since > 0 {
		for guid, version := range f.gone {
			if version > since {
				gone = append(gone, guid)
			}
		}
	}
	return changed, gone, f.version
}

// Count returns the number of devices, of connected devices, and of connected devices in trouble.
func (f *Fleet) Count() (total, connected, failing int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range f.devices {
		if d.Connected {
			connected++
			if d.Trouble {
				failing++
			}
		}
	}
	return len(f.devices), connected, failing
}

// Get returns the device with that guid, and false if there is none.
func (f *Fleet) Get(guid string) (Device, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if d := f.byGUID[guid]; d != nil {
		return *d, true
	}
	return Device{}, false
}

// Critical returns the guid of the device for whose absence the rules of the demo raise an alert: the
// kiosk that is the last device of the last site.
func (f *Fleet) Critical() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.devices) == 0 {
		return ""
	}
	return f.devices[len(f.devices)-1].GUID
}

// At returns the device at i modulo the number of devices, and false if the fleet is empty.
func (f *Fleet) At(i int) (Device, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.devices) == 0 {
		return Device{}, false
	}
	return *f.devices[i%len(f.devices)], true
}

// Change changes the device with that guid. It returns the device before and after the change, and
// false if there is none.
func (f *Fleet) Change(guid string, change func(*Device)) (before, after Device, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.byGUID[guid]
	if d == nil {
		return Device{}, Device{}, false
	}
	before = *d
	if change(d); *d != before {
		f.version++
		d.version = f.version
	}
	return before, *d, true
}

// Remove removes a device from the fleet. Add may bring it back.
func (f *Fleet) Remove(guid string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byGUID[guid] == nil {
		return
	}
	f.version++
	f.gone[guid] = f.version
	delete(f.byGUID, guid)
	f.devices = slices.DeleteFunc(f.devices, func(d *Device) bool { return d.GUID == guid })
}

// Add adds a device unless the fleet has one with its guid.
func (f *Fleet) Add(d Device) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byGUID[d.GUID] != nil {
		return
	}
	f.version++
	d.version = f.version
	delete(f.gone, d.GUID)
	f.byGUID[d.GUID] = &d
	f.devices = append(f.devices, &d)
}

// NewRecord makes a device that has never connected, for a client that adds only a record. It does not
// add it to the fleet.
func (f *Fleet) NewRecord(guid string, hostname any) Device {
	name, _ := hostname.(string)
	if name == "" {
		name = "new"
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	d := Device{GUID: guid, Hostname: name, Role: Office, PowerState: Off}
	if len(f.devices) > 0 {
		d.Site, d.Server = f.devices[0].Site, f.devices[0].Server
	}
	return d
}
