package rules

import (
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// ofWindows are the keys that say something about a window, and ofRaise those about an
// alert that is raised.
var (
	ofWindows = []string{"at_least", "distinct", "ratio", "of", "group", "member", "leave", "left", "clear"}
	ofRaise   = []string{"for", "reminder", "ends", "window"}
)

// check finds what is wrong with a rule that has been read.
func (l *loader) check(r *rule, n ast.Node, has map[string]bool) {
	if r.name == "" {
		l.fail(n, "a rule without a name: want name, by which it is counted")
	}
	for _, key := range ofWindows {
		if has[key] && !r.hasWindow {
			l.fail(n, "%s: %s goes with window, which says how far back it looks", r.called(), key)
		}
	}
	if r.action != raise {
		for _, key := range ofRaise {
			if has[key] {
				l.fail(n, "%s: %s goes with raise", r.called(), key)
			}
		}
		return
	}
	if r.endsAll && r.endsWhen == nil {
		l.fail(n, "%s: ends.all goes with ends.when", r.called())
	}
	if r.hasWindow {
		l.checkWindow(r, n)
	} else if r.key == nil {
		l.fail(n, "%s: raise: want key, which says what is one alert", r.called())
	}
	if r.alert.summary == nil {
		l.fail(n, "%s: raise: want summary", r.called())
	}
}

func (l *loader) checkWindow(r *rule, n ast.Node) {
	w := r.window
	w.Rule = r.name
	if w.Held && w.Left == 0 {
		w.Left = 1
	}
	if w.AtLeast == 0 && w.Distinct == 0 && !w.Held {
		l.fail(n, "%s: a window wants at_least (so many messages) or distinct (so many members)", r.called())
	}
	switch {
	case w.Ratio != 0 && !w.Fleet && r.of == nil:
		l.fail(n, "%s: ratio wants of: a condition for the messages that it is a share of, or fleet", r.called())
	case w.Ratio == 0 && (w.Fleet || r.of != nil):
		l.fail(n, "%s: of goes with ratio", r.called())
	}
	if r.member == nil && (w.Distinct > 0 || w.Held || w.Fleet) {
		l.fail(n, "%s: distinct, leave and of: fleet want member, such as \"{event.guid}\"", r.called())
	}
	if w.Held && w.AtLeast > 0 {
		l.fail(n, "%s: at_least counts messages, which do not leave: with leave, want distinct", r.called())
	}
	if w.Left != 0 && !w.Held {
		l.fail(n, "%s: left goes with leave", r.called())
	}
	if w.Held && w.Distinct == 0 {
		w.Distinct = 1
	}
}

// checkEnds finds rules whose alerts can never end.
func (l *loader) checkEnds(all []*rule) {
	for _, r := range all {
		if r.action != raise || r.endsWhen != nil || r.silence > 0 || r.age > 0 {
			continue
		}
		if r.window != nil && (r.window.Clear > 0 || r.window.Held) {
			continue
		}
		ended := false
		for _, other := range all {
			if other.action == resolve && mayBeEqual(r.key, other.key) && other.integrationKey == r.integrationKey {
				ended = true
			}
		}
		if !ended {
			ways := "ends (when, silence or age)"
			if r.window != nil {
				ways = "clear, leave or ends (when, silence or age)"
			}
			l.mistakes = append(l.mistakes, Mistake{r.file, r.line, 1, r.called() + ": its alert can never end: give it " + ways + ", or another rule that resolves its key"})
		}
	}
}

// mayBeEqual reports whether two templates may give one text.
func mayBeEqual(a, b *template) bool {
	if a == nil || b == nil {
		return a == b
	}
	p, q := strings.ToLower(a.prefix()), strings.ToLower(b.prefix())
	return strings.HasPrefix(p, q) || strings.HasPrefix(q, p)
}
