package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/ilert"
)

// NextDue returns the earliest time at which a row is due, and false if there is none.
func (s *Store) NextDue(ctx context.Context) (at time.Time, some bool, err error) {
	if err := s.writer.take(ctx); err != nil {
		return at, false, fmt.Errorf("store: %w", err)
	}
	defer s.writer.release()
	t := &tx{conn: s.writer}
	err = t.each(func(r *row) {
		if some = r.bool(); some {
			at = time.UnixMilli(r.int64())
		}
	}, `
		SELECT min(at) IS NOT NULL, min(at) FROM (
			SELECT min(at) AS at FROM lane
			UNION ALL
			SELECT min(ends_at) FROM alert WHERE ends_at > 0
			UNION ALL
			SELECT min(check_at) FROM window_group WHERE check_at > 0
			UNION ALL
			SELECT min(arrived) FROM rule_end)`)
	if err != nil {
		return at, false, fmt.Errorf("store: %w", s.fault(err))
	}
	return at, some, nil
}

// FindDue returns the alerts, groups and lanes that are due.
func (t *tx) FindDue(_ context.Context, now time.Time, listened time.Duration, maxEnds, maxLanes int) (due alerting.Due, err error) {
	if due.Alerts, due.Groups, err = t.dueEnds(now, maxEnds); err != nil {
		return due, err
	}
	if err := t.dueDelays(listened, maxEnds, &due); err != nil {
		return due, err
	}
	due.Lanes, err = t.dueLanes(now, maxLanes)
	return due, err
}

// dueDelays finds the delayed alerts that are due, and when the next one is.
func (t *tx) dueDelays(listened time.Duration, limit int, due *alerting.Due) error {
	err := t.each(func(r *row) { due.Delayed = append(due.Delayed, scanAlert(r)) }, `
		SELECT `+alertColumns+` FROM alert WHERE delay > 0 AND delay + heard <= ?
		ORDER BY delay + heard, integration_key, folded_key LIMIT ? + 0`, listened.Milliseconds(), limit)
	if err != nil {
		return err
	}
	due.NextDelay, err = t.nextDelay(len(due.Delayed))
	return err
}

// nextDelay returns the time of the first delayed alert after some: 0 if there is none.
func (t *tx) nextDelay(after int) (next time.Duration, err error) {
	err = t.each(func(r *row) { next = r.duration() },
		`SELECT delay + heard FROM alert WHERE delay > 0 ORDER BY delay + heard LIMIT 1 OFFSET ?`, after)
	return next, err
}

// dueEnds returns the alerts and groups whose time has come.
func (t *tx) dueEnds(now time.Time, limit int) (alerts []*alerting.Alert, groups []*alerting.Group, err error) {
	err = t.each(func(r *row) { alerts = append(alerts, scanAlert(r)) }, `
		SELECT `+alertColumns+` FROM alert WHERE ends_at > 0 AND ends_at <= ? ORDER BY ends_at, integration_key, folded_key LIMIT ? + 0`,
		millis(now), limit)
	if err != nil {
		return nil, nil, err
	}
	err = t.each(func(r *row) { groups = append(groups, scanGroup(r)) }, `
		SELECT `+groupColumns+` FROM window_group WHERE check_at > 0 AND check_at <= ? ORDER BY check_at, rule, grp LIMIT ? + 0`,
		millis(now), limit)
	if err != nil {
		return nil, nil, err
	}
	return alerts, groups, t.loadMembers(groups)
}

// dueLanes returns the integration keys whose lanes are due.
func (t *tx) dueLanes(now time.Time, limit int) (keys []ilert.IntegrationKey, err error) {
	err = t.each(func(r *row) { keys = append(keys, r.key()) },
		`SELECT integration_key FROM lane WHERE at <= ? ORDER BY unproven, at, integration_key LIMIT ? + 0`, millis(now), limit)
	return keys, err
}
