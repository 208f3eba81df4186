package sqlite

import (
	"context"
	"time"

	"github.com/mps-events/mps-events/internal/alerting"
)

func (t *tx) loadDevices(keys *alerting.Keys, rows *alerting.Rows) error {
	err := eachOf(t, func(r *row) { mapIn(&rows.Devices)[r.text()] = r.time() }, `SELECT guid, seen_at FROM device WHERE guid IN (LIST)`, keys.Devices)
	if err != nil || keys.Fleet == (alerting.FleetQuery{}) {
		return err
	}
	return t.each(func(r *row) { rows.Fleet = alerting.FleetCount{Size: r.int(), New: r.int(), Oldest: r.time()} }, `
		SELECT (SELECT count(*) FROM device WHERE seen_at > ?), (SELECT count(*) FROM device WHERE first_seen > ? AND seen_at > ?),
			coalesce((SELECT min(first_seen) FROM device), 0)`,
		millis(keys.Fleet.SeenAfter), millis(keys.Fleet.NewAfter), millis(keys.Fleet.SeenAfter))
}

func (t *tx) saveDevices(c *alerting.Changes) error {
	if err := execOf(t, `DELETE FROM device WHERE guid IN (LIST)`, c.NoDevices); err != nil {
		return err
	}
	for _, d := range c.Devices {
		err := t.exec(`
			INSERT INTO device (guid, seen_at, first_seen) VALUES (?, ?, ?)
			ON CONFLICT (guid) DO UPDATE SET seen_at = excluded.seen_at WHERE excluded.seen_at > device.seen_at`, d.GUID, millis(d.SeenAt), millis(d.SeenAt))
		if err != nil {
			return err
		}
	}
	return nil
}

// FindDevices returns the devices that were not seen after a time, and the total number of devices.
func (t *tx) FindDevices(_ context.Context, before time.Time, limit int) (guids []string, total int, err error) {
	err = t.each(func(r *row) { guids = append(guids, r.text()) }, `SELECT guid FROM device WHERE seen_at <= ? ORDER BY seen_at, guid LIMIT ? + 0`, millis(before), limit)
	if err != nil {
		return nil, 0, err
	}
	err = t.each(func(r *row) { total = r.int() }, `SELECT count(*) FROM device`)
	return guids, total, err
}
