package store

import (
	"errors"
	"maps"
	"sync"
	"time"
)

const (
	// fleetMemory is how long a device that is not heard of counts.
	fleetMemory = 7 * 24 * time.Hour
	// seenAgain is how much later a device is written down again.
	seenAgain = time.Hour
	// mostDevices is how many of them are kept in memory.
	mostDevices = 1 << 16
)

// devices are those that are known to be in the table, and when they were seen, so that
// a busy one costs no SQL. Forgetting some does no harm.
type devices struct {
	sync.Mutex
	seen     map[string]time.Time
	prunedAt time.Time
}

// fleet is what a transaction knows of the devices.
type fleet struct {
	cache   *devices
	seen    map[string]time.Time // to be written
	written map[string]time.Time
	size    int
	counted bool
}

// see takes note of the device that a message is about. All of a transaction are seen
// before the fleet is counted.
func (c *change) see(m *Message) {
	guid, at := m.Decision.Device, m.when()
	if guid == "" || !c.fleet.cache.isLater(guid, at) || !at.After(c.fleet.seen[guid]) {
		return
	}
	if c.fleet.seen == nil {
		c.fleet.seen = map[string]time.Time{}
	}
	c.fleet.seen[guid] = at
}

// isLater says whether a device has to be written down again.
func (d *devices) isLater(guid string, at time.Time) bool {
	d.Lock()
	defer d.Unlock()
	seen, known := d.seen[guid]
	return !known || at.Sub(seen) > seenAgain
}

// committed keeps in memory what is on disk now.
func (f *fleet) committed() {
	if len(f.written) == 0 {
		return
	}
	f.cache.Lock()
	defer f.cache.Unlock()
	if f.cache.seen == nil || len(f.cache.seen)+len(f.written) > mostDevices {
		f.cache.seen = map[string]time.Time{}
	}
	maps.Copy(f.cache.seen, f.written)
}

func (c *change) flushDevices() error {
	for guid, at := range c.fleet.seen {
		err := c.exec(`
			INSERT INTO device (guid, seen_at) VALUES (?, ?)
			ON CONFLICT (guid) DO UPDATE SET seen_at = excluded.seen_at WHERE excluded.seen_at > device.seen_at`, guid, millis(at))
		if err != nil {
			return err
		}
	}
	if c.fleet.written == nil {
		c.fleet.written = c.fleet.seen
	} else {
		maps.Copy(c.fleet.written, c.fleet.seen)
	}
	c.fleet.seen = nil
	return nil
}

// fleetSize counts the devices that were seen lately, once a transaction.
func (c *change) fleetSize(at time.Time) (int, error) {
	if c.fleet.counted {
		return c.fleet.size, nil
	}
	if err := c.flushDevices(); err != nil {
		return 0, err
	}
	err := c.row(`SELECT count(*) FROM device WHERE seen_at > ?`, millis(at.Add(-fleetMemory))).Scan(&c.fleet.size)
	c.fleet.counted = err == nil
	return c.fleet.size, err
}

// prune forgets devices and ends that count no more, now and then.
func (c *change) prune(now time.Time) error {
	d := c.fleet.cache
	d.Lock()
	due := now.Sub(d.prunedAt) >= seenAgain
	if due {
		d.prunedAt = now
	}
	d.Unlock()
	if !due {
		return nil
	}
	return errors.Join(c.pruneEnds(now), c.pruneUnproven(now), c.exec(`DELETE FROM device WHERE seen_at <= ?`, millis(now.Add(-fleetMemory))))
}
