package rulefile

import (
	"cmp"

	"github.com/goccy/go-yaml/ast"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/rules"
)

// ofAbsences are the keys of rules with a window that rules with absent have, too.
var ofAbsences = []string{"group", "at_least"}

// maxExpected limits the groups that a rule names.
const maxExpected = 10_000

// ofAbsence returns the keys of rules that wait for messages.
func (l *loader) ofAbsence(r *rule) fields {
	a := cmp.Or(r.Absence, &decision.Absence{}) // without absent, check complains about these keys
	known := fields{
		"absent": l.duration(&a.After, "absent"),
		"forget": l.condition(&r.Forget, "forget"),
		"expect": func(n ast.Node) { l.expect(r, n) },

		"usual_hours": l.boolean(&a.UsualHours, "usual_hours"),
	}
	if r.Absence != nil {
		known["at_least"] = l.count(&a.AtLeast, "at_least")
	}
	return known
}

// expect reads the groups that a rule names.
func (l *loader) expect(r *rule, n ast.Node) {
	seen := map[string]bool{}
	l.list(n, func(n ast.Node) {
		group, ok := l.scalar(n, "expect")
		switch {
		case !ok:
		case seen[group]:
			l.fail(n, "expect: %.80q stands there twice", group)
		case len(r.Expect) == maxExpected:
			l.fail(n, "expect: want at most %d groups", maxExpected)
		default:
			r.Expect = append(r.Expect, group)
		}
		seen[group] = true
	})
}

// checkAbsence finds the mistakes in the keys of a rule that waits for messages.
func (l *loader) checkAbsence(r *rule, has map[string]ast.Node) {
	if r.Absence == nil {
		for _, key := range []string{"expect", "usual_hours"} {
			if has[key] != nil {
				l.fail(has[key], "%s: %s goes with absent, which says for how long no message comes", r.called(), key)
			}
		}
		if forget := has["forget"]; forget != nil && (r.Window == nil || !r.Window.Held) {
			l.fail(forget, "%s: forget goes with absent, whose group it forgets, or with leave, whose member it forgets", r.called())
		}
		return
	}
	r.Absence.Rule = r.Name
	for key, why := range map[string]string{
		"window":   "want one of them: absent waits for messages that do not come, window counts those that come",
		"for":      "absent itself is the time until the alert is sent",
		"reminder": "while nothing comes nothing raises the alert again",
	} {
		if has[key] != nil {
			l.fail(has[key], "%s: %s does not go with absent: %s", r.called(), key, why)
		}
	}
	if r.EndsWhen != nil || r.EndsAll || r.Silence > 0 || r.After > 0 {
		l.fail(has["ends"], "%s: with absent the alert ends by the next message that fulfils when, or by forget; ends may have age alone", r.called())
	}
	if r.Absence.UsualHours && r.Absence.AtLeast == 0 {
		l.fail(has["usual_hours"], "%s: usual_hours goes with at_least, which says how many messages make half an hour busy", r.called())
	}
	switch expect := has["expect"]; {
	case expect != nil && has["group"] == nil:
		l.fail(expect, "%s: expect names groups, and goes with group", r.called())
	case expect != nil && r.Absence.AtLeast > 0:
		l.fail(expect, "%s: at_least goes without expect: a group that has never spoken is not busy", r.called())
	case len(r.Expect) > 0 && r.SpeaksOfMessages():
		l.fail(has["raise"], "%s: with expect the texts may have group, rule and option, but nothing of a message: there is none of a group that has never spoken", r.called())
	case r.WaitsFromTheStart() && r.SpeaksOfMessages():
		l.fail(has["raise"], "%s: without group the rule waits from the start, when there is no message yet: its texts may have rule and option, but nothing of a message. Or give it group", r.called())
	}
}

// checkExpected finds the rules whose texts cannot be made for the groups that they name.
func (f *files) checkExpected(all rules.Rules) {
	if _, err := all.Expected(); err != nil {
		f.mistakes = append(f.mistakes, Mistake{File: f.names[0], Text: err.Error()})
	}
}
