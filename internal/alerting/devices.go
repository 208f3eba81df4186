package alerting

import (
	"maps"
	"slices"
	"time"
)

const (
	// fleetMemory is the time for which a device that is not heard of counts.
	fleetMemory = 7 * 24 * time.Hour
	// seenInterval is the interval after which a device that is seen again is saved again.
	seenInterval = time.Hour
	// pruneInterval is the interval between two calls of prune that do something.
	pruneInterval = time.Hour
	// maxDevicesKnown limits the devices that are kept in memory.
	maxDevicesKnown = 1 << 16
)

// devices holds devices that the store is known to have, and when they were seen, so that
// a busy one is not saved each time. To forget some does no harm.
type devices struct {
	seen     map[string]time.Time
	prunedAt time.Time
}

// fleet holds what a transaction knows of the devices.
type fleet struct {
	seen  map[string]time.Time // to be saved
	saved map[string]time.Time

	counted bool      // Rows.Fleet is the number of devices seen after since
	since   time.Time // of the count
	size    int       // with those of the transaction, once it is sized
	sized   bool
}

// noteDevice takes note of the device that a message is about.
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

// mustSave reports whether a device that was seen at a time has to be saved again.
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

// addTo takes over what the store has now.
func (f *fleet) addTo(d *devices) {
	if len(f.saved) == 0 {
		return
	}
	if d.seen == nil || len(d.seen)+len(f.saved) > maxDevicesKnown {
		d.seen = map[string]time.Time{}
	}
	maps.Copy(d.seen, f.saved)
}

// fleetKeys returns the keys that fleetSize needs, once the devices of all messages were seen.
func (w *work) fleetKeys(now time.Time) Keys {
	f := &w.fleet
	k := Keys{Devices: slices.AppendSeq(slices.Collect(maps.Keys(f.seen)), maps.Keys(f.saved))}
	if !f.counted {
		k.Fleet = now.Add(-fleetMemory)
	}
	return k
}

// fleetLoaded reports whether fleetSize knows all that it needs.
func (w *work) fleetLoaded() bool {
	return w.fleet.counted && len(unread(w.fleetKeys(time.Time{}).Devices, w.rows.Devices)) == 0
}

// fleetSize returns the number of devices that were seen lately; those of the transaction are among them.
func (w *work) fleetSize() int {
	f := &w.fleet
	if f.sized {
		return f.size
	}
	if !w.fleetLoaded() {
		panic(missing{w.fleetKeys(time.Time{})}) // prune has left few that are too old
	}
	f.size, f.sized = w.rows.Fleet, true
	for _, some := range []map[string]time.Time{f.seen, f.saved} {
		for guid, seen := range some {
			if seen.After(f.since) && !w.rows.Devices[guid].After(f.since) {
				f.size++
			}
		}
	}
	return f.size
}

// prune forgets, now and then, what counts no more: devices, reports of alerts that are no more,
// outbox items of unproven integration keys, and proven keys that are too many. It reports whether it did.
func (w *work) prune(now time.Time) (pruned bool, err error) {
	e := w.engine
	e.memory.Lock()
	due := now.Sub(e.devices.prunedAt) >= pruneInterval
	e.memory.Unlock()
	if !due {
		return false, nil
	}
	w.changes.EndedBefore, w.changes.MaxProven = now.Add(-endedMemory), maxProven
	guids, _, err := w.tx.FindDevices(w.ctx, now.Add(-fleetMemory), purgePage)
	if err != nil {
		return false, err
	}
	w.changes.NoDevices = append(w.changes.NoDevices, guids...)
	if err := w.pruneUnproven(now); err != nil {
		return false, err
	}
	if len(guids) < purgePage { // else the next call finds more
		w.onCommit(func() { e.devices.prunedAt = now })
	}
	return true, nil
}
