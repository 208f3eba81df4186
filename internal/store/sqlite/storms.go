package sqlite

import (
	"context"
	"time"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/ilert"
)

// firstsDue is the condition for alerts of an integration key (?1) that are due at a time (?2) and of the kind Firsts.
const firstsDue = `integration_key = ?1 AND turn IN (1, 4, 7) AND pending = 1 AND claimed = 0 AND next_try <= ?2`

// The queries for members of a storm. They name the index, since SQLite would otherwise read all alerts of the
// integration key in their order.
const (
	membersOfStorm = `SELECT ` + alertColumns + ` FROM alert INDEXED BY alert_storm
		WHERE integration_key = ? AND pending = 0 AND rule = ? AND storm = 1 ORDER BY folded_key LIMIT ? + 0`
	untoldOfStorm = `SELECT ` + alertColumns + ` FROM alert INDEXED BY alert_storm
		WHERE integration_key = ? AND pending = 1 AND rule = ? AND storm = 1 ORDER BY folded_key LIMIT ? + 0`
)

func (t *tx) loadStorms(keys *alerting.Keys, rows *alerting.Rows) error {
	for _, q := range keys.Storms {
		var s alerting.StormMembers
		key := q.Key.Text()
		err := t.each(func(r *row) { s.Size, s.Untold = r.int(), r.int() }, `
			SELECT count(*), coalesce(sum(pending), 0) FROM alert
			WHERE integration_key = ? AND pending IN (0, 1) AND rule = ? AND storm = 1`, key, q.Rule)
		if err != nil {
			return err
		}
		members := membersOfStorm
		if s.Untold > 0 {
			members = untoldOfStorm
		}
		err = t.each(func(r *row) {
			m := scanAlert(r)
			addAlert(m, rows)
			s.Members = append(s.Members, m.ID)
		}, members, key, q.Rule, q.Limit)
		if err != nil {
			return err
		}
		mapIn(&rows.Storms)[q] = s
	}
	return nil
}

// JoinStorms makes alerts members of storms.
func (t *tx) JoinStorms(_ context.Context, now time.Time, joins []alerting.StormJoin) ([]int, error) {
	joined := make([]int, len(joins))
	t.lanes = map[ilert.IntegrationKey]*alerting.LaneHold{}
	for i, j := range joins {
		t.touchLane(j.Key)
		// A member has the send class NoClass, which is -1.
		err := t.each(func(*row) { joined[i]++ }, `
			UPDATE alert SET storm = 1, turn = -1
			WHERE integration_key = ?1 AND folded_key IN (
				SELECT folded_key FROM alert WHERE `+firstsDue+` AND rule = ?3 ORDER BY next_try, folded_key LIMIT ?4 + 0)
			RETURNING 1`, j.Key.Text(), millis(now), j.Rule, j.Limit)
		if err != nil {
			return nil, err
		}
	}
	return joined, t.deriveLanes()
}
