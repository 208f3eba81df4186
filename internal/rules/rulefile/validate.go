package rulefile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/mps-events/mps-events/internal/rules"
)

// ofWindows are the keys that only rules with a window have, and ofRaise those that only raising
// rules have.
var (
	ofWindows = []string{"at_least", "in_a_row", "distinct", "ratio", "of", "group", "member", "leave", "left", "clear", "or"}
	ofRaise   = []string{"for", "cancel", "reminder", "repeat", "ends", "window", "absent", "expect", "forget", "unless_open"}
)

// check finds the mistakes of a rule as a whole. has contains the keys of the rule, although
// their values may have mistakes.
func (l *loader) check(r *rule, n ast.Node, has map[string]ast.Node) {
	if has["name"] == nil {
		l.fail(n, "a rule without a name: want name, by which it is counted")
	} else if strings.TrimSpace(r.Name) == "" {
		l.fail(has["name"], "a rule without a name: want name, by which it is counted")
	}
	for _, key := range ofWindows {
		ofAbsence := r.Absence != nil && slices.Contains(ofAbsences, key)
		if has[key] != nil && r.Window == nil && !ofAbsence {
			l.fail(has[key], "%s: %s goes with window, which says how far back it looks", r.called(), key)
		}
	}
	if r.Action != rules.Raise {
		for _, key := range ofRaise {
			if has[key] != nil {
				l.fail(has[key], "%s: %s goes with raise", r.called(), key)
			}
		}
		return
	}
	if r.EndsAll && r.EndsWhen == nil {
		l.fail(has["ends"], "%s: ends.all goes with ends.when", r.called())
	}
	if r.EndsMatch != nil && (r.EndsWhen == nil || r.EndsAll) {
		l.fail(has["ends"], "%s: ends.match goes with ends.when, and not with ends.all", r.called())
	}
	if r.Age > 0 && r.Age <= r.For {
		l.fail(has["ends"], "%s: ends.age has to be longer than for, or the alert ends before it is sent", r.called())
	}
	switch at := has["cancel"]; {
	case at == nil:
	case r.Window != nil:
		l.fail(at, "%s: cancel does not go with window, which has clear, leave and ends.when", r.called())
	case has["for"] == nil:
		l.fail(at, "%s: cancel goes with for: without it the alert does not wait", r.called())
	}
	if r.After > 0 && has["clear"] != nil {
		l.fail(has["ends"], "%s: ends.after does not go with clear, which holds the end already: choose a longer clear", r.called())
	}
	l.checkAbsence(r, has)
	if r.Absence == nil && r.Window != nil {
		l.checkWindow(r, has)
	}
}

// checkWindow finds the mistakes in the keys of a window.
func (l *loader) checkWindow(r *rule, has map[string]ast.Node) {
	w, at := r.Window, has["window"]
	w.Rule = r.Name
	ratio, member, atLeast, inARow := has["ratio"] != nil, has["member"] != nil, has["at_least"] != nil, has["in_a_row"] != nil
	if r.or != nil {
		l.checkOr(r, has)
	}
	if w.Healthy > 0 {
		l.checkHealth(r, has)
	}
	if !atLeast && !inARow && has["distinct"] == nil && !w.Held {
		l.fail(at, "%s: a window wants at_least (so many messages), in_a_row (so many one after the other) or distinct (so many members)", r.called())
	}
	switch of := has["of"]; {
	case ratio && of == nil:
		l.fail(has["ratio"], "%s: ratio wants of: a condition for the messages that it is a share of, or fleet", r.called())
	case !ratio && !r.or["ratio"] && of != nil && (w.Fleet || !inARow && !r.or["in_a_row"]):
		l.fail(of, "%s: of goes with ratio, and a condition also with in_a_row", r.called())
	}
	if !member && (has["distinct"] != nil || r.or["distinct"] || w.Held || w.Fleet) {
		l.fail(at, "%s: distinct, leave and of: fleet want member, such as \"{event.guid}\"", r.called())
	}
	if w.Held && atLeast {
		l.fail(has["at_least"], "%s: at_least counts messages, which do not leave: with leave, want distinct", r.called())
	}
	if w.Held && inARow {
		l.fail(has["in_a_row"], "%s: in_a_row counts messages, which do not leave: with leave, want distinct", r.called())
	}
	if has["left"] != nil && !w.Held {
		l.fail(has["left"], "%s: left goes with leave", r.called())
	}
	if w.Held {
		w.Left, w.Distinct = cmp.Or(w.Left, 1), cmp.Or(w.Distinct, 1)
	}
}

// checkNames finds rules with the same name. Of rules that were copied from a preset it makes one
// mistake.
func checkNames(all []*rule) (mistakes MistakesError) {
	first, copies := map[string]*rule{}, map[string][]string{}
	for _, r := range all {
		was := first[r.Name]
		if was == nil || r.Name == "" {
			first[r.Name] = r
			continue
		}
		where := fmt.Sprintf("line %d", was.at.Line)
		if was.at.File != r.at.File {
			where = fmt.Sprintf("%s, line %d,", was.at.File, was.at.Line)
		}
		mistakes = append(mistakes, r.mistake(where+" has one of that name"))
		copies[r.at.File] = append(copies[r.at.File], r.Name)
	}
	for file, names := range copies {
		if len(names) > 1 && strings.HasPrefix(file, presetName) {
			mistakes = slices.DeleteFunc(mistakes, func(m Mistake) bool { return m.File == file })
			mistakes = append(mistakes, Mistake{File: file, Text: fmt.Sprintf(
				"%s has rules of the same names: %s; do not include what you have copied, nor name it by --preset", first[names[0]].at.File, strings.Join(names, ", "))})
		}
	}
	return mistakes
}

// mistake returns a mistake about the rule as a whole.
func (r *rule) mistake(text string) Mistake {
	m := r.at
	m.Text = r.called() + ": " + text
	return m
}

// checkEnds finds rules whose alerts can never end, and rules without an end that ends.after could hold.
func checkEnds(all []*rule) (mistakes MistakesError) {
	for _, r := range all {
		if r.broken || r.Action != rules.Raise || r.EndsWhen != nil && r.EndsMatch == nil || r.Window != nil && r.Window.Healthy > 0 || r.Absence != nil || r.Window != nil && r.Window.Held || isResolved(r, all) {
			continue
		}
		switch {
		case r.After > 0:
			mistakes = append(mistakes, r.mistake("ends.after holds an end by a message, and no message ends its alert: give it ends.when, ends.ratio, leave, or another rule that resolves its key"))
		case r.Silence == 0 && r.Age == 0 && (r.Window == nil || r.Window.Clear == 0):
			ways := "ends (when, silence or age)"
			if r.Window != nil {
				ways = "clear, leave or ends (when, ratio, silence or age)"
			}
			mistakes = append(mistakes, r.mistake("its alert can never end: give it "+ways+", or another rule that resolves its key"))
		}
	}
	return mistakes
}

// isResolved reports whether a rule of some may resolve the alert of a rule by its key.
func isResolved(r *rule, all []*rule) bool {
	return slices.ContainsFunc(all, func(other *rule) bool {
		switch {
		case other.IntegrationKey != r.IntegrationKey || other.broken:
			return false
		case other.EndsMatch != nil:
			return rules.MayBegin(r.Key, other.EndsMatch)
		case other.Prefix:
			return rules.MayBegin(r.Key, other.Key)
		default:
			return other.Action == rules.Resolve && rules.MayBeEqual(r.Key, other.Key)
		}
	})
}
