package sqlite

import (
	"context"

	"github.com/mps-events/mps-events/internal/alerting"
)

func (t *tx) loadRules(keys *alerting.Keys, rows *alerting.Rows) error {
	for _, q := range keys.Rules {
		var page alerting.RulePage
		err := t.each(func(r *row) {
			a := scanAlert(r)
			addAlert(a, rows)
			page.Alerts = append(page.Alerts, a.ID)
		}, `SELECT `+alertColumns+` FROM alert WHERE rule = ? AND epoch < ? ORDER BY integration_key, folded_key LIMIT ? + 0`, q.Rule, q.Epoch, q.Limit)
		if err != nil {
			return err
		}
		err = t.each(func(r *row) { page.Groups = append(page.Groups, alerting.GroupID{Rule: q.Rule, Group: r.text()}) },
			`SELECT grp FROM window_group WHERE rule = ? AND epoch < ? ORDER BY grp LIMIT ? + 0`, q.Rule, q.Epoch, q.Limit)
		if err != nil {
			return err
		}
		mapIn(&rows.Rules)[q.Rule] = page
	}
	return nil
}

// loadPrefixes reads alerts in the order of their keys, from the first that begins with a prefix or is behind From.
func (t *tx) loadPrefixes(keys *alerting.Keys, rows *alerting.Rows) error {
	for _, q := range keys.Prefixes {
		var page alerting.PrefixPage
		from := q.Prefix.Folded
		if q.From != "" {
			from = q.From + "\x00" // the next text
		}
		end := q.Prefix.Folded + "\xff" // behind all texts in UTF-8 that begin so
		err := t.each(func(r *row) {
			a := scanAlert(r)
			addAlert(a, rows)
			page.Alerts = append(page.Alerts, a.ID)
		}, `SELECT `+alertColumns+` FROM alert WHERE integration_key = ? AND folded_key >= ? AND folded_key < ? ORDER BY folded_key LIMIT ? + 0`,
			q.Prefix.Integration.Text(), from, end, q.Limit)
		if err != nil {
			return err
		}
		page.Full = len(page.Alerts) == q.Limit
		mapIn(&rows.Prefixes)[q.Prefix] = page
	}
	return nil
}

const ruleEndColumns = `rule, epoch, at, arrived, source, max_skew, windows, kept, holds, prefix_key, prefix, ended_to`

func (t *tx) saveRules(c *alerting.Changes) error {
	for _, end := range c.NoRuleEnds {
		if err := t.exec(`DELETE FROM rule_end WHERE rule = ? AND epoch = ?`, end.Rule, end.Epoch); err != nil {
			return err
		}
	}
	for _, end := range c.RuleEnds {
		t.epoch = max(t.epoch, end.Epoch)
		var kept, prefixKey any // NULL
		prefix := ""
		if end.Kept != nil {
			kept = end.Kept.Text()
		}
		if end.Prefix != nil {
			prefixKey, prefix = end.Prefix.Integration.Text(), end.Prefix.Folded
		}
		err := t.exec(`INSERT OR REPLACE INTO rule_end (`+ruleEndColumns+`) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)`,
			end.Rule, end.Epoch, millis(end.At), millis(end.Arrived), end.Source, end.MaxSkew.Milliseconds(), end.Windows, kept, end.Holds, prefixKey, prefix, end.From)
		if err != nil {
			return err
		}
	}
	if t.epoch > 0 {
		if err := t.exec(`UPDATE last_epoch SET epoch = ?1 WHERE epoch < ?1`, t.epoch); err != nil {
			return err
		}
	}
	return execOf(t, `DELETE FROM rule_tally WHERE rule IN (LIST)`, c.NoRules)
}

func (t *tx) recoverRules(m *alerting.Memory) error {
	err := t.each(func(r *row) {
		end := alerting.RuleEnd{
			Rule: r.text(), Epoch: r.int64(), At: r.time(), Arrived: r.time(), Source: r.text(), MaxSkew: r.duration(), Windows: r.bool(),
		}
		if kept, is := r.keyOrNull(); is {
			end.Kept = &kept
		}
		end.Holds = r.bool()
		key, is := r.keyOrNull()
		if prefix := r.text(); is {
			end.Prefix = &alerting.AlertID{Integration: key, Folded: prefix}
		}
		end.From = r.text()
		m.RuleEnds = append(m.RuleEnds, end)
	}, `SELECT `+ruleEndColumns+` FROM rule_end ORDER BY epoch, rule`)
	if err != nil {
		return err
	}
	return t.each(func(r *row) { m.Epoch = r.int64() }, `SELECT epoch FROM last_epoch`)
}

// FindRules returns the rules that the store has rows of, with the number of open alerts.
func (t *tx) FindRules(context.Context) (found []alerting.RuleCount, err error) {
	err = t.each(func(r *row) {
		found = append(found, alerting.RuleCount{Rule: r.text(), Key: r.key(), Open: r.int()})
	}, `
		SELECT rule, integration_key, count(*) FILTER (WHERE desired <> 'RESOLVE') FROM alert WHERE rule <> '' GROUP BY rule, integration_key
		UNION ALL
		SELECT rule, '', 0 FROM (SELECT rule FROM window_group UNION SELECT rule FROM rule_tally) AS other
		WHERE NOT EXISTS (SELECT 1 FROM alert WHERE alert.rule = other.rule)
		ORDER BY 1, 2`)
	return found, err
}
