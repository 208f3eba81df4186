package rules

import "github.com/mps-events/mps-events/internal/decision"

// breaks reports whether a message breaks the row of a window if it does not fulfil the condition.
func (c *clause) breaks() bool {
	return c.is == begins && c.rule.Window != nil && c.rule.Window.CountsRows()
}

// addBreak adds the effect of a message that does not fulfil the condition of a rule with in_a_row. A message of which
// the group is not known breaks no row.
func (w *work) addBreak(c *clause) {
	r := c.rule
	if r.Of != nil {
		w.prepare(r, r.Of.needs)
		if holds, err := r.Of.holds(w.machine, &w.facts); err != nil || !holds {
			return
		}
	}
	if r.Group != nil {
		w.prepare(r, r.Group.needs)
	}
	if group, err := r.Group.text(w.machine, &w.facts); err == nil {
		w.addEffect(c, decision.Break{Rule: r.Name, Group: group})
	}
}

// breaking describes the effect of a clause that does not match, if it breaks a row.
func (w *work) breaking(c *clause) string {
	if !c.breaks() {
		return ""
	}
	alone := *w
	alone.decision, alone.places = decision.Decision{}, nil
	alone.addBreak(c)
	if len(alone.decision.Effects) == 0 {
		return ""
	}
	return ", which breaks the row in the window" + ofGroup(alone.decision.Effects[0].(decision.Break).Group)
}
