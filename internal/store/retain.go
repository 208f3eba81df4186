package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
)

// Retained counts the alerts that Retain has ended, by their rules.
type Retained struct {
	Gone  map[string]int // of rules that are no more
	Moved map[string]int // of rules that had another integration key
}

// Retain ends the alerts of all rules but these, as of a time, and forgets their windows. Of
// these it ends the alerts that were raised by another integration key than the rule has now:
// no message would reach them. Alerts without a rule stay. All that waits is looked at by the
// next Claim, whatever held it up: an operator may have mended that, too.
func (s *Store) Retain(ctx context.Context, at time.Time, rules map[string]ilert.IntegrationKey) (ended Retained, err error) {
	ended = Retained{Gone: map[string]int{}, Moved: map[string]int{}}
	return ended, s.change(ctx, func(c *change) error {
		o := &origin{at: at, arrived: at}
		if err := c.endGone(rules, o, ended.Gone); err != nil {
			return err
		}
		if err := c.endMoved(rules, o, ended.Moved); err != nil {
			return err
		}
		return c.exec(`UPDATE lane SET any_from = 0, singles_from = 0, at = 0`)
	})
}

// endGone ends the alerts of all rules but these, and counts them.
func (c *change) endGone(rules map[string]ilert.IntegrationKey, o *origin, ended map[string]int) error {
	var gone []string
	err := c.each(func(rows *sql.Rows) error {
		var rule string
		err := rows.Scan(&rule)
		if _, there := rules[rule]; !there {
			gone = append(gone, rule)
		}
		return err
	}, `SELECT rule FROM alert WHERE rule <> '' UNION SELECT rule FROM window_group UNION SELECT rule FROM rule_tally`)
	if err != nil {
		return err
	}
	for _, rule := range gone {
		var open int
		if err := c.row(`SELECT count(*) FROM alert WHERE rule = ? AND desired <> 'RESOLVE'`, rule).Scan(&open); err != nil {
			return err
		}
		if open > 0 {
			ended[rule] = open
		}
		if err := c.endAll(rule, o); err != nil {
			return err
		}
		if err := c.exec(`DELETE FROM rule_tally WHERE rule = ?`, rule); err != nil {
			return err
		}
	}
	return nil
}

// endMoved ends the alerts that rules have raised by other integration keys, and counts them.
func (c *change) endMoved(rules map[string]ilert.IntegrationKey, o *origin, ended map[string]int) error {
	type former struct {
		rule string
		key  ilert.IntegrationKey
	}
	var all []former
	err := c.each(func(rows *sql.Rows) error {
		var f former
		err := rows.Scan(&f.rule, &f.key)
		if now, there := rules[f.rule]; there && now != f.key {
			all = append(all, f)
		}
		return err
	}, `SELECT DISTINCT rule, integration_key FROM alert WHERE rule <> ''`)
	if err != nil {
		return err
	}
	for _, f := range all {
		keys, err := c.keysOf(f.rule)
		if err != nil {
			return err
		}
		for _, k := range keys {
			a, err := c.load(k)
			if err != nil {
				return err
			}
			if k.integration != f.key || !a.open() {
				continue
			}
			if err := c.endKey(k, o); err != nil {
				return err
			}
			ended[f.rule]++
		}
	}
	return nil
}
