package sqlite

import "github.com/mps-events/mps-events/internal/alerting"

func (t *tx) saveTallies(c *alerting.Changes) error {
	for filter, n := range c.Tallies {
		// The conversion to int64 turns a number that has wrapped around into one below zero, which subtracts.
		err := t.exec(`
			INSERT INTO tally (filter, received, ignored, duplicate, merged, delivered, dead, purged) VALUES (?,?,?,?,?,?,?,?)
			ON CONFLICT (filter) DO UPDATE SET
				received = tally.received + excluded.received, ignored = tally.ignored + excluded.ignored,
				duplicate = tally.duplicate + excluded.duplicate,
				merged = tally.merged + excluded.merged, delivered = tally.delivered + excluded.delivered,
				dead = tally.dead + excluded.dead, purged = tally.purged + excluded.purged`,
			filter, int64(n.Received), int64(n.Ignored), int64(n.Duplicate), int64(n.Merged), int64(n.Delivered), int64(n.Dead), int64(n.Purged))
		if err != nil {
			return err
		}
	}
	for rule, n := range c.Matched {
		err := t.exec(`
			INSERT INTO rule_tally (rule, matched) VALUES (?, ?)
			ON CONFLICT (rule) DO UPDATE SET matched = rule_tally.matched + excluded.matched`, rule, int64(n))
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) tallies() (map[string]alerting.Tally, error) {
	all := map[string]alerting.Tally{}
	err := t.each(func(r *row) {
		all[r.text()] = alerting.Tally{
			Received: r.uint64(), Ignored: r.uint64(), Duplicate: r.uint64(), Merged: r.uint64(),
			Delivered: r.uint64(), Dead: r.uint64(), Purged: r.uint64(), Pending: r.uint64(),
		}
	}, `
		SELECT filter, received, ignored, duplicate, merged, delivered, dead, purged,
		       (SELECT count(*) FROM alert WHERE pending = 1 AND alert.filter = tally.filter) +
		       (SELECT count(*) FROM outbox WHERE outbox.filter = tally.filter)
		FROM tally`)
	return all, err
}

func (t *tx) matches() (map[string]uint64, error) {
	all := map[string]uint64{}
	err := t.each(func(r *row) { all[r.text()] = r.uint64() }, `SELECT rule, matched FROM rule_tally`)
	return all, err
}
