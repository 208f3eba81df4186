package alerting

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
)

// All alerts of a rule may end at once, and they may be very many. The first page of them ends in the transaction
// that ends the rule. A RuleEnd stands for the others: each of them ends with a later page, or earlier if a
// message is about it.

// lastEpoch returns the epoch of the newest RuleEnd.
func (w *work) lastEpoch() int64 {
	if w.ends == nil {
		w.copyEnds()
	}
	return w.epoch
}

// allEnds returns the ends of rules of which alerts or windows may be left, the oldest first.
func (w *work) allEnds() []RuleEnd {
	w.lastEpoch()
	return w.ends
}

// copyEnds copies the ends of rules from the engine, as the transaction may change them and then fail.
func (w *work) copyEnds() {
	w.engine.memory.Lock()
	defer w.engine.memory.Unlock()
	w.ends, w.epoch = append([]RuleEnd{}, w.engine.ends...), w.engine.epoch
}

// oldestEnd returns the oldest end of a rule, and false if there is none.
func (w *work) oldestEnd() (RuleEnd, bool) {
	if ends := w.allEnds(); len(ends) > 0 {
		return ends[0], true
	}
	return RuleEnd{}, false
}

// addEnd adds the end of a rule, so that later pages end its alerts.
func (w *work) addEnd(end RuleEnd) {
	end.Epoch = w.lastEpoch() + 1
	w.epoch = end.Epoch
	w.ends = append(w.ends, end)
	w.changes.RuleEnds = append(w.changes.RuleEnds, end)
}

// origin returns the cause of the changes that the end of a rule makes.
func (end *RuleEnd) origin(now time.Time) *origin {
	o := &origin{at: end.At, arrived: now, by: ByRule}
	if end.Prefix != nil {
		o.by = ByPrefix
	}
	if end.Source != "" {
		o.message, o.waits = &Message{Source: end.Source, MaxSkew: end.MaxSkew}, true // the first page has counted it
	}
	return o
}

// endWithRule ends an alert whose rule has ended since it was raised, unless another source has sent a later report
// about it.
func (w *work) endWithRule(id AlertID, now time.Time) {
	for _, end := range w.allEnds() {
		a := w.alert(id)
		if a == nil || !end.covers(a) {
			continue
		}
		a.Epoch = end.Epoch
		w.keep(a)
		if end.Kept != nil && a.ID.Integration == *end.Kept {
			continue
		}
		o := end.origin(now)
		if a.Report.stale(o) {
			w.spareGroup(a, end.Epoch)
			continue
		}
		a.Report.renew(o)
		if !end.Holds {
			w.end(a, o)
		} else if !w.endOrHold(a, o) {
			w.spareGroup(a, end.Epoch)
		}
	}
}

// spareGroup lets the window of an alert outlive the end of its rule, since the alert does.
func (w *work) spareGroup(a *Alert, epoch int64) {
	if !a.Windowed {
		return
	}
	if g := w.group(GroupID{a.Rule, a.Group}); g != nil && w.alertOf(g) == a {
		g.Epoch = epoch
		w.changeOf(g.ID).dirty = true
	}
}

// covers reports whether the alert ends with the RuleEnd.
func (end *RuleEnd) covers(a *Alert) bool {
	switch {
	case a.Epoch >= end.Epoch:
		return false
	case end.Prefix != nil:
		return a.Storm != IsStorm && a.ID.HasPrefix(*end.Prefix)
	default:
		return a.Rule == end.Rule
	}
}

// isEnding reports whether alerts of a rule with an integration key may be left that have ended together.
func (w *work) isEnding(key ilert.IntegrationKey, rule string) bool {
	return slices.ContainsFunc(w.allEnds(), func(end RuleEnd) bool {
		if end.Prefix != nil {
			return end.Prefix.Integration == key
		}
		return end.Rule == rule
	})
}

// endGroupWithRule deletes the window of a group if its rule has ended since it began, and ends its alert. It returns
// the window that is left, or nil.
func (w *work) endGroupWithRule(id GroupID, now time.Time) *Group {
	g := w.group(id)
	if g == nil {
		return nil
	}
	for _, end := range w.allEnds() {
		if end.Prefix != nil && g.Alert.HasPrefix(*end.Prefix) {
			w.endWithRule(g.Alert, now)
			if g = w.group(id); g == nil {
				return nil
			}
		}
		if end.Windows && id.Rule == end.Rule && g.Epoch < end.Epoch {
			if g.Alert != (AlertID{}) {
				w.endWithRule(g.Alert, now)
			}
			if g.Epoch < end.Epoch {
				w.forgetGroup(id)
				return nil
			}
		}
	}
	return g
}

// endAll ends the first page of the alerts of a rule, deletes as many windows, and adds a RuleEnd if others are left.
func (w *work) endAll(rule string, o *origin) {
	if rule == "" {
		return // alerts without a rule belong to none
	}
	page, read := w.rows.Rules[rule]
	if !read {
		panic(missing{Keys{Rules: []RuleQuery{{rule, w.lastEpoch() + 1, maxPage}}}})
	}
	var open, ended []AlertID
	for id, a := range w.rows.Alerts { // those of the page, and what this transaction has raised
		switch {
		case a == nil || a.Rule != rule:
		case a.open():
			open = append(open, id)
		default:
			ended = append(ended, id)
		}
	}
	slices.SortFunc(open, compareIDs) // the message waits with the first of them
	for _, id := range slices.Concat(open, ended) {
		if a := w.alert(id); a != nil && a.Rule == rule {
			w.endByID(id, o)
		}
	}
	for id, g := range w.rows.Groups {
		if g != nil && id.Rule == rule && w.alertOf(g) == nil { // also what this transaction has counted
			w.forgetGroup(id)
		}
	}
	w.forgetGroups(page, func(g *Group) bool { return w.alertOf(g) != nil })
	if max(len(page.Alerts), len(page.Groups)) == maxPage {
		end := o.ruleEnd()
		end.Rule, end.Windows = rule, true
		w.addEnd(end)
	}
}

// ruleEnd returns a RuleEnd that a message causes.
func (o *origin) ruleEnd() RuleEnd {
	end := RuleEnd{At: o.at, Arrived: o.arrived, Holds: true}
	if o.message != nil {
		end.Source, end.MaxSkew = o.message.Source, o.message.MaxSkew
	}
	return end
}

// forgetGroups forgets the windows of a page, unless they are spared, once all alerts of the rule have ended: each alert
// tells ilert what its window has counted.
func (w *work) forgetGroups(page RulePage, spared func(*Group) bool) {
	if len(page.Alerts) == maxPage {
		return
	}
	for _, id := range page.Groups {
		if g := w.rows.Groups[id]; g == nil || !spared(g) {
			w.forgetGroup(id)
		}
	}
}

// pageKeys returns the keys of the next page of alerts and windows that end.
func (end *RuleEnd) pageKeys() Keys {
	if end.Prefix != nil {
		return Keys{Prefixes: []PrefixQuery{{*end.Prefix, end.From, maxPage}}}
	}
	return Keys{Rules: []RuleQuery{{end.Rule, end.Epoch, maxPage}}}
}

// endPage ends the next page of alerts and windows, and deletes the RuleEnd after the last page.
func (w *work) endPage(end RuleEnd, now time.Time) {
	if end.Prefix != nil {
		if !w.endPrefixPage(&end, now) {
			w.forgetEnd(end)
		}
		return
	}
	page := w.rows.Rules[end.Rule]
	for _, id := range page.Alerts {
		w.endWithRule(id, now)
	}
	if end.Windows {
		w.forgetGroups(page, func(g *Group) bool { return g.Epoch >= end.Epoch })
	}
	if len(page.Alerts) == maxPage || end.Windows && len(page.Groups) == maxPage {
		return
	}
	w.forgetEnd(end)
}

func (w *work) forgetEnd(end RuleEnd) {
	w.ends = slices.DeleteFunc(w.ends, func(other RuleEnd) bool { return other.Epoch == end.Epoch })
	w.changes.NoRuleEnds = append(w.changes.NoRuleEnds, end)
}

// compareIDs orders identities by alert key, then by integration key.
func compareIDs(a, b AlertID) int {
	return cmp.Or(cmp.Compare(a.Folded, b.Folded), cmp.Compare(a.Integration.String(), b.Integration.String()))
}

// Retained is the number of open alerts that Retain has ended, by their rules.
type Retained struct {
	Gone  map[string]int // of rules that were removed
	Moved map[string]int // of rules that had another integration key
}

// Retain ends the alerts of all rules but those given, as of a time, and deletes the windows of the others. Of the
// rules given it ends the alerts that have another integration key than the rule has now: no message would reach
// them. Alerts without a rule stay. Retain also makes each lane due now, since an operator who changes the rules may
// have mended what held up a lane.
func (e *Engine) Retain(ctx context.Context, at time.Time, rules map[string]ilert.IntegrationKey) (ended Retained, err error) {
	at = at.Truncate(time.Millisecond)
	err = e.update(ctx, func(w *work) error {
		ended = Retained{Gone: map[string]int{}, Moved: map[string]int{}}
		counts, err := w.tx.FindRules(ctx)
		if err != nil {
			return err
		}
		gone, moved := map[string]struct{}{}, map[string]struct{}{}
		for _, c := range counts {
			key, there := rules[c.Rule]
			switch {
			case !there:
				gone[c.Rule] = struct{}{}
				if c.Open > 0 {
					ended.Gone[c.Rule] += c.Open
				}
			case c.Open > 0 && c.Key != key:
				moved[c.Rule] = struct{}{}
				ended.Moved[c.Rule] += c.Open
			}
		}
		for _, rule := range slices.Sorted(maps.Keys(gone)) {
			w.addEnd(RuleEnd{Rule: rule, At: at, Arrived: at, Windows: true})
			w.changes.NoRules = append(w.changes.NoRules, rule)
		}
		for _, rule := range slices.Sorted(maps.Keys(moved)) {
			key := rules[rule]
			w.addEnd(RuleEnd{Rule: rule, At: at, Arrived: at, Kept: &key})
		}
		w.changes.AllLanes = true
		return nil
	})
	return ended, err
}
