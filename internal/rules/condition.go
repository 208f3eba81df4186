package rules

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"
)

// facts are the variables of an expression.
type facts struct {
	Topic      string            `expr:"topic"`
	Server     string            `expr:"server"`
	Event      eventFacts        `expr:"event"`
	Msg        any               `expr:"msg"`
	Payload    string            `expr:"payload"`
	Retain     bool              `expr:"retain"`
	Age        int               `expr:"age"` // in seconds
	Properties map[string]string `expr:"properties"`
	Option     map[string]any    `expr:"option"`
	Rule       string            `expr:"rule"`
	Group      string            `expr:"group"`
	Item       any               `expr:"item"`
}

// eventFacts are the fields of an event of an Open AMT server. Method is the first of Methods.
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

// These limits keep every expression cheap: its time grows with its parts times the bytes of the
// message.
const (
	maxExpression = 4000 // characters
	maxParts      = 500  // names, values and operators
	maxCalls      = 50   // calls of functions and additions, each of which may copy the message
	maxPattern    = 1000 // steps of all patterns
)

// language returns the options of expr that define our language. It has no loops and nothing that
// makes a long value of a short one.
func language(kind expr.Option) []expr.Option {
	options := []expr.Option{expr.Env(facts{}), expr.DisableAllBuiltins(), expr.MaxNodes(maxParts), expr.Patch(lenient{}), kind}
	for _, name := range builtins {
		options = append(options, expr.EnableBuiltin(name))
	}
	return append(options, ownFunctions()...)
}

// Expression is a compiled expression of a rule.
type Expression struct {
	text    string
	program *vm.Program
	needs   needs
	tree    ast.Node
	begins  native // the beginning of the condition, without the program
	native  bool   // begins is the whole condition
	never   bool   // begins is false for every message
}

// needs lists the inputs of an expression that some messages lack, that cost time to prepare, or that
// there are only with a message: origin stands for topic, server and retain. decodes is true if it
// decodes JSON.
type needs struct{ event, msg, payload, age, properties, group, item, decodes, origin bool }

// and returns the needs of both.
func (n needs) and(other needs) needs {
	return needs{
		n.event || other.event, n.msg || other.msg, n.payload || other.payload, n.age || other.age,
		n.properties || other.properties, n.group || other.group, n.item || other.item, n.decodes || other.decodes,
		n.origin || other.origin,
	}
}

// ParseCondition compiles an expression that is true or false. The error names the place in the
// text.
func ParseCondition(text string, options map[string]any) (*Expression, error) {
	text = strings.TrimSpace(text)
	e, err := compile(text, expr.AsBool(), options)
	switch {
	case err != nil:
		return nil, cmp.Or(bracesIn(text), err)
	case e.needs.group:
		return nil, errors.New("there is no group yet; it may stand in what raise says")
	}
	return e, nil
}

// ParseEach compiles an expression that is a list or an object.
func ParseEach(text string, options map[string]any) (*Expression, error) {
	text = strings.TrimSpace(text)
	e, err := compile(text, expr.AsAny(), options)
	switch {
	case err != nil:
		return nil, cmp.Or(bracesIn(text), err)
	case e.needs.group, e.needs.item:
		return nil, errors.New("there are no group and no item yet")
	}
	return e, nil
}

// NamesItem reports whether the expression names an element of the rule's list.
func (e *Expression) NamesItem() bool { return e != nil && e.needs.item }

// compile compiles an expression. The error names the place in the text.
func compile(text string, kind expr.Option, options map[string]any) (*Expression, error) {
	if len(text) > maxExpression {
		return nil, fmt.Errorf("an expression of %d characters: want at most %d", len(text), maxExpression)
	}
	config := conf.CreateNew()
	for _, own := range ownFunctions() {
		own(config) // some have the names of functions of expr, which the parser would take them for
	}
	tree, err := parser.ParseWithConfig(text, config)
	if err != nil {
		return nil, unreadable(text, err)
	}
	e := &Expression{text: text, tree: tree.Node}
	w := &walker{e: e, options: options, pattern: maxPattern, calls: maxCalls}
	ast.Walk(&tree.Node, w)
	if w.err != nil {
		return nil, w.err
	}
	e.begins, e.native, e.never = beginning(tree.Node, options) // last, because guids has changed options
	if e.program, err = expr.Compile(text, language(kind)...); err != nil {
		return nil, uncompilable(text, err)
	}
	return e, nil
}

// walker checks the parts of an expression and notes its needs.
type walker struct {
	e              *Expression
	options        map[string]any
	pattern, calls int // the rest of maxPattern and maxCalls
	err            error
}

// Visit checks a node; expr calls it for each one.
func (w *walker) Visit(node *ast.Node) {
	var err error
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		err = w.name(n.Value)
	case *ast.PredicateNode, *ast.PointerNode:
		err = errors.New("functions that loop over a list are not allowed; use in, find, or each")
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

// name notes the use of a variable.
func (w *walker) name(name string) error {
	needs := &w.e.needs
	switch name {
	case "event":
		needs.event = true
	case "msg":
		needs.msg = true
	case "payload":
		needs.payload = true
	case "age":
		needs.age = true
	case "properties":
		needs.properties = true
	case "group":
		needs.group = true
	case "item":
		needs.item = true
	case "fromJSON":
		needs.decodes = true
	case "topic", "server", "retain":
		needs.origin = true
	case "$env":
		return errors.New("there is no $env")
	}
	return nil
}

// call counts the calls.
func (w *walker) call() error {
	if w.calls--; w.calls < 0 {
		return fmt.Errorf("more than %d calls of functions and additions", maxCalls)
	}
	return nil
}

// member checks that option.name is an option of the file.
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
	return fmt.Errorf("option.%s is not among the options of this file%s", name.Value, cmp.Or(Suggestion(name.Value, slices.Sorted(maps.Keys(w.options))), ": "+strings.Join(slices.Sorted(maps.Keys(w.options)), ", ")))
}

// binary checks an operator and its operands.
func (w *walker) binary(n *ast.BinaryNode) error {
	if err := w.guids(n); err != nil {
		return err
	}
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
			return fmt.Errorf("matches: the patterns come to more than %d steps; want shorter ones, or fewer repetitions such as {100}", maxPattern)
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
				return fmt.Errorf("event.%s is never %q: want one of %s%s", field, value, strings.TrimPrefix(strings.Join(known, ", "), ", "), Suggestion(value, known))
			}
		}
	}
	return nil
}

// stepsOf returns the steps that a pattern costs for each byte, and 0 for a wrong pattern, which
// expr refuses later.
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

// literals returns the field and the values of event.field == "a", event.field != "a",
// event.field startsWith "a" and event.field in ["a", "b"].
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

// conjuncts returns the parts of a condition that must all be true.
func conjuncts(n ast.Node) []ast.Node {
	if both, ok := n.(*ast.BinaryNode); ok && (both.Operator == "&&" || both.Operator == "and") {
		return append(conjuncts(both.Left), conjuncts(both.Right)...)
	}
	return []ast.Node{n}
}

// only returns the values of an event's field for which the condition can be true, and nil if it
// can be true for any. It looks only at the comparisons at the beginning of the condition, which
// cannot fail: a later part may fail first, and that failure must be seen.
func (e *Expression) only(field string) []string {
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

// holds evaluates a condition whose beginning is true. A missing value, such as msg.flag, counts as false.
func (e *Expression) holds(machine *vm.VM, f *facts) (bool, error) {
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
	return false, fmt.Errorf("%s: want true or false, have %s", e.text, KindOf(value))
}

// run evaluates the expression.
func (e *Expression) run(machine *vm.VM, f *facts) (any, error) {
	value, err := machine.Run(e.program, f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.text, e.failed(err))
	}
	if set, ok := value.(map[string]bool); ok {
		return slices.Sorted(maps.Keys(set)), nil // a list among the options
	}
	return value, nil
}
