package rulefile

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/rules"
)

// Source is the text of a file of rules.
type Source struct {
	Name string // stands in errors
	Text []byte
}

// rule is a rule with its place in a file.
type rule struct {
	rules.Rule
	at     Mistake         // its place, without a text
	broken bool            // it has mistakes
	or     map[string]bool // the keys of its other condition; nil: it has none
}

// maxRules limits the rules of a file, and so the cost of each message.
const maxRules = 1000

// contents are the parts of a file.
type contents struct {
	topics   []string
	options  map[string]any
	given    map[string]any // the options as they are written, for the included files
	settings map[string]Setting
	sets     bool // the file has settings, known or not
	keyOf    ilert.IntegrationKey
	rules    []*rule
	includes []include
	tests    []Test
}

// include names a file that a file includes.
type include struct {
	name string
	at   ast.Node
}

// loader reads a file.
type loader struct {
	*reader
	given      map[string]any    // the options of the file that includes this one
	overrides  map[string]string // the options of the command line
	used       map[string]bool   // the overrides that a file has
	settings   []string          // the names that a file may set
	anySetting bool              // no name of a setting is a mistake
	file       *contents

	each            bool // the rule that is read decides for each element of a list
	sent, sentBytes int  // the messages of the file's tests
}

// load reads the text of a file.
func (l *loader) load(text []byte) *contents {
	f := &contents{options: map[string]any{}, given: map[string]any{}, settings: map[string]Setting{}}
	l.file = f
	root := l.read(text)
	if root == nil {
		return f
	}
	var ruleNodes []ast.Node
	l.object(root, "the file", fields{
		"topics":          l.filters(&f.topics),
		"options":         l.readOptions,
		"integration_key": l.integrationKey(&f.keyOf),
		"include": func(n ast.Node) {
			l.list(n, func(n ast.Node) {
				if name, ok := l.scalar(n, "include"); ok {
					f.includes = append(f.includes, include{name, n})
				}
			})
		},
		"settings": l.readSettings,
		"rules":    func(n ast.Node) { l.list(n, func(n ast.Node) { ruleNodes = append(ruleNodes, n) }) },
		"tests":    func(n ast.Node) { l.list(n, func(n ast.Node) { f.tests = append(f.tests, l.test(n)) }) },
	})
	if len(ruleNodes) > maxRules {
		l.fail(ruleNodes[maxRules], "more than %d rules, which each message would be held against", maxRules)
		return f
	}
	for _, n := range ruleNodes { // last, because they may use options that stand below them
		f.rules = append(f.rules, l.rule(n))
	}
	return f
}

// filters reads topic filters.
func (l *loader) filters(to *[]string) func(ast.Node) {
	return func(n ast.Node) {
		l.list(n, func(n ast.Node) {
			topic, ok := l.scalar(n, "topics")
			if !ok {
				return
			}
			if err := rules.CheckFilter(topic); err != nil {
				l.fail(n, "topic filter %.80q: %w", topic, err)
				return
			}
			*to = append(*to, topic)
		})
	}
}

// integrationKey reads the place of an integration key. The key itself never stands in a file.
func (l *loader) integrationKey(to *ilert.IntegrationKey) func(ast.Node) {
	return func(n ast.Node) {
		if _, isObject := l.pairs(n); !isObject {
			l.fail(n, "integration_key: want {env: NAME} or {file: PATH}; a key is a secret, which no file of rules holds")
			return
		}
		var env, path string
		l.object(n, "integration_key", fields{"env": l.text(&env, "env"), "file": l.text(&path, "file")})
		switch {
		case (env == "") == (path == ""):
			l.fail(n, "integration_key: want one of env and file")
		case env != "":
			*to = ilert.EnvKey(env)
		default:
			*to = ilert.FileKey(path)
		}
	}
}

// readSettings reads the flags of the command that a file sets.
func (l *loader) readSettings(n ast.Node) {
	pairs, _ := l.pairs(n)
	if l.file.sets = len(pairs) > 0; l.anySetting {
		return
	}
	known := fields{}
	for _, name := range l.settings {
		known[name] = func(n ast.Node) {
			at := l.place(n)
			set := Setting{File: at.File, Line: at.Line, Column: at.Column}
			l.texts(&set.Values, name)(n)
			l.file.settings[name] = set
		}
	}
	l.object(n, "settings", known)
}

// condition reads an expression that is true or false.
func (l *loader) condition(to **rules.Expression, what string) func(ast.Node) {
	return func(n ast.Node) {
		if n = l.bare(n); n != nil && n.GetToken().Type == token.MappingStartType {
			l.fail(n, "%s: conditions take no braces; write it without them", what)
			return
		}
		text, ok := l.scalar(n, what)
		if !ok {
			return
		}
		e, err := rules.ParseCondition(text, l.file.options)
		if err != nil {
			l.fail(n, "%s: %w", what, err)
			return
		}
		*to = e
		l.item(n, what, e.NamesItem())
	}
}

// item finds the name of an element in a rule without a list.
func (l *loader) item(n ast.Node, what string, named bool) {
	if named && !l.each {
		l.fail(n, "%s: there is no item without each, such as each: msg.alerts", what)
	}
}

// eachOf reads the list for the elements of which a rule decides.
func (l *loader) eachOf(r *rule) func(ast.Node) {
	return func(n ast.Node) {
		text, ok := l.scalar(n, "each")
		if !ok {
			return
		}
		var err error
		if r.Each, err = rules.ParseEach(text, l.file.options); err != nil {
			l.fail(n, "each: %w", err)
		}
	}
}

// template reads a text with expressions in braces.
func (l *loader) template(to **rules.Template, what string, limits rules.Limits) func(ast.Node) {
	return func(n ast.Node) {
		text, ok := l.scalar(n, what)
		if !ok {
			return
		}
		var err error
		if *to, err = rules.ParseText(text, limits, l.file.options); err != nil {
			l.fail(n, "%s: %w", what, err)
			return
		}
		l.item(n, what, (*to).NamesItem())
	}
}

// prefix reads a template, and returns whether the text in the file ends in a star. Then the template is the text before
// the star.
func (l *loader) prefix(to **rules.Template, what string) func(ast.Node) bool {
	return func(n ast.Node) bool {
		text, ok := l.scalar(n, what)
		if !ok {
			return true // the mistake has been named
		}
		text, isPrefix := strings.CutSuffix(text, "*")
		if isPrefix && strings.TrimSpace(text) == "" {
			l.fail(n, "%s: %q would end all alerts: want the beginning of their keys before the star", what, "*")
			return true
		}
		var err error
		if *to, err = rules.ParseText(text, rules.NotEmpty, l.file.options); err != nil {
			l.fail(n, "%s: %w", what, err)
			return true
		}
		l.item(n, what, (*to).NamesItem())
		return isPrefix
	}
}

// rule reads one rule.
func (l *loader) rule(n ast.Node) *rule {
	r := &rule{Rule: rules.Rule{Options: l.file.options, IntegrationKey: l.file.keyOf}, at: l.place(n)}
	pairs, isObject := l.pairs(n)
	if !isObject {
		l.fail(n, "a rule: want a mapping that begins with - name:")
		return r
	}
	before := len(l.mistakes)
	has := map[string]ast.Node{}
	var actions []string
	for _, p := range pairs {
		has[p.key] = p.at
		if slices.Contains([]string{"raise", "accept", "resolve", "ignore"}, p.key) {
			actions = append(actions, p.key)
		}
	}
	if l.besideRaise(r, pairs, has) {
		return r
	}
	l.each = has["each"] != nil
	if has["window"] != nil {
		r.Window = &decision.Window{}
	}
	if has["absent"] != nil {
		r.Absence = &decision.Absence{}
	}
	known := l.ofRule(r)
	maps.Copy(known, l.ofWindow(r))
	maps.Copy(known, l.ofAbsence(r))
	l.object(n, "a rule", known)
	if len(actions) != 1 {
		l.fail(n, "%s: want one of raise, resolve, accept and ignore, have %s", r.called(), orNone(actions))
	}
	if len(actions) == 1 {
		l.check(r, n, has)
	}
	r.Complete()
	r.broken = len(l.mistakes) > before
	return r
}

// besideRaise names the keys that stand beside raise instead of below it, and reports whether
// there are any. The loader looks for no other mistakes in such a rule before this one is mended.
func (l *loader) besideRaise(r *rule, pairs []pair, has map[string]ast.Node) bool {
	if has["raise"] == nil {
		return false
	}
	for _, p := range pairs {
		if slices.Contains(ofAlerts, p.key) {
			l.fail(p.at, "%s stands below raise: indent it", p.key)
			r.broken = true
			return true
		}
	}
	return false
}

// ofRule returns the keys of every rule.
func (l *loader) ofRule(r *rule) fields {
	toKey := func(what string, a rules.Action) func(ast.Node) {
		return func(n ast.Node) { r.Action = a; l.template(&r.Key, what, rules.NotEmpty)(n) }
	}
	return fields{
		"name":        l.text(&r.Name, "name"),
		"description": func(ast.Node) {}, // people read it
		"topics": func(n ast.Node) {
			r.Topics = &rules.Topics{}
			l.filters(&r.Topics.Filters)(n)
		},
		"each":   l.eachOf(r),
		"when":   l.condition(&r.When, "when"),
		"raise":  func(n ast.Node) { r.Action = rules.Raise; l.raise(r, n) },
		"accept": toKey("accept", rules.Accept),
		"resolve": func(n ast.Node) {
			r.Action = rules.Resolve
			r.Prefix = l.prefix(&r.Key, "resolve")(n)
		},
		"ignore": func(n ast.Node) {
			r.Action = rules.Ignore
			var ignored bool
			if l.boolean(&ignored, "ignore")(n); !ignored {
				l.fail(n, "ignore: want true")
			}
		},
		"integration_key": l.integrationKey(&r.IntegrationKey),
		"for":             l.duration(&r.For, "for"),
		"cancel":          l.condition(&r.Cancel, "cancel"),
		"reminder":        l.duration(&r.Reminder, "reminder"),
		"repeat":          l.repeat(&r.Repeat),
		"unless_open":     func(n ast.Node) { l.unlessOpen(r, n) },
		"ends":            func(n ast.Node) { l.ends(r, n) },
	}
}

// ofWindow returns the keys of rules with a window.
func (l *loader) ofWindow(r *rule) fields {
	w := cmp.Or(r.Window, &decision.Window{}) // without window, check complains about these keys
	known := l.ofCondition(&w.Condition, "")
	maps.Copy(known, fields{
		"of": func(n ast.Node) {
			if text, ok := l.bare(n).(*ast.StringNode); ok && text.Value == "fleet" {
				w.Fleet = true
				return
			}
			l.condition(&r.Of, "of")(n)
		},
		"group":  l.template(&r.Group, "group", rules.Varies),
		"member": l.template(&r.Member, "member", rules.Varies),
		"leave":  func(n ast.Node) { w.Held = true; l.condition(&r.Leave, "leave")(n) },
		"left":   l.share(&w.Left, "left"),
		"or":     func(n ast.Node) { r.or = l.object(n, "or", l.ofCondition(&w.Or, "or.")) },
		"clear":  l.duration(&w.Clear, "clear"),
	})
	return known
}

// orNone joins a list by "and".
func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, " and ")
}

// ends reads how the alerts of a rule end.
func (l *loader) ends(r *rule, n ast.Node) {
	l.object(n, "ends", fields{
		"when": l.condition(&r.EndsWhen, "ends.when"),
		"all":  l.boolean(&r.EndsAll, "ends.all"),
		"match": func(n ast.Node) {
			if !l.prefix(&r.EndsMatch, "ends.match")(n) {
				l.fail(n, "ends.match: want the beginning of keys with a star behind it, such as \"plc7/*\"")
			}
		},
		"ratio":   l.health(r),
		"after":   l.duration(&r.After, "ends.after"),
		"silence": l.duration(&r.Silence, "ends.silence"),
		"age":     l.duration(&r.Age, "ends.age"),
	})
}

// called returns the name of a rule for an error text.
func (r *rule) called() string {
	if r.Name == "" {
		return "a rule without a name"
	}
	return fmt.Sprintf("rule %q", r.Name)
}
