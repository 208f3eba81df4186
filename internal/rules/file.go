package rules

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr"
	"github.com/goccy/go-yaml/ast"

	"github.com/mps-events/mps-events/internal/mqttconn"
)

// Source is a file of rules.
type Source struct {
	Name string // for errors
	Text []byte
}

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
	file    string
	line    int
	topics  []string
	options map[string]any
	action  action
	when    *expression // nil: always

	key            *template
	integrationKey string // where it is; empty is the configured one
	alert          alertTexts

	wait, reminder, silence, age time.Duration
	endsWhen                     *expression
	endsAll                      bool

	hasWindow     bool
	window        *Window // if hasWindow, once the rule is read
	group, member *template
	of, leave     *expression
}

// contents are what a file says.
type contents struct {
	topics   []string
	options  map[string]any
	settings map[string][]string
	keyOf    string
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
	overrides map[string]string // options, by name
	used      map[string]bool   // those of them that a file has
	settings  []string          // names that a file may set
	// anySetting: their names have been looked at
	anySetting bool
	file       *contents
}

func (l *loader) load(text []byte) *contents {
	f := &contents{options: map[string]any{}, settings: map[string][]string{}}
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
			if err := mqttconn.CheckFilter(topic); err != nil {
				l.fail(n, "topic filter %q: %w", topic, err)
				return
			}
			*to = append(*to, topic)
		})
	}
}

// readOptions reads values that --option may set otherwise, each by its kind.
func (l *loader) readOptions(n ast.Node) {
	pairs, ok := l.pairs(n)
	if !ok {
		l.fail(n, "options: want a mapping of names to values")
	}
	for _, p := range pairs {
		value := l.any(p.value)
		if given, ok := l.overrides[p.key]; ok {
			l.used[p.key] = true
			var err error
			if value, err = sameKind(value, given); err != nil {
				l.fail(p.at, "option %s=%s: %w", p.key, given, err)
			}
		}
		switch v := value.(type) {
		case nil, []any:
			set := map[string]bool{} // what in looks into at once
			list, _ := v.([]any)
			for _, item := range list {
				set[fmt.Sprint(item)] = true
			}
			value = set
		case map[string]any:
			l.fail(p.value, "option %s: want a text, a number, true or false, or a list", p.key)
		}
		l.file.options[p.key] = value
	}
}

// sameKind reads an option from the command line as what the file has.
func sameKind(was any, given string) (any, error) {
	switch was.(type) {
	case bool:
		if given != "true" && given != "false" {
			return was, fmt.Errorf("want true or false")
		}
		return given == "true", nil
	case int, float64:
		var n float64
		if _, err := fmt.Sscanf(given, "%g", &n); err != nil {
			return was, fmt.Errorf("want a number")
		}
		return n, nil
	case nil, []any:
		list := []any{}
		for item := range strings.SplitSeq(given, ",") {
			if item = strings.TrimSpace(item); item != "" {
				list = append(list, item)
			}
		}
		return list, nil
	default:
		return given, nil
	}
}

// integrationKey reads where the key of another alert source is: never the key itself.
func (l *loader) integrationKey(to *string) func(ast.Node) {
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
			*to = "env:" + env
		default:
			*to = "file:" + path
		}
	}
}

// readSettings reads flags of the command.
func (l *loader) readSettings(n ast.Node) {
	if l.anySetting {
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
		text, ok := l.scalar(n, what)
		if !ok {
			return
		}
		e, err := compile(strings.TrimSpace(text), expr.AsBool(), l.file.options)
		if err != nil {
			l.fail(n, "%s: %w", what, err)
			return
		}
		*to = e
	}
}

func (l *loader) template(to **template, what string, ofWindow bool) func(ast.Node) {
	return func(n ast.Node) {
		if text, ok := l.scalar(n, what); ok {
			*to = l.templateOf(n, text, what, ofWindow)
		}
	}
}

func (l *loader) templateOf(n ast.Node, text, what string, ofWindow bool) *template {
	t, err := parseTemplate(text, ofWindow, l.file.options)
	if err != nil {
		l.fail(n, "%s: %w", what, err)
		return &template{}
	}
	return t
}

// rule reads one rule.
func (l *loader) rule(n ast.Node) *rule {
	r := &rule{file: l.reader.file, line: lineOf(n), options: l.file.options, integrationKey: l.file.keyOf}
	w := &Window{}
	var ignored bool
	var actions []string
	pairs, _ := l.pairs(n)
	has := map[string]bool{}
	for _, p := range pairs {
		has[p.key] = true
		if slices.Contains([]string{"raise", "accept", "resolve", "ignore"}, p.key) {
			actions = append(actions, p.key)
		}
	}
	r.hasWindow = has["window"]
	toKey := func(what string, a action) func(ast.Node) {
		return func(n ast.Node) { r.action = a; l.template(&r.key, what, false)(n) }
	}
	l.object(n, "a rule", fields{
		"name":            l.text(&r.name, "name"),
		"description":     func(ast.Node) {}, // for people
		"topics":          l.filters(&r.topics),
		"when":            l.condition(&r.when, "when"),
		"raise":           func(n ast.Node) { r.action = raise; l.raise(r, n) },
		"accept":          toKey("accept", accept),
		"resolve":         toKey("resolve", resolve),
		"ignore":          func(n ast.Node) { r.action = ignore; l.boolean(&ignored, "ignore")(n) },
		"integration_key": l.integrationKey(&r.integrationKey),
		"for":             l.duration(&r.wait, "for"),
		"reminder":        l.duration(&r.reminder, "reminder"),
		"ends":            func(n ast.Node) { l.ends(r, n) },
		"window":          l.duration(&w.Length, "window"),
		"at_least":        l.count(&w.AtLeast, "at_least"),
		"distinct":        l.count(&w.Distinct, "distinct"),
		"ratio":           l.share(&w.Ratio, "ratio"),
		"of": func(n ast.Node) {
			if s, ok := l.scalar(n, "of"); ok && strings.TrimSpace(s) == "fleet" {
				w.Fleet = true
				return
			}
			l.condition(&r.of, "of")(n)
		},
		"group":  l.template(&r.group, "group", false),
		"member": l.template(&r.member, "member", false),
		"leave":  func(n ast.Node) { w.Held = true; l.condition(&r.leave, "leave")(n) },
		"left":   l.share(&w.Left, "left"),
		"clear":  l.duration(&w.Clear, "clear"),
	})
	if r.action == ignore && !ignored {
		l.fail(n, "ignore: want true")
	}
	if len(actions) != 1 {
		l.fail(n, "%s: want one of raise, resolve, accept and ignore, have %s", r.called(), orNone(actions))
	}
	if r.hasWindow {
		r.window = w
	}
	l.check(r, n, has)
	return r
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

func lineOf(n ast.Node) int {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return 1
	}
	return n.GetToken().Position.Line
}
