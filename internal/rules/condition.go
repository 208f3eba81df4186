package rules

import (
	"cmp"
	"errors"
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
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
	Type       string   `expr:"type" json:"type"`
	Message    string   `expr:"message" json:"message"`
	Method     string   `expr:"method" json:"method"`
	Methods    []string `expr:"methods" json:"methods"`
	GUID       string   `expr:"guid" json:"guid,omitempty"`
	Timestamp  int64    `expr:"timestamp" json:"timestamp"`
	Outcome    string   `expr:"outcome" json:"outcome,omitempty"`
	HTTPStatus int      `expr:"httpstatus" json:"httpstatus,omitempty"`
}

// What an expression may be, so that none costs much: its time grows with its parts times
// the message's bytes.
const (
	mostExpression = 4000 // characters
	mostParts      = 500  // names, values and operators
	mostCalls      = 50   // calls of functions and additions, each of which may copy the message
	mostPattern    = 1000 // steps of all patterns
)

// language is what expressions are made of: no loops, nothing that makes much of little.
func language(kind expr.Option) []expr.Option {
	options := []expr.Option{expr.Env(facts{}), expr.DisableAllBuiltins(), expr.MaxNodes(mostParts), kind}
	for _, name := range builtins {
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
			text, isText := args[0].(string)
			n, isNumber := args[1].(int)
			if !isText || !isNumber {
				return nil, errors.New("truncate: want a text and a whole number, such as truncate(event.message, 80)")
			}
			return truncate(text, n), nil
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
	begins  native // what is decided without the program
	native  bool   // that is all
}

// needs are what an expression asks for that not every message has, or that costs.
type needs struct{ event, msg, properties, group bool }

func (n needs) and(other needs) needs {
	return needs{n.event || other.event, n.msg || other.msg, n.properties || other.properties, n.group || other.group}
}

// compile compiles an expression. The error says where in the text it is wrong.
func compile(text string, kind expr.Option, options map[string]any) (*expression, error) {
	if len(text) > mostExpression {
		return nil, fmt.Errorf("an expression of %d characters: want at most %d", len(text), mostExpression)
	}
	config := conf.CreateNew()
	tree, err := parser.ParseWithConfig(text, config)
	if err != nil {
		return nil, unreadable(text, err)
	}
	e := &expression{text: text, tree: tree.Node}
	e.begins, e.native = beginning(tree.Node)
	w := &walker{e: e, options: options, pattern: mostPattern, calls: mostCalls}
	ast.Walk(&tree.Node, w)
	if w.err != nil {
		return nil, w.err
	}
	if e.program, err = expr.Compile(text, language(kind)...); err != nil {
		return nil, uncompilable(text, err)
	}
	return e, nil
}

// walker looks at the parts of an expression.
type walker struct {
	e              *expression
	options        map[string]any
	pattern, calls int // what is left of them
	err            error
}

// Visit is called for each node.
func (w *walker) Visit(node *ast.Node) {
	var err error
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		err = w.name(n.Value)
	case *ast.PredicateNode, *ast.PointerNode:
		err = errors.New("functions that loop over a list are not allowed; use in")
	case *ast.VariableDeclaratorNode, *ast.SequenceNode:
		err = errors.New("variables (let) are not allowed")
	case *ast.BuiltinNode:
		err = w.call()
	case *ast.CallNode:
		err = cmp.Or(method(n), w.call())
	case *ast.BinaryNode:
		err = w.binary(n)
	case *ast.MemberNode:
		err = w.member(n)
	}
	if err != nil && w.err == nil {
		w.err = err
	}
}

func (w *walker) name(name string) error {
	needs := &w.e.needs
	switch name {
	case "event":
		needs.event = true
	case "msg":
		needs.msg = true
	case "properties":
		needs.properties = true
	case "group":
		needs.group = true
	case "$env":
		return errors.New("there is no $env")
	}
	return nil
}

func (w *walker) call() error {
	if w.calls--; w.calls < 0 {
		return fmt.Errorf("more than %d calls of functions and additions", mostCalls)
	}
	return nil
}

// member looks at option.name.
func (w *walker) member(n *ast.MemberNode) error {
	name, isName := n.Property.(*ast.StringNode)
	if of, ok := n.Node.(*ast.IdentifierNode); !ok || of.Value != "option" {
		return nil
	}
	if !isName {
		return errors.New("option: want a name, as in option.name")
	}
	if _, known := w.options[name.Value]; known {
		return nil
	}
	if len(w.options) == 0 {
		return fmt.Errorf("option.%s: this file has no options: want them above the rules, such as options: {%[1]s: ...}", name.Value)
	}
	return fmt.Errorf("option.%s is not among the options of this file%s", name.Value, cmp.Or(suggestion(name.Value, keysOf(w.options)), ": "+strings.Join(keysOf(w.options), ", ")))
}

func (w *walker) binary(n *ast.BinaryNode) error {
	switch n.Operator {
	case "..":
		return errors.New("ranges (..) are not allowed")
	case "+":
		return w.call()
	case "matches":
		pattern, literal := n.Right.(*ast.StringNode)
		if !literal {
			return errors.New("matches: want a pattern in quotes, that can be checked now")
		}
		if err := filterAsPattern(n, pattern.Value); err != nil {
			return err
		}
		if w.pattern -= stepsOf(pattern.Value); w.pattern < 0 {
			return fmt.Errorf("matches: the patterns come to more than %d steps; want shorter ones, or fewer repetitions such as {100}", mostPattern)
		}
	case "<", "<=", ">", ">=":
		return comparison(n)
	case "startsWith", "endsWith", "contains":
		return wildcards(n)
	case "==", "!=", "in":
		if err := cmp.Or(comparison(n), wildcards(n)); err != nil {
			return err
		}
		field, values := literals(n)
		known := map[string][]string{"type": eventTypes, "outcome": outcomes}[field]
		for _, value := range values {
			if near := nearMethod(value); field == "method" && near != "" {
				return fmt.Errorf("event.method %q is none of Open AMT%s; if it is one of your own, write %[1]q in event.methods", value, near)
			}
			if known != nil && !slices.Contains(known, value) {
				return fmt.Errorf("event.%s is never %q: want one of %s%s", field, value, strings.TrimPrefix(strings.Join(known, ", "), ", "), suggestion(value, known))
			}
		}
	}
	return nil
}

// stepsOf is how much a pattern costs for each byte; 0 if it is wrong, which is said later.
func stepsOf(pattern string) int {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0
	}
	compiled, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return 0
	}
	return len(compiled.Inst)
}

// literals reads event.field == "a", event.field != "a", event.field startsWith "a" and
// event.field in ["a", "b"].
func literals(n *ast.BinaryNode) (field string, values []string) {
	member, ok := n.Left.(*ast.MemberNode)
	if !ok || !slices.Contains([]string{"==", "!=", "in", "startsWith"}, n.Operator) {
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
	} else if n.Operator == "in" {
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
// true; nil if it may have any. It looks at the comparisons that the condition begins
// with, which cannot fail: what comes later may fail first, and that must be seen.
func (e *expression) only(field string) []string {
	if e == nil {
		return nil
	}
	for _, part := range conjuncts(e.tree) {
		n, ok := part.(*ast.BinaryNode)
		if !ok {
			return nil
		}
		switch of, values := literals(n); {
		case of == "":
			return nil
		case of == field && (n.Operator == "==" || n.Operator == "in"):
			return values
		}
	}
	return nil
}

// holds evaluates a condition. What is missing, as msg.flag may be, does not hold.
func (e *expression) holds(machine *vm.VM, f *facts) (bool, error) {
	if begins := e.begins(f); !begins || e.native {
		return begins, nil
	}
	value, err := e.run(machine, f)
	if err != nil {
		return false, err
	}
	switch v := value.(type) {
	case bool:
		return v, nil
	case nil:
		return false, nil
	}
	return false, fmt.Errorf("%s: want true or false, have %s", e.text, kindOfType(fmt.Sprintf("%T", value)))
}

// run evaluates the expression.
func (e *expression) run(machine *vm.VM, f *facts) (any, error) {
	value, err := machine.Run(e.program, f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.text, e.failed(err))
	}
	if set, ok := value.(map[string]bool); ok {
		return keysOf(set), nil // an option that is a list
	}
	return value, nil
}
