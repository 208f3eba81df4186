package rules

import (
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// native is a condition, or its beginning, that Go code evaluates instead of expr's machine.
// Nearly all conditions compare fields of an event with texts; native ones take a tenth of the
// time.
type native func(*facts) bool

// eventTexts returns the fields of an event that are texts.
var eventTexts = map[string]func(*eventFacts) string{
	"type":    func(e *eventFacts) string { return e.Type },
	"message": func(e *eventFacts) string { return e.Message },
	"method":  func(e *eventFacts) string { return e.Method },
	"guid":    func(e *eventFacts) string { return e.GUID },
	"outcome": func(e *eventFacts) string { return e.Outcome },
}

// nativeOf returns nil if the node needs expr's machine.
func nativeOf(n ast.Node, options map[string]any) native {
	switch n := n.(type) {
	case *ast.MemberNode:
		if is, known := switchOf(n, options); known {
			return func(*facts) bool { return is }
		}
	case *ast.UnaryNode:
		if inner := nativeOf(n.Node, options); inner != nil && (n.Operator == "not" || n.Operator == "!") {
			return func(f *facts) bool { return !inner(f) }
		}
	case *ast.BinaryNode:
		switch n.Operator {
		case "&&", "and", "||", "or":
			left, right := nativeOf(n.Left, options), nativeOf(n.Right, options)
			if left == nil || right == nil {
				return nil
			}
			if n.Operator == "&&" || n.Operator == "and" {
				return func(f *facts) bool { return left(f) && right(f) }
			}
			return func(f *facts) bool { return left(f) || right(f) }
		default:
			return nativeComparison(n)
		}
	}
	return nil
}

// optionOf returns the value of option.name, and nil if the node is another one.
func optionOf(n ast.Node, options map[string]any) any {
	member, isMember := n.(*ast.MemberNode)
	if !isMember {
		return nil
	}
	of, isVariable := member.Node.(*ast.IdentifierNode)
	name, isName := member.Property.(*ast.StringNode)
	if !isVariable || !isName || of.Value != "option" {
		return nil
	}
	return options[name.Value]
}

// switchOf returns the value of an option that is true or false.
func switchOf(n ast.Node, options map[string]any) (is, known bool) {
	is, known = optionOf(n, options).(bool)
	return is, known
}

func nativeComparison(n *ast.BinaryNode) native {
	field, values := literals(n)
	text := eventTexts[field]
	if text == nil {
		return nil
	}
	switch value := strings.Join(values, ""); n.Operator {
	case "==":
		return func(f *facts) bool { return text(&f.Event) == value }
	case "!=":
		return func(f *facts) bool { return text(&f.Event) != value }
	case "startsWith":
		return func(f *facts) bool { return strings.HasPrefix(text(&f.Event), value) }
	default:
		return func(f *facts) bool { return slices.Contains(values, text(&f.Event)) }
	}
}

// beginning returns the beginning of a condition that needs no machine; all reports whether it is
// the whole condition, and never whether an option that is off makes it false for every message.
func beginning(n ast.Node, options map[string]any) (begins native, all, never bool) {
	var parts []native
	conjuncts := conjuncts(n)
	for _, part := range conjuncts {
		p := nativeOf(part, options)
		if p == nil {
			break
		}
		if is, known := switchOf(part, options); known && !is {
			never = true
		}
		parts = append(parts, p)
	}
	return func(f *facts) bool {
		for _, p := range parts {
			if !p(f) {
				return false
			}
		}
		return true
	}, len(parts) == len(conjuncts), never
}
