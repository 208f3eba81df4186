package sqlite

import "github.com/mps-events/mps-events/internal/alerting"

// The numbers of the volumes, which are indices of volumeNames.
const (
	letters = iota
	outbox
	unprovenItems // a part of the outbox
	volumes
)

var volumeNames = [volumes]string{"dead_letter", "outbox", "unproven"}

// grow adds to the changes of a volume. Numbers below zero stand for deleted rows.
func (t *tx) grow(volume int, rows, bytes int64) {
	t.grown[volume].Rows += rows
	t.grown[volume].Bytes += bytes
}

func (t *tx) saveVolumes(*alerting.Changes) error {
	for volume, by := range t.grown {
		if by == (alerting.Volume{}) {
			continue
		}
		err := t.exec(`UPDATE volume SET count = count + ?, bytes = bytes + ? WHERE name = ?`, by.Rows, by.Bytes, volumeNames[volume])
		if err != nil {
			return err
		}
	}
	t.grown = [volumes]alerting.Volume{}
	return nil
}

func (t *tx) loadVolumes(keys *alerting.Keys, rows *alerting.Rows) error {
	if !keys.Volumes {
		return nil
	}
	into := map[string]*alerting.Volume{
		volumeNames[letters]: &rows.Volumes.Letters, volumeNames[outbox]: &rows.Volumes.Outbox, volumeNames[unprovenItems]: &rows.Volumes.Unproven,
	}
	err := t.each(func(r *row) { *into[r.text()] = alerting.Volume{Rows: r.int64(), Bytes: r.int64()} }, `SELECT name, count, bytes FROM volume`)
	if err != nil {
		return err
	}
	return t.each(func(r *row) { rows.LastLetter, rows.LastItem = r.int64(), r.int64() },
		`SELECT (SELECT max(id) FROM dead_letter), (SELECT max(id) FROM outbox)`)
}
