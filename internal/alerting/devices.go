package alerting

import (
	"maps"
	"slices"
	"time"
)

const (
	// fleetMemory is the time after its last message for which a device counts as a part of the fleet.
	fleetMemory = 7 * 24 * time.Hour
	// A fleet that is known for shorter than fleetAge is not known as a whole while it grows.
	fleetAge = 24 * time.Hour
	// growthTime is the time within which a fleet grows by less than growth as soon as most of its devices are known.
	growthTime = 30 * time.Minute
	growth     = 0.1
	// seenInterval is the interval after which a device that is seen again is saved again.
	seenInterval = time.Hour
	// maxDevicesKnown limits the number of devices in the engine's memory.
	maxDevicesKnown = 1 << 16
)

// devices holds devices that the store has, with the times at which they were seen, so that the engine does not save
// a busy one with each message. The engine may forget some: then it saves them again.
type devices struct {
	seen     map[string]time.Time
	prunedAt time.Time
}

// fleet holds the devices of a transaction, and the size of the fleet.
type fleet struct {
	seen  map[string]time.Time // to be saved
	saved map[string]time.Time

	counted bool // Rows.Fleet answers query
	query   FleetQuery
	size    int // with the devices of the transaction, if sized
	newer   int // of these, the new ones
	sized   bool
}

// noteDevice notes that the device of a message was seen.
func (w *work) noteDevice(m *Message) {
	guid, at := m.Decision.Device, m.when()
	if guid == "" || !at.After(w.fleet.seen[guid]) || !w.mustSave(guid, at) {
		return
	}
	if w.fleet.seen == nil {
		w.fleet.seen = map[string]time.Time{}
	}
	w.fleet.seen[guid] = at
	w.fleet.sized = false
}

// mustSave reports whether a device that was seen at a time has to be saved.
func (w *work) mustSave(guid string, at time.Time) bool {
	w.engine.memory.Lock()
	defer w.engine.memory.Unlock()
	seen, known := w.engine.devices.seen[guid]
	return !known || at.Sub(seen) > seenInterval
}

// saveDevices saves the devices that were seen.
func (w *work) saveDevices() {
	f := &w.fleet
	for guid, at := range f.seen {
		w.changes.Devices = append(w.changes.Devices, Device{guid, at})
	}
	if f.saved == nil {
		f.saved = f.seen
	} else {
		maps.Copy(f.saved, f.seen)
	}
	f.seen = nil
}

// addTo adds the devices that the transaction has saved to those that the store is known to have.
func (f *fleet) addTo(d *devices) {
	if len(f.saved) == 0 {
		return
	}
	if d.seen == nil || len(d.seen)+len(f.saved) > maxDevicesKnown {
		d.seen = map[string]time.Time{}
	}
	maps.Copy(d.seen, f.saved)
}

// fleetKeys returns the keys of the rows that fleetSize needs. The devices of all messages must be noted before.
func (w *work) fleetKeys(now time.Time) Keys {
	f := &w.fleet
	k := Keys{Devices: slices.AppendSeq(slices.Collect(maps.Keys(f.seen)), maps.Keys(f.saved))}
	if !f.counted {
		k.Fleet = fleetQuery(now)
	}
	return k
}

// fleetQuery returns the query for the fleet at a time.
func fleetQuery(now time.Time) FleetQuery {
	return FleetQuery{SeenAfter: now.Add(-fleetMemory), NewAfter: now.Add(-growthTime)}
}

// fleetLoaded reports whether the rows that fleetSize needs are loaded.
func (w *work) fleetLoaded() bool {
	return w.fleet.counted && len(unread(w.fleetKeys(time.Time{}).Devices, w.rows.Devices)) == 0
}

// fleetSize returns the number of devices that were seen within fleetMemory, the transaction's among them.
func (w *work) fleetSize() int {
	w.countFleet()
	return w.fleet.size
}

// fleetIsWhole reports whether most devices of the fleet are known: a share of a few of them says nothing.
func (w *work) fleetIsWhole() bool {
	w.countFleet()
	f := &w.fleet
	now := f.query.SeenAfter.Add(fleetMemory)
	oldest := w.rows.Fleet.Oldest
	return !oldest.IsZero() && now.Sub(oldest) >= fleetAge || float64(f.newer) <= growth*float64(f.size-f.newer)
}

// countFleet counts the devices of the store and of the transaction.
func (w *work) countFleet() {
	f := &w.fleet
	if f.sized {
		return
	}
	if !w.fleetLoaded() {
		panic(missing{w.fleetKeys(time.Time{})}) // with a count of all devices: prune has left few that are too old
	}
	f.size, f.newer, f.sized = w.rows.Fleet.Size, w.rows.Fleet.New, true
	for _, some := range []map[string]time.Time{f.seen, f.saved} {
		for guid, seen := range some {
			before := w.rows.Devices[guid]
			if !seen.After(f.query.SeenAfter) || before.After(f.query.SeenAfter) {
				continue
			}
			f.size++
			if before.IsZero() && seen.After(f.query.NewAfter) {
				f.newer++
			}
		}
	}
}
