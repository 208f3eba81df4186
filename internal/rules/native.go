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
		if is, known := constantOf(n, options); known {
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
			if list := optionOf(n.Right, options); list != nil {
				return nativeIn(n, list)
			}
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

// constantOf returns the value of a condition that is the same for all messages, because an option
// is true or false, or an empty list.
func constantOf(n ast.Node, options map[string]any) (is, known bool) {
	if in, isBinary := n.(*ast.BinaryNode); isBinary && in.Operator == "in" {
		list, isList := optionOf(in.Right, options).([]any)
		return false, isList && len(list) == 0 && eventText(in.Left) != nil
	}
	is, known = optionOf(n, options).(bool)
	return is, known
}

// eventText returns the function that returns a text field of the event, and nil if the node is no such
// field.
func eventText(n ast.Node) func(*eventFacts) string {
	member, isMember := n.(*ast.MemberNode)
	if !isMember {
		return nil
	}
	of, isVariable := member.Node.(*ast.IdentifierNode)
	field, isField := member.Property.(*ast.StringNode)
	if !isVariable || !isField || of.Value != "event" {
		return nil
	}
	return eventTexts[field.Value]
}

// nativeIn returns the condition that a field of the event is in a list of texts among the options.
func nativeIn(n *ast.BinaryNode, list any) native {
	text := eventText(n.Left)
	if text == nil || n.Operator != "in" {
		return nil
	}
	switch list := list.(type) {
	case map[string]bool:
		return func(f *facts) bool { return list[text(&f.Event)] }
	case []any:
		if len(list) == 0 {
			return func(*facts) bool { return false }
		}
	}
	return nil
}

// plainText returns the function that returns the value of an expression which is a text of the message, or one of
// two by default. It returns nil for another expression.
func plainText(n ast.Node) func(*facts) string {
	if field := eventText(n); field != nil {
		return func(f *facts) string { return field(&f.Event) }
	}
	switch n := n.(type) {
	case *ast.StringNode:
		return func(*facts) string { return n.Value }
	case *ast.IdentifierNode:
		switch n.Value {
		case "topic":
			return func(f *facts) string { return f.Topic }
		case "server":
			return func(f *facts) string { return f.Server }
		}
	case *ast.CallNode:
		called, is := n.Callee.(*ast.IdentifierNode)
		if !is || called.Value != "default" || len(n.Arguments) != 2 {
			return nil
		}
		text, otherwise := plainText(n.Arguments[0]), plainText(n.Arguments[1])
		if text == nil || otherwise == nil {
			return nil
		}
		return func(f *facts) string {
			if s := text(f); s != "" {
				return s
			}
			return otherwise(f)
		}
	}
	return nil
}

// nativeComparison returns the condition that compares a field of the event with texts, or two texts of the message.
func nativeComparison(n *ast.BinaryNode) native {
	field, values := literals(n)
	text := eventTexts[field]
	if text == nil {
		left, right := plainText(n.Left), plainText(n.Right)
		if n.Operator != "==" && n.Operator != "!=" || left == nil || right == nil {
			return nil
		}
		equal := n.Operator == "=="
		return func(f *facts) bool { return (left(f) == right(f)) == equal }
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
		if is, known := constantOf(part, options); known && !is {
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
