package rules

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
)

// uneven matches expr's error for two values that an operator cannot combine.
var uneven = regexp.MustCompile(`^invalid operation: (.+) ([<>]=?|\*\*|[-+*/%]) (.+)$`)

// failed returns an error of evaluation in our words. It names the part of the expression that
// has the wrong value.
func (e *Expression) failed(err error) error {
	var at *file.Error
	if !errors.As(err, &at) {
		return plain(err)
	}
	finder := finder{from: at.From}
	ast.Walk(&e.tree, &finder)
	var says string
	switch n := finder.found.(type) {
	case *ast.BinaryNode:
		says = unevenOperands(n, at.Message)
	case *ast.UnaryNode:
		says = missingOperand(n, at.Message)
	case *ast.MemberNode:
		says = missingObject(n, at.Message)
	case *ast.BuiltinNode:
		says = missingArgument(n.Name, n.Arguments, at.Message)
	case *ast.CallNode:
		says = missingArgument(n.Callee.String(), n.Arguments, at.Message)
	}
	if says == "" {
		return plain(err)
	}
	return errors.New(says)
}

// finder finds the part of an expression that begins at a character.
type finder struct {
	from  int
	found ast.Node
}

// Visit checks a node; expr calls it for each one, the inner ones first.
func (f *finder) Visit(node *ast.Node) {
	switch (*node).(type) {
	case *ast.BinaryNode, *ast.UnaryNode, *ast.MemberNode, *ast.BuiltinNode, *ast.CallNode:
		if (*node).Location().From == f.from {
			f.found = *node
		}
	}
}

// unevenOperands returns the error text for operands of different kinds, or for one that is
// missing.
func unevenOperands(n *ast.BinaryNode, message string) string {
	m := uneven.FindStringSubmatch(message)
	if m == nil || m[2] != n.Operator {
		return ""
	}
	left, right := kindOfType(m[1]), kindOfType(m[3])
	for _, operand := range []struct {
		kind string
		node ast.Node
	}{{left, n.Left}, {right, n.Right}} {
		if operand.kind == "nothing" {
			return fmt.Sprintf("%.80s is missing; write %[1]s != nil && ... where it may be, or default(%[1]s, ...)", operand.node)
		}
	}
	return cannotCombine(n.Operator, left, right, textOperand(n, left, right))
}

// textOperand returns the operand that is a text, or "".
func textOperand(n *ast.BinaryNode, left, right string) string {
	switch "a text" {
	case left:
		return n.Left.String()
	case right:
		return n.Right.String()
	}
	return ""
}

// cannotCombine returns the error text for values of two kinds that an operator cannot combine, with
// what to write instead.
func cannotCombine(operator, left, right, text string) string {
	kinds := []string{left, right}
	has := func(kind string) bool { return slices.Contains(kinds, kind) }
	both := left + " and " + right
	switch {
	case operator == "%" && !has("a text"):
		return "% wants whole numbers; int(...) makes one"
	case slices.Contains([]string{"and", "&&", "or", "||"}, operator):
		says := fmt.Sprintf("%s stands between two conditions, not between %s; compare each, as in event.guid != \"\"", operator, both)
		if operator == "or" || operator == "||" {
			says += ", or write default(a, b) for what may be missing"
		}
		return says
	case (operator == "==" || operator == "!=") && has("a list"):
		return fmt.Sprintf("%s are never equal; ask for a member with in, as in \"AMT_PowerAction\" in event.methods", both)
	case has("a number") && has("a text"):
		number := fmt.Sprintf("float(%.80s)", cmp.Or(text, "..."))
		if operator == "==" || operator == "!=" {
			return fmt.Sprintf("%s are never equal; a number stands without quotes, and %s makes one of a text", both, number)
		}
		if operator == "+" {
			return fmt.Sprintf("%s do not go together by +; %s makes a number of the text, string(...) a text of a number", both, number)
		}
		return fmt.Sprintf("%s do not go together by %s; a number stands without quotes, and %s makes one of a text", both, operator, number)
	case operator == "==" || operator == "!=":
		return both + " are never equal"
	}
	return fmt.Sprintf("%s do not go together by %s", both, operator)
}

// hasNoNames matches expr's errors for a member of a value that is no object. A text and a list have
// only numbers, to which expr cannot convert a name.
var hasNoNames = regexp.MustCompile(`^(?:invalid operation: int\((string)\)|cannot fetch \S+ from ([^<].*))`)

// nothingThere matches expr's errors for a missing value.
var nothingThere = regexp.MustCompile(`<nil>|\bnil\b`)

// missingObject returns the error text for a member of a missing value.
func missingObject(n *ast.MemberNode, message string) string {
	name, isName := n.Property.(*ast.StringNode)
	if isName && strings.Contains(message, "string") && slices.Contains([]string{"length", "size"}, name.Value) {
		return fmt.Sprintf("a text has no %s; write len(%.80s)", name.Value, n.Node)
	}
	if m := hasNoNames.FindStringSubmatch(message); isName && m != nil {
		return fmt.Sprintf("%.80s is %s and has no %s; write %[1]s?.%[3]s where it may be one", n.Node, kindOfType(m[1]+m[2]), name.Value)
	}
	if !isName || !nothingThere.MatchString(message) {
		return ""
	}
	return fmt.Sprintf("%.80s is missing; write %[1]s?.%s where it may be", n.Node, name.Value)
}

// missingOperand returns the error text for an operator before a missing value.
func missingOperand(n *ast.UnaryNode, message string) string {
	if !nothingThere.MatchString(message) {
		return ""
	}
	if n.Operator == "not" || n.Operator == "!" {
		return fmt.Sprintf("%.80s is missing; write %[1]s == false, or %[1]s != true if it holds for what is missing, too", n.Node)
	}
	return fmt.Sprintf("%.80s is missing; write default(%[1]s, 0) where it may be", n.Node)
}

// missingArgument returns the error text for a function that is called with a missing value.
func missingArgument(function string, arguments []ast.Node, message string) string {
	if len(arguments) == 0 || !nothingThere.MatchString(message) {
		return ""
	}
	instead := `""`
	if function == "int" || function == "float" {
		instead = "0"
	}
	return fmt.Sprintf("%.80s is missing; write default(%[1]s, %s) where it may be", arguments[0], instead)
}
