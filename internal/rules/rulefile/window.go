package rulefile

import (
	"cmp"

	"github.com/goccy/go-yaml/ast"

	"github.com/mps-events/mps-events/internal/decision"
)

// maxTimesLonger limits how many times longer one window of a rule may be than the other: both share the steps of the
// longer one.
const maxTimesLonger = 60

// ofCondition returns the keys of a condition of a window, whose names begin so in errors.
func (l *loader) ofCondition(c *decision.Condition, begins string) fields {
	return fields{
		"window":   l.duration(&c.Length, begins+"window"),
		"at_least": l.count(&c.AtLeast, begins+"at_least"),
		"in_a_row": l.count(&c.InARow, begins+"in_a_row"),
		"distinct": l.count(&c.Distinct, begins+"distinct"),
		"ratio":    l.share(&c.Ratio, begins+"ratio"),
	}
}

// health reads the share of messages below which the alert ends.
func (l *loader) health(r *rule) func(ast.Node) {
	return func(n ast.Node) {
		if r.Window == nil {
			l.fail(n, "%s: ends.ratio goes with window, ratio and of", r.called())
			return
		}
		l.share(&r.Window.Healthy, "ends.ratio")(n)
	}
}

// checkOr finds the mistakes in the other condition of a window.
func (l *loader) checkOr(r *rule, has map[string]ast.Node) {
	w, at := r.Window, has["or"]
	switch {
	case !r.or["window"]:
		l.fail(at, "%s: or wants window, the length of the other window", r.called())
	case !r.or["at_least"] && !r.or["in_a_row"] && !r.or["distinct"] && !w.Held:
		l.fail(at, "%s: or wants at_least (so many messages), in_a_row (so many one after the other) or distinct (so many members)", r.called())
	}
	if r.or["ratio"] && has["of"] == nil {
		l.fail(at, "%s: or.ratio wants of beside or: a condition for the messages that it is a share of, or fleet", r.called())
	}
	if w.Held && (r.or["at_least"] || r.or["in_a_row"]) {
		l.fail(at, "%s: at_least and in_a_row count messages, which do not leave: with leave, want or.distinct", r.called())
	}
	if w.Length > 0 && w.Or.Length > 0 && w.Longest() > maxTimesLonger*w.Shortest() {
		l.fail(at, "%s: one window may be %d times as long as the other at most, have %v and %v: write two rules", r.called(), maxTimesLonger, w.Length, w.Or.Length)
	}
	if w.Held {
		w.Or.Distinct = cmp.Or(w.Or.Distinct, 1)
	}
}

// checkHealth finds the mistakes in the end by health.
func (l *loader) checkHealth(r *rule, has map[string]ast.Node) {
	w, at := r.Window, has["ends"]
	switch {
	case w.Held, w.Fleet, has["of"] == nil:
		l.fail(at, "%s: ends.ratio goes with ratio and of: CONDITION, and not with leave", r.called())
	case has["ratio"] == nil, r.or != nil && !r.or["ratio"]:
		l.fail(at, "%s: ends.ratio wants a ratio for each window of the rule: without one, the alert of a healthy share is raised again at once", r.called())
	case w.Ratio > 0 && w.Healthy >= w.Ratio, w.Or.Ratio > 0 && w.Healthy >= w.Or.Ratio:
		l.fail(at, "%s: ends.ratio has to be smaller than ratio, or the alert ends while it is raised", r.called())
	}
}
