package sqlite

import (
	"context"
	"time"

	"github.com/mps-events/mps-events/internal/alerting"
)

// Status counts what the store holds.
func (s *Store) Status(ctx context.Context, now time.Time) (all alerting.Status, err error) {
	err = s.view(ctx, func(t *tx) (err error) {
		all, err = t.status(now)
		return err
	})
	return all, err
}

func (t *tx) status(now time.Time) (all alerting.Status, err error) {
	if all.Tallies, err = t.tallies(); err != nil {
		return all, err
	}
	if all.Matches, err = t.matches(); err != nil {
		return all, err
	}
	err = t.each(func(r *row) { all.Open = r.uint64() }, `SELECT count(*) FROM alert WHERE told IN ('ALERT', 'ACCEPT')`)
	if err != nil {
		return all, err
	}
	err = t.each(func(r *row) {
		all.Silenced, all.Held = r.uint64(), r.uint64()
		all.Waiting, all.Later, all.Claimed = r.uint64(), r.uint64(), r.uint64()
		all.Oldest = r.time()
		if first := r.time(); all.Oldest.IsZero() || !first.IsZero() && first.Before(all.Oldest) {
			all.Oldest = first
		}
	}, `
		SELECT count(*) FILTER (WHERE silence <> 0), count(*) FILTER (WHERE silence = 0 AND held_by <> ''),
		       count(*) FILTER (WHERE claimed = 0 AND NOT held AND NOT held_back AND (tries > 0 OR next_try <= ?1)),
		       count(*) FILTER (WHERE claimed = 0 AND NOT held AND (held_back OR tries = 0 AND next_try > ?1)),
		       count(*) FILTER (WHERE claimed = 1),
		       min(CASE WHEN held OR held_back THEN NULL WHEN tries > 0 THEN received_at WHEN next_try <= ?1 THEN next_try END),
		       (SELECT received_at FROM outbox ORDER BY id LIMIT 1)
		FROM (SELECT claimed, tries, next_try, received_at, silence, held_by, silence <> 0 OR held_by <> '' AS held,
		             held_until > 0 AND told = '' OR delay > 0 AS held_back FROM alert WHERE pending = 1)`, millis(now))
	if err != nil {
		return all, err
	}
	err = t.each(func(r *row) { all.UnprovenKeys, all.Unproven, all.OldestUnproven = r.uint64(), r.uint64(), r.time() },
		`SELECT count(DISTINCT integration_key), count(*), min(queued_at) FROM outbox WHERE unproven > 0`)
	if err != nil {
		return all, err
	}
	err = t.each(func(r *row) { all.LetterBytes, all.Outbox, all.OutboxBytes = r.uint64(), r.uint64(), r.uint64() },
		`SELECT l.bytes, o.count, o.bytes FROM volume AS l, volume AS o WHERE l.name = 'dead_letter' AND o.name = 'outbox'`)
	return all, err
}

// withMembers is the query for alerts with the number of members of each.
const withMembers = `SELECT ` + alertColumns + `, CASE
		WHEN storm = 2 THEN size
		WHEN windowed = 0 THEN 0
		ELSE coalesce(
			(SELECT nullif(g.size, 0) FROM window_group AS g WHERE g.rule = alert.rule AND g.grp = alert.grp),
			(SELECT count(*) FROM member AS m WHERE m.rule = alert.rule AND m.grp = alert.grp)) END
	FROM alert `

func (s *Store) withMembers(ctx context.Context, where string, args ...any) (all []alerting.AlertWithMembers, err error) {
	err = s.view(ctx, func(t *tx) error {
		return t.each(func(r *row) { all = append(all, alerting.AlertWithMembers{Alert: *scanAlert(r), Members: r.int()}) }, withMembers+where, args...)
	})
	return all, err
}

// Alerts returns the alerts of a rule, or all, with the number of members of each.
func (s *Store) Alerts(ctx context.Context, rule string, limit int) ([]alerting.AlertWithMembers, error) {
	return s.withMembers(ctx, `WHERE ?1 = '' OR rule = ?1 OR storm = 2 AND grp = ?1 ORDER BY integration_key, folded_key LIMIT ?2 + 0`, rule, limit)
}

// AlertsWithKey returns the alerts of all integration keys that have a folded alert key. It reads the whole table: only
// people ask for it.
func (s *Store) AlertsWithKey(ctx context.Context, folded string) ([]alerting.AlertWithMembers, error) {
	return s.withMembers(ctx, `WHERE folded_key = ? ORDER BY integration_key`, folded)
}

// WaitingKeys returns the literal integration keys for which chosen outbox items wait.
func (s *Store) WaitingKeys(ctx context.Context, which alerting.LetterQuery) (all []alerting.WaitingKey, err error) {
	if !which.ChoosesWaiting() {
		return nil, nil
	}
	var where conditions
	where.add("integration_key >= 'key:' AND integration_key < 'key;'") // the texts of literal keys begin with "key:"
	where.text("filter = ?", which.Filter)
	where.text("topic = ?", which.Topic)
	where.before("queued_at < ?", which.Before)
	err = s.view(ctx, func(t *tx) error {
		return t.each(func(r *row) {
			k := alerting.WaitingKey{Key: r.key(), Unproven: r.bool(), Items: r.int(), Tries: r.int(), Since: r.time(), Topic: r.text()}
			if which.Names(k.Key) && (k.Unproven || k.Tries > 0 || len(which.Keys) > 0) {
				all = append(all, k)
			}
		}, `
			SELECT integration_key, unproven, items, tries, since, (SELECT topic FROM outbox WHERE id = first) FROM (
				SELECT integration_key, max(unproven) AS unproven, count(*) AS items, max(tries) AS tries, min(queued_at) AS since, min(id) AS first
				FROM outbox`+where.where()+` GROUP BY integration_key)
			ORDER BY since, integration_key`, where.args...)
	})
	return all, err
}
