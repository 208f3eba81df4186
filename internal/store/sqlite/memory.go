package sqlite

import (
	"context"
	"encoding/binary"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/ilert"
)

func (t *tx) saveArrivals(c *alerting.Changes) (err error) {
	added := int64(0)
	if c.Arrival != nil {
		prints := make([]byte, 0, 8*len(c.Arrival.Prints))
		for _, print := range c.Arrival.Prints {
			prints = binary.BigEndian.AppendUint64(prints, print)
		}
		// The insertion comes before the deletions, so that the new row gets a higher ID than the old ones.
		if added, err = t.insert(`INSERT INTO arrival (at, prints) VALUES (?, ?)`, millis(c.Arrival.At), prints); err != nil {
			return err
		}
		c.Arrival.ID = added
	}
	if c.NoArrivals == 0 {
		return nil
	}
	return t.exec(`DELETE FROM arrival WHERE id <= ? AND id <> ?`, c.NoArrivals, added)
}

func scanArrival(r *row) alerting.Arrival {
	a := alerting.Arrival{ID: r.int64(), At: r.time()}
	prints := r.blob()
	a.Prints = make([]uint64, 0, len(prints)/8)
	for ; len(prints) >= 8; prints = prints[8:] {
		a.Prints = append(a.Prints, binary.BigEndian.Uint64(prints))
	}
	return a
}

func (t *tx) saveReceipts(c *alerting.Changes) error {
	if err := execOf(t, `DELETE FROM receipt WHERE id IN (LIST)`, c.NoReceipts); err != nil || c.Receipt == nil {
		return err
	}
	return t.exec(`INSERT OR REPLACE INTO receipt (id, session, receipts) VALUES (?, ?, ?)`, c.Receipt.ID, c.Receipt.Session, blob(c.Receipt.Receipts))
}

// savePace writes the requests to ilert, and the times until which ilert has asked for none.
func (t *tx) savePace(c *alerting.Changes) error {
	if !c.NoRequests.IsZero() {
		if err := t.exec(`DELETE FROM request WHERE at <= ?`, millis(c.NoRequests)); err != nil {
			return err
		}
	}
	for _, q := range c.Requests {
		err := t.exec(`
			INSERT INTO request (integration_key, at, requests) VALUES (?, ?, ?)
			ON CONFLICT (integration_key, at) DO UPDATE SET requests = request.requests + excluded.requests`, q.Key.Text(), millis(q.At), q.N)
		if err != nil {
			return err
		}
	}
	if !c.NoHolds.IsZero() {
		if err := t.exec(`DELETE FROM hold WHERE until <= ?`, millis(c.NoHolds)); err != nil {
			return err
		}
	}
	for _, h := range c.Holds {
		err := t.exec(`
			INSERT INTO hold (integration_key, until) VALUES (?, ?)
			ON CONFLICT (integration_key) DO UPDATE SET until = max(hold.until, excluded.until)`, h.Key.Text(), millis(h.Until))
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) saveClocks(c *alerting.Changes) error {
	for _, clock := range c.Clocks {
		var err error
		if clock.Behind == 0 {
			err = t.exec(`DELETE FROM clock WHERE source = ?`, clock.Source)
		} else {
			err = t.exec(`INSERT OR REPLACE INTO clock (source, behind, heard_at) VALUES (?, ?, ?)`,
				clock.Source, clock.Behind.Milliseconds(), millis(clock.HeardAt))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) saveSubscriptions(c *alerting.Changes) error {
	for client, filters := range c.Subscribed {
		if err := t.exec(`DELETE FROM subscription WHERE client_id = ?`, client); err != nil {
			return err
		}
		for _, filter := range filters {
			if err := t.exec(`INSERT OR IGNORE INTO subscription (client_id, filter) VALUES (?, ?)`, client, filter); err != nil {
				return err
			}
		}
	}
	return nil
}

// Recover prepares the rows for a new engine.
func (t *tx) Recover(_ context.Context, m *alerting.Memory) error {
	for _, text := range []string{
		`UPDATE alert SET claimed = 0 WHERE claimed = 1`, `UPDATE outbox SET claimed = 0 WHERE claimed = 1`, `DELETE FROM lane`,
	} {
		if err := t.exec(text); err != nil {
			return err
		}
	}
	t.lanes = map[ilert.IntegrationKey]*alerting.LaneHold{}
	err := t.each(func(r *row) { t.touchLane(r.key()) },
		`SELECT DISTINCT integration_key FROM alert WHERE pending = 1 AND claimed = 0 UNION SELECT DISTINCT integration_key FROM outbox`)
	if err != nil {
		return err
	}
	if err := t.deriveLanes(); err != nil {
		return err
	}
	*m = alerting.Memory{Subscriptions: map[string][]string{}}
	for _, part := range []struct {
		scan func(*row)
		text string
	}{
		{func(r *row) { m.Arrivals = append(m.Arrivals, scanArrival(r)) }, `SELECT id, at, prints FROM arrival ORDER BY id`},
		{func(r *row) {
			m.Receipts = append(m.Receipts, alerting.ReceiptRow{ID: r.int64(), Session: r.text(), Receipts: r.blob()})
		}, `SELECT id, session, receipts FROM receipt ORDER BY id`},
		{func(r *row) {
			m.Requests = append(m.Requests, alerting.Requests{Key: r.key(), At: r.time(), N: r.int()})
		}, `SELECT integration_key, at, requests FROM request ORDER BY at, integration_key`},
		{func(r *row) { m.Holds = append(m.Holds, alerting.Hold{Key: r.key(), Until: r.time()}) }, `SELECT integration_key, until FROM hold ORDER BY integration_key`},
		{func(r *row) {
			m.Clocks = append(m.Clocks, alerting.Clock{Source: r.text(), Behind: r.duration(), HeardAt: r.time()})
		}, `SELECT source, behind, heard_at FROM clock ORDER BY heard_at, source`},
		{func(r *row) {
			client := r.text()
			m.Subscriptions[client] = append(m.Subscriptions[client], r.text())
		}, `SELECT client_id, filter FROM subscription ORDER BY client_id, filter`},
	} {
		if err := t.each(part.scan, part.text); err != nil {
			return err
		}
	}
	if err := t.recoverRules(m); err != nil {
		return err
	}
	if err := t.recoverAwaited(m); err != nil {
		return err
	}
	if m.NextDelay, err = t.nextDelay(0); err != nil {
		return err
	}
	return t.recoverHolds(m)
}
