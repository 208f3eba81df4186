package rules

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

// Source is a file of rules.
type Source struct {
	Name string // for errors
	Text []byte
}

// topics are the topic filters of a rule, which many of a file share. Without any it is
// for all that comes.
type topics struct{ filters []string }

// action is what a rule does with a message that it matches.
type action int

const (
	raise action = iota + 1
	ignore
	accept
	resolve
)

// rule is one rule of a file.
type rule struct {
	name    string
	at      Mistake // where it stands
	broken  bool    // there are mistakes in it
	topics  *topics
	options map[string]any
	action  action
	when    *expression // nil: always

	key            *template
	integrationKey ilert.IntegrationKey
	alert          alertTexts

	wait, reminder, silence, age time.Duration
	endsWhen                     *expression
	endsAll                      bool

	window        *decision.Window // nil: it decides by one message
	group, member *template
	of, leave     *expression
}

// mostRules bounds what each message costs.
const mostRules = 1000

// contents are what a file says.
type contents struct {
	topics   []string
	options  map[string]any
	given    map[string]any // the options as they are written, for what the file includes
	settings map[string][]string
	sets     bool // there are settings, known or not
	keyOf    ilert.IntegrationKey
	rules    []*rule
	includes []include
	tests    []Test
}

type include struct {
	name string
	at   ast.Node
}

// loader reads files and what they include.
type loader struct {
	*reader
	given     map[string]any    // options of the file that includes this one, by name
	overrides map[string]string // options of the command line
	used      map[string]bool   // those of them that a file has
	settings  []string          // names that a file may set
	// anySetting: their names have been looked at
	anySetting bool
	file       *contents

	sent, sentBytes int // by the tests of the file
}

func (l *loader) load(text []byte) *contents {
	f := &contents{options: map[string]any{}, given: map[string]any{}, settings: map[string][]string{}}
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
	if len(ruleNodes) > mostRules {
		l.fail(ruleNodes[mostRules], "more than %d rules, which each message would be held against", mostRules)
		return f
	}
	for _, n := range ruleNodes { // only now: they may ask for options that stand below them
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
			if err := CheckFilter(topic); err != nil {
				l.fail(n, "topic filter %.80q: %w", topic, err)
				return
			}
			*to = append(*to, topic)
		})
	}
}

// integrationKey reads where the key of another alert source is: never the key itself.
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

// readSettings reads flags of the command.
func (l *loader) readSettings(n ast.Node) {
	pairs, _ := l.pairs(n)
	if l.file.sets = len(pairs) > 0; l.anySetting {
		return
	}
	known := fields{}
	for _, name := range l.settings {
		known[name] = func(n ast.Node) {
			var values []string
			l.texts(&values, name)(n)
			l.file.settings[name] = values
		}
	}
	l.object(n, "settings", known)
}

// condition reads an expression that is true or false.
func (l *loader) condition(to **expression, what string) func(ast.Node) {
	return func(n ast.Node) {
		if n = l.bare(n); n != nil && n.GetToken().Type == token.MappingStartType {
			l.fail(n, "%s: conditions take no braces; write it without them", what)
			return
		}
		text, ok := l.scalar(n, what)
		if !ok {
			return
		}
		text = strings.TrimSpace(text)
		e, err := compile(text, expr.AsBool(), l.file.options)
		switch {
		case err != nil:
			l.fail(n, "%s: %w", what, cmp.Or(bracesIn(text), err))
		case e.needs.group:
			l.fail(n, "%s: there is no group yet; it may stand in what raise says", what)
		default:
			*to = e
		}
	}
}

// limits are what a template may not be.
type limits int

const (
	notEmpty limits = 1 << iota
	ofWindow        // it may hold the numbers of a window
	grouped         // it may hold the group
	varies          // it holds an expression
)

func (l *loader) template(to **template, what string, limits limits) func(ast.Node) {
	return func(n ast.Node) {
		text, ok := l.scalar(n, what)
		if !ok {
			return
		}
		before := len(l.mistakes)
		*to = l.templateOf(n, text, what, limits)
		switch err := l.braces(text, *to, limits); {
		case len(l.mistakes) > before:
		case strings.TrimSpace(text) == "" && limits&notEmpty != 0:
			l.fail(n, "%s: is empty", what)
		case err != nil:
			l.fail(n, "%s: %w", what, err)
		}
	}
}

func (l *loader) templateOf(n ast.Node, text, what string, limits limits) *template {
	t, err := parseTemplate(text, limits&ofWindow != 0, l.file.options)
	if err != nil {
		l.fail(n, "%s: %w", what, err)
		return &template{}
	}
	if t.needs.group && limits&grouped == 0 {
		l.fail(n, "%s: there is no group here; it may stand in what the raise of a window says", what)
	}
	return t
}

// rule reads one rule.
func (l *loader) rule(n ast.Node) *rule {
	r := &rule{at: l.place(n), options: l.file.options, integrationKey: l.file.keyOf}
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
	if has["window"] != nil {
		r.window = &decision.Window{}
	}
	known := l.ofRule(r)
	maps.Copy(known, l.ofWindow(r))
	l.object(n, "a rule", known)
	if len(actions) != 1 {
		l.fail(n, "%s: want one of raise, resolve, accept and ignore, have %s", r.called(), orNone(actions))
	}
	if len(actions) == 1 {
		l.check(r, n, has)
	}
	r.complete()
	r.broken = len(l.mistakes) > before
	return r
}

// besideRaise finds what should stand below raise, and stands beside it. What else is
// wrong with the rule nobody knows before it is mended.
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

// ofRule are the keys of every rule.
func (l *loader) ofRule(r *rule) fields {
	toKey := func(what string, a action) func(ast.Node) {
		return func(n ast.Node) { r.action = a; l.template(&r.key, what, notEmpty)(n) }
	}
	return fields{
		"name":        l.text(&r.name, "name"),
		"description": func(ast.Node) {}, // for people
		"topics": func(n ast.Node) {
			r.topics = &topics{}
			l.filters(&r.topics.filters)(n)
		},
		"when":    l.condition(&r.when, "when"),
		"raise":   func(n ast.Node) { r.action = raise; l.raise(r, n) },
		"accept":  toKey("accept", accept),
		"resolve": toKey("resolve", resolve),
		"ignore": func(n ast.Node) {
			r.action = ignore
			var ignored bool
			if l.boolean(&ignored, "ignore")(n); !ignored {
				l.fail(n, "ignore: want true")
			}
		},
		"integration_key": l.integrationKey(&r.integrationKey),
		"for":             l.duration(&r.wait, "for"),
		"reminder":        l.duration(&r.reminder, "reminder"),
		"ends":            func(n ast.Node) { l.ends(r, n) },
	}
}

// ofWindow are the keys of rules over many messages.
func (l *loader) ofWindow(r *rule) fields {
	w := cmp.Or(r.window, &decision.Window{}) // check says that they go with window
	return fields{
		"window":   l.duration(&w.Length, "window"),
		"at_least": l.count(&w.AtLeast, "at_least"),
		"distinct": l.count(&w.Distinct, "distinct"),
		"ratio":    l.share(&w.Ratio, "ratio"),
		"of": func(n ast.Node) {
			if text, ok := l.bare(n).(*ast.StringNode); ok && text.Value == "fleet" {
				w.Fleet = true
				return
			}
			l.condition(&r.of, "of")(n)
		},
		"group":  l.template(&r.group, "group", varies),
		"member": l.template(&r.member, "member", varies),
		"leave":  func(n ast.Node) { w.Held = true; l.condition(&r.leave, "leave")(n) },
		"left":   l.share(&w.Left, "left"),
		"clear":  l.duration(&w.Clear, "clear"),
	}
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, " and ")
}

func (l *loader) ends(r *rule, n ast.Node) {
	l.object(n, "ends", fields{
		"when":    l.condition(&r.endsWhen, "ends.when"),
		"all":     l.boolean(&r.endsAll, "ends.all"),
		"silence": l.duration(&r.silence, "ends.silence"),
		"age":     l.duration(&r.age, "ends.age"),
	})
}

// called names a rule in a mistake.
func (r *rule) called() string {
	if r.name == "" {
		return "a rule without a name"
	}
	return fmt.Sprintf("rule %q", r.name)
}
