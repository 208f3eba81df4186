package rules

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"
)

// facts are what an expression may ask about a message.
type facts struct {
	Topic      string            `expr:"topic"`
	Server     string            `expr:"server"`
	Event      eventFacts        `expr:"event"`
	Msg        any               `expr:"msg"`
	Properties map[string]string `expr:"properties"`
	Option     map[string]any    `expr:"option"`
	Rule       string            `expr:"rule"`
	Group      string            `expr:"group"`
}

// eventFacts are those of an event of an Open AMT server. Method is the first of methods.
type eventFacts struct {
	Type       string   `expr:"type"`
	Message    string   `expr:"message"`
	Method     string   `expr:"method"`
	Methods    []string `expr:"methods"`
	GUID       string   `expr:"guid"`
	Timestamp  int64    `expr:"timestamp"`
	Outcome    string   `expr:"outcome"`
	HTTPStatus int      `expr:"httpstatus"`
}

// language is what expressions are made of: no loops, nothing that makes much of little.
func language(kind expr.Option) []expr.Option {
	options := []expr.Option{expr.Env(facts{}), expr.DisableAllBuiltins(), expr.MaxNodes(1000), kind}
	for _, name := range []string{"len", "lower", "upper", "trim", "trimPrefix", "trimSuffix", "split", "string", "int", "float"} {
		options = append(options, expr.EnableBuiltin(name))
	}
	return append(options,
		expr.Function("default", func(args ...any) (any, error) {
			if args[0] == nil || args[0] == "" {
				return args[1], nil
			}
			return args[0], nil
		}, new(func(string, string) string), new(func(any, any) any)),
		expr.Function("truncate", func(args ...any) (any, error) {
			return truncate(args[0].(string), args[1].(int)), nil
		}, new(func(string, int) string)))
}

// truncate returns the first characters of s, so many that they are at most n bytes.
func truncate(s string, n int) string {
	if n < 0 || len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// expression is a compiled expression of a rule.
type expression struct {
	text    string
	program *vm.Program
	needs   needs
	tree    ast.Node
}

// needs are what an expression asks for that not every message has, or that costs.
type needs struct{ event, msg, properties bool }

func (n needs) and(other needs) needs {
	return needs{n.event || other.event, n.msg || other.msg, n.properties || other.properties}
}

// compile compiles an expression. The error says where in the text it is wrong.
func compile(text string, kind expr.Option, options map[string]any) (*expression, error) {
	config := conf.CreateNew()
	tree, err := parser.ParseWithConfig(text, config)
	if err != nil {
		return nil, plain(err)
	}
	e := &expression{text: text, tree: tree.Node}
	w := &walker{e: e, options: options}
	ast.Walk(&tree.Node, w)
	if w.err != nil {
		return nil, w.err
	}
	if e.program, err = expr.Compile(text, language(kind)...); err != nil {
		return nil, plain(err)
	}
	return e, nil
}

// walker looks at the parts of an expression.
type walker struct {
	e       *expression
	options map[string]any
	err     error
}

// Visit is called for each node.
func (w *walker) Visit(node *ast.Node) {
	var err error
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		w.e.needs.event = w.e.needs.event || n.Value == "event"
		w.e.needs.msg = w.e.needs.msg || n.Value == "msg"
		w.e.needs.properties = w.e.needs.properties || n.Value == "properties"
	case *ast.PredicateNode, *ast.PointerNode:
		err = errors.New("functions that loop over a list are not allowed; use in")
	case *ast.BinaryNode:
		err = w.binary(n)
	case *ast.MemberNode:
		name, isName := n.Property.(*ast.StringNode)
		if of, ok := n.Node.(*ast.IdentifierNode); ok && of.Value == "option" {
			if !isName {
				err = errors.New("option: want a name, as in option.name")
			} else if _, known := w.options[name.Value]; !known {
				err = fmt.Errorf("option.%s is not among the options of this file%s", name.Value, suggestion(name.Value, keysOf(w.options)))
			}
		}
	}
	if err != nil && w.err == nil {
		w.err = err
	}
}

func (w *walker) binary(n *ast.BinaryNode) error {
	switch n.Operator {
	case "..":
		return errors.New("ranges (..) are not allowed")
	case "matches":
		if _, literal := n.Right.(*ast.StringNode); !literal {
			return errors.New("matches: want a pattern in quotes, that can be checked now")
		}
	case "==", "in":
		field, values := literals(n)
		known := map[string][]string{"type": {"request", "success", "fail"}, "outcome": {"", "ok", "client", "unreachable", "device", "server"}}[field]
		for _, value := range values {
			if known != nil && !slices.Contains(known, value) {
				return fmt.Errorf("event.%s is never %q: want one of %s%s", field, value, strings.TrimPrefix(strings.Join(known, ", "), ", "), suggestion(value, known))
			}
		}
	}
	return nil
}

// literals reads event.field == "a" and event.field in ["a", "b"].
func literals(n *ast.BinaryNode) (field string, values []string) {
	member, ok := n.Left.(*ast.MemberNode)
	if !ok {
		return "", nil
	}
	of, isName := member.Node.(*ast.IdentifierNode)
	property, isField := member.Property.(*ast.StringNode)
	if !isName || !isField || of.Value != "event" {
		return "", nil
	}
	nodes := []ast.Node{n.Right}
	if list, isList := n.Right.(*ast.ArrayNode); isList && n.Operator == "in" {
		nodes = list.Nodes
	} else if n.Operator != "==" {
		return "", nil
	}
	for _, node := range nodes {
		text, ok := node.(*ast.StringNode)
		if !ok {
			return "", nil
		}
		values = append(values, text.Value)
	}
	return property.Value, values
}

// conjuncts are the parts of a condition that must all be true.
func conjuncts(n ast.Node) []ast.Node {
	if both, ok := n.(*ast.BinaryNode); ok && (both.Operator == "&&" || both.Operator == "and") {
		return append(conjuncts(both.Left), conjuncts(both.Right)...)
	}
	return []ast.Node{n}
}

// only returns the values that a field of the event must have for the condition to be
// true; nil if it may have any.
func (e *expression) only(field string) []string {
	if e == nil {
		return nil
	}
	for _, part := range conjuncts(e.tree) {
		if n, ok := part.(*ast.BinaryNode); ok && (n.Operator == "==" || n.Operator == "in") {
			if of, values := literals(n); of == field {
				return values
			}
		}
	}
	return nil
}

// run evaluates the expression.
func (e *expression) run(machine *vm.VM, f *facts) (any, error) {
	value, err := machine.Run(e.program, f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.text, plain(err))
	}
	return value, nil
}

var (
	noField  = regexp.MustCompile(`type rules\.(\w+) has no field (\w+)`)
	variable = regexp.MustCompile(`unknown name (\w+)`)
)

// plain is an error of the expression's in our words: without the picture, with the column.
func plain(err error) error {
	var at *file.Error
	if !errors.As(err, &at) {
		return err
	}
	text := at.Message
	if m := noField.FindStringSubmatch(text); m != nil {
		text = fmt.Sprintf("event has no field %s%s", m[2], suggestion(m[2], eventFields))
	}
	if m := variable.FindStringSubmatch(text); m != nil {
		text = fmt.Sprintf("there is no %s%s", m[1], suggestion(m[1], names))
	}
	return fmt.Errorf("at character %d: %s", at.Column+1, text)
}

var (
	eventFields = []string{"type", "message", "method", "methods", "guid", "timestamp", "outcome", "httpstatus"}
	names       = []string{
		"topic", "server", "event", "msg", "properties", "option", "rule", "group", "default", "truncate",
		"len", "lower", "upper", "trim", "trimPrefix", "trimSuffix", "split", "string", "int", "float",
	}
)
